"""The choice for a contraction: along which axis lanes run, the register tile, what is packed, how sums are blocked.

Enters: a `Contraction` and capabilities. Leaves: the cheapest `Schedule` by one cost model, or None where lanes cannot run
along an output axis or cost more than along the sum. Costs are cycles; a size that is not known counts as `_UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Load
from charl.loops.nests.axes import HOPS, Axis
from charl.loops.nests.contraction.form import Contraction, stride

Size = int | Dim

_UNKNOWN = 256
_TURN = 0.4  # cycles to transpose an element between nearby arrays
_COPY = 0.15  # and to copy one in order
_SIDEWAYS = 6.0  # to add up the lanes of one sum
_FAR = 0.35  # more for an element whose neighbours along the sum lie far apart, each time it is read
_KIND = 0.01  # share of the cycles that another kind of tile must save, for the code it takes
_THIN = 4  # rows up to which weights are read once only, so that the order of memory decides
_GATHER = 8.0  # cycles of such a load; those of every other element come from two loads
_TOGETHER = 4  # strips that share a block of a large product
_ROW = 1024  # results of a row that take such a block in turn
_DEPTH = 8  # elements of the sum that one pass over the results of such a thin product takes


@dataclass(frozen=True)
class Tile:
    """`rows` of the tile axis × `vectors` of the lane axis in registers."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class Schedule:
    """`lane`, `tile`: the axes in registers; the rest of the output axes, `outer`, are loops around. `packed`: loads that are
    copied to strips of the lane axis, `turned`: those among them that lie along the sum. `depth`: elements of the sum to a
    block, between which the sums wait in memory; None where one register holds the whole sum. `strips`: strips of the lane axis
    that share a block. `flipped`: results leave transposed.
    """

    lane: Axis
    tile: Axis | None
    outer: tuple[Axis, ...]
    shape: Tile
    packed: tuple[Load, ...] = ()
    turned: tuple[Load, ...] = ()
    depth: Size | None = None
    strips: int = 1
    flipped: bool = False
    cost: float = 0.0


def choose(c: Contraction, caps: Capabilities) -> Schedule | None:
    """The cheapest schedule; None where lanes along the sum, or plain loops, are better."""
    found = list(_schedules(c, caps))
    if not found:
        return None
    best = min(found, key=lambda s: s.cost)
    return best if best.cost <= _along_the_sum(c, caps) else None


def _schedules(c: Contraction, caps: Capabilities) -> Iterator[Schedule]:
    natural = c.rows[-1]
    if c.stores_along(natural):
        yield from _with_lanes(c, caps, natural, False)
    if not c.total.dtype.is_float or len(c.rows) < 2 or not c.stores_along(natural):
        return
    for axis in c.rows[:-1]:
        if _known(axis.extent) >= lanes_of(caps, c.width) // 2:
            yield from _with_lanes(c, caps, axis, True)


