"""The loops of a scheduled contraction: strips of lanes, blocks of the sum, packed operands, register tiles, epilogues.

Enters: a `Contraction` and its `Schedule`. Leaves: the statements of the nest. Decides nothing: whatever could be
otherwise stands in the schedule.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from typing import Protocol

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, substitute
from charl.loops.ir import Buffer, For, Kind, Local, Stmt
from charl.loops.nests.axes import Axis, instances, wrap
from charl.loops.nests.contraction.ahead import (
    asking,
    asking_next,
    asking_onward,
    asking_rows,
    asking_tile,
    block_in_parts,
    rows_in_parts,
)
from charl.loops.nests.contraction.cycles import Segment, even, exact_segments, rows_of
from charl.loops.nests.contraction.form import Contraction, fewer_loops
from charl.loops.nests.contraction.limits import SumLoop, limited, wanted
from charl.loops.nests.contraction.packing import Packing, Strip, Values, nested, where_equal
from charl.loops.nests.contraction.schedule import Schedule
from charl.loops.nests.contraction.tiles import register_tile
from charl.loops.sinks import Sink, identity

Size = int | Dim

# What is added to a register tile whose vectors stand at the given places of the lane axis.
Keep = Callable[[tuple[Stmt, ...], Sequence[Size]], tuple[Stmt, ...]]


class Tiled(Protocol):
    """What stands in a loop over the tile axis, for `size` of its elements at once."""

    def __call__(self, i: Size, size: int) -> tuple[Stmt, ...]: ...


class Blocks(Packing):
    """Emits one contraction."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        super().__init__(emitter, caps, c, s)
        self.ranges: dict[str, tuple[Size, Size]] = {"VL32": (1, 16), "VL64": (1, 8)}
        self.ranges |= {a.name: (0, a.extent - 1) for a in (*s.outer, *s.within)}
        self.waiting: Buffer | None = None  # an array of sums that no result can hold
        # what all numbers of lanes divide
        self.least = self.lanes if isinstance(self.lanes, int) else 512 // c.width

    def nest(self) -> tuple[Stmt, ...]:
        """All loops."""
        strips = (*self._strips(self._strip), *self._remainder())
        strips = self._in_turns(strips)
        if self.s.shared:  # threads share what is packed, inside of all these loops
            return nested([(a.name, a.extent) for a in self.s.outer], strips)
        return wrap(self.s.outer, strips)

    # ------------------------------------------------------------ loops

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

    def _packed_and_used(
        self,
        strip: Strip,
        pack: Callable[[Strip], tuple[Stmt, ...]],
        tile: Callable[[Strip, Values, bool], tuple[Stmt, ...]],
    ) -> tuple[Stmt, ...]:
        """A block of packed operands, and all register tiles. Where the schedule says so the first of them packs as it reads."""
        if not self.s.as_read:
            used = self._rows(lambda rows: self._each_strip(strip, lambda one: tile(one, rows, False)))
            return (*self._wanted(strip, pack(strip)), *self._each_turn(used))
        assert self.s.tile is not None
        _, _, size = rows_of(self.s.tile.extent, self.s.shape.rows)[0]
        first: Values = {self.s.tile.name: list(range(size))}
        packing = self._each_strip(strip, lambda one: tile(one, first, True))
        rest = self._rows(lambda rows: self._each_strip(strip, lambda one: tile(one, rows, False)), size)
        return (*packing, *rest)

    def _wanted(self, strip: Strip, packing: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """The packing of a strip, where some tile that uses it has a term that counts."""
        tile = self.s.tile
        if tile is None or not isinstance(tile.extent, int) or self.s.shared:
            return packing
        spans: dict[str, tuple[Size, Size]] = {a.name: (0, a.extent - 1) for a in (tile, *self.c.over)}
        spans[self.s.lane.name] = strip.start, strip.start + strip.many * self._width(strip) - 1
        return wanted(packing, self.c.limits, spans, self.ranges)

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
            return (*local, *each(self._cleared), *block, *each(self._epilogue))

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

        pack = lambda one: self._packed(one, kept, 0, self.c.over[0].extent)  # noqa: E731
        return (*local, *self._packed_and_used(strip, pack, tile))

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
                begin = where_equal(k, 0, self._cleared(strip))
                end = where_equal(k, last, self._epilogue(strip))
                return (*(Local(b) for b in kept), *begin, *self._block(strip, kept, k, count, around), *end)

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

    def _own(self, rows: Values) -> Sequence[Size]:
        """The elements of the tile axis in a register tile."""
        return rows[self.s.tile.name] if self.s.tile is not None else [0]

    @property
    def _written_out(self) -> bool:
        """Whether blocks are so small that no loop runs over their elements: those of thin products."""
        return not self.s.packed and self.s.windows is None

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
                return self._added(one, part, rows, keep)
            if around is not None:
                parts = block_in_parts(self.emitter, part, self._number_of_tiles)
                added, number = self._added(one, parts.total, rows), self._number(self._own(rows)[0])
                return asking_next(
                    added, parts, self.c, self.s, one, around, k, number, self.least, self.ranges
                )
            added = self._onward(self._added(one, part, rows), one, part, rows)
            return self._limited(added, one, rows, SumLoop(inner, axis.name, k, count))

        return self._packed_and_used(strip, lambda one: self._packed(one, kept, k, count), tile)

    def _added(self, strip: Strip, part: Reduce, rows: Values, keep: Keep | None = None) -> tuple[Stmt, ...]:
        home = self._home(strip)

        def tile(at: list[Size], _: str) -> tuple[Stmt, ...]:
            values = {**rows, self.s.lane.name: at}
            parts: list[tuple[Reduce, Sink]] = []
            for chosen in product(*values.values()):
                env = dict(zip(values, chosen, strict=True))
                new = substitute(part, env, Memo())
                assert isinstance(new, Reduce)
                parts.append((new, replace(home.at(env, Memo()), value=new)))
            body = self.emitter.accumulate(parts, self._written_out)
            return keep(body, at) if keep else body

        return self._region(strip, tile)

    def _epilogue(self, strip: Strip) -> tuple[Stmt, ...]:
        """What is done with finished sums that wait in memory."""
        if self.c.plain and self.waiting is None:
            return ()
        home, total = self._home(strip), self.c.total
        waiting = Load(home.buffer, (home.index,), total.dtype)
        sinks = self.emitter.replaced(self.c.sinks, {id(total): waiting})
        sinks.sort(key=lambda s: s.buffer is home.buffer)  # the sum's own place is overwritten last
        return self._one_by_one(strip, sinks)
