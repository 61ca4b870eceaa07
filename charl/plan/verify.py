"""Checks of a plan: nothing is read before it is written, nothing is overwritten while it is needed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from charl import dims
from charl.dims import Dim
from charl.dtypes import u8
from charl.errors import InternalError
from charl.graph.scalar import Expr, Load
from charl.loops import walk
from charl.loops.ir import Buffer, If, Kernel, Stmt, Store, Transpose
from charl.plan.access import nodes_of
from charl.plan.ir import Call, Place, Plan, Repeat, Step, every, inside, loops
from charl.program import leaves


def verify(plan: Plan) -> None:
    """Raise InternalError where the order or the memory of a plan is wrong.

    Sizes that stay symbolic are checked at small values of the dimension variables.
    """
    written: set[Place] = set()
    last: dict[Place, int] = {}
    first: dict[Place, int] = {}
    for step, call in enumerate(every(plan.steps)):
        if len(call.places) != len(call.kernel.buffers) or len(call.dims) != len(call.kernel.dims):
            raise InternalError("plan", f"{call.kernel.name} is called with the wrong number of arguments")
        if len(set(call.places)) != len(call.places):
            raise InternalError("plan", f"{call.kernel.name} is given one buffer twice")
        for place, buffer in zip(call.places, call.kernel.buffers):
            if place.dtype != buffer.dtype:
                raise InternalError(
                    "plan", f"{place.name} is {place.dtype}, {call.kernel.name} wants {buffer.dtype}"
                )
            unwritten = place.kind in ("arena", "result", "scratch") and place not in written
            if buffer.role != "output" and unwritten and not _fills_first(call.kernel, buffer):
                raise InternalError("plan", f"{call.kernel.name} reads {place.name} before it is written")
            if place.kind == "constant" and buffer.role != "input":
                raise InternalError("plan", f"{call.kernel.name} writes the table {place.name}")
            if place.kind == "scratch":  # of this call alone
                place = replace(place, name=f"{place.name} of call {step}")
            last[place] = step
            first.setdefault(place, step)
        written.update(p for p, b in zip(call.places, call.kernel.buffers) if b.role != "input")
    _check_results(plan, written)
    _widen(plan.steps, 0, first, last)
    arena = [p for p in first if p.kind in ("arena", "scratch")]
    rooms = dict(_rooms(plan.steps))
    for own, room in rooms.items():  # of which the first thread has a part
        first[room], last[room] = min(first[p] for p in own), max(last[p] for p in own)
        arena = [p for p in arena if p not in own] + [room]
    for env in _environments(plan):
        for together in (arena, *rooms):
            _check_overlaps(plan, together, first, last, env)


# What is done to a buffer, and the conditions under which: expressions with what they are.
_Touch = tuple[str, frozenset[tuple[Expr, bool]]]


def _fills_first(kernel: Kernel, buffer: Buffer) -> bool:
    """Whether a kernel that runs a whole loop uses a buffer for itself: before it loads from there it stores there, under no
    other conditions."""
    stored: list[frozenset[tuple[Expr, bool]]] = []
    for what, where in (t for nest in kernel.nests for s in nest for t in _touches(s, buffer)):
        if what == "store":
            stored.append(where)
        elif not any(s <= where for s in stored):
            return False
    return bool(stored)


def _touches(s: Stmt, buffer: Buffer, where: frozenset[tuple[Expr, bool]] = frozenset()) -> Iterator[_Touch]:
    """In which order a statement and those inside load from a buffer and store to it, whatever elements these are."""
    roots = (*walk.expressions(s), *(x for size in walk.sizes(s) for x in dims.values(size)))
    found = (e for root in roots for e in nodes_of(root, indices=True))
    loads = any(isinstance(e, Load) and e.source is buffer for e in found)
    if (
        loads
        or (isinstance(s, Transpose) and s.source is buffer)
        or (isinstance(s, Store) and s.add and s.buffer is buffer)
    ):
        yield "load", where
    if isinstance(s, If):
        sides = [
            [t for x in side for t in _touches(x, buffer, where | {(s.condition, holds)})]
            for side, holds in ((s.body, True), (s.otherwise, False))
        ]
        for side in sides:
            yield from side
        if all(any(what == "store" for what, _ in side) for side in sides):  # whatever holds
            yield "store", where
        return
    for x in walk.body(s):
        yield from _touches(x, buffer, where)
    if (isinstance(s, Store) and s.buffer is buffer) or (isinstance(s, Transpose) and s.target is buffer):
        yield "store", where


def _widen(steps: Sequence[Step], at: int, first: dict[Place, int], last: dict[Place, int]) -> int:
    """What lives across the turns of a loop is needed from its first call to its last; the number behind `steps`."""
    for step in steps:
        if isinstance(step, Call):
            at += 1
            continue
        start = at
        for body in inside(step):
            at = _widen(body, at, first, last)
        if not isinstance(step, Repeat):
            continue
        for p in first:
            within = first[p] < at and last[p] >= start
            if within and first[p] < start:
                last[p] = max(last[p], at - 1)
            if within and last[p] >= at:
                first[p] = min(first[p], start)
    return at


def _rooms(steps: Sequence[Step]) -> Iterator[tuple[tuple[Place, ...], Place]]:
    """What threads have for themselves in loops, and the room of all of them."""
    for loop in loops(steps):
        t = loop.threads
        if t is None or not t.own:
            continue
        yield tuple(p for p, _ in t.own), Place(
            "arena", f"threads of {loop.index}", u8, t.most * t.stride, offset=t.start
        )


def _check_results(plan: Plan, written: set[Place]) -> None:
    count = len(list(leaves(plan.export.result))) if plan.export.result is not None else 0
    found = {p.position for p in written if p.kind == "result"}
    if found != set(range(count)):
        raise InternalError(
            "plan", f"{plan.export.name}: results {sorted(set(range(count)) - found)} are not written"
        )


def _environments(plan: Plan) -> list[dict[str, int]]:
    variables = plan.export.dims
    out = []
    for value in (1, 7, 64):
        env = {d.name: min(max(value, d.low), d.high or value) for d in variables}
        out.append({k: v - v % next(d.multiple_of for d in variables if d.name == k) for k, v in env.items()})
    return out if variables else [{}]


def _check_overlaps(
    plan: Plan, arena: Sequence[Place], first: dict[Place, int], last: dict[Place, int], env: dict[str, int]
) -> None:
    def number(x: int | Dim) -> int:
        return dims.evaluate(x, env)

    total = number(plan.arena_bytes)
    for t in (r.threads for r in loops(plan.steps) if r.threads is not None):
        ends = [number(at + p.size * p.dtype.bytes) for p, at in t.own]
        moved = [p.name for p, at in t.own if number(p.offset) != number(t.start + at)]
        if moved or max(ends, default=0) > number(t.stride):
            raise InternalError("plan", "arrays of threads overlap in the workspace")
    for i, a in enumerate(arena):
        start, end = number(a.offset), number(a.offset) + number(a.size) * a.dtype.bytes
        if start % a.dtype.bytes or end > total:
            raise InternalError("plan", f"{a.name} lies outside of the workspace or is not aligned")
        for b in arena[:i]:
            if first[a] > last[b] or first[b] > last[a]:
                continue
            low = number(b.offset)
            if start < low + number(b.size) * b.dtype.bytes and low < end:
                raise InternalError("plan", f"{a.name} and {b.name} overlap in the workspace")
