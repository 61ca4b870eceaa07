"""Contractions whose lanes run across the order of the results: tiles of sums wait in an array and leave it transposed.

Enters: a `Contraction` and a flipped `Schedule`. Leaves: the statements of the nest. Decides nothing, as `blocks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Load
from charl.loops.inline import Memo
from charl.loops.ir import Buffer, For, Local, Stmt, Transpose
from charl.loops.nests.contraction.blocks import Blocks
from charl.loops.nests.contraction.packing import Strip
from charl.loops.nests.contraction.schedule import WAITING
from charl.loops.sinks import Sink

Size = int | Dim


class Flipped(Blocks):
    """The loops of such a contraction."""

    flat: Mapping[str, Size] = {}  # axes that run as one with the tile axis, which has the index of all

    def _strip(self, strip: Strip) -> tuple[Stmt, ...]:
        """Tiles with lanes across the results' order: they wait in an array and leave transposed."""
        s, tile = self.s, self.s.tile
        assert tile is not None
        arrays = self._arrays(strip)
        pack = self._packed(strip, arrays, 0, self.c.over[0].extent)
        total = self.c.total
        if arrays:
            total = replace(total, body=self._body(strip, arrays, self._position({})))
        block = self._waiting()
        width = self._width(strip)
        kept = Buffer("sums", total.dtype, width * block, "scratch")

        def waiting(i: Size, n: Size) -> tuple[Stmt, ...]:
            def rows(i: Size, size: int, first: Size = i) -> tuple[Stmt, ...]:
                values = {tile.name: [first + i + x for x in range(size)]}
                at = width * (dims.sym(tile.name) - first) + dims.sym(s.lane.name) - strip.start
                return self._finished(strip, [Sink(total, kept, at)], values)

            tiles = self._tiles(n, s.shape.rows, rows)
            return (Local(kept), *tiles, *self._turned_out(strip, kept, i, n, block))

        out: tuple[Stmt, ...] = ()
        whole = dims.floordiv(tile.extent, block) * block
        for start, stop, count in ((0, whole, block), (whole, tile.extent, tile.extent - whole)):
            if start != stop:
                step = block if count is block else tile.extent
                out += self._loop(tile, start, stop, step, partial(waiting, n=count))
        return (*(Local(b) for b in arrays), *pack, *self._each_turn(out))

    def _waiting(self) -> int:
        """Rows of a flipped block: whole tiles, and whole vectors of the results where both can be."""
        rows = self.s.shape.rows
        counts = range(max(WAITING // rows, 1) * rows, 0, -rows)
        return next((n for n in counts if n % self.least == 0), counts[0])

    def _turned_out(
        self, strip: Strip, kept: Buffer, i: Size, n: Size, block: int, at: Size = 0
    ) -> tuple[Stmt, ...]:
        """`n` rows of the sums, from row `at` of `kept` on, in the order of the results, and what is done with them."""
        s, tile = self.s, self.s.tile
        assert tile is not None
        width = self._width(strip)
        columns = self._length(strip)
        first = {**self.flat, tile.name: i, s.lane.name: strip.start}
        if self.c.plain:
            (sink,) = self.c.sinks
            assert sink.buffer is not None
            to, step = dims.substitute(sink.index, first), dims.coefficient(sink.index, s.lane.name)
            assert step is not None
            return (Transpose(sink.buffer, to, step, kept, at * width, width, n, columns),)
        turned = Buffer("turned", kept.dtype, width * block, "scratch")
        row, column = self.emitter.name(s.lane.name.split(".")[0]), self.emitter.name(tile.name.split(".")[0])
        table: dict[int, Expr] = {
            id(self.c.total): Load(turned, (dims.sym(row) * block + dims.sym(column),), kept.dtype)
        }
        sinks = self.emitter.replaced(self.c.sinks, table)
        env: dict[str, Size] = {
            **self.flat,
            s.lane.name: strip.start + dims.sym(row),
            tile.name: i + dims.sym(column),
        }
        moved = [x.at(env, Memo()) for x in sinks]
        lets, moved = self.emitter.hoist(moved, frozenset([column]))
        body = (*lets, *self.emitter.lane_loop(column, n, self.c.width, moved))
        turn = Transpose(turned, 0, block, kept, at * width, width, n, columns)
        return (Local(turned), turn, For(row, columns, body))
