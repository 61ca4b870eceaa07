"""Contractions with register tiles over one more axis of the results, where few rows leave the multiply-add units waiting.

A convolution with few output channels has few sums that share a vector of the image: several rows of places together have more
of them, and share the weights. Enters: schedules whose operands are read where they lie. Leaves: the same with such a tile, with
their cost, and their loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from math import prod

from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.loops.emit import Emitter
from charl.loops.ir import Stmt
from charl.loops.nests.axes import Axis, wrap
from charl.loops.nests.contraction.blocks import Blocks
from charl.loops.nests.contraction.cycles import LANE_LOAD, ROW_LOAD, even, rows_of
from charl.loops.nests.contraction.form import Contraction
from charl.loops.nests.contraction.limits import counted
from charl.loops.nests.contraction.packing import Values
from charl.loops.nests.contraction.schedule import Schedule

Size = int | Dim

_GAIN = 0.95  # share of the cycles that may be left, at most


def planes(c: Contraction, caps: Capabilities, found: Iterable[Schedule]) -> Iterator[Schedule]:
    """Those of `found` that gain, with the axis and the number of its elements that gain most."""
    for s in found:
        if s.packed or s.depth is not None or s.flipped or s.strips != 1 or s.along:
            continue
        extents = {a.name: a.extent for a in (*c.rows, *c.over)}
        alone = (_step(c, caps, s, None, 1) or 0.0) * counted(c.limits, extents, {})
        choices = [
            (step * counted(c.limits, extents, {axis.name: n}) / n / alone, -at, n)
            for at, axis in enumerate(s.outer)
            if isinstance(axis.extent, int)
            for n in range(2, min(axis.extent, caps.registers) + 1)
            if alone and n == max(size for _, size in even(axis.extent, n))
            and (step := _step(c, caps, s, axis, n)) is not None
        ]  # fmt: skip
        if choices and (best := min(choices))[0] <= _GAIN:
            share, at, n = best
            rest = tuple(a for a in s.outer if a is not s.outer[-at])
            yield replace(s, outer=rest, also=(s.outer[-at], n), asks=None, cost=s.cost * share)


def _step(c: Contraction, caps: Capabilities, s: Schedule, axis: Axis | None, n: int) -> float | None:
    """Cycles of one element of the sum in a register tile; None where its sums do not fit."""
    rows, vectors = s.shape.rows, s.shape.vectors
    sizes = {s.tile.name: rows} if s.tile is not None else {}
    sizes |= {axis.name: n} if axis is not None else {}
    scalars = held = 0
    for x in c.loads:
        times = prod(size for name, size in sizes.items() if name in x.symbols())
        if s.lane.name in x.symbols():
            held += times * vectors
        else:
            scalars += times
    work = rows * vectors * n
    if axis is not None and work + held + 1 >= caps.registers:
        return None
    least = max(work / caps.ports, (scalars + held) / caps.ports, caps.latency)
    return float(least + ROW_LOAD * scalars + LANE_LOAD * held)


class Planes(Blocks):
    """The loops of such a schedule."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        super().__init__(emitter, caps, c, s)
        self.places: Values = {}  # of the further axis in the present tile

    def nest(self) -> tuple[Stmt, ...]:
        """All loops, that over the further axis where its place is among the results': neighbours read what lies nearby."""
        assert self.s.also is not None
        axis, count = self.s.also
        at = self.c.rows.index(axis)
        before, behind = (
            [a for a in self.s.outer if (self.c.rows.index(a) > at) == b] for b in (False, True)
        )
        out: tuple[Stmt, ...] = ()
        for start, stop, n in rows_of(axis.extent, count):

            def tiles(i: Size, n: int = n) -> tuple[Stmt, ...]:
                self.places = {axis.name: [i + r for r in range(n)]}
                return wrap(behind, self._strips(self._strip))

            out += self._loop(axis, start, stop, n, tiles)
        return wrap(before, out)

    def _rows(self, body: Callable[[Values], tuple[Stmt, ...]], first: int = 0) -> tuple[Stmt, ...]:
        """Register tiles over both axes."""
        assert not first
        return super()._rows(lambda rows: body({**rows, **self.places}))
