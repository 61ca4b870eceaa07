"""Windows that share nothing: every tap is written out, and the loops are cut where the borders of what is padded begin.

A depthwise convolution or a pool reads each element for a few neighbours only: a padded copy would cost more than it saves.
Enters: sinks with one short reduction, parts of which stand under a condition on the index. Leaves: their loops, or None.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Guard, Load, Reduce, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Accumulator, For, Stmt
from charl.loops.nests.axes import HOPS, Axis, store_width, wrap
from charl.loops.nests.segments import segmented
from charl.loops.sinks import Sink, divisible_by_lanes, identity, lanes
from charl.loops.vectors import lane_width
from charl.plan.access import nodes_of
from charl.plan.expansion import TAPS

Size = int | Dim


def taps(emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...] | None:
    """The loops of a reduction over at most `TAPS` guarded elements; None where it is another."""
    totals = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    if len(totals) != 1 or not emitter.vectors or not all(isinstance(a.extent, int) for a in rows):
        return None
    (total,) = totals
    extents = [n for _, n in total.over if isinstance(n, int)]
    if len(extents) < len(total.over) or not 0 < prod(extents) <= TAPS or not total.dtype.is_float:
        return None
    inside = nodes_of(total.body)
    names = [a.name for a in rows]
    private = any(isinstance(e, Load) and e.symbols().issuperset(names) for e in inside)
    if not private or not any(isinstance(e, Guard) for e in inside) or total.fn not in ("add", "max", "min"):
        return None
    terms = _terms(total, extents, names)
    last = emitter.replaced(sinks, {id(total): Ref("", total.dtype)})
    widths = {store_width(emitter, rows[-1], last, HOPS), lane_width(terms, rows[-1].name), total.dtype.bits}
    return _Taps(emitter, total, terms).nest(list(rows), sinks) if len(widths) == 1 else None


def _terms(total: Reduce, extents: Sequence[int], names: Sequence[str]) -> list[Expr]:
    """What is reduced, tap by tap, with conditions on an index itself rather than on a multiple of it."""
    memo = Memo()

    def plain(e: Expr) -> Expr | None:
        if not isinstance(e, Guard):
            return None
        ranges = tuple(_divided(r, names) for r in e.ranges)
        return Guard(ranges, rewrite(e.then, plain, memo), rewrite(e.other, plain, memo))

    loops = [n for n, _ in total.over]
    each = (dict(zip(loops, at, strict=True)) for at in product(*(range(n) for n in extents)))
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
    """Emits one such reduction."""

    def __init__(self, emitter: Emitter, total: Reduce, terms: Sequence[Expr]) -> None:
        self.emitter, self.total, self.terms, self.width = emitter, total, terms, total.dtype.bits
        self.sum = emitter.name("sum" if total.fn == "add" else "best")

    def nest(self, rows: list[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """All loops. Terms and what is done with the sum go through the cuts together."""
        total = self.total
        terms = [Sink(e, register=self.sum, fn=total.fn) for e in self.terms]
        memo = Memo()
        ref = Ref(self.sum, total.dtype)
        change = lambda e: ref if e == total else None  # noqa: E731
        last = [Sink(rewrite(s.value, change, memo), s.buffer, s.index, span=s.span) for s in sinks]
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
        """The terms of a vector of places one after another, and what is done with their sum."""
        register = self.emitter.name(self.sum.rsplit(".", 1)[0])
        self.emitter.vector_names.add(register)
        ref = Ref(register, self.total.dtype)

        def named(e: Expr) -> Expr | None:
            return ref if isinstance(e, Ref) and e.name == self.sum else None

        nothing = identity(self.total.fn, self.total.dtype)
        terms = [
            Sink(s.value, register=register, fn=s.fn) for s in sinks if s.register and s.value != nothing
        ]
        memo = Memo()
        last = [
            Sink(rewrite(s.value, named, memo), s.buffer, s.index, span=s.span)
            for s in sinks
            if not s.register
        ]
        start = Accumulator(register, self.total.fn, self.total.dtype, True)
        return (start, *self.emitter.block(terms), *self.emitter.block(last))
