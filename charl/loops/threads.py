"""Which loops run on threads.

Enters: the nests of a kernel, whose strategies called loops parallel where no iteration depends on another. Leaves: the same
with the outermost such loop kept parallel where it does enough work, and every other serial; or, where none of them does, each
thread runs an outer loop and takes its part of those inside that can be divided. Each element is computed by one thread in the
order of the serial program, so results are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Apply, Load
from charl.loops.ir import Buffer, For, If, Kind, Local, Simd, Stmt, Store, Transpose, Update
from charl.loops.walk import expressions, statements
from charl.plan.access import expr_cost, nodes_of

Size = int | Dim

_LANES: dict[str, Size] = {"VL32": 8, "VL64": 4}
_FEW = 4  # iterations below which a parallel loop inside may share the work better


def threaded(nest: tuple[Stmt, ...], caps: Capabilities) -> tuple[Stmt, ...]:
    """The nest with at most one parallel loop around each statement."""
    if caps.grid:
        return nest
    return tuple(_outermost(s, caps, {}) for s in nest)


def _outermost(s: Stmt, caps: Capabilities, around: Mapping[str, Size]) -> Stmt:
    """`around`: the indices of the loops around, and where they begin."""
    if not isinstance(s, For):
        return s
    if s.kind == "divided":  # in no loop that each thread runs
        s = replace(s, kind="parallel")
    few = isinstance(turns := trips(s), int) and turns < _FEW
    if (s.kind == "parallel" and not (few and _better(s, turns))) or s.kind == "each":
        if s.kind == "parallel" and _meet(s):
            return serial(s)
        done = work(s, caps, around)  # of the first turn of the loops around
        known = isinstance(done, int)
        if known and (done < caps.thread_work or turns == 1):  # type: ignore[operator]
            return serial(s)
        if dims.symbols(done) & around.keys():
            return serial(s)
        inside = tuple(serial(x, s.kind == "each") for x in s.body)
        return replace(s, body=inside, pays=0 if known else done - caps.thread_work)
    apart = s.kind == "parallel" and turns != 1 and not _meet(s)
    inside = tuple(_outermost(x, caps, {**around, s.index: s.start}) for x in s.body)
    return replace(s, kind="serial", body=inside, apart=apart)


def _meet(loop: For) -> bool:
    """Whether iterations write the same places of an array that is none of their own."""
    own: set[Buffer] = set()
    tied = {loop.index}
    for s in statements(loop.body):
        if isinstance(s, Local):
            own.add(s.buffer)
        elif isinstance(s, For) and not tied.isdisjoint(dims.symbols(s.start) | dims.symbols(s.stop or 0)):
            tied.add(s.index)
        elif isinstance(s, (Store, Transpose)):
            buffer, at = (s.buffer, s.index) if isinstance(s, Store) else (s.target, s.to)
            if buffer.role == "scratch" and buffer not in own and tied.isdisjoint(dims.symbols(at)):
                return True
    return False


def _better(s: For, turns: Size) -> bool:
    """Whether some parallel loop below has more iterations."""
    for x in s.body:
        if isinstance(x, For):
            inner = trips(x)
            if x.kind in ("parallel", "divided") and not (
                isinstance(inner, int) and isinstance(turns, int) and inner <= turns
            ):
                return True
            if _better(x, turns):
                return True
    return False


def serial(s: Stmt, divided: bool = False) -> Stmt:
    """The statement with all its loops on one thread, but those that are `divided`, where this is said."""
    if isinstance(s, For):
        kind: Kind = "divided" if divided and s.kind == "divided" else "serial"
        return replace(s, kind=kind, body=tuple(serial(x, divided) for x in s.body), apart=False)
    if isinstance(s, If):
        sides = (tuple(serial(x, divided) for x in side) for side in (s.body, s.otherwise))
        return If(s.condition, *sides)
    return s


def outermost(s: Stmt) -> Stmt:
    """The statement with its outermost loops parallel whose turns are `apart`, in the place of those inside."""
    if not isinstance(s, For):
        return s
    if s.apart:
        return replace(s, kind="parallel", body=tuple(serial(x) for x in s.body), apart=False)
    return replace(s, body=tuple(outermost(x) for x in s.body))


def trips(s: For) -> Size:
    """Iterations, rounded up; 1 where nothing bounds them."""
    if s.stop is None:
        return 1
    span, step = (dims.substitute(x, _LANES) for x in (s.stop - s.start, s.step))
    if isinstance(span, int) and isinstance(step, int):
        return max(-(-span // step), 0)
    return dims.ceildiv(span, step)


def work(s: Stmt, caps: Capabilities, around: Mapping[str, Size] | None = None) -> Size:
    """Operations that a statement runs, or that could be done while it waits for what its vectors read, if those are more.

    `around`: values of indices of the loops around.
    """
    costs = (_operations, partial(_waiting, caps))
    done, waits = (dims.substitute(_total(s, cost), around or {}) for cost in costs)
    return max(done, waits) if isinstance(done, int) and isinstance(waits, int) else done


def _total(s: Stmt, cost: Callable[[Stmt, str], int], lane: str = "") -> Size:
    """The sum of what each statement costs each time that it runs. `lane`: of the vector region around it."""
    if not isinstance(s, (For, Simd, If)):
        return cost(s, lane)
    inside: Size = 0
    for x in s.body:
        inside = inside + _total(x, cost, s.lane if isinstance(s, Simd) else lane)
    if isinstance(s, For):
        return dims.substitute(inside, _middle(s)) * trips(s)
    return inside


def _operations(s: Stmt, lane: str) -> int:
    """Operations of a statement, a vector counting once, a product that is added to a sum too."""
    fused = isinstance(s, Update) and s.fn == "add" and isinstance(s.value, Apply) and s.value.fn == "mul"
    return (0 if fused else 1) + sum(expr_cost(e) for e in expressions(s))


def _middle(s: For) -> dict[str, Size]:
    """The index of a loop in its middle, where loops that it bounds are as long as on average; else its end, or its start where
    it counts in blocks, of which the last may have no more than a rest.
    """
    if s.stop is None:
        return {}
    known = isinstance(s.start, int) and isinstance(s.stop, int)
    longest = s.stop if s.step == 1 else s.start
    return {s.index: (s.start + s.stop) // 2 if known else longest}


def _waiting(caps: Capabilities, s: Stmt, lane: str) -> int:
    """Operations that could be done while the vectors that a statement reads come from behind the nearest cache."""
    found = 0.0
    for x in (x for e in expressions(s) for x in nodes_of(e)):
        if isinstance(x, Load) and isinstance(x.source, Buffer) and lane in dims.symbols(x.index[0]):
            size = x.source.size * x.dtype.bytes
            if isinstance(size, int) and size > caps.cache[0]:
                behind = sum(size > cache for cache in caps.cache[1:])
                found += caps.ports * caps.max_lanes * 4 / caps.bandwidth[behind]
    return int(found)
