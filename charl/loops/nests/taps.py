"""Windows that share nothing: every tap is written out, and the loops are cut where the borders of what is padded begin.

A depthwise convolution or a pool reads each element for a few neighbours only: a padded copy would cost more than it saves.
What windows of neighbouring rows see of the same row is loaded once, for a tile of some rows of results.
Enters: sinks with one short reduction, parts of which stand under a condition on the index. Leaves: their loops, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Expr, Guard, Load, Reduce, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Accumulator, For, Stmt
from charl.loops.nests.axes import HOPS, Axis, store_width, wrap
from charl.loops.nests.contraction.cycles import rows_of
from charl.loops.nests.phases import phased
from charl.loops.nests.segments import segmented
from charl.loops.sinks import Sink, divisible_by_lanes, identity, lanes
from charl.loops.vectors import lane_width
from charl.plan.access import nodes_of
from charl.plan.expansion import TAPS

Size = int | Dim

_TOTALS = 4  # reductions that share loops at most: a stride of two along two axes
_SUMS = 0.2  # share of the registers for the sums of several rows
_DISTINCT = 0.75  # share of the loads of several rows that may be different ones, where no border asks for these loops


def taps(
    emitter: Emitter, caps: Capabilities, rows: Sequence[Axis], sinks: Sequence[Sink]
) -> tuple[Stmt, ...] | None:
    """The loops of a reduction over at most `TAPS` elements, guarded ones or such that rows share; None where it is another.

    Windows put back with strides are one reduction for each remainder of a place by the stride.
    """
    if not emitter.vectors or not all(isinstance(a.extent, int) for a in rows):
        return None
    if not any(_short(e) for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)):
        return None
    axes = list(rows)
    for n in range(len(axes)):
        (axes[n],), sinks = phased(emitter, [axes[n]], sinks)
    totals = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    names = [a.name for a in axes]
    if len(totals) > _TOTALS or not all(_short(e) and _own(e, names) for e in totals):
        return None
    terms = [_terms(e, names) for e in totals]
    most = max(int(caps.registers * _SUMS) // len(totals), 1)
    guarded = all(any(isinstance(x, Guard) for x in nodes_of(e.body)) for e in totals)
    if not guarded and not _gains(terms, names, most, caps.registers):
        return None
    last = emitter.replaced(sinks, {id(e): Ref("", e.dtype) for e in totals})
    widths = {store_width(emitter, axes[-1], last, HOPS), *(e.dtype.bits for e in totals)}
    widths |= {lane_width(each, names[-1]) for each in terms}
    return _Taps(emitter, most, totals, terms).nest(axes, sinks) if len(widths) == 1 else None


def _short(e: Reduce) -> bool:
    """Whether a reduction takes few elements."""
    extents = [n for _, n in e.over if isinstance(n, int)]
    few = len(extents) == len(e.over) and 0 < prod(extents) <= TAPS
    return few and e.fn in ("add", "max", "min") and e.dtype.is_float


def _gains(terms: Sequence[Sequence[Expr]], names: Sequence[str], most: int, registers: int) -> bool:
    """Whether a tile of rows saves many loads, and holds what its terms share beside its sums."""
    if len(names) < 2:
        return False
    every = [x for each in terms for x in each]
    loads = {x for e in every for x in nodes_of(e) if isinstance(x, Load)}
    own = [x for x in loads if names[-2] in x.symbols()]
    distinct = {substitute(x, {names[-2]: r}, Memo()) for x in own for r in range(most)}
    alike = [x for x in loads if x.symbols().isdisjoint(names[-2:])]
    fit = len(alike) + most * len(terms) < registers
    return fit and len(distinct) <= _DISTINCT * most * len(own)


def _shared(terms: Sequence[Expr], row: str, most: int) -> bool:
    """Whether terms of a row read what some of so many rows behind it read too."""
    loads = [x for e in dict.fromkeys(terms) for x in _seen(e, row)]
    first, *others = ({substitute(x, {row: r}, Memo()) for x in loads} for r in range(most))
    return any(first & other for other in others)


def _own(e: Reduce, names: Sequence[str]) -> bool:
    """Whether what is reduced is read for each place by itself."""
    return any(isinstance(x, Load) and x.symbols().issuperset(names) for x in nodes_of(e.body))


def _terms(total: Reduce, names: Sequence[str]) -> list[Expr]:
    """What is reduced, tap by tap, with conditions on an index itself rather than on a multiple of it."""
    memo = Memo()

    def plain(e: Expr) -> Expr | None:
        if not isinstance(e, Guard):
            return None
        tests = [_divided(r, names) for r in e.ranges]
        numbers = [tuple(x for x in r if isinstance(x, int)) for r in tests]
        known = [r[1] <= r[0] < r[2] for r in numbers if len(r) == 3]
        ranges = tuple(r for r, found in zip(tests, numbers, strict=True) if len(found) < 3)
        other = rewrite(e.other, plain, memo)
        if not all(known):
            return other
        then = rewrite(e.then, plain, memo)
        return Guard(ranges, then, other) if ranges else then

    loops = [n for n, _ in total.over]
    sizes = [n for _, n in total.over if isinstance(n, int)]
    each = (dict(zip(loops, at, strict=True)) for at in product(*(range(n) for n in sizes)))
    return [rewrite(substitute(total.body, env, Memo()), plain, memo) for env in each]


def _divided(test: tuple[Size, Size, Size], names: Sequence[str]) -> tuple[Size, Size, Size]:
    index, low, high = test
    for name in names:
        step = dims.coefficient(index, name)
        first = index - dims.sym(name) * step if isinstance(step, int) and step > 1 else None
        if (
            isinstance(first, int)
            and isinstance(low, int)
            and isinstance(high, int)
            and isinstance(step, int)
        ):
            return dims.sym(name), -((first - low) // step), -((first - high) // step)
    return test


class _Taps:
    """Emits such reductions, which share their loops."""

    def __init__(
        self,
        emitter: Emitter,
        most: int,
        totals: Sequence[Reduce],
        terms: Sequence[Sequence[Expr]],
    ) -> None:
        self.emitter, self.width = emitter, totals[0].dtype.bits
        self.totals = {emitter.name("sum" if e.fn == "add" else "best"): e for e in totals}
        self.terms = dict(zip(self.totals, terms, strict=True))
        self.most = most  # rows of a tile

    def nest(self, rows: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """All loops. Terms and what is done with the sums go through the cuts together."""
        terms = [Sink(x, register=n, fn=e.fn) for n, e in self.totals.items() for x in self.terms[n]]
        memo = Memo()
        known = {e: Ref(n, e.dtype) for n, e in self.totals.items()}
        last = [replace(s, value=rewrite(s.value, lambda e: _found(e, known), memo)) for s in sinks]
        tiles = partial(self._tiles, rows[-1])
        return segmented(self.emitter, rows[:-1], [*terms, *last], tiles)

    def _tiles(self, lane: Axis, axes: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """The loops over a piece of the axes before the last, whose innermost takes some rows at once where they share loads."""
        terms, last = [s for s in sinks if s.register], [s for s in sinks if not s.register]
        lets, terms = self.emitter.hoist(terms, frozenset(a.name for a in (*axes[-1:], lane)))
        sinks = [*terms, *last]
        pieces = partial(segmented, self.emitter, [lane], plain=self._piece, lanes=512 // self.width)
        size = self._rows(axes[-1], terms) if axes else 1
        if size == 1:
            return wrap(axes[:-1], (*lets, *wrap(axes[-1:], pieces(sinks=sinks))))
        *outer, axis = axes
        out: list[Stmt] = []
        for start, stop, count in rows_of(axis.extent, size):
            name = self.emitter.name(axis.name.split(".")[0])
            each = [x for r in range(count) for x in self._row(sinks, {axis.name: dims.sym(name) + r})]
            out.append(For(name, stop, pieces(sinks=_as_they_lie(each, name)), "parallel", start, count))
        return wrap(outer, (*lets, *out))

    def _rows(self, axis: Axis, terms: Sequence[Sink]) -> int:
        """How many rows a tile has: one where the windows of several see nothing in common."""
        if not isinstance(axis.extent, int) or not _shared([s.value for s in terms], axis.name, self.most):
            return 1
        fitting = [n for n in range(self.most, self.most // 2, -1) if axis.extent % n == 0]
        return min(axis.extent, fitting[0] if fitting else self.most)

    def _row(self, sinks: Sequence[Sink], env: dict[str, Size]) -> list[Sink]:
        """The sinks at one row of a tile, with reductions of their own."""
        names: dict[str, str] = {}
        for n in dict.fromkeys(s.register for s in sinks if s.register):
            names[n] = self.emitter.name(n.rsplit(".", 1)[0])
            self.totals[names[n]] = self.totals[n]
        memo, here = Memo(), Memo()
        moved = [replace(s, register=names.get(s.register, "")).at(env, memo) for s in sinks]
        return [replace(s, value=rewrite(s.value, lambda e: _renamed(e, names), here)) for s in moved]

    def _piece(self, axes: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """Lanes along a piece of the last axis."""
        if not axes:
            return self._reduced(sinks)
        (axis,), step = axes, lanes(self.width)
        whole = (
            axis.extent
            if divisible_by_lanes(axis.extent, self.width)
            else dims.floordiv(axis.extent, step) * step
        )
        out: list[Stmt] = []
        if not (isinstance(axis.extent, int) and axis.extent < 512 // self.width):
            region = self._vector(axis.name, None, sinks)
            out.append(For(axis.name, whole, (region,), "parallel", 0, step))
        if whole != axis.extent:
            tail = self.emitter.name(axis.name.split(".")[0])
            count = dims.minimum(axis.extent - dims.sym(tail), step)
            moved = [s.at({axis.name: dims.sym(tail)}, Memo()) for s in sinks]
            region = self._vector(tail, count, moved)
            out.append(For(tail, axis.extent, (region,), start=whole if out else 0, step=step))
        return tuple(out)

    def _vector(self, name: str, count: Size | None, sinks: Sequence[Sink]) -> Stmt:
        lane = self.emitter.name("lane")
        memo = Memo()
        moved = [s.at({name: dims.sym(name) + dims.sym(lane)}, memo) for s in sinks]
        return self.emitter.region(lane, self.width, count, lambda: self._reduced(moved))

    def _reduced(self, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """The terms of a vector of places one after another, and what is done with their sums."""
        names = {
            n: self.emitter.name(n.rsplit(".", 1)[0]) for n in dict.fromkeys(s.register for s in sinks) if n
        }
        many = self.emitter.lane is not None
        start = [Accumulator(names[n], self.totals[n].fn, self.totals[n].dtype, many) for n in names]
        self.emitter.vector_names.update(names.values() if many else ())
        terms = [
            replace(s, register=names[s.register])
            for s in sinks
            if s.register and s.value != identity(s.fn, self.totals[s.register].dtype)
        ]
        memo = Memo()
        last = [
            replace(s, value=rewrite(s.value, lambda e: _renamed(e, names), memo))
            for s in sinks
            if not s.register
        ]
        return (*start, *self.emitter.block(terms), *self.emitter.block(last))


def _found(e: Expr, known: dict[Reduce, Ref]) -> Expr | None:
    return known.get(e) if isinstance(e, Reduce) else None


def _renamed(e: Expr, names: dict[str, str]) -> Expr | None:
    return Ref(names[e.name], e.dtype) if isinstance(e, Ref) and e.name in names else None


def _seen(term: Expr, row: str) -> list[Load]:
    """What a term reads of rows."""
    return [x for x in nodes_of(term) if isinstance(x, Load) and row in x.symbols()]


def _as_they_lie(sinks: Sequence[Sink], row: str) -> list[Sink]:
    """The terms in the order of the elements that they read, and what is done with the sums: what several read stands once."""
    terms, last = [s for s in sinks if s.register], [s for s in sinks if not s.register]
    places = {id(s): seen[0] for s in terms if (seen := _seen(s.value, row))}
    first = next(iter(places.values()))
    apart = {key: x.index[0] - first.index[0] for key, x in places.items() if x.source is first.source}
    known = {key: n for key, n in apart.items() if isinstance(n, int)}
    if len(known) < len(places):
        return list(sinks)
    return [*sorted(terms, key=lambda s: known.get(id(s), -1 << 62)), *last]
