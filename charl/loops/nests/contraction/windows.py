"""Contractions over windows: an operand that no lane can load in order is copied to strips, as a product's would be.

A convolution's image, or what its weights' gradient reads of it, lies in short runs along every axis of the results. The trailing
axes of the results, over which these are stored in order, become one axis of lanes; the operand that runs along them is copied
for all of these lanes and a block of the sum (im2col without the matrix, Chellapilla et al., 2006), and from there on the
contraction is a product. Enters: a `Contraction` and capabilities. Leaves: schedules with their cost, and their loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import gcd, prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Apply, Expr, Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Buffer, For, Local, Stmt
from charl.loops.nests.axes import Axis, wrap
from charl.loops.nests.contraction.ahead import read_next
from charl.loops.nests.contraction.blocks import Blocks
from charl.loops.nests.contraction.cycles import (
    Extents,
    Segment,
    best_tile,
    exact_segments,
    lanes_of,
    rows_of,
    split,
)
from charl.loops.nests.contraction.form import Contraction, as_one, fewer_loops, fixed, stride
from charl.loops.nests.contraction.packing import Strip, Values, nested
from charl.loops.nests.contraction.remainder import WORTH, along_cycles, left_over
from charl.loops.nests.contraction.schedule import Schedule, Windows
from charl.loops.sinks import Sink, identity
from charl.plan.access import nodes_of

Size = int | Dim

_RUN = 3.0  # cycles to copy a run of neighbours, beside those of its vectors
_VECTOR = (1.5, 3.0)  # and for a vector, where the copy stays in the nearest cache, and where it leaves it
_ALONE = 1.5  # cycles to copy an element without neighbours
_SHORT = 4  # neighbours below which they are copied one by one
_LANES = 512  # lanes of one copy at most
_DEEP = 256  # elements of a block of the sum before several images share it
_IMAGES = 8  # that share a block at most
_FEWER = 0.75  # share of the rows that is copied at most where taps share them
_LOOP = 0.4  # cycles to enter a loop over taps


def windowed(c: Contraction, caps: Capabilities) -> Iterator[Schedule]:
    """Schedules that copy the operand along the results' last axes."""
    if (
        c.guarded
        or not c.total.dtype.is_float
        or not all(isinstance(a.extent, int) for a in (*c.rows, *c.over))
    ):
        return
    along = [x for x in c.loads if c.rows[-1].name in x.symbols()]
    if len(along) != 1 or not c.stores_along(c.rows[-1]):
        return
    (window,) = along
    if not window.dtype.is_float or window.dtype.bits != c.width:
        return
    count = 1
    while (
        count < len(c.rows)
        and c.rows[-count - 1].name in window.symbols()
        and as_one(c, c.rows[-count - 1 :])
    ):
        count += 1
    if count == 1 and (stride(window, c.rows[-1].name) == 1 or stride(window, c.over[-1].name) == 1):
        return  # a product
    axes, rest = c.rows[-count:], c.rows[:-count]
    others = [x for x in c.loads if x is not window]
    if any(a.name in x.symbols() for a in axes for x in others):
        return
    tiles = [a for a in rest if a.name not in window.symbols() and any(a.name in x.symbols() for x in others)]
    if not tiles:
        return
    beside = [
        a for a in rest if a.name in window.symbols() and not any(a.name in x.symbols() for x in others)
    ]
    steps = _divisors(fixed(axes[0].extent))
    for step in steps if len(axes) > 1 else steps[-1:]:
        lanes = step * prod(fixed(a.extent) for a in axes[1:])
        if lanes <= _LANES and (lanes >= lanes_of(caps, c.width) or step == axes[0].extent):
            copied = Windows(window, axes, step, beside[-1] if beside else None)
            several = [copied, *_with_taps(c, caps, copied, tiles[-1])]
            for w, columns in product(several, sorted({0, left_over(c, caps, lanes, others)})):
                found = _scheduled(c, caps, w, tiles[-1], lanes, columns)
                if found is not None:
                    yield found


