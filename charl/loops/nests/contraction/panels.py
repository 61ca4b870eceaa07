"""Contractions with register tiles over several axes: lanes run along an axis across the order of the results.

The gradient of a convolution's weights, and a convolution over few places, have short axes last: a window's taps, the places of
a row. One operand runs along another axis, and with it the lanes; it is copied for a strip of lanes and a block of the sum. The
other is read element by element, at several of the trailing axes at once, which lie at constant distances, whatever windows they
are of. The sums of a panel, a strip of lanes by a part of the trailing axes, wait in an array until the sum is complete, and
leave transposed. Enters: a `Contraction` and capabilities. Leaves: schedules with their cost, and their loops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.ir import Buffer, Local, Stmt
from charl.loops.nests.axes import Axis
from charl.loops.nests.contraction.choice import TURN
from charl.loops.nests.contraction.cycles import Tile, even, lanes_of, rows_of, split, strips_of, tile_cycles
from charl.loops.nests.contraction.flipped import Flipped
from charl.loops.nests.contraction.form import Contraction, as_one, fixed, stride
from charl.loops.nests.contraction.packing import Strip, Values, nested
from charl.loops.nests.contraction.schedule import WAITING, Panels, Schedule
from charl.loops.sinks import Sink, identity

Size = int | Dim

_LEAST = 64  # elements of the sum in a block, at least where there are as many
_RUN = 4.0  # cycles to begin the innermost loop of the sum once more
_FAR = 1.5  # times as long as what lies in order, where what is turned comes from memory
_VECTORS = 4  # of a register tile, at most


def panels(c: Contraction, caps: Capabilities) -> Iterator[Schedule]:
    """Schedules with lanes along an axis that only one operand runs along, and tiles over the trailing ones."""
    known = all(isinstance(a.extent, int) for a in (*c.rows, *c.over))
    if c.guarded or not known or not c.total.dtype.is_float or not c.stores_along(c.rows[-1]):
        return
    for lane in c.rows[:-1]:
        across = [x for x in c.loads if lane.name in x.symbols()]
        if len(across) != 1 or fixed(lane.extent) < lanes_of(caps, c.width) // 2:
            continue
        tiles = _trailing(c, across[0])
        if tiles and (len(tiles) > 1 or len(c.over) > 1):
            yield from _scheduled(c, caps, lane, across[0], tiles)


def _trailing(c: Contraction, load: Load) -> tuple[Axis, ...]:
    """The last axes of the results, along which these run as along one, that a load does not depend on."""
    count = 0
    while count < len(c.rows) and c.rows[-count - 1].name not in load.symbols():
        if not as_one(c, c.rows[-count - 1 :]):
            break
        count += 1
    return c.rows[len(c.rows) - count :]


def _scheduled(
    c: Contraction, caps: Capabilities, lane: Axis, load: Load, tiles: tuple[Axis, ...]
) -> Iterator[Schedule]:
    turned = stride(load, lane.name) != 1
    alike = load.dtype.is_float and load.dtype.bits == c.width
    if not alike or (turned and stride(load, c.over[-1].name) != 1):
        return
    bytes_ = c.total.dtype.bytes
    depth = prod(fixed(a.extent) for a in c.over)
    outputs = fixed(lane.extent) * prod(fixed(a.extent) for a in tiles)
    outer = tuple(a for a in c.rows if a is not lane and a not in tiles)
    lanes = lanes_of(caps, c.width)
    for vectors in range(1, min(_VECTORS, -(-fixed(lane.extent) // lanes)) + 1):
        width = vectors * max(caps.max_lanes * 32 // c.width, 1) * bytes_
        first, deep, block = _blocks(c, max(caps.cache[0] // width, _LEAST))
        inside = prod(fixed(a.extent) for a in tiles[1:])
        room = caps.stack - block * width - (0 if c.plain else WAITING * width)
        most = room // (inside * width)
        if most < 1:
            continue
        strips = strips_of(fixed(lane.extent), lanes, vectors)
        near = min(caps.cache[0] // (inside * width), most)
        sizes = [n for n in (most, near) if n]
        for counts, size in product(_counts(tiles, caps.registers, vectors), sizes):
            chunk = _chunk(fixed(tiles[0].extent), counts[0], size)
            sums = sum(n * _cycles(tiles, counts, v, depth, c, caps) for n, v in strips)
            packs = -(-fixed(tiles[0].extent) // chunk)
            cost = sums + TURN * fixed(lane.extent) * depth * packs * turned + (TURN + 0.2) * outputs
            blocks = depth // block
            cost += 2 * blocks * outputs / lanes
            if chunk * inside * width > caps.cache[0]:  # sums come from the second cache, and go there
                cost += 2 * (blocks + 1) * outputs * bytes_ / caps.bandwidth[0]
            if turned and fixed(lane.extent) * depth * bytes_ > caps.cache[1]:  # in short runs from far away
                cost += _FAR * fixed(lane.extent) * depth * bytes_ / caps.bandwidth[1] * packs
            panel = Panels(tiles, counts, chunk, first)
            shape = Tile(prod(counts), vectors)
            kept = (load,) if turned else ()
            yield Schedule(
                lane, tiles[-1], outer, shape, kept, kept, deep, flipped=True, panels=panel,
                cost=cost * prod(fixed(a.extent) for a in outer),
            )  # fmt: skip


def _chunk(extent: int, count: int, most: int) -> int:
    """Elements of the first trailing axis in a panel: whole tiles of `count`, in equal panels unless these were far smaller."""
    most = min(most, extent)
    even = [n for n in range(most, most // 2, -1) if extent % n == 0 and n % count == 0]
    return even[0] if even else most - most % count if most > count else most


def _blocks(c: Contraction, most: int) -> tuple[int, int, int]:
    """(number of the sum's loop whose turns make a block, how many of them, elements of a block) for at most `most` elements."""
    extents = [fixed(a.extent) for a in c.over]
    at = next(i for i in range(len(extents)) if prod(extents[i + 1 :]) <= most or i == len(extents) - 1)
    inside = prod(extents[at + 1 :])
    turns = split(extents[at], max(most // inside, 1))
    return at, turns, turns * inside


def _counts(tiles: Sequence[Axis], registers: int, vectors: int) -> Iterator[tuple[int, ...]]:
    """Elements of each axis in a register tile: all of the last ones, some of one, one of those before."""
    limit = (registers - 2 - vectors) // vectors
    for at in range(len(tiles) - 1, -1, -1):
        inside = tuple(fixed(a.extent) for a in tiles[at + 1 :])
        extent = fixed(tiles[at].extent)
        for n in range(1 if at == len(tiles) - 1 else 2, extent + 1):
            if n * prod(inside) <= limit and n == max(s for _, s in even(extent, n)):
                yield (*(1 for _ in tiles[:at]), n, *inside)


def _cycles(
    tiles: Sequence[Axis], counts: Sequence[int], vectors: int, depth: int, c: Contraction, caps: Capabilities
) -> float:
    """All register tiles of a strip."""
    total, kinds = 0.0, 1
    at = next((i for i, n in enumerate(counts) if n > 1), len(counts) - 1)
    columns = vectors * lanes_of(caps, c.width)
    heights = even(fixed(tiles[at].extent), counts[at])
    for number, height in heights:
        rows = height * prod(counts[at + 1 :])
        total += number * tile_cycles(rows, vectors, depth, columns, caps, c.width) if number else 0.0
        kinds += number > 0
    total *= prod(fixed(a.extent) for a in tiles[:at])
    begun = prod(fixed(a.extent) for a in tiles) / prod(counts) * depth / fixed(c.over[-1].extent) * _RUN
    return (total + begun) * (1 + 0.006 * kinds)


class Panelled(Flipped):
    """The loops of such a schedule: strips of lanes, parts of the trailing axes, blocks of the sum, register tiles."""

    def __init__(self, emitter: Emitter, caps: Capabilities, c: Contraction, s: Schedule) -> None:
        assert s.panels is not None
        self.panel = s.panels
        self.around = c.over[: s.panels.split_at]
        total = Reduce("add", c.total.over[s.panels.split_at :], c.total.body, c.total.dtype)
        sinks = tuple(emitter.replaced(c.sinks, {id(c.total): total}))
        inner = replace(c, over=c.over[s.panels.split_at :], total=total, sinks=sinks)
        super().__init__(emitter, caps, inner, s)
        self.first: Size = 0  # of the first trailing axis in the present panel
        self.size = 0  # and how many
        self.sums = Buffer("sums", c.total.dtype, 1, "scratch")
        self.flat = {a.name: 0 for a in s.panels.tiles[:-1]}

    @property
    def _written_out(self) -> bool:
        """Never: a block's sum is a loop."""
        return False

    def _before(self, k: Size) -> Size | None:
        """Unknown: loops around the blocks add to the same sums."""
        return None

    @property
    def _inside(self) -> int:
        return prod(fixed(a.extent) for a in self.panel.tiles[1:])

    def _strip(self, strip: Strip) -> tuple[Stmt, ...]:
        axis = self.panel.tiles[0]
        out: tuple[Stmt, ...] = ()
        for start, stop, size in rows_of(axis.extent, self.panel.chunk):
            out += self._loop(axis, start, stop, size, partial(self._part, strip, size=size))
        return out

    def _part(self, strip: Strip, first: Size, size: int) -> tuple[Stmt, ...]:
        """One panel: `size` elements of the first trailing axis, from `first` on."""
        width = self._width(strip)
        rows = size * self._inside
        self.first, self.size = first, size
        self.sums = Buffer("sums", self.c.total.dtype, rows * width, "scratch")
        kept = self._arrays(strip)
        name = self.emitter.name("i")
        zero = Sink(identity("add", self.c.total.dtype), self.sums, dims.sym(name))
        cleared = self.emitter.lane_loop(name, rows * width, self.c.width, [zero])
        blocks = self._depth_loop(lambda k, n: self._block(strip, kept, k, n))
        blocks = nested([(a.name, a.extent) for a in self.around], blocks)
        local = (*(Local(b) for b in kept), Local(self.sums))
        return (*local, *cleared, *blocks, *self._leaving(strip, rows))

    def _leaving(self, strip: Strip, rows: int) -> tuple[Stmt, ...]:
        """The finished sums of a panel, transposed."""
        start = self.first * self._inside
        if self.c.plain:
            return self._turned_out(strip, self.sums, start, rows, rows)
        out: tuple[Stmt, ...] = ()
        axis = Axis(self.panel.tiles[-1].name, rows)
        for begin, stop, n in rows_of(rows, WAITING):
            each = lambda i, n=n: self._turned_out(strip, self.sums, start + i, n, n, i)  # noqa: E731
            out += self._loop(axis, begin, stop, n, each)
        return out

    def _rows(self, body: Callable[[Values], tuple[Stmt, ...]], first: int = 0) -> tuple[Stmt, ...]:
        """Register tiles over the trailing axes of the present panel; none of them packs as it reads."""
        assert not first
        return self._along(0, {}, body)

    def _along(self, n: int, rows: Values, body: Callable[[Values], tuple[Stmt, ...]]) -> tuple[Stmt, ...]:
        if n == len(self.panel.tiles):
            return body(rows)
        axis, first = self.panel.tiles[n], 0 if n else self.first
        out: tuple[Stmt, ...] = ()
        for start, stop, count in rows_of(axis.extent if n else self.size, self.panel.counts[n]):

            def tile(i: Size, count: int = count) -> tuple[Stmt, ...]:
                return self._along(n + 1, {**rows, axis.name: [first + i + r for r in range(count)]}, body)

            out += self._loop(axis, start, stop, count, tile)
        return out

    def _home(self, strip: Strip) -> Sink:
        row: Size = 0
        for n, axis in enumerate(self.panel.tiles):
            row = row * axis.extent + dims.sym(axis.name) - (0 if n else self.first)
        return Sink(
            self.c.total, self.sums, row * self._width(strip) + dims.sym(self.s.lane.name) - strip.start
        )
