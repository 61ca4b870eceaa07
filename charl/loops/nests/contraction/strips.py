"""Loops over strips of the lane axis, tiles of the tile axis, and vectors of a strip.

Enters: a `Contraction` and its `Schedule`. Leaves: the loops around what `blocks` puts in them. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.loops.emit import Emitter
from charl.loops.ir import Buffer, For, Kind, Stmt
from charl.loops.nests.axes import Axis
from charl.loops.nests.contraction.cycles import Segment, even, exact_segments, rows_of
from charl.loops.nests.contraction.form import Contraction
from charl.loops.nests.contraction.packing import Packing, Strip, Values
from charl.loops.nests.contraction.schedule import Schedule

Size = int | Dim


class Tiled(Protocol):
    """What stands in a loop over the tile axis, for `size` of its elements at once."""

    def __call__(self, i: Size, size: int) -> tuple[Stmt, ...]: ...


class Strips(Packing):
    """The loops of one contraction."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        super().__init__(emitter, caps, c, s)
        self.ranges: dict[str, tuple[Size, Size]] = {"VL32": (1, 16), "VL64": (1, 8)}
        self.ranges |= {a.name: (0, a.extent - 1) for a in (*s.outer, *s.within)}
        self.waiting: Buffer | None = None  # an array of sums that no result can hold
        # what all numbers of lanes divide
        self.least = self.lanes if isinstance(self.lanes, int) else 512 // c.width

    def _strips(self, body: Callable[[Strip], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        """Full strips, then what is left: whole vectors together, and a part of one."""
        out: tuple[Stmt, ...] = ()
        for start, stop, vectors, part in self._segments(self.s.lane.extent, self.s.shape.vectors):
            step = self.lanes * vectors
            for first, last, many in self._together(start, stop, step):
                at = partial(self._strip_at, vectors=vectors, part=part, many=many)
                # what is left is little
                kind: Kind = "serial" if part or self.s.shared else "parallel"
                one = lambda j, at=at: body(at(j))  # noqa: E731
                out += self._loop(self.s.lane, first, last, step * many, one, kind)
        return out

    def _together(self, start: Size, stop: Size, step: Size) -> list[tuple[Size, Size, int]]:
        """(start, stop, how many at once) of strips that share blocks."""
        most = self.s.strips
        if most == 1:
            return [(start, stop, 1)]
        if not (isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)):
            block = step * most
            whole = isinstance(stop, int) and stop % (self.least * self.s.shape.vectors * most) == 0
            end = stop if whole else dims.floordiv(stop, block) * block
            if start != 0 or end == 0:
                return [(start, stop, 1)]
            return [(start, end, most)] if whole else [(start, end, most), (end, stop, 1)]
        out: list[tuple[Size, Size, int]] = []
        for number, many in even(-(-(stop - start) // step), most):
            out.append((start, min(start + number * many * step, stop), many))
            start += number * many * step
        return out

    def _strip_at(self, start: Size, vectors: int, part: bool, many: int) -> Strip:
        left = self.s.lane.extent - start
        if part and not isinstance(left, int):
            left = dims.minimum(left, self.lanes, self.ranges)
        return Strip(start, vectors, left if part else None, many)

    def _each_strip(self, strip: Strip, body: Callable[[Strip], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        """A loop over the strips that share a block."""
        if strip.many == 1:
            return body(strip)
        index = self.emitter.name(self.s.lane.name.split(".")[0])
        self.ranges[index] = (0, strip.many - 1)
        n = dims.sym(index)
        one = replace(strip, start=strip.start + n * self._width(strip), many=1, place=n)
        inside = body(one)
        kind: Kind = "parallel" if self.s.shared else "divided" if self.s.divided else "serial"
        return (For(index, strip.many, inside, kind),) if inside else ()

    def _segments(self, extent: Size, vectors: int) -> Iterator[Segment]:
        """The strips of the lane axis."""
        if isinstance(extent, int) and isinstance(self.lanes, int):
            yield from exact_segments(extent, self.lanes, vectors, self.c.repeatable)
            return
        start: Size = 0
        block, widest = self.lanes * vectors, self.least * vectors
        if not (isinstance(extent, int) and extent < widest):
            whole = isinstance(extent, int) and extent % widest == 0
            start = extent if whole else dims.floordiv(extent, block) * block
            yield 0, start, vectors, False
        if start != extent:
            yield start, extent, 1, not (isinstance(extent, int) and extent % self.least == 0)

    def _loop(
        self,
        axis: Axis,
        start: Size,
        stop: Size,
        step: Size,
        body: Callable[[Size], tuple[Stmt, ...]],
        kind: Kind = "parallel",
    ) -> tuple[Stmt, ...]:
        """A loop, or its body alone where it runs once, or nothing."""
        if start == stop:
            return ()
        if dims.nonnegative(start + step - stop) and dims.nonnegative(stop - start - 1):
            return body(start)
        index = self.emitter.name(axis.name.split(".")[0])
        known = isinstance(start, int) and isinstance(stop, int) and isinstance(step, int)
        last = stop - 1 - (stop - 1 - start) % step if known else stop - 1  # type: ignore[operator]
        self.ranges[index] = (start, last)
        return (For(index, stop, body(dims.sym(index)), kind, start, step),)

    def _tiles(self, extent: Size, size: int, body: Tiled, first: int = 0) -> tuple[Stmt, ...]:
        """Tiles of at most `size` elements of the tile axis, from element `first` on, where one begins."""
        out: tuple[Stmt, ...] = ()
        assert self.s.tile is not None
        for start, stop, rows in rows_of(extent, size):
            start = first if start == 0 else start
            rest = start != 0 and not isinstance(extent, int)  # one iteration at most
            kind: Kind = "serial" if rest else "parallel"
            out += self._loop(self.s.tile, start, stop, rows, partial(body, size=rows), kind)
        return out

    def _rows(self, body: Callable[[Values], tuple[Stmt, ...]], first: int = 0) -> tuple[Stmt, ...]:
        """Register tiles over the tile axis from element `first` on."""
        tile = self.s.tile
        if tile is None:
            return body({})
        rows = lambda i, size: body({tile.name: [i + r for r in range(size)]})  # noqa: E731
        return self._tiles(tile.extent, self.s.shape.rows, rows, first)

    def _again(self, strip: Strip) -> int:
        """Elements of the last vector of a strip that the one before has, too."""
        over = strip.start + self._width(strip) - self.s.lane.extent
        return max(over, 0) if strip.count is None and isinstance(over, int) else 0

    def _region(self, strip: Strip, body: Callable[[list[Size], str], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        """A vector region over a strip; `body` is given the lane axis's index in each vector, and the lane."""
        lane = self.emitter.name("lane")
        at = [strip.start + self.lanes * v + dims.sym(lane) for v in range(strip.vectors)]
        at[-1] = at[-1] - self._again(strip)  # the last vector may begin earlier
        return (self.emitter.region(lane, self.c.width, strip.count, lambda: body(at, lane)),)

    def _own(self, rows: Values) -> Sequence[Size]:
        """The elements of the tile axis in a register tile."""
        return rows[self.s.tile.name] if self.s.tile is not None else [0]

    @property
    def _written_out(self) -> bool:
        """Whether blocks are so small that no loop runs over their elements: those of thin products."""
        return not self.s.packed and self.s.windows is None