def _with_lanes(c: Contraction, caps: Capabilities, lane: Axis, flipped: bool) -> Iterator[Schedule]:
    packed: list[Load] = []
    hops = 0.0  # cycles for loads that skip elements
    for load in c.loads:
        step = stride(load, lane.name)
        if step in (0, 1):
            continue
        if isinstance(step, int) and 1 < step <= HOPS and len(c.over) > 1:
            hops += step == 2 or _GATHER
            continue
        if c.guarded or len(c.over) != 1 or stride(load, c.over[0].name) != 1:
            return
        if not load.dtype.is_float or load.dtype.bits != c.width or step is None:
            return
        packed.append(load)
    reads = [x for x in c.loads if stride(x, lane.name) != 0]
    if not reads:
        return
    tile = _tile_axis(c, lane, reads, flipped)
    if tile is None and flipped:
        return
    if packed and any(tile is not None and tile.name in x.symbols() for x in packed):
        return
    outer = tuple(a for a in c.rows if a is not lane and a is not tile)
    base = Schedule(lane, tile, outer, Tile(1, 1), tuple(packed), tuple(packed), flipped=flipped)
    rows = 1 if tile is None else _known(tile.extent)
    depth = prod(_known(a.extent) for a in c.over)
    shape, cycles = best_tile(
        rows, _known(lane.extent), depth, caps, c.width, tile is not None and not _whole(tile)
    )
    columns = _known(lane.extent)
    vectors = -(-_known(lane.extent) // lanes_of(caps, c.width))
    cycles += hops * -(-rows // shape.rows) * vectors * depth
    cost = cycles + len(packed) * _TURN * columns * depth + (_TURN + 0.1) * rows * columns * flipped
    base = replace(base, shape=shape, cost=cost * prod(_known(a.extent) for a in outer))
    yield _blocked(c, caps, base, reads)


def _tile_axis(c: Contraction, lane: Axis, reads: list[Load], flipped: bool) -> Axis | None:
    """The axis along which vectors are read again; of several the last, which results run along where they are flipped."""
    free = [a for a in c.rows if a is not lane and not any(a.name in x.symbols() for x in reads)]
    if flipped and c.rows[-1] not in free:
        return None
    return free[-1] if free else None


def _blocked(c: Contraction, caps: Capabilities, s: Schedule, reads: list[Load]) -> Schedule:
    """Packing of what lies in order but far apart, and the depth of blocks."""
    if len(c.over) != 1 or c.guarded or s.flipped:
        return _bounded(c, caps, s)
    depth, k = _known(c.over[0].extent), c.over[0].name
    rows = 1 if s.tile is None else _known(s.tile.extent)
    bytes_ = c.total.dtype.bytes
    far = []
    for x in reads:
        step = stride(x, k)
        if (x not in s.packed and isinstance(step, int) and step * bytes_ >= caps.far) or (
            x not in s.packed and isinstance(step, Dim)
        ):
            far.append(x)
    strip = s.shape.vectors * lanes_of(caps, c.width)
    if (
        far
        and rows <= _THIN
        and c.home() is not None
        and _known(s.lane.extent) > strip
        and depth > 2 * _DEPTH
    ):
        return replace(s, depth=_DEPTH, strips=max(_ROW // strip, 1))
    tiles = -(-rows // s.shape.rows)
    movable = [x for x in far if x.dtype.is_float and x.dtype.bits == c.width]
    fixed = any(s.tile is not None and s.tile.name in x.symbols() for x in movable)
    if movable and not fixed and tiles * _FAR > _COPY + _FAR and depth >= 16:
        s = replace(s, packed=(*s.packed, *movable))
    return _bounded(c, caps, s)


def _bounded(c: Contraction, caps: Capabilities, s: Schedule) -> Schedule:
    """Blocks of the sum so deep that the packed strips keep to the stack they may take."""
    if not s.packed:
        return s
    strip = s.shape.vectors * max(caps.max_lanes * 32 // c.width, 1) * c.total.dtype.bytes * len(s.packed)
    extent = c.over[0].extent
    blocked = c.home() is not None and not s.flipped
    if blocked and _scattered(c, caps, s):
        many = min(_TOGETHER, -(-_known(s.lane.extent) * c.total.dtype.bytes // strip))
        return replace(s, depth=_split(extent, max(caps.stack // strip // many, 16)), strips=many)
    most = max(caps.stack // strip, 16)
    again = s.tile is not None and _known(s.tile.extent) > s.shape.rows
    if blocked and again and _known(extent) * strip > caps.cache[0]:  # read from a near cache by every tile
        most = max(caps.cache[0] // 2 // strip, 16)
    if isinstance(extent, int) and extent <= most:
        return s
    if not blocked:
        return replace(s, packed=(), turned=(), cost=float("inf")) if s.turned else replace(s, packed=())
    return replace(s, depth=_split(extent, most))


def _scattered(c: Contraction, caps: Capabilities, s: Schedule) -> bool:
    """Whether what the rows of a tile read is too much to stay in a cache until the next strip."""
    if s.tile is None:
        return False
    rows, depth = _known(s.tile.extent), _known(c.over[0].extent)
    return rows * depth * c.total.dtype.bytes > caps.cache[1] and rows > s.shape.rows


def _split(extent: Size, most: int) -> int:
    """The depth of blocks of at most `most`, as even as can be."""
    if not isinstance(extent, int):
        return most
    return -(-extent // -(-extent // most))


def _along_the_sum(c: Contraction, caps: Capabilities) -> float:
    """Cycles with lanes along the sum, or of plain loops where they cannot run along it."""
    outputs = prod(_known(a.extent) for a in c.rows)
    depth = prod(_known(a.extent) for a in c.over)
    if along_the_sum(c):
        width = lanes_of(caps, c.width)
        inner = _known(c.over[-1].extent)
        return outputs * (depth / inner * -(-inner // width) * 0.75 + _SIDEWAYS)
    return outputs * depth * 2.0


def along_the_sum(c: Contraction) -> bool:
    """Whether lanes can run along the sum: every operand lies in order there."""
    steps = [stride(x, c.over[-1].name) for x in c.loads]
    return all(x in (0, 1) for x in steps) and 1 in steps and not c.guarded


def _known(x: Size) -> int:
    return x if isinstance(x, int) else _UNKNOWN


def _whole(axis: Axis) -> bool:
    return isinstance(axis.extent, int)


def lanes_of(caps: Capabilities, width: int) -> int:
    """Lanes of `width`-bit elements: exactly, or what a target that is not known yet may be taken for."""
    return max((caps.max_lanes if caps.exact else 8) * 32 // width, 1)


@lru_cache(maxsize=4096)
def best_tile(
    rows: int, columns: int, depth: int, caps: Capabilities, width: int, open_: bool
) -> tuple[Tile, float]:
    """The tile with which rows × columns sums of `depth` products take the fewest cycles, and these.

    `open_`: the number of rows is not known, so that the tile is a power of two, which leaves simple remainders.
    """
    lanes = lanes_of(caps, width)
    best: tuple[float, Tile] | None = None
    most = max(1, -(-columns // lanes))
    for vectors in range(1, min(most, 14 if caps.exact else 2) + 1):
        limit = (caps.registers - 1 - vectors) // vectors
        if limit < 1:
            break
        limit = min(limit, 12 if vectors == 2 else 14)
        sizes = {min(limit, rows)} if not open_ else {1 << (limit.bit_length() - 1)}
        for size in sizes:
            cycles, kinds = 0.0, 0
            for count, width_ in _strips(columns, lanes, vectors):
                for number, height in _heights(rows, size):
                    cycles += count * number * tile_cycles(height, width_, depth, caps, width)
                    kinds += 1
            cycles *= 1 + _KIND * kinds
            if best is None or cycles < best[0]:
                best = (cycles, Tile(size, vectors))
    assert best is not None
    return best[1], best[0]


def _strips(columns: int, lanes: int, vectors: int) -> list[tuple[int, int]]:
    """(how many, vectors) of the strips that make `columns`."""
    full, rest = divmod(-(-columns // lanes), vectors)
    return [(n, v) for n, v in ((full, vectors), (1, rest)) if n and v]


def _heights(rows: int, size: int) -> list[tuple[int, int]]:
    return [(n, r) for n, r in even(rows, size) if n and r]


def even(rows: int, size: int) -> list[tuple[int, int]]:
    """(how many, rows) of the tiles of at most `size` rows, as even as can be."""
    count = -(-rows // size) if rows else 0
    if not count:
        return []
    low, more = divmod(rows, count)
    return [(n, r) for n, r in ((more, low + 1), (count - more, low)) if n]


def tile_cycles(rows: int, vectors: int, depth: int, caps: Capabilities, bits: int) -> float:
    """Cycles of one register tile: bound by multiply-adds, by loads, by the latency of a chain, or by the strip that the vectors
    come from where that does not stay in the nearest cache; then its results.
    """
    work = rows * vectors
    step = max(work / caps.ports, (rows + vectors) / caps.ports, caps.latency)
    strip = vectors * lanes_of(caps, bits) * bits // 8
    for size, bytes_per_cycle in zip(caps.cache, caps.bandwidth, strict=True):
        if strip * depth > size:
            step = max(step, strip / bytes_per_cycle)
    return step * depth + 1.5 * work + 12


def rows_of(extent: Size, size: int) -> list[tuple[Size, Size, int]]:
    """(start, stop, rows of a tile) of the loops over the tile axis.

    A constant extent is split evenly; one that is not known runs in tiles of `size`, a power of two, then of its quarters.
    """
    if isinstance(extent, int):
        out: list[tuple[Size, Size, int]] = []
        start = 0
        for count, rows in even(extent, size):
            out.append((start, start + count * rows, rows))
            start += count * rows
        return out
    segments: list[tuple[Size, Size, int]] = []
    begin: Size = 0
    while size:
        end = dims.floordiv(extent, size) * size
        segments.append((begin, end, size))
        begin, size = end, max(size // 4, 1) if size > 1 else 0
    return segments
