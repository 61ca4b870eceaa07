"""Loops whose turns run on threads, each of which has arrays of its own for what lives in a turn.

Enters: a plan without offsets. Leaves: the same with such loops marked. While one runs, the arrays of each thread need room, as
much as a turn takes, instead of those of the turn. Where a loop carries nothing, a turn reads nothing that another writes: heads
of attention, images, samples. Its kernels then hand nothing to another core, and threads meet once a loop instead of once a
kernel. Not on grids.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Size
from charl.plan.arena import Life, aligned, assign
from charl.plan.ir import Call, Choose, Place, Plan, Repeat, Step, Threads, inside

_FEW = 4  # turns below which the loops inside share their work better
_OPERATIONS = 16  # of elements, for each of vectors


def threaded(plan: Plan, caps: Capabilities) -> Plan:
    """The plan with the outermost loops on threads whose turns are apart and do enough."""
    known = frozenset(d.name for d in plan.export.dims)
    found = [] if caps.grid or caps.threads == 1 else list(_found(plan.steps, plan.steps, caps, known))
    if not found:
        return plan
    marks = {id(loop): threads for loop, threads in found}
    own = {id(p): threads for _, threads in found for p, _ in threads.own}
    lives = [x for x in plan.lives if id(x.key) not in own]
    for _, threads in found:
        turn = [x for x in plan.lives if own.get(id(x.key)) is threads]
        if turn:  # what a loop touches besides is there from its first step to its last
            first, last = min(x.first for x in turn), max(x.last for x in turn)
            lives.append(Life(threads, threads.most * threads.stride, first, last))

    def marked(step: Step) -> Step:
        if isinstance(step, Call):
            return step
        if isinstance(step, Choose):
            then, otherwise = (tuple(map(marked, side)) for side in inside(step))
            return replace(step, then=then, otherwise=otherwise)
        if id(step) in marks:
            return replace(step, threads=marks[id(step)])
        return replace(step, body=tuple(map(marked, step.body)))

    return replace(plan, steps=tuple(map(marked, plan.steps)), lives=lives)


def _found(
    steps: Sequence[Step], every: Sequence[Step], caps: Capabilities, known: frozenset[str]
) -> Iterator[tuple[Repeat, Threads]]:
    """Loops on threads, in no other such loop. `every`: step of the export; `known`: what it knows when it is called."""
    for step in steps:
        if isinstance(step, Repeat) and (threads := _threads(step, every, caps, known)):
            yield step, threads
            continue
        for body in inside(step):
            yield from _found(body, every, caps, known)


def _threads(
    loop: Repeat, every: Sequence[Step], caps: Capabilities, known: frozenset[str]
) -> Threads | None:
    """How a loop runs on threads; None where it had better not."""
    turns = loop.extent
    if not loop.apart or not isinstance(turns, int) or turns < _FEW:
        return None
    pays = _work(loop.body, {loop.index: turns // 2}) - _OPERATIONS * caps.thread_work
    if not dims.symbols(pays) <= known or (isinstance(pays, int) and pays < 0):
        return None
    own = _own(loop, every)
    if own is None:
        return None
    lives = []
    for place in own:
        at = [n for n, s in enumerate(loop.body) if any(p is place for p, _ in _touched((s,)))]
        lives.append(Life(place, aligned(place.size * place.dtype.bytes), at[0], at[-1]))
    stride = assign(lives)
    places = tuple((p, x.offset) for p, x in zip(own, lives, strict=True))
    return Threads(min(turns, caps.threads), 0 if isinstance(pays, int) else pays, places, 0, stride)


def _work(steps: Sequence[Step], around: Mapping[str, Size]) -> Size:
    """Operations of steps in the middle of the loops around; loops that nobody knows the end of count nothing."""
    total: Size = 0
    for step in steps:
        if isinstance(step, Call):
            given = {n: dims.substitute(x, around) for n, x in zip(step.kernel.dims, step.dims, strict=True)}
            total = total + dims.substitute(step.kernel.flops, given)
        elif isinstance(step, Choose):
            total = total + _work(step.then, around)
        elif step.extent is not None:
            turns = dims.substitute(step.extent, around)
            total = total + turns * _work(step.body, {**around, step.index: dims.floordiv(turns, 2)})
    return total


def _own(loop: Repeat, every: Sequence[Step]) -> tuple[Place, ...] | None:
    """What a turn has for itself in the workspace; None where turns would meet in an array all the same."""
    outside = {id(p) for p, _ in _touched(every, loop)}
    touched = list(_touched(loop.body))
    own = {id(p): p for p, _ in touched if p.kind == "arena" and id(p) not in outside}
    read = {id(p) for p, role in touched if role != "output"}
    for place, role in touched:
        mine = id(place) in own or place.kind == "local"
        if place.kind == "scratch" or (not mine and role != "input" and id(place) in read):
            return None
    return tuple(own.values())


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
