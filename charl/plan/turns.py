"""Loops whose turns run on threads, each of which has arrays of its own for what lives in a turn.

Enters: a plan. Leaves: the same with such loops marked, and room in the workspace for the arrays of further threads. Where a loop
carries nothing, a turn reads nothing that another writes: heads of attention, images, samples. Its kernels then hand nothing to
another core, and threads meet once a loop instead of once a kernel. Decides for sizes that are known, and not on grids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Size
from charl.loops.threads import work
from charl.plan.arena import Life, aligned
from charl.plan.ir import Call, Choose, Place, Plan, Repeat, Step, Threads, inside

# Threads for which there is room: each further one takes as much of the workspace as a turn does.
_MOST = 8
_FEW = 4  # turns below which the loops inside share their work better


def threaded(plan: Plan, caps: Capabilities) -> Plan:
    """The plan with the outermost loops on threads whose turns are apart and do enough."""
    if caps.grid or not isinstance(plan.arena_bytes, int):
        return plan
    found = [_arrays(r, plan.steps) for r in _candidates(plan.steps, caps)]
    own = {id(r): places for r, places in found if places is not None}
    if not own:
        return plan
    end = aligned(plan.arena_bytes)
    assert isinstance(end, int)
    most = end

    def marked(step: Step) -> Step:
        nonlocal most
        if isinstance(step, Call):
            return step
        if isinstance(step, Choose):
            then, otherwise = (tuple(map(marked, side)) for side in inside(step))
            return replace(step, then=then, otherwise=otherwise)
        if id(step) not in own:
            return replace(step, body=tuple(map(marked, step.body)))
        assert isinstance(step.extent, int)
        places = own[id(step)]
        low, stride = _reach(places)
        threads = Threads(min(step.extent, _MOST), places, end - low, stride)
        most = max(most, end + (threads.most - 1) * stride)
        return replace(step, threads=threads)

    steps = tuple(map(marked, plan.steps))
    last = max((x.last for x in plan.lives), default=0)
    copies = Life("threads", most - plan.arena_bytes, 0, last)  # there all the time
    return replace(plan, steps=steps, arena_bytes=most, lives=(*plan.lives, copies))


def _candidates(steps: Sequence[Step], caps: Capabilities) -> Iterator[Repeat]:
    """Loops that carry nothing and do enough, in no other such loop."""
    for step in steps:
        if isinstance(step, Repeat) and step.apart and _pays(step, caps):
            yield step
            continue
        for body in inside(step):
            yield from _candidates(body, caps)


def _pays(loop: Repeat, caps: Capabilities) -> bool:
    """Whether a loop has turns enough, and a turn does enough."""
    turns = loop.extent
    if not isinstance(turns, int) or turns < _FEW:
        return False
    return _work(loop.body, caps, {loop.index: turns // 2}) >= caps.thread_work


def _work(steps: Sequence[Step], caps: Capabilities, around: Mapping[str, Size]) -> int:
    """Operations of steps in the middle of the loops around; what nobody knows counts nothing."""
    total = 0
    for step in steps:
        if isinstance(step, Call):
            given = {n: dims.substitute(x, around) for n, x in zip(step.kernel.dims, step.dims, strict=True)}
            done = [work(s, caps, given) for nest in step.kernel.nests for s in nest]
            total += sum(x for x in done if isinstance(x, int))
        elif isinstance(step, Choose):
            total += _work(step.then, caps, around)
        elif isinstance(step.extent, int):
            total += step.extent * _work(step.body, caps, {**around, step.index: step.extent // 2})
    return total


def _arrays(loop: Repeat, steps: Sequence[Step]) -> tuple[Repeat, tuple[Place, ...] | None]:
    """What a turn has for itself in the workspace; None where turns would meet in an array all the same."""
    outside = {id(p) for p, _ in _touched(steps, loop)}
    touched = list(_touched(loop.body))
    own = {id(p): p for p, _ in touched if p.kind == "arena" and id(p) not in outside}
    read = {id(p) for p, role in touched if role != "output"}
    for place, role in touched:
        mine = id(place) in own or place.kind == "local"
        known = isinstance(place.size, int) and isinstance(place.offset, int)
        if place.kind == "scratch" or (mine and not known):
            return loop, None
        if not mine and role != "input" and id(place) in read:
            return loop, None
    return loop, tuple(own.values())


def _touched(steps: Sequence[Step], but: Step | None = None) -> Iterator[tuple[Place, str]]:
    """Places and the roles they have in calls, those of one step left out."""
    for step in steps:
        if step is but:
            continue
        if isinstance(step, Call):
            yield from zip(step.places, (b.role for b in step.kernel.buffers), strict=True)
        elif step.condition is not None:
            yield step.condition, "input"
        for body in inside(step):
            yield from _touched(body, but)


def _reach(places: Sequence[Place]) -> tuple[int, int]:
    """Where the arrays of a turn begin in the workspace, and how many bytes they and what is between them take."""
    low, high = 0, 0
    for n, p in enumerate(places):
        assert isinstance(p.offset, int) and isinstance(p.size, int)
        end = p.offset + p.size * p.dtype.bytes
        low, high = (p.offset, end) if not n else (min(low, p.offset), max(high, end))
    size = aligned(high - low)
    assert isinstance(size, int)
    return low, size
