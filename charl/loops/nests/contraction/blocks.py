"""The loops of a scheduled contraction: strips of lanes, blocks of the sum, packed operands, register tiles, epilogues.

Enters: a `Contraction` and its `Schedule`. Leaves: the statements of the nest. Decides nothing: whatever could be
otherwise stands in the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property, partial
from itertools import product

from charl import dims
from charl.dims import Dim
from charl.dtypes import boolean, i32
from charl.graph.scalar import Apply, Expr, IndexValue, Load, Reduce
from charl.loops.inline import Memo, substitute
from charl.loops.ir import Buffer, If, Kind, Local, Stmt
from charl.loops.nests.axes import instances, wrap
from charl.loops.nests.contraction.ahead import (
    asking,
    asking_next,
    asking_onward,
    asking_rows,
    asking_tile,
    block_in_parts,
    rows_in_parts,
)
from charl.loops.nests.contraction.cycles import even, rows_of
from charl.loops.nests.contraction.form import fewer_loops
from charl.loops.nests.contraction.limits import SumLoop, limited, wanted
from charl.loops.nests.contraction.packing import Strip, Values, nested, where_equal
from charl.loops.nests.contraction.strips import Strips
from charl.loops.nests.contraction.tiles import LONG_EPILOGUE, epilogue_cost, register_tile
from charl.loops.sinks import Sink, Whole, identity
from charl.loops.threads import serial

Size = int | Dim

# What is added to a register tile whose vectors stand at the given places of the lane axis.
Keep = Callable[[tuple[Stmt, ...], Sequence[Size]], tuple[Stmt, ...]]


class Blocks(Strips):
    """Emits one contraction."""

    def nest(self) -> tuple[Stmt, ...]:
        """All loops."""
        strips = (*self._strips(self._strip), *self._remainder())
        strips = self._in_turns(strips)
        if self.s.shared:  # threads share what is packed, inside of all these loops
            return nested([(a.name, a.extent) for a in self.s.outer], strips)
        return wrap(self.s.outer, strips)

    def _packed_and_used(
        self,
        strip: Strip,
        kept: Sequence[Buffer],
        k: Size,
        count: Size,
        tile: Callable[[Strip, Values, bool], tuple[Stmt, ...]],
    ) -> tuple[Stmt, ...]:
        """A block of packed operands, and all register tiles. Where the schedule says so the first of them packs as it reads."""

        def using(rows: Values) -> tuple[Stmt, ...]:
            strips = partial(self._each_strip, strip, lambda one: tile(one, rows, False))
            return self._copying(rows, k, count, strips) if strip.many > 1 else strips()

        if not self.s.as_read:
            pack = self._packed(strip, kept, k, count)
            return (*self._wanted(strip, pack), *self._each_turn(self._rows(using)))
        assert self.s.tile is not None
        _, _, size = rows_of(self.s.tile.extent, self.s.shape.rows)[0]
        first: Values = {self.s.tile.name: list(range(size))}
        packing = self._each_strip(strip, lambda one: tile(one, first, True))
        return (*packing, *self._rows(using, size))

    def _wanted(self, strip: Strip, packing: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """The packing of a strip, where some tile that uses it has a term that counts."""
        tile = self.s.tile
        if tile is None or not isinstance(tile.extent, int) or self.s.shared:
            return packing
        spans: dict[str, tuple[Size, Size]] = {a.name: (0, a.extent - 1) for a in (tile, *self.c.over)}
        spans[self.s.lane.name] = strip.start, strip.start + strip.many * self._width(strip) - 1
        return wanted(packing, self.c.limits, spans, self.ranges)

    # ------------------------------------------------------------ one strip

    def _strip(self, strip: Strip) -> tuple[Stmt, ...]:
        if self.s.streamed:
            return self._streamed(strip)
        kept = self._arrays(strip)
        local = () if self.s.shared else tuple(Local(b) for b in kept)
        if self.s.depth is not None:
            if self.s.waits:
                self.waiting = Buffer("sums", self.c.total.dtype, self._held(strip) * strip.many, "scratch")
                local = (*local, Local(self.waiting))
            turns: Kind = "each" if self.s.divided and strip.many > 1 else "serial"
            block = self._depth_loop(lambda k, n: self._block(strip, kept, k, n), turns)
            each = partial(self._each_strip, strip)
            return (*local, *self._begun(each), *block, *(() if self._at_once else each(self._epilogue)))

        def tile(one: Strip, rows: Values, packs: bool) -> tuple[Stmt, ...]:
            total = self.c.total
            index: Size = dims.sym(self.c.over[0].name)
            if kept and not packs:
                total = replace(total, body=self._body(one, kept, self._position({})))
            parts = rows_in_parts(self.emitter, total, len(self._own(rows))) if self.s.ahead else None
            total, index = (parts.total, parts.index) if parts else (total, index)
            sinks = self.emitter.replaced(self.c.sinks, {id(self.c.total): total})
            keep = partial(self._keep, one, kept, index=index, place=index, innermost=total.over[-1][0])
            out = self._finished(one, sinks, rows, keep if packs else None)
            if self.s.asks:
                read = (
                    self._slot(one, kept[0], self._position({}), self.s.asks) if kept and not packs else None
                )
                out = self._asking(out, (total.over[-1][0], index), one, strip.many, rows, read)
            if parts:
                return asking(out, parts, self.s, one, rows, self.least)
            return self._onward(out, one, total, rows)

        return (*local, *self._packed_and_used(strip, kept, 0, self.c.over[0].extent, tile))

    def _streamed(self, strips: Strip) -> tuple[Stmt, ...]:
        """All strips of a block of the sum, each with what it packs, before those of the next block: what the tiles of a block
        read of the other operand stays in the second cache.
        """
        assert self.s.depth is not None
        last = self.c.over[0].extent - self.s.depth

        def block(k: Size, count: Size) -> tuple[Stmt, ...]:
            def one(strip: Strip) -> tuple[Stmt, ...]:
                around = replace(strips, place=strip.place)
                strip = replace(strip, place=0)  # of its own array
                kept = self._arrays(strip)
                end = () if self._at_once else where_equal(k, last, self._epilogue(strip))
                return (*(Local(b) for b in kept), *self._block(strip, kept, k, count, around), *end)

            return self._each_strip(strips, one)

        return self._depth_loop(block, "each" if strips.many > 1 else "serial")

    def _asking(
        self, tile: tuple[Stmt, ...], step: tuple[str, Size], strip: Strip, strips: int, rows: Values, packed: Load | None
    ) -> tuple[Stmt, ...]:  # fmt: skip
        """A register tile, on one of so many strips that it takes in turn, which asks for what is read later."""
        tile = asking_rows(tile, step, self.c, self.s, strip, self.least, packed)
        if strips == 1 or self.s.tile is None:
            return tile
        return asking_tile(tile, step, self.c, self.s, strip, strips, self._own(rows), self.ranges)

    @property
    def _number_of_tiles(self) -> int:
        assert self.s.tile is not None and isinstance(self.s.tile.extent, int)
        return sum(count for count, _ in even(self.s.tile.extent, self.s.shape.rows))

    def _number(self, first: Size) -> Size:
        """The number of tiles before an element of the tile axis that begins one."""
        assert self.s.tile is not None and isinstance(self.s.tile.extent, int)
        low = first if isinstance(first, int) else self.ranges[str(first)][0]
        before = 0
        for start, stop, size in rows_of(self.s.tile.extent, self.s.shape.rows):
            assert isinstance(low, int) and isinstance(start, int) and isinstance(stop, int)
            if low < stop:
                return before + dims.floordiv(first - start, size)
            before += (stop - start) // size
        return before

    def _depth_loop(
        self, body: Callable[[Size, Size], tuple[Stmt, ...]], kind: Kind = "serial"
    ) -> tuple[Stmt, ...]:
        """Blocks of the sum: (first index of its outermost loop, number)."""
        axis = self.c.over[0]
        depth = self.s.depth
        assert depth is not None
        even = isinstance(axis.extent, int) and isinstance(depth, int) and axis.extent % depth == 0

        if not even and self._written_out:  # whole blocks, then what is left
            whole = dims.floordiv(axis.extent, depth) * depth
            full = self._loop(axis, 0, whole, depth, lambda k: body(k, depth), kind)
            return (*full, *body(whole, axis.extent - whole))

        def block(k: Size) -> tuple[Stmt, ...]:
            return body(k, depth if even else dims.minimum(axis.extent - k, depth, self.ranges))

        return self._loop(axis, 0, axis.extent, depth, block, kind)

    def _finished(
        self, strip: Strip, sinks: Sequence[Sink], rows: Values, keep: Keep | None = None
    ) -> tuple[Stmt, ...]:
        """A register tile of whole sums, and what is done with them. `keep`: adds what packs the operands as they are read."""
        lane, axis = self.s.lane.name, self.c.over[0]

        def tile(at: list[Size], name: str) -> tuple[Stmt, ...]:
            body = register_tile(self.emitter, sinks, {**rows, lane: at}, name, self.lanes)
            return keep(body, at) if keep else body

        out = self._region(strip, tile)
        whole = SumLoop(axis.name, axis.name, 0, axis.extent)
        return out if keep else self._limited(out, strip, rows, whole)

    def _limited(self, tile: tuple[Stmt, ...], strip: Strip, rows: Values, loop: SumLoop) -> tuple[Stmt, ...]:
        """A register tile without the terms of its sums that count for none of them."""
        if not self.c.limits:
            return tile
        spans: dict[str, tuple[Size, Size]] = {name: (x[0], x[-1]) for name, x in rows.items()}
        spans[self.s.lane.name] = strip.start - self._again(strip), strip.start + self._width(strip) - 1
        inner = (SumLoop(a.name, a.name, 0, a.extent) for a in self.c.over[1:])
        return limited(tile, self.c.limits, spans, (loop, *inner), self.ranges)

    def _onward(self, tile: tuple[Stmt, ...], _: Strip, total: Reduce, rows: Values) -> tuple[Stmt, ...]:
        """A register tile that asks for the rows of the next one, where these come from far away."""
        own = self._own(rows)
        return asking_onward(tile, total, self.s, own, self.ranges) if self.s.onward else tile

    def _remainder(self) -> tuple[Stmt, ...]:
        """The lanes that run along the sum, for all rows."""
        if not self.s.along:
            return ()
        total, room = self.c.total, self._depth
        (load,) = [x for x in self.c.loads if self.s.lane.name in x.symbols()]
        kept = Buffer("columns", load.dtype, self.s.along * room, "scratch")
        body = self._in_columns(total.body, load, kept, room, self._position({}))
        here = fewer_loops(replace(total, body=body))
        sinks = self.emitter.replaced(self.c.sinks, {id(total): here})
        copied = self._columns(kept, room, load, 0, self.c.over[0].extent)
        return (Local(kept), *copied, *self._rows(lambda rows: self._beyond(rows, sinks)))

    # ------------------------------------------------------------ sums that grow in memory

    def _held(self, strip: Strip) -> Size:
        """Elements of the sums of one strip."""
        return (1 if self.s.tile is None else self.s.tile.extent) * self._width(strip)

    def _home(self, strip: Strip) -> Sink:
        """Where the sums of a strip grow: in a result, or in an array where none can hold them."""
        if self.waiting is not None:
            row = 0 if self.s.tile is None else dims.sym(self.s.tile.name) * self._width(strip)
            at = strip.place * self._held(strip) + row + dims.sym(self.s.lane.name) - strip.start
            return Sink(self.c.total, self.waiting, at)
        home = self.c.home()
        assert home is not None
        return home

    def _before(self, k: Size) -> Size | None:
        """How many terms a sum has before the block at k, where its first block need not find it at zero."""
        return None if self._written_out else k

    @cached_property
    def _at_once(self) -> bool:
        """Whether a tile does what is done with whole sums: where that is little, and written for each register."""
        known = self._before(0) is not None
        return known and not self.c.plain and epilogue_cost(self.c.sinks, [self.c.total]) < LONG_EPILOGUE

    def _begun(
        self, each: Callable[[Callable[[Strip], tuple[Stmt, ...]]], tuple[Stmt, ...]]
    ) -> tuple[Stmt, ...]:
        """Sums at zero before their blocks, where these add to them from the first on; or where there may be none, and what is
        done with such sums.
        """
        extent = self.c.over[0].extent
        if self._before(0) is None:
            return each(self._cleared)
        if dims.nonnegative(extent - 1, least=0):
            return ()
        none = Apply("le", (IndexValue(extent, i32), IndexValue(0, i32)), boolean)
        zero = (*each(self._cleared), *(each(self._epilogue) if self._at_once else ()))
        return (If(none, tuple(serial(x) for x in zero)),)

    def _cleared(self, strip: Strip) -> tuple[Stmt, ...]:
        zero = identity("add", self.c.total.dtype)
        return self._one_by_one(strip, [replace(self._home(strip), value=zero)])

    def _one_by_one(self, strip: Strip, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """A strip of each row of the tile axis in turn."""
        tile = self.s.tile
        if tile is None:
            return self._each(strip, {}, sinks)
        return self._tiles(tile.extent, 1, lambda i, size: self._each(strip, {tile.name: [i]}, sinks))

    def _each(self, strip: Strip, rows: Values, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        lane = self.s.lane.name
        block = self.emitter.simultaneous if self._again(strip) else self.emitter.block
        return self._region(strip, lambda at, _: block(instances(sinks, {**rows, lane: at})))

    def _block(
        self, strip: Strip, kept: Sequence[Buffer], k: Size, count: Size, around: Strip | None = None
    ) -> tuple[Stmt, ...]:
        """Add one block of the sum to a strip of the results, which has its place among
        those `around` it that take the block in turn."""
        axis, rest = self.c.over[0], self.c.over[1:]
        inner = self.emitter.name(axis.name.split(".")[0])
        over = ((inner, count), *((a.name, a.extent) for a in rest))
        at = self._position({axis.name: dims.sym(inner)})

        env = {axis.name: k + dims.sym(inner)}

        def tile(one: Strip, rows: Values, packs: bool) -> tuple[Stmt, ...]:
            body = self.c.total.body if packs else self._body(one, kept, at)
            part = Reduce("add", over, substitute(body, env, Memo()), self.c.total.dtype)
            if packs:
                place, innermost = dims.sym(inner), over[-1][0]
                keep = partial(self._keep, one, kept, index=k + place, place=place, innermost=innermost)
                return self._added(one, part, rows, keep, before=self._before(k))
            if around is not None:
                parts = block_in_parts(self.emitter, part, self._number_of_tiles)
                added = self._added(one, parts.total, rows, before=self._before(k))
                number = self._number(self._own(rows)[0])
                return asking_next(
                    added, parts, self.c, self.s, one, around, k, number, self.least, self.ranges
                )
            added = self._added(one, part, rows, before=self._before(k))
            added = self._onward(added, one, part, rows)
            return self._limited(added, one, rows, SumLoop(inner, axis.name, k, count))

        return self._packed_and_used(strip, kept, k, count, tile)

    def _added(
        self,
        strip: Strip,
        part: Reduce,
        rows: Values,
        keep: Keep | None = None,
        before: Size | None = None,
    ) -> tuple[Stmt, ...]:
        """A register tile of a part of the sum, added to the `before` terms that wait for it, or to what is there."""
        home = self._home(strip)

        def tile(at: list[Size], _: str) -> tuple[Stmt, ...]:
            values = {**rows, self.s.lane.name: at}
            places = [dict(zip(values, chosen, strict=True)) for chosen in product(*values.values())]
            parts: list[tuple[Reduce, Sink]] = []
            for env in places:
                new = substitute(part, env, Memo())
                assert isinstance(new, Reduce)
                parts.append((new, replace(home.at(env, Memo()), value=new)))
            whole = self._once_whole(before, places) if before is not None and self._at_once else None
            body = self.emitter.accumulate(parts, self._written_out, before, whole)
            return keep(body, at) if keep else body

        return self._region(strip, tile)

    def _once_whole(self, before: Size, places: Sequence[dict[str, Size]]) -> Whole:
        """What is done with sums behind their last block, which has so many terms before it."""

        def sinks(refs: Sequence[Expr]) -> list[Sink]:
            return [
                s.at(env, Memo())
                for env, ref in zip(places, refs, strict=True)
                for s in self.emitter.replaced(self.c.sinks, {id(self.c.total): ref})
            ]

        assert self.s.depth is not None
        end, extent = before + self.s.depth, self.c.over[0].extent
        if dims.nonnegative(end - extent):
            return Whole(None, sinks)
        return Whole(Apply("ge", (IndexValue(end, i32), IndexValue(extent, i32)), boolean), sinks)

    def _epilogue(self, strip: Strip) -> tuple[Stmt, ...]:
        """What is done with finished sums that wait in memory."""
        if self.c.plain and self.waiting is None:
            return ()
        home, total = self._home(strip), self.c.total
        waiting = Load(home.buffer, (home.index,), total.dtype)
        sinks = self.emitter.replaced(self.c.sinks, {id(total): waiting})
        sinks.sort(key=lambda s: s.buffer is home.buffer)  # the sum's own place is overwritten last
        return self._one_by_one(strip, sinks)
