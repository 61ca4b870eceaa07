"""Where each buffer of a plan begins in the workspace, when all that needs room is known.

Enters: a plan whose `lives` say how long each place, and the room of each loop on threads, is needed; scratch places count their
bytes from the end of all that. Leaves: the same with offsets from the beginning, and the size of the workspace. Never decides who
needs room, or for how long.
"""

from __future__ import annotations

from dataclasses import replace

from charl.dims import Size
from charl.plan.arena import Life, aligned, assign
from charl.plan.ir import Call, Choose, Place, Plan, Step, Threads, every


def placed(plan: Plan) -> Plan:
    """The plan with the offsets of its places."""
    arena = assign(plan.lives)
    offsets = {id(x.key): x.offset for x in plan.lives}
    moved: dict[int, Place] = {}

    def place(p: Place) -> Place:
        if p.kind not in ("arena", "scratch"):
            return p
        if id(p) not in moved:
            offset = arena + p.offset if p.kind == "scratch" else offsets[id(p)]
            moved[id(p)] = replace(p, offset=offset)
        return moved[id(p)]

    def on_threads(t: Threads) -> Threads:
        start = offsets.get(id(t), 0)
        for p, offset in t.own:  # the first thread's
            offsets[id(p)] = start + offset
        return replace(t, start=start, own=tuple((place(p), offset) for p, offset in t.own))

    def step(s: Step) -> Step:
        if isinstance(s, Call):
            return replace(s, places=tuple(map(place, s.places)))
        if isinstance(s, Choose):
            then, otherwise = (tuple(map(step, side)) for side in (s.then, s.otherwise))
            return Choose(place(s.condition), then, otherwise)
        threads = None if s.threads is None else on_threads(s.threads)
        condition = None if s.condition is None else place(s.condition)
        return replace(s, condition=condition, body=tuple(map(step, s.body)), threads=threads)

    steps = tuple(map(step, plan.steps))
    scratch = _scratch(plan)
    behind = 1 + max((x.last for x in plan.lives), default=0)
    # Needed with what lives, or less: still a lower bound.
    lives = (*plan.lives, Life("scratch", scratch, behind, behind))
    return replace(plan, steps=steps, arena_bytes=arena + scratch, lives=lives)


def _scratch(plan: Plan) -> Size:
    """Bytes of the kernel that needs most scratch."""
    most = 0
    for call in every(plan.steps):
        for p in call.places:
            if p.kind == "scratch":
                size = p.offset + aligned(p.size * p.dtype.bytes)
                assert isinstance(size, int)
                most = max(most, size)
    return most