def _with_taps(c: Contraction, caps: Capabilities, w: Windows, tile: Axis) -> Iterator[Windows]:
    """The same with rows copied once for all turns of an axis of the sum that moves the window from row to row."""
    step = stride(w.load, w.axes[w.down].name)
    if len(w.axes) == 1 or not isinstance(step, int) or read_next(c, caps, [a.name for a in w.axes], tile):
        return  # tiles that ask for their rows do so in one loop
    for axis in c.over[1:]:
        hop = stride(w.load, axis.name)
        if isinstance(hop, int) and hop > 0 and hop % step == 0:
            found = replace(w, tap=axis, hop=hop // step)
            if found.rows <= _FEWER * w.rows * fixed(axis.extent):
                yield found


def _scheduled(
    c: Contraction, caps: Capabilities, w: Windows, tile: Axis, lanes: int, along: int
) -> Schedule | None:
    """The schedule of one copy of so many lanes, `along` of which run along the sum."""
    width = max(caps.max_lanes * 32 // c.width, 1)
    row = -(-lanes // width) * width  # lanes of the sums
    beneath = (w.rows - w.places) * lanes // w.places  # lanes of the rows that only taps see
    room = row + -(-beneath // width) * width
    taps = 1 if w.tap is None else fixed(w.tap.extent)
    bytes_ = c.total.dtype.bytes
    inside = prod(fixed(a.extent) for a in c.over[1:])
    turns, rows = fixed(c.over[0].extent), fixed(tile.extent)
    depth = turns * inside
    waits = c.home() is None
    if waits:
        w = replace(w, beside=None)
    space = caps.stack - waits * rows * row * bytes_
    space //= (inside // taps * room + inside * along) * bytes_  # turns that one copy may hold
    if space < 1:
        return None
    least = min(turns, max(_DEEP // inside, 1))
    images = 1
    if w.beside is not None:
        most = min(space // least, _IMAGES)
        images = max(n for n in _divisors(fixed(w.beside.extent)) if n <= max(most, 1))
    most = space // images
    block = _block(turns, most, width // gcd(inside, width) if along else 1)
    blocks = -(-turns // block)
    w = replace(w, room=room, images=images)
    shape, cycles, _ = best_tile(Extents(rows, lanes - along, depth, True), caps, c.width, 0, 0)
    if along:
        cycles = (cycles + along_cycles(rows, shape.rows, along, depth, blocks, caps, c.width)) / WORTH
    held = room * images * inside // taps * block * bytes_
    cycles += _copying(w, caps, c.width, lanes * depth, held) + 2 * blocks * rows * row / width
    if w.tap is not None:  # loops inside of tiles' sums
        tiles = -(-rows // shape.rows) * -(-lanes // (width * shape.vectors))
        cycles += _LOOP * tiles * (len(c.over) - 1) * depth / fixed(c.over[-1].extent)
    taken = {tile.name, *(a.name for a in w.axes)}
    outer = prod(fixed(a.extent) for a in c.rows if a.name not in taken) * fixed(w.axes[0].extent) // w.step
    weights = rows * depth * bytes_
    if weights > caps.cache[1]:
        cycles += weights / caps.bandwidth[1] / images
    loops = tuple(a for a in c.rows if a.name not in taken and a is not w.beside)
    lane = Axis(w.axes[-1].name, lanes - along)
    return Schedule(
        lane, tile, loops, shape, depth=block if blocks > 1 else None, waits=waits, windows=w,
        onward=read_next(c, caps, [a.name for a in w.axes], tile), along=along, cost=cycles * outer,
    )  # fmt: skip


def _block(turns: int, most: int, unit: int) -> int:
    """The depth of blocks of at most `most`: for lanes along the sum in whole units, after which rows begin at vectors again."""
    block = split(turns, min(most, turns))
    if block % unit == 0 or block == turns:
        return block
    whole = [n for n in range(unit, most + 1, unit) if turns % n == 0]
    if whole and 2 * whole[-1] > block:
        return whole[-1]
    return most // unit * unit or block


def _copying(w: Windows, caps: Capabilities, bits: int, elements: int, held: int) -> float:
    """Cycles to copy what windows of so many elements see, `held` bytes of it at once."""
    run, taps = fixed(w.axes[-1].extent), 1 if w.tap is None else fixed(w.tap.extent)
    vector = _VECTOR[held > caps.cache[0]]
    each = _ALONE if run < _SHORT else (_RUN + vector * -(-run // lanes_of(caps, bits))) / run
    return each * elements * w.rows / w.places / taps


def _divisors(n: int) -> list[int]:
    return [d for d in range(1, n + 1) if n % d == 0]


class Windowed(Blocks):
    """The loops of such a schedule: those over images and pieces of the lanes, in each the copy and register tiles."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        assert s.windows is not None and s.tile is not None
        self.w = s.windows
        self.tile = s.tile
        self.packed = Buffer("packed", c.total.dtype, 1, "scratch")
        super().__init__(emitter, caps, _lined_up(c, s, self.packed), s)
        (self.load,) = [
            x for x in nodes_of(self.c.total.body) if isinstance(x, Load) and x.source is self.packed
        ]
        self.group = ""  # the first of the images that share a copy
        self.place: Size = 0  # of one of them
        self.block: Size = 0  # elements of its copy
        self.columns: Buffer | None = None  # the lanes behind the last whole vector
        width = max(caps.max_lanes * 32 // c.width, 1)
        self.row = -(-(fixed(s.lane.extent) + s.along) // width) * width  # lanes of the sums

    def nest(self) -> tuple[Stmt, ...]:
        """All loops."""
        w, beside, piece = self.w, self.w.beside, self.w.axes[0]
        if beside is not None:
            self.group = self.emitter.name(beside.name.split(".")[0])
        body = self._shared()
        if w.step != piece.extent:
            body = (For(piece.name, piece.extent, body, "parallel", step=w.step),)
        if beside is not None:
            body = (For(self.group, beside.extent, body, "parallel", step=w.images),)
        return wrap(self.s.outer, body)

    def _shared(self) -> tuple[Stmt, ...]:
        turns = self.c.over[0].extent
        taps = 1 if self.w.tap is None else fixed(self.w.tap.extent)
        self.block = self._column // taps * self.w.room
        self.packed = Buffer("packed", self.c.total.dtype, self.block * self.w.images, "scratch")
        local: tuple[Stmt, ...] = (Local(self.packed),)
        if self.s.along:
            size = self._column * self.s.along * self.w.images
            self.columns = Buffer("columns", self.c.total.dtype, size, "scratch")
            local = (*local, Local(self.columns))
        if self.s.depth is None:
            tiles = self._rows(lambda rows: self._everywhere(rows, self._whole, self._whole_beyond))
            return (*local, *self._copy(0, turns), *tiles)
        waits: tuple[Stmt, ...] = ()
        if self.s.waits:
            self.waiting = Buffer("sums", self.c.total.dtype, self.tile.extent * self.row, "scratch")
            waits = (Local(self.waiting),)
        zero = [replace(self._home(Strip(0, 1, None)), value=identity("add", self.c.total.dtype))]
        cleared = self._tiles(self.tile.extent, 1, lambda i, size: self._stored(i, zero))
        if not self._divided:
            return (*local, *waits, *cleared, *self._depth_loop(self._added_block), *self._last())
        blocks = self._depth_loop(lambda k, count: (*local, *self._added_block(k, count)), "each")
        return (*waits, *cleared, *blocks, *self._last())

    @property
    def _divided(self) -> bool:
        """Whether threads may divide the tiles of a block of the sum: each then has a copy of its own, as one that another core
        made would come from there line by line."""
        tiles = rows_of(self.tile.extent, self.s.shape.rows)
        return all(fixed(stop - start) > size for start, stop, size in tiles)

    def _whole(self, strip: Strip, rows: Values) -> tuple[Stmt, ...]:
        """A register tile of whole sums, read from the copy of the present image."""
        total = self.c.total
        here = fewer_loops(replace(total, body=self._read(total.body, {})))
        out = self._finished(strip, self.emitter.replaced(self.c.sinks, {id(total): here}), rows)
        return self._onward(out, strip, here, rows)

    def _whole_beyond(self, rows: Values) -> tuple[Stmt, ...]:
        """The same for the lanes that run along the sum."""
        total = self.c.total
        here = fewer_loops(replace(total, body=self._read_column(total.body, self._position({}))))
        return self._beyond(rows, self.emitter.replaced(self.c.sinks, {id(total): here}))

    def _onward(self, tile: tuple[Stmt, ...], strip: Strip, total: Reduce, rows: Values) -> tuple[Stmt, ...]:
        """All strips read the same rows: those that are left need not ask, nor images that share them."""
        left = isinstance(strip.start, int) and strip.start > 0
        return tile if left or self.w.images > 1 else super()._onward(tile, strip, total, rows)

    def _stored(self, i: Size, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        each = lambda strip, rows: self._each(strip, rows, sinks)  # noqa: E731
        return self._everywhere({self.tile.name: [i]}, each, lambda rows: self._beyond(rows, sinks))

    def _last(self) -> tuple[Stmt, ...]:
        """What is done with finished sums that wait in memory."""
        if self.c.plain and self.waiting is None:
            return ()
        home = self._home(Strip(0, 1, None))
        waiting = Load(home.buffer, (home.index,), self.c.total.dtype)
        sinks = self.emitter.replaced(self.c.sinks, {id(self.c.total): waiting})
        sinks.sort(key=lambda s: s.buffer is home.buffer)
        return self._tiles(self.tile.extent, 1, lambda i, size: self._stored(i, sinks))

    def _everywhere(
        self,
        rows: Values,
        body: Callable[[Strip, Values], tuple[Stmt, ...]],
        beyond: Callable[[Values], tuple[Stmt, ...]],
    ) -> tuple[Stmt, ...]:
        """`body` for every image of a group and every strip of the lanes, and `beyond` for those that fill no vector."""

        def strips(image: dict[str, Sequence[Size]]) -> tuple[Stmt, ...]:
            out: tuple[Stmt, ...] = ()
            for start, stop, vectors, part in self._segments(self.s.lane.extent, self.s.shape.vectors):
                at = partial(self._strip_at, vectors=vectors, part=part, many=1)
                one = lambda j, at=at: body(at(j), {**rows, **image})  # noqa: E731
                out += self._loop(self.s.lane, start, stop, self.lanes * vectors, one, "serial")
            return (*out, *beyond({**rows, **image})) if self.s.along else out

        return self._each_image(strips)

    def _each_image(self, body: Callable[[dict[str, Sequence[Size]]], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        beside = self.w.beside
        if beside is None:
            return body({})
        group = dims.sym(self.group)
        if self.w.images == 1:
            return body({beside.name: [group]})
        index = self.emitter.name(beside.name.split(".")[0])
        self.place = dims.sym(index)
        return (For(index, self.w.images, body({beside.name: [group + self.place]})),)

    def _segments(self, extent: Size, vectors: int) -> Iterator[Segment]:
        """Sums that grow in memory are added to once: no strip begins earlier."""
        if self.s.depth is not None and isinstance(extent, int) and isinstance(self.lanes, int):
            return exact_segments(extent, self.lanes, vectors, False)
        return super()._segments(extent, vectors)

    def _home(self, strip: Strip) -> Sink:
        if self.waiting is None:
            return super()._home(strip)
        at = dims.sym(self.tile.name) * self.row + dims.sym(self.s.lane.name)
        return Sink(self.c.total, self.waiting, at)

    # ------------------------------------------------------------ the copy

    @property
    def _inside(self) -> int:
        return prod(fixed(a.extent) for a in self.c.over[1:])

    @property
    def _column(self) -> int:
        """Elements of a column: of the sum in a block."""
        turns = self.c.over[0].extent if self.s.depth is None else self.s.depth
        return fixed(turns) * self._inside

    def _read_column(self, body: Expr, at: Size) -> Expr:
        """The same for a lane that runs along the sum."""
        assert self.columns is not None
        at = self._first_column + at
        return self._in_columns(body, self.load, self.columns, self._column, at)

    @property
    def _first_column(self) -> Size:
        """Where the columns of the present image begin."""
        return self.place * self._column * self.s.along if self.w.images > 1 else 0

    def _read(self, body: Expr, names: Mapping[str, Size]) -> Expr:
        """What is summed, with the copy read instead. `names`: indices that stand for the loops of the sum."""
        here = Load(self.packed, (self._slot_of(names) + dims.sym(self.s.lane.name),), self.load.dtype)
        return rewrite(body, lambda e: here if e == self.load else None, Memo())

    def _slot_of(self, names: Mapping[str, Size]) -> Size:
        """Where the lanes of an element of the sum begin in the copy."""
        w = self.w
        at: Size = 0
        shift: Size = 0
        for axis in self.c.over:
            turn = names.get(axis.name, dims.sym(axis.name))
            if axis == w.tap:
                shift = turn * (w.hop * prod(fixed(a.extent) for a in w.axes[w.down + 1 :]))
            else:
                at = at * axis.extent + turn
        place = self.place * self.block if w.images > 1 else 0
        return place + at * w.room + shift

    def _copy(self, k: Size, count: Size) -> tuple[Stmt, ...]:
        """Copy all lanes of `count` turns of the sum's outermost loop from k on."""
        loops, names = self._loops_of(count)
        if self.w.tap is not None:  # its rows are there once
            del loops[self.c.over.index(self.w.tap)]
            names[self.w.tap.name] = 0
        copied = dict(names)
        names[self.c.over[0].name] = k + names[self.c.over[0].name]
        lane: Size = 0
        for n, axis in enumerate(self.w.axes):
            index = self.emitter.name(axis.name.split(".")[0])
            extent = self.w.rows if n == self.w.down else axis.extent if n else self.w.step
            loops.append((index, extent))
            first = dims.sym(axis.name) if n == 0 and self.w.step != axis.extent else 0
            names[axis.name] = first + dims.sym(index)
            lane = lane * extent + dims.sym(index)
        inner, run = loops.pop()

        def image(chosen: dict[str, Sequence[Size]]) -> tuple[Stmt, ...]:
            slot = self._slot_of(copied)
            env = names | {n: v[0] for n, v in chosen.items()}
            sink = Sink(substitute(self.w.load, env, Memo()), self.packed, slot + lane)
            if fixed(run) < _SHORT:
                body = self.emitter.block([sink.at({inner: x}, Memo()) for x in range(fixed(run))])
            else:
                body = self.emitter.lane_loop(inner, run, self.c.width, [sink])
            out = nested(loops, body)
            if self.columns is None:
                return out
            read = self._read(self.load, {})
            assert isinstance(read, Load)
            return (*out, *self._columns(self.columns, self._column, read, 0, count, self._first_column))

        return self._each_image(image)

    def _added_block(self, k: Size, count: Size) -> tuple[Stmt, ...]:
        """Add one block of the sum to the results."""
        copied = self._copy(k, count)
        axis, rest = self.c.over[0], self.c.over[1:]
        inner = self.emitter.name(axis.name.split(".")[0])
        over = ((inner, count), *((a.name, a.extent) for a in rest))
        names = {axis.name: dims.sym(inner)}
        at = self._position(names)

        def tile(strip: Strip, rows: Values) -> tuple[Stmt, ...]:
            body = substitute(self.c.total.body, {axis.name: k + dims.sym(inner)}, Memo())
            part = fewer_loops(Reduce("add", over, self._read(body, names), self.c.total.dtype))
            return self._onward(self._added(strip, part, rows), strip, part, rows)

        def beyond(rows: Values) -> tuple[Stmt, ...]:
            body = substitute(self.c.total.body, {axis.name: k + dims.sym(inner)}, Memo())
            part = fewer_loops(Reduce("add", over, self._read_column(body, at), self.c.total.dtype))
            home = self._home(Strip(0, 1, None))
            grown = Load(home.buffer, (home.index,), part.dtype)
            return self._beyond(rows, [replace(home, value=Apply("add", (grown, part), part.dtype))])

        tiles = self._rows(lambda rows: self._everywhere(rows, tile, beyond))
        if self._divided:
            tiles = tuple(replace(s, kind="divided") if isinstance(s, For) else s for s in tiles)
        return (*copied, *tiles)


def _lined_up(c: Contraction, s: Schedule, packed: Buffer) -> Contraction:
    """The contraction over one axis of lanes, with a load of `packed` at the lane in the window's place."""
    assert s.windows is not None
    w, lane = s.windows, s.lane.name
    read = Load(packed, (dims.sym(lane),), c.total.dtype)
    body = rewrite(c.total.body, lambda e: read if e == w.load else None, Memo())
    total = replace(c.total, body=body)
    env: dict[str, Size] = {a.name: 0 for a in w.axes[1:-1]}
    if w.step == w.axes[0].extent and len(w.axes) > 1:
        env[w.axes[0].name] = 0
    memo = Memo()
    sinks: list[Sink] = []
    for x in c.sinks:
        value = rewrite(x.value, lambda e: total if e is c.total else None, Memo())
        sinks.append(replace(x, value=value).at(env, memo))
    found = next(e for x in sinks for e in nodes_of(x.value) if isinstance(e, Reduce))
    loads = tuple(dict.fromkeys(e for e in nodes_of(found.body) if isinstance(e, Load)))
    return replace(c, total=found, sinks=tuple(sinks), loads=loads)
