"""What a contraction looks like to a schedule: its loops, merged where that changes nothing, and how loads run along them.

Enters: sinks over row axes. Leaves: a `Contraction`, or None where the sinks are not one sum whose operands are read again.
Never chooses an order or a tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import pairwise
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.dtypes import i32
from charl.graph.scalar import Expr, Guard, IndexValue, Load, Reduce, Updated
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite
from charl.loops.nests.axes import Axis, collapse
from charl.loops.nests.contraction.limits import worth_it
from charl.loops.sinks import Sink
from charl.loops.vectors import lane_width
from charl.plan.access import nodes_of

Size = int | Dim

_AGAIN = 16  # results along an axis that read the same, from which on they do so in several tiles


@dataclass(frozen=True)
class Contraction:
    """sinks over `rows`, which use one sum: `total` over `over`. `loads`: the distinct loads below the sum."""

    rows: tuple[Axis, ...]
    over: tuple[Axis, ...]
    total: Reduce
    sinks: tuple[Sink, ...]
    loads: tuple[Load, ...]
    guarded: bool  # some operand is read only where a guard holds
    limits: tuple[Size, ...] = ()  # at least 0 wherever a term of the sum counts

    @property
    def plain(self) -> bool:
        """Whether the sum is stored as it is and nothing else is done with it."""
        return len(self.sinks) == 1 and self.sinks[0].value is self.total and not self.sinks[0].add

    @property
    def width(self) -> int:
        """Bits of an element of the sum."""
        return self.total.dtype.bits

    @property
    def repeatable(self) -> bool:
        """Whether elements may be computed twice: no sink reads what one writes."""
        written = {s.buffer for s in self.sinks}
        read = {e.source for s in self.sinks for e in nodes_of(s.value) if isinstance(e, Load)}
        return not (written & read) and not any(s.add for s in self.sinks) and not self.updates

    @cached_property
    def updates(self) -> bool:
        """Whether an operand is updated as it is read, each element once."""
        return any(isinstance(e, Updated) for e in nodes_of(self.total.body))

    def home(self) -> Sink | None:
        """A sink whose place can hold the sum while it grows: written, of the sum's type, and read by nobody."""
        read = {e.source for s in self.sinks for e in nodes_of(s.value) if isinstance(e, Load)}
        for s in self.sinks:
            assert s.buffer is not None
            if s.buffer.dtype == self.total.dtype and not s.add and s.buffer not in read:
                return s
        return None

    def stores_along(self, axis: Axis) -> bool:
        """Whether every sink stores neighbours along `axis` beside one another, as vectors can."""
        for s in self.sinks:
            assert s.buffer is not None
            if dims.coefficient(s.index, axis.name) != 1 or s.add or s.value.dtype.kind == "bool":
                return False
        width = lane_width([s.value for s in self.sinks], axis.name)
        return width == self.width and all(s.value.dtype.bits == width for s in self.sinks)


def contraction(
    emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink], limits: Sequence[Size] = ()
) -> Contraction | None:
    """The contraction that the sinks are, with neighbouring loops merged."""
    totals = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    if len(totals) != 1 or totals[0].fn != "add" or not rows:
        return None
    bounds = [Sink(IndexValue(f, i32)) for f in limits]
    rows, both = divided(rows, [*sinks, *bounds])
    merged, moved = collapse(list(rows), both)
    moved, bounds = list(moved[: len(sinks)]), list(moved[len(sinks) :])
    total = next(e for s in moved for e in nodes_of(s.value) if isinstance(e, Reduce))
    inside = nodes_of(total.body)
    names = {a.name for a in merged} | {n for n, _ in total.over}
    if any(isinstance(e, Reduce) for e in inside) or any(
        _opaque(i, names) for e in inside for i in e.indices()
    ):
        return None
    if any(dims.symbols(extent) & {a.name for a in merged} for _, extent in total.over):
        return None  # a running sum
    if any(extent == 0 for _, extent in total.over) or any(a.extent == 0 for a in merged):
        return None
    flat, bounds = merged_loops(total, bounds)
    places = [e for s in moved for e in nodes_of(s.value) if isinstance(e, Reduce)]
    moved = emitter.replaced(moved, {id(e): flat for e in places}) if flat is not total else moved
    loads = tuple(dict.fromkeys(e for e in nodes_of(flat.body) if isinstance(e, Load)))
    over = tuple(Axis(n, extent) for n, extent in flat.over)
    guarded = any(isinstance(e, Guard) for e in inside)
    ends = worth_it(
        [i for b in bounds for i in b.value.indices()], {a.name: a.extent for a in (*merged, *over)}
    )
    return Contraction(tuple(merged), over, flat, tuple(moved), loads, guarded, ends)


