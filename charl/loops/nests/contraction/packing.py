"""Packed operands of a contraction: arrays that hold a block of the sum for a strip of lanes, filled in loops of their own or
by the first register tile that reads them, and read by all others.

Enters: a `Contraction` and its `Schedule`. Leaves: the arrays, the statements that fill them, and what is summed as read from
them. Decides nothing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.dtypes import boolean, i32
from charl.graph.scalar import Apply, Expr, IndexValue, Load, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Buffer, For, If, Kind, Let, Local, Simd, Stmt, Store, Transpose
from charl.loops.nests.axes import instances
from charl.loops.nests.contraction.form import Contraction, stride
from charl.loops.nests.contraction.schedule import Schedule
from charl.loops.sinks import Sink, lanes

Size = int | Dim
Values = Mapping[str, Sequence[Size]]


@dataclass(frozen=True)
class Strip:
    """A strip of the lane axis: its first index, its vectors, and how many elements it has where it is not full.

    `many` strips beside one another share a block of the sum; `place` is that of one of them.
    """

    start: Size
    vectors: int
    count: Size | None
    many: int = 1
    place: Size = 0


class Packing(ABC):
    """The packed operands of one contraction."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        self.emitter, self.c, self.s = emitter, c, s
        self.lanes: Size = max(caps.max_lanes * 32 // c.width, 1) if caps.exact else lanes(c.width)
        self.shared: list[Buffer] = []  # packed operands in the workspace
        self.beside: tuple[Buffer, Size, int] | None = (
            None  # the present tile's own copy, its first row and how many it has
        )
        self.turns = (
            emitter.name(s.within[0].name.split(".")[0]) if s.within else ""
        )  # the first of those together

    @abstractmethod
    def _each_strip(self, strip: Strip, body: Callable[[Strip], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        """A loop over the strips that share a block."""

    @abstractmethod
    def _each(self, strip: Strip, rows: Values, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """The sinks for all lanes of a strip."""

    def _in_turns(self, strips: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """All strips, for as many turns at once as use what is packed."""
        if not self.s.within or self.s.together == self.s.within[0].extent:
            return strips
        return (For(self.turns, self.s.within[0].extent, strips, "parallel", step=self.s.together),)

    def _each_turn(self, tiles: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """The tiles in the loops that use what is packed for a strip."""
        if not self.s.within:
            return tiles
        axis, *inner = self.s.within
        tiles = nested([(a.name, a.extent) for a in inner], tiles)
        if self.s.together == axis.extent:
            return (For(axis.name, axis.extent, tiles),)
        first = dims.sym(self.turns)
        return (For(axis.name, first + self.s.together, tiles, start=first),)

    def _arrays(self, strip: Strip) -> list[Buffer]:
        """An array for each packed load: its block of the sum × the strip; the same for all strips where threads share it."""
        if not self.s.shared:
            size = self._room(strip) * strip.many
            return [Buffer("packed", x.dtype, size, "scratch") for x in self.s.packed]
        if not self.shared:
            assert self.emitter.scratch is not None
            widest = self._room(Strip(0, self.s.shape.vectors, None)) * self.s.strips
            most = dims.evaluate(widest, {"VL32": 16, "VL64": 8})
            self.shared = [self.emitter.scratch("packed", x.dtype, most) for x in self.s.packed]
        return self.shared

    def _packed(self, strip: Strip, kept: Sequence[Buffer], k: Size, count: Size) -> tuple[Stmt, ...]:
        """Fill the arrays of all strips that share a block with `count` elements of the sum from `k` on."""
        out: list[Stmt] = []
        for load, buffer in zip(self.s.packed, kept, strict=True):
            if load in self.s.turned:
                out += self._each_strip(strip, lambda one, x=load, b=buffer: self._turned(one, x, b, k, count))  # type: ignore[misc]
            else:
                out += self._copied(strip, load, buffer, k, count)
        return tuple(out)

    def _turned(self, strip: Strip, load: Load, kept: Buffer, k: Size, count: Size) -> tuple[Stmt, ...]:
        """Copy what lies along the innermost loop of the sum."""
        loops, names = self._loops_of(count)
        columns: Size = 1
        while loops and dims.coefficient(load.index[0], self.c.over[len(loops) - 1].name) == columns:
            names[self.c.over[len(loops) - 1].name] = 0
            columns = loops.pop()[1] * columns
        to = self._room(strip) * strip.place + self._position(names) * self._width(strip)
        env = {**names, self.c.over[0].name: k + names[self.c.over[0].name], self.s.lane.name: strip.start}
        step = stride(load, self.s.lane.name)
        assert step is not None
        first = dims.substitute(load.index[0], env)
        turn = Transpose(kept, to, self._width(strip), load.source, first, step, self._length(strip), columns)
        return nested(loops, (turn,))

    def _copied(self, strip: Strip, load: Load, kept: Buffer, k: Size, count: Size) -> tuple[Stmt, ...]:
        """Copy what lies along the lanes: rows of all strips in turn, which are read in order."""
        loops, names = self._loops_of(count)
        first = self.c.over[0].name
        value = substitute(load, {**names, first: k + names[first]}, Memo())

        def one(strip: Strip) -> tuple[Stmt, ...]:
            slot = self._slot(strip, kept, self._position(names), load)
            return self._each(strip, {}, [Sink(value, kept, slot.index[0])])

        return nested(loops, self._each_strip(strip, one), "parallel" if self.s.shared else "serial")

    def _loops_of(self, count: Size) -> tuple[list[tuple[str, Size]], dict[str, Size]]:
        """Loops of their own over `count` turns of the sum's outermost loop and all of the others, and the indices."""
        loops: list[tuple[str, Size]] = []
        names: dict[str, Size] = {}
        for n, axis in enumerate(self.c.over):
            index = self.emitter.name(axis.name.split(".")[0])
            loops.append((index, axis.extent if n else count))
            names[axis.name] = dims.sym(index)
        return loops, names

    def _keep(
        self,
        strip: Strip,
        kept: Sequence[Buffer],
        tile: tuple[Stmt, ...],
        at: Sequence[Size],
        index: Size,
        place: Size,
        innermost: str,
    ) -> tuple[Stmt, ...]:
        """A register tile whose `innermost` loop stores what it reads of the operands to their packed blocks.

        `index`: of the sum's outermost axis; `place`: the same in the block.
        """
        axis, lane = self.c.over[0], self.s.lane.name
        env, place = {axis.name: index}, self._position({axis.name: place})
        stores: list[tuple[Load, Store]] = []
        for load, buffer in zip(self.s.packed, kept, strict=True):
            slot = self._slot(strip, buffer, place, load)
            for vector in at:
                here = {**env, lane: vector}
                read = Load(load.source, (dims.substitute(load.index[0], here),), load.dtype)
                stores.append((read, Store(buffer, dims.substitute(slot.index[0], here), read)))
        return tuple(_storing(s, innermost, stores) for s in tile)

    def _body(self, strip: Strip, kept: Sequence[Buffer], at: Size) -> Expr:
        """What is summed, with packed operands read at place `at` of their block."""
        table = {x: self._slot(strip, b, at, x) for x, b in zip(self.s.packed, kept, strict=True)}
        if self.beside is not None:
            assert self.s.copied is not None and self.s.tile is not None
            array, first, rows = self.beside
            place = at * rows + dims.sym(self.s.tile.name) - first
            table[self.s.copied] = Load(array, (place,), self.s.copied.dtype)
        return rewrite(self.c.total.body, lambda e: table.get(e) if isinstance(e, Load) else None, Memo())

    def _copying(
        self, rows: Values, k: Size, count: Size, tiles: Callable[[], tuple[Stmt, ...]]
    ) -> tuple[Stmt, ...]:
        """The strips of a register tile, which read what lies along its rows from a copy: `count` turns of the sum from k on."""
        if self.s.copied is None:
            return tiles()
        assert self.s.tile is not None
        own, load = rows[self.s.tile.name], self.s.copied
        array = Buffer(
            "beside", load.dtype, self._room(Strip(0, 1, None)) // self.lanes * len(own), "scratch"
        )
        loops, names = self._loops_of(count)
        at, first = self._position(names) * len(own), self.c.over[0].name
        value = substitute(load, {**names, first: k + names[first]}, Memo())
        sinks = [
            Sink(substitute(value, {self.s.tile.name: row}, Memo()), array, at + n)
            for n, row in enumerate(own)
        ]
        self.beside = array, own[0], len(own)
        used = tiles()
        self.beside = None
        return (Local(array), *nested(loops, self.emitter.block(sinks)), *used)

    # ------------------------------------------------------------ lanes that run along the sum

    def _columns(
        self, kept: Buffer, room: Size, load: Load, k: Size, count: Size, first: Size = 0
    ) -> tuple[Stmt, ...]:
        """Copy the columns behind the last whole vector, each in order along the sum, to rows of `room` from `first` on: `count`
        turns of its outermost loop from k on.
        """
        loops, names = self._loops_of(count)
        lane = self.s.lane.name
        to = first + self._position(names) + (dims.sym(lane) - self.s.lane.extent) * room
        names[self.c.over[0].name] = k + names[self.c.over[0].name]
        sink = Sink(substitute(load, names, Memo()), kept, to)
        return nested(loops, self._beyond({}, [sink]))

    def _in_columns(self, body: Expr, load: Load, kept: Buffer, room: Size, at: Size) -> Expr:
        """What is summed, with `load` read at place `at` of the present column."""
        here = Load(kept, (at + (dims.sym(self.s.lane.name) - self.s.lane.extent) * room,), load.dtype)
        return rewrite(body, lambda e: here if e == load else None, Memo())

    def _beyond(self, rows: Values, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """The sinks for each column behind the last whole vector."""
        lane, count = self.s.lane, self.s.along
        index = self.emitter.name(lane.name.split(".")[0])
        column = dims.sym(index) if count > 1 else 0
        moved = instances(sinks, {**rows, lane.name: [lane.extent + column]})
        body = self.emitter.block(moved)
        return (For(index, count, body),) if count > 1 else body

    def _slot(self, strip: Strip, kept: Buffer, at: Size, load: Load) -> Load:
        here = at * self._width(strip) + dims.sym(self.s.lane.name) - strip.start
        return Load(kept, (self._room(strip) * strip.place + here,), load.dtype)

    def _position(self, names: Mapping[str, Size]) -> Size:
        """The place of an element of the sum in its block. `names`: indices that stand for the loops of the sum."""
        at: Size = 0
        for axis in self.c.over:
            at = at * axis.extent + names.get(axis.name, dims.sym(axis.name))
        return at

    @property
    def _depth(self) -> Size:
        return dims.product(a.extent for a in self.c.over)

    def _room(self, strip: Strip) -> Size:
        """Elements of one strip's packed block."""
        inside = dims.product(a.extent for a in self.c.over[1:])
        return (self._depth if self.s.depth is None else self.s.depth * inside) * self._width(strip)

    def _width(self, strip: Strip) -> Size:
        return self.lanes * strip.vectors

    def _length(self, strip: Strip) -> Size:
        """Elements of a strip."""
        if strip.count is not None:
            return strip.count
        left, width = self.s.lane.extent - strip.start, self._width(strip)
        return min(left, width) if isinstance(left, int) and isinstance(width, int) else width


def _storing(s: Stmt, index: str, stores: Sequence[tuple[Load, Store]]) -> Stmt:
    """The statement with `stores` in the loop over `index`, each behind what it stores where that has a name."""
    if isinstance(s, For) and s.index == index:
        named = {
            (e.source, e.index): x for x in s.body if isinstance(x, Let) and isinstance(e := x.value, Load)
        }
        behind: dict[str, list[Stmt]] = {}
        first: list[Stmt] = []
        for read, store in stores:
            let = named.get((read.source, read.index))
            if let is None:
                first.append(store)
            else:
                behind.setdefault(let.name, []).append(replace(store, value=Ref(let.name, read.dtype)))
        body = [y for x in s.body for y in (x, *(behind.get(x.name, ()) if isinstance(x, Let) else ()))]
        return replace(s, body=(*first, *body))
    if isinstance(s, (For, Simd)):
        return replace(s, body=tuple(_storing(x, index, stores) for x in s.body))
    return s


def nested(
    loops: Sequence[tuple[str, Size]], body: tuple[Stmt, ...], kind: Kind = "serial"
) -> tuple[Stmt, ...]:
    """The loops around a body, all of a kind."""
    for index, extent in reversed(loops):
        body = (For(index, extent, body, kind),)
    return body


def where_equal(x: Size, y: Size, body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """The statements, to run where two sizes are equal."""
    if x == y or not body:
        return body
    return (If(Apply("eq", (IndexValue(x, i32), IndexValue(y, i32)), boolean), body),)
