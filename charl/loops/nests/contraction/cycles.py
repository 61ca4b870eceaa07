"""What register tiles cost, in cycles, and how axes are divided among them.

Enters: the extents of a contraction and capabilities. Leaves: the tile with which all sums take the fewest cycles, and what an
array costs that comes from a cache again and again. A size that is not known counts as `_UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import floor, prod, sqrt

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim

Size = int | Dim
# (start, stop, vectors, whether the last may be partial) of strips.
Segment = tuple[Size, Size, int, bool]

_UNKNOWN = 256
_COPY = 0.1  # and to copy one in order, of rows that take a pair of cache lines; twice that of longer rows
LINE = 64  # bytes of a cache line
_PAIR = 128  # bytes of two cache lines, which come together
# Of a row of a strip that is packed, from the second cache and from behind it.
FETCH = (5.0, 24.0)
VISIT = 3.0  # each time a tile comes to a row of an operand whose rows lie far apart
# The same where the row was asked for and lies no further than that from the next; of so many vectors at most.
_ASKED, _APART, _WIDE = 0.1, 2048, 4
# Between two lines that the second cache gives, or is asked for; each is asked for twice, to come near and to come that far.
_REQUEST, _REQUESTS = 2.2, 2
# The same on average where the operand takes more than half of that cache: too many of its pages may share sets of it, which
# is up to the system, and what was asked for is then gone before it is read.
_CROWDED = 0.12
# Of a line: to pack it when it was asked for; to have it come from the second cache once it is packed; and of the other operand,
# each time that all tiles come to it.
_PACKED, _NEAR, _PASS = 6.0, 0.1, 1.0
_KIND = 0.012  # share of the cycles that another kind of tile must save, for the code it takes
ROW_LOAD, LANE_LOAD = 0.08, 0.06  # cycles by which each load delays a register tile's step


@dataclass(frozen=True)
class Tile:
    """`rows` of the tile axis × `vectors` of the lane axis in registers."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class Extents:
    """Rows and columns of the results and the depth of the sums; `even` where the number of rows is known, `packed` where the
    operand along the columns is packed in any case, with `again` for many such results; `asked`: it is read where it lies, and
    tiles ask for its rows in time.

    `masked`: for each edge of the terms that count (whether rows, and columns, move it, how long it is, what share is inside).
    """

    rows: int
    columns: int
    depth: int
    even: bool
    masked: tuple[tuple[bool, bool, int, float], ...] = ()
    packed: bool = False
    asked: bool = False
    again: bool = False

    def counted(self, rows: int, columns: int, starts: Sequence[int]) -> int:
        """The depth of the sums of tiles of so many rows and columns in strips that begin at `starts`, on average, where terms
        that do not count are left out of whole tiles.
        """
        shares = (
            (
                sum(_reached(rows, s, edge, share) for s in starts) / len(starts)
                if r and c
                else min(share + (rows * r + columns * c) / (2 * edge), 1.0)
            )
            for r, c, edge, share in self.masked
        )
        return max(round(self.depth * prod(shares)), 1)


def _reached(rows: int, start: int, edge: int, share: float) -> float:
    """The share of rows whose tiles reach a strip that starts there, where a diagonal edge leaves so much of a square inside."""
    inside = min(max(share - 1 / (2 * edge), 0.0), 1.0)  # whole elements reach beyond it by half of one
    shift = edge * (1 - sqrt(2 - 2 * inside)) if inside > 0.5 else edge * (sqrt(2 * inside) - 1)
    tiles = max(floor((start - shift) / rows), 0)
    return 1 - min(tiles * rows, edge) / edge