def divided(rows: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Sequence[Axis], Sequence[Sink]]:
    """The same over two axes for each that loads below a sum divide by a number, as those of strips do."""
    out: list[Axis] = []
    for axis in rows:
        by = {
            n
            for s in sinks
            for e in nodes_of(s.value)
            if isinstance(e, Load)
            for n in _divisors(e.index[0], axis.name)
        }
        step = by.pop() if len(by) == 1 else 1
        if step == 1 or not isinstance(axis.extent, int) or axis.extent % step:
            out.append(axis)
            continue
        outer, inner = Axis(f"{axis.name}.o", axis.extent // step), Axis(f"{axis.name}.i", step)
        env: dict[str, Size] = {axis.name: dims.sym(outer.name) * step + dims.sym(inner.name)}
        memo, simpler = Memo(), Memo()
        moved = [s.at(env, memo) for s in sinks]
        within = {outer.name: (0, axis.extent // step - 1), inner.name: (0, step - 1)}
        sinks = [replace(s, value=rewrite(s.value, partial(_simpler, within), simpler)) for s in moved]
        out += [outer, inner]
    return out, sinks


def _simpler(ranges: Mapping[str, tuple[Size, Size]], e: Expr) -> Expr | None:
    return Load(e.source, (dims.simplify(e.index[0], ranges),), e.dtype) if isinstance(e, Load) else None


def _divisors(index: Size, name: str) -> set[int]:
    """Numbers by which an index divides a symbol alone."""
    return {
        a.args[1]
        for a in dims.atoms(index)
        if isinstance(a, dims.Func) and a.args[0] == dims.sym(name) and isinstance(a.args[1], int)
    }


def _opaque(index: Size, names: set[str]) -> bool:
    """Whether an index depends on a value, or on one of `names` through a division or the like."""
    return any(
        isinstance(a, dims.Value) or (isinstance(a, dims.Func) and names & _symbols(a))
        for a in dims.atoms(index)
    )


def _symbols(a: dims.Func) -> set[str]:
    return {s for x in a.args for s in dims.symbols(x)}


def fewer_loops(total: Reduce) -> Reduce:
    """The sum with neighbouring indices made one where every load runs through both as through one."""
    return merged_loops(total, ())[0]


def merged_loops(total: Reduce, beside: Sequence[Sink]) -> tuple[Reduce, list[Sink]]:
    """The same where what is `beside` runs through both as through one, too; and what is beside, at the indices that are left."""
    over = list(total.over)
    body, also = total.body, list(beside)
    i = len(over) - 2
    while i >= 0:
        (outer, n), (inner, m) = over[i], over[i + 1]
        parts = (e for root in (body, *(s.value for s in also)) for e in nodes_of(root))
        if all(_merges(x, outer, inner, m) for e in parts for x in e.indices()):
            body = body.substitute({outer: 0})
            also = [s.at({outer: 0}, Memo()) for s in also]
            over[i : i + 2] = [(inner, n * m)]
        i -= 1
    if len(over) == len(total.over):
        return total, also
    return Reduce(total.fn, tuple(over), body, total.dtype), also


def _merges(index: Size, outer: str, inner: str, extent: Size) -> bool:
    a, b = dims.coefficient(index, outer), dims.coefficient(index, inner)
    return a is not None and b is not None and a == b * extent


def as_one(c: Contraction, axes: Sequence[Axis]) -> bool:
    """Whether results, and what is read beside the sum, run along the axes as along one."""
    inside = {id(e) for e in nodes_of(c.total)}
    for s in c.sinks:
        if not runs_as_one(s.index, axes):
            return False
        for e in nodes_of(s.value):
            if id(e) in inside:
                continue
            opaque = isinstance(e, (IndexValue, Guard))
            for i in e.indices():
                names = dims.symbols(i) & {a.name for a in axes}
                if names and (opaque or not runs_as_one(i, axes)):
                    return False
    return True


def runs_as_one(index: Size, axes: Sequence[Axis]) -> bool:
    """Whether an index runs along the axes as along one."""
    for a, b in pairwise(axes):
        first, second = dims.coefficient(index, a.name), dims.coefficient(index, b.name)
        if first is None or second is None or first != second * b.extent:
            return False
    return True


def fixed(x: Size) -> int:
    """A size that is known to be constant."""
    assert isinstance(x, int)
    return x


def stride(e: Expr, name: str) -> Size | None:
    """How the loads of an expression run along an index: 0 where none depends on it, their common stride, or None."""
    found: set[Size] = set()
    for x in nodes_of(e):
        if isinstance(x, Load):
            c = dims.coefficient(x.index[0], name)
            if c is None:
                return None
            found.add(c)
        elif isinstance(x, (IndexValue, Guard)) and any(name in dims.symbols(i) for i in x.indices()):
            return None
    found.discard(0)
    if len(found) > 1:
        return None
    return found.pop() if found else 0


def far_loads(c: Contraction, caps: Capabilities, reads: list[Load], packed: list[Load]) -> list[Load]:
    """Loads along the lanes whose neighbours along the sum lie on other pages, or that tiles read again and again from behind
    the second cache.
    """
    found = []
    for x in reads:
        step = stride(x, c.over[-1].name)
        apart = isinstance(step, Dim) or (step or 0) * c.total.dtype.bytes >= caps.far
        if x not in packed and (apart or (step not in (0, 1) and _leaves(c, x, caps.cache[1]))):
            found.append(x)
    return found


def _leaves(c: Contraction, x: Load, cache: int) -> bool:
    """Whether a load is more than a cache holds, along the sum and the longest axis of the results that it has, and others read
    it again.
    """
    names = x.symbols()
    rows = [(a.name in names, a.extent) for a in c.rows if isinstance(a.extent, int)]
    sums = [a.extent if isinstance(a.extent, int) else 0 for a in c.over if a.name in names]
    size = prod(sums) * max((n for own, n in rows if own), default=1) * x.dtype.bytes
    return size > cache and any(n >= _AGAIN for own, n in rows if not own)
