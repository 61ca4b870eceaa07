"""Windows that share nothing: every tap is written out, and the loops are cut where the borders of what is padded begin.

A depthwise convolution or a pool reads each element for a few neighbours only: a padded copy would cost more than it saves.
Enters: sinks with one short reduction, parts of which stand under a condition on the index. Leaves: their loops, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from math import prod

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Guard, Load, Reduce, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Accumulator, For, Stmt
from charl.loops.nests.axes import HOPS, Axis, store_width, wrap
from charl.loops.nests.phases import phased
from charl.loops.nests.segments import segmented
from charl.loops.sinks import Sink, divisible_by_lanes, identity, lanes
from charl.loops.vectors import lane_width
from charl.plan.access import nodes_of
from charl.plan.expansion import TAPS

Size = int | Dim

_TOTALS = 4  # reductions that share loops at most: a stride of two along two axes


def taps(emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...] | None:
    """The loops of a reduction over at most `TAPS` guarded elements; None where it is another.

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
    last = emitter.replaced(sinks, {id(e): Ref("", e.dtype) for e in totals})
    widths = {store_width(emitter, axes[-1], last, HOPS), *(e.dtype.bits for e in totals)}
    widths |= {lane_width(each, names[-1]) for each in terms}
    return _Taps(emitter, totals, terms).nest(axes, sinks) if len(widths) == 1 else None


def _short(e: Reduce) -> bool:
    """Whether a reduction takes few elements, some of which may not be there."""
    extents = [n for _, n in e.over if isinstance(n, int)]
    few = len(extents) == len(e.over) and 0 < prod(extents) <= TAPS
    kind = e.fn in ("add", "max", "min") and e.dtype.is_float
    return few and kind and any(isinstance(x, Guard) for x in nodes_of(e.body))


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
        known = [low <= i < high for i, low, high in tests if isinstance(i, int)]  # type: ignore[operator]
        ranges = tuple(r for r in tests if not isinstance(r[0], int))
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

    def __init__(self, emitter: Emitter, totals: Sequence[Reduce], terms: Sequence[Sequence[Expr]]) -> None:
        self.emitter, self.width = emitter, totals[0].dtype.bits
        self.totals = {emitter.name("sum" if e.fn == "add" else "best"): e for e in totals}
        self.terms = dict(zip(self.totals, terms, strict=True))

    def nest(self, rows: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """All loops. Terms and what is done with the sums go through the cuts together."""
        terms = [Sink(x, register=n, fn=e.fn) for n, e in self.totals.items() for x in self.terms[n]]
        memo = Memo()
        known = {e: Ref(n, e.dtype) for n, e in self.totals.items()}
        last = [replace(s, value=rewrite(s.value, lambda e: _found(e, known), memo)) for s in sinks]
        return segmented(self.emitter, rows, [*terms, *last], self._piece, 512 // self.width)

    def _piece(self, axes: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """Lanes along the last axis of a piece."""
        terms = [s for s in sinks if s.register]
        lets, terms = self.emitter.hoist(terms, frozenset(a.name for a in axes))
        sinks = [*terms, *(s for s in sinks if not s.register)]
        axis, step = axes[-1], lanes(self.width)
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
        return (*lets, *wrap(axes[:-1], tuple(out)))

    def _vector(self, name: str, count: Size | None, sinks: Sequence[Sink]) -> Stmt:
        lane = self.emitter.name("lane")
        memo = Memo()
        moved = [s.at({name: dims.sym(name) + dims.sym(lane)}, memo) for s in sinks]
        return self.emitter.region(lane, self.width, count, lambda: self._reduced(moved))

    def _reduced(self, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """The terms of a vector of places one after another, and what is done with their sums."""
        names = {n: self.emitter.name(n.rsplit(".", 1)[0]) for n in self.totals}
        self.emitter.vector_names.update(names.values())
        start = [Accumulator(names[n], e.fn, e.dtype, True) for n, e in self.totals.items()]
        terms = [
            replace(s, register=names[s.register])
            for s in sinks
            if s.register and s.value != identity(s.fn, self.totals[s.register].dtype)
        ]
        memo = Memo()

        def named(e: Expr) -> Expr | None:
            return Ref(names[e.name], e.dtype) if isinstance(e, Ref) and e.name in names else None

        last = [replace(s, value=rewrite(s.value, named, memo)) for s in sinks if not s.register]
        return (*start, *self.emitter.block(terms), *self.emitter.block(last))


def _found(e: Expr, known: dict[Reduce, Ref]) -> Expr | None:
    return known.get(e) if isinstance(e, Reduce) else None