@lru_cache(maxsize=4096)
def best_tile(
    e: Extents, caps: Capabilities, width: int, far: int, movable: int, wide: int = 0
) -> tuple[Tile, float, bool]:
    """The tile with which all sums take the fewest cycles, these, and whether operands are packed for it.

    `far`: loads along the lanes whose rows lie far apart; `movable`: those among them that may be packed; `wide`: vectors of
    the tile, where that is decided. Where the number of rows is not known the tile is a power of two, which leaves simple
    remainders.
    """
    lanes = lanes_of(caps, width)
    best: tuple[float, Tile, bool] | None = None
    most = max(1, -(-e.columns // lanes))
    fetch = FETCH[e.columns * e.depth * width // 8 > caps.cache[1]]
    for vectors in (wide,) if wide else widths(e.columns, lanes, caps):
        # a single row's multiply-adds take the vectors from memory
        limit = max((caps.registers - 1 - vectors) // vectors, 1)
        limit = min(limit, 12 if vectors == 2 else 14)
        for size in _sizes(e, limit):
            cycles, visits = _all_tiles(e, size, vectors, caps, width)
            plain = cycles + VISIT * visits * far
            strips = -(-most // vectors)
            if e.even and fetch > FETCH[0]:  # its first tile waits as long as a loop that packs
                plain += (fetch - VISIT) * strips * e.depth * movable
            cycles, visits = _all_tiles(replace(e, packed=True), size, vectors, caps, width)
            copy = (_COPY if vectors * lanes * width // 8 <= _PAIR else 2 * _COPY) * e.columns
            if e.even:
                copy = fetch * strips
            copied = cycles + copy * e.depth * movable + VISIT * visits * (far - movable)
            packs = movable > 0 and e.depth >= 16 and copied < plain
            cycles = copied if packs else plain
            if best is None or cycles < best[0]:
                best = (cycles, Tile(size, vectors), packs)
    assert best is not None
    return best[1], best[0], best[2]


def widths(columns: int, lanes: int, caps: Capabilities) -> range:
    """Vectors that a tile may have."""
    return range(1, min(max(1, -(-columns // lanes)), caps.registers // 2 if caps.exact else 2) + 1)


def asked_tile(e: Extents, caps: Capabilities, width: int, apart: int) -> tuple[Tile, float] | None:
    """The tile for an operand in rows so many bytes `apart` that are asked for in time, by each tile that reads them where they
    lie, or by the first, which packs them; cycles of all. None where no tile's vectors are whole cache lines: visits for parts
    of them lose.
    """
    lanes = lanes_of(caps, width)
    best: tuple[float, Tile] | None = None
    for vectors in widths(e.columns, lanes, caps)[:_WIDE]:
        if vectors * lanes * width // 8 % LINE:
            continue
        for size in _sizes(e, min((caps.registers - 1 - vectors) // vectors, 12)):
            tile = Tile(size, vectors)
            cycles, visits = _all_tiles(replace(e, asked=not e.packed), size, vectors, caps, width)
            if e.packed:
                cycles += _PACKED * -(-e.columns * width // 8 // LINE) * e.depth + panels_cycles(
                    e, tile, caps, width
                )
            else:
                cycles += _ASKED * max(apart / _APART, 1) * visits
                if e.columns * e.depth * width // 8 > caps.cache[1] // 2:
                    cycles += _CROWDED * visits * vectors * lanes * width // 8 // LINE
            if best is None or cycles < best[0]:
                best = cycles, tile
    return (best[1], best[0]) if best else None


def panels_cycles(e: Extents, tile: Tile, caps: Capabilities, width: int) -> float:
    """Cycles by which tiles take longer that read a packed operand from the second cache, in blocks that take a part of it."""
    lanes = lanes_of(caps, width)
    lines, passes = 0.0, 0
    for count, vectors in strips_of(e.columns, lanes, tile.vectors):
        strip = vectors * lanes * width // 8
        lines += count * strip / LINE
        passes += -(-count * strip * e.depth // caps.packed)
    tiles = -(-e.rows // tile.rows)
    return _NEAR * tiles * lines * e.depth + _PASS * passes * e.rows * e.depth * width / 8 / LINE


def packing_from_afar(e: Extents, caps: Capabilities, width: int, vectors: int) -> float:
    """Cycles that packing takes beside what `best_tile` counts, where operands and results do not stay in the second cache."""
    size = (e.rows * e.depth + e.depth * e.columns + e.rows * e.columns) * width // 8
    strips = -(-e.columns // (vectors * lanes_of(caps, width)))
    near = size <= caps.cache[1] or e.depth * e.columns * width // 8 > caps.cache[1]  # counted there
    return 0.0 if near else (FETCH[1] - FETCH[0]) * strips * e.depth


def _sizes(e: Extents, limit: int) -> list[int]:
    """Rows of a tile to look at: as many as can be, and those that divide all rows, whose tiles threads can share evenly."""
    if not e.even:
        return [1 << (limit.bit_length() - 1)]
    most = min(limit, e.rows)
    return [most, *(n for n in range(most - 1, 2 * most // 3, -1) if e.rows % n == 0)]


def _all_tiles(e: Extents, size: int, vectors: int, caps: Capabilities, width: int) -> tuple[float, int]:
    """Cycles of all tiles, and how often one of them comes to a row of an operand along the lanes."""
    lanes = lanes_of(caps, width)
    cycles, kinds, visits = 0.0, 0, 0
    begin = 0
    for count, strip in strips_of(e.columns, lanes, vectors):
        starts = range(begin, begin + count * strip * lanes, strip * lanes)
        begin = starts.stop
        first = 0 if e.again else e.columns  # the first tile takes the operand from where all of it lies
        for number, height in _heights(e.rows, size):
            deep = e.counted(height, strip * lanes, starts)
            cost = partial(tile_cycles, height, strip, deep, caps=caps, bits=width)
            block = max(caps.packed // (e.depth * width // 8), 1) if e.packed else strip * lanes
            least = _REQUEST * _REQUESTS * strip * lanes * width / 8 / LINE if e.asked else 0.0
            near = cost(columns=0 if e.asked else min(strip * lanes, block), least=least)
            cycles += count * (number * near + (cost(columns=first) - near if first else 0.0))
            visits += count * number * e.depth
            kinds += 1
            first = 0
    return cycles * (1 + _KIND * kinds), visits


def strips_of(columns: int, lanes: int, vectors: int) -> list[tuple[int, int]]:
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


def tile_cycles(
    rows: int, vectors: int, depth: int, columns: int, caps: Capabilities, bits: int, least: float = 0.0
) -> float:
    """Cycles of one register tile: bound by multiply-adds, by loads, by the latency of a chain, or by the operand that the
    vectors come from where `columns` of it do not stay in the nearest cache; then its results. A step takes `least` at least.
    """
    work = rows * vectors
    step = max(work / caps.ports, (rows + vectors) / caps.ports, caps.latency, least)
    strip = vectors * lanes_of(caps, bits) * bits // 8
    for size, bytes_per_cycle in zip(caps.cache, caps.bandwidth, strict=True):
        if columns * bits // 8 * depth > size:
            step = max(step, strip / bytes_per_cycle)
    delay = ROW_LOAD * rows + LANE_LOAD * vectors
    return (step + delay) * depth + 1.5 * work + 12


def exact_segments(extent: int, width: int, vectors: int, again: bool) -> Iterator[Segment]:
    """Strips of whole vectors. `again`: a last strip that is not full may begin earlier and compute some elements twice."""
    whole, rest = divmod(extent, width)
    if again and rest and whole:
        whole, rest = whole + 1, 0
    full, more = divmod(whole, vectors)
    if full and not more and full * vectors * width > extent:
        full, more = full - 1, vectors
    start = 0
    if full:
        start = full * vectors * width
        yield 0, start, vectors, False
    if more:
        yield max(min(start, extent - more * width), 0), min(start + more * width, extent), more, False
        start += more * width
    if rest:
        yield start, extent, 1, True


def rows_of(extent: Size, size: int) -> list[tuple[Size, Size, int]]:
    """(start, stop, rows of a tile) of the loops over the tile axis.

    A constant extent is split evenly; one that is not known runs in tiles of `size`, a power of two, then of half and so on.
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
        begin, size = end, size // 2
    return segments


def split(extent: Size, most: int) -> int:
    """The depth of blocks of at most `most`, as even as can be."""
    if not isinstance(extent, int):
        return most
    return -(-extent // -(-extent // most))


def moved(caps: Capabilities, size: int, times: float) -> float:
    """Cycles in which an array of `size` bytes comes so often from the cache that holds it."""
    near = next((n for n, cache in enumerate(caps.cache) if size <= cache), len(caps.cache))
    return times * size / caps.bandwidth[near - 1] if near else 0.0


def lanes_of(caps: Capabilities, width: int) -> int:
    """Lanes of `width`-bit elements: exactly, or what a target that is not known yet may be taken for."""
    return max((caps.max_lanes if caps.exact else 8) * 32 // width, 1)


def known(x: Size) -> int:
    return x if isinstance(x, int) else _UNKNOWN
