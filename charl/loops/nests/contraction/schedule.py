"""The choice for a contraction: along which axis lanes run, the register tile, what is packed, how sums are blocked.

Enters: a `Contraction` and capabilities. Leaves: the cheapest `Schedule` by one cost model, or None where lanes cannot run
along an output axis or cost more than along the sum. Costs are cycles; a size that is not known counts as `_UNKNOWN`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Load
from charl.loops.nests.axes import HOPS, Axis
from charl.loops.nests.contraction.form import Contraction, stride

Size = int | Dim

_UNKNOWN = 256
TURN = 0.4  # cycles to transpose an element between nearby arrays
_COPY = 0.1  # and to copy one in order, of rows that take a pair of cache lines; twice that of longer rows
_SIDEWAYS = 6.0  # to add up the lanes of one sum
_LINE = 64  # bytes of a cache line
_PAIR = 128  # bytes of two cache lines, which come together
# Of a row of a strip that is packed, from the second cache and from behind it.
_FETCH = (5.0, 24.0)
_VISIT = 3.0  # each time a tile comes to a row of an operand whose rows lie far apart
_KIND = 0.006  # share of the cycles that another kind of tile must save, for the code it takes
_THIN = 4  # rows up to which weights are read once only, so that the order of memory decides
ROW_LOAD, LANE_LOAD = 0.08, 0.06  # cycles by which each load delays a register tile's step
_FOLDED = 3  # rows up to which compilers take the vectors from memory for every multiply-add
_GATHER = 8.0  # cycles of such a load; those of every other element come from two loads
_FEW = 4  # tiles for which packing takes as long as reading again
_TOGETHER = 4  # strips that share a block of a large product
_LEAST = 128  # elements of the sum in a block in the workspace, at least where there are as many
_AGAIN = 4  # times as long results take to come as an operand that is read in order: a tile waits for them
_MANY = 24  # tiles that are enough for threads to divide, and for a loop of its own that packs
_BESIDE = 16  # strips beside one another in a row of results that is written to memory
_ROW = 4096  # results that take such a block in turn: they stay in the nearest cache
_DEPTH = 4  # elements of the sum that one pass over the results of such a thin product takes


@dataclass(frozen=True)
class Tile:
    """`rows` of the tile axis × `vectors` of the lane axis in registers."""

    rows: int
    vectors: int


@dataclass(frozen=True)
class Windows:
    """What `windows` copies: `load`, for all lanes along `axes` of the results, `step` of the first at once, in rows of `room`
    elements; of `images` neighbours along the axis `beside` together.
    """

    load: Load
    axes: tuple[Axis, ...]
    step: int
    beside: Axis | None
    images: int = 1
    room: int = 0


@dataclass(frozen=True)
class Panels:
    """What `panels` keeps: a register tile takes `counts` elements along each of `tiles`, the last axes of the results; sums of
    `chunk` elements of the first of them wait together. Blocks take turns of the sum's loop number `split_at`, in those before.
    """

    tiles: tuple[Axis, ...]
    counts: tuple[int, ...]
    chunk: int
    split_at: int


@dataclass(frozen=True)
class Schedule:
    """`lane`, `tile`: the axes in registers; the rest of the output axes, `outer`, are loops around. `packed`: loads that are
    copied to strips of the lane axis, `turned`: those among them that lie along the sum. `depth`: elements of the sum to a
    block, between which the sums wait in memory; None where one register holds the whole sum. `strips`: strips of the lane axis
    that share a block. `waits`: between blocks the sums wait in an array, as no result can hold them. `as_read`: the first
    tile of a block reads the operands where they lie and packs them meanwhile. `shared`: packed blocks lie in the workspace,
    and threads share the tiles that use one; otherwise each thread has blocks of its own on its stack. `flipped`: results
    leave transposed. `also`: a further axis, of which a register tile takes so many elements.
    """

    lane: Axis
    tile: Axis | None
    outer: tuple[Axis, ...]
    shape: Tile
    packed: tuple[Load, ...] = ()
    turned: tuple[Load, ...] = ()
    depth: Size | None = None
    strips: int = 1
    waits: bool = False
    as_read: bool = False
    shared: bool = False
    flipped: bool = False
    windows: Windows | None = None
    panels: Panels | None = None
    also: tuple[Axis, int] | None = None
    cost: float = 0.0


def choose(c: Contraction, caps: Capabilities, found: Sequence[Schedule]) -> Schedule | None:
    """The cheapest schedule of those found; None where lanes along the sum, or plain loops, are better."""
    if not found:
        return None
    best = min(found, key=lambda s: s.cost)
    return best if best.cost <= _along_the_sum(c, caps) else None


def schedules(c: Contraction, caps: Capabilities) -> Iterator[Schedule]:
    """Those of a product: with lanes along one axis and register tiles over another."""
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
        if not _packable(c) or stride(load, c.over[-1].name) != 1:
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
    far = _far(c, caps, reads, packed)
    movable = [x for x in far if x.dtype.is_float and x.dtype.bits == c.width]
    if flipped or not _packable(c) or any(tile and tile.name in x.symbols() for x in movable):
        movable = []
    columns = _known(lane.extent)
    extents = Extents(
        rows,
        columns,
        depth,
        tile is None or _whole(tile),
        _masked(c, lane, tile),
        bool(packed) and not flipped,
    )
    shape, cycles, moves = best_tile(extents, caps, c.width, len(far), len(movable))
    vectors = -(-columns // lanes_of(caps, c.width))
    tiles = -(-rows // shape.rows)
    cycles += hops * tiles * vectors * depth
    cycles += len(packed) * TURN * columns * depth + (TURN + 0.1) * rows * columns * flipped
    base = replace(base, shape=shape, packed=(*base.packed, *movable) if moves else base.packed)
    s = _blocked(c, caps, base, far)
    others = [x for x in c.loads if x not in reads]
    turns = -(
        -vectors // (shape.vectors * (s.strips if s.shared else 1))
    )  # in which all tiles come to their rows
    lines = [_lines(x, tile, shape.rows) for x in _far(c, caps, others, [])]
    visit = _FETCH[1] if rows * depth * c.total.dtype.bytes > caps.cache[1] else _VISIT
    cycles += visit * sum(lines) * tiles * turns * depth
    cycles = max(cycles, moved(caps, rows * depth * c.total.dtype.bytes, turns))
    yield replace(s, cost=s.cost + cycles * prod(_known(a.extent) for a in outer))


def _masked(c: Contraction, lane: Axis, tile: Axis | None) -> tuple[tuple[bool, bool, int], ...]:
    """What `Extents` knows of masks: those whose edge runs across the tiles, or across the sum."""
    out = []
    for limit in c.limits:
        rows, columns = (a is not None and a.name in dims.symbols(limit) for a in (tile, lane))
        crossed = [a.extent for a in (*c.rows, *c.over) if a.name in dims.symbols(limit)]
        if len(crossed) > 1:
            out.append((rows, columns, max(map(_known, crossed))))
    return tuple(out)


def _tile_axis(c: Contraction, lane: Axis, reads: list[Load], flipped: bool) -> Axis | None:
    """The axis along which vectors are read again; of several the last, which results run along where they are flipped."""
    free = [a for a in c.rows if a is not lane and not any(a.name in x.symbols() for x in reads)]
    if flipped and c.rows[-1] not in free:
        return None
    return free[-1] if free else None


def _packable(c: Contraction) -> bool:
    """Whether operands can be copied to arrays of a known size for a turn of the sum's outermost loop."""
    return not c.guarded and all(isinstance(a.extent, int) for a in c.over[1:])


def _far(c: Contraction, caps: Capabilities, reads: list[Load], packed: list[Load]) -> list[Load]:
    """Loads along the lanes whose neighbours along the sum lie on other pages."""
    found = []
    for x in reads:
        step = stride(x, c.over[-1].name)
        if x not in packed and (isinstance(step, Dim) or (step or 0) * c.total.dtype.bytes >= caps.far):
            found.append(x)
    return found


def _lines(x: Load, tile: Axis | None, rows: int) -> float:
    """Cache lines that the rows of a tile take of a load, on average."""
    step = stride(x, tile.name) if tile is not None else 0
    return min(rows, 1 / 16 + rows * step / 16) if isinstance(step, int) else rows


def _blocked(c: Contraction, caps: Capabilities, s: Schedule, far: list[Load]) -> Schedule:
    """The depth of blocks: of few rows whose weights come from memory once, and of what is packed."""
    rows = 1 if s.tile is None else _known(s.tile.extent)
    depth, columns = prod(_known(a.extent) for a in c.over), _known(s.lane.extent)
    if far and not s.packed and not s.flipped and rows <= _THIN and len(c.over) == 1 and c.home() is not None:
        strip = 2 * lanes_of(caps, c.width)
        streamed = depth * columns * c.total.dtype.bytes > caps.cache[1]
        if streamed and columns > strip and depth > 2 * _DEPTH and not c.guarded:
            shape = Tile(s.shape.rows if s.tile is None else min(rows, _THIN), 2)
            return replace(s, shape=shape, depth=_DEPTH, strips=max(_ROW // (strip * rows), 1))
    return _bounded(c, caps, s)


def _bounded(c: Contraction, caps: Capabilities, s: Schedule) -> Schedule:
    """Blocks of the sum so deep that the packed strips keep to the stack they may take."""
    if not s.packed:
        return s
    width = s.shape.vectors * max(caps.max_lanes * 32 // c.width, 1) * c.total.dtype.bytes
    turn = width * len(s.packed) * prod(_known(a.extent) for a in c.over[1:])  # of the sum's outermost loop
    extent = c.over[0].extent
    tile = s.tile.extent if s.tile is not None else 1
    waits = c.home() is None
    room = caps.stack
    if waits:  # for the sums
        room -= tile * width if isinstance(tile, int) else room
    blocked = not s.flipped and turn <= room
    s = replace(s, as_read=blocked and _as_read(c, caps, s))
    if not s.flipped and (shared := _shared(c, caps, s, turn)):
        return shared
    if blocked and _scattered(c, caps, s):
        many = min(_TOGETHER, -(-_known(s.lane.extent) * c.total.dtype.bytes // width))
        many = max(min(many, caps.stack // 2 // (_known(tile) * width)), 1) if waits else many
        room = caps.stack - (_known(tile) * width * many if waits else 0)
        most = max(room // turn // many, 1)
        return replace(s, depth=split(extent, most), strips=many, waits=waits)
    tiles = -(-_known(tile) // s.shape.rows)
    most = caps.stack // turn
    if blocked and not waits and 1 < tiles <= _FEW and _known(extent) * turn > caps.cache[0]:
        most = max(caps.cache[0] // turn, 1)  # what is packed for few tiles does not leave the nearest cache
    if isinstance(extent, int) and extent <= most:
        return replace(s, strips=_side_by_side(c, caps, s, turn * extent)) if not s.flipped else s
    if not blocked:
        return replace(s, packed=(), turned=(), cost=float("inf")) if s.turned else replace(s, packed=())
    return replace(s, depth=split(extent, max(min(most, room // turn), 1)), waits=waits)


def _as_read(c: Contraction, caps: Capabilities, s: Schedule) -> bool:
    """Whether the first tile of a block packs it. For many tiles of an operand that comes from behind the second cache a loop
    of its own is better: it waits for more rows at once.
    """
    if s.turned or s.tile is None or not isinstance(s.tile.extent, int) or s.shape.rows < 2:
        return False
    near = (
        _known(s.lane.extent) * prod(_known(a.extent) for a in c.over) * c.total.dtype.bytes <= caps.cache[1]
    )
    return near or s.tile.extent < _MANY * s.shape.rows


def _shared(c: Contraction, caps: Capabilities, s: Schedule, turn: int) -> Schedule | None:
    """Blocks in the workspace, for so many rows that threads can divide them: the whole sum of a strip if that fits, so that no
    result is visited twice, else as deep as fits; of short sums several strips. They are for rows that leave the second cache
    until the next strip: what another core has packed comes from there.
    """
    rows = _known(s.tile.extent) if s.tile else 1
    inside = prod(_known(a.extent) for a in c.over[1:])
    away = rows * _known(c.over[0].extent) * inside * c.total.dtype.bytes >= caps.cache[1]
    if rows <= (_MANY - 1) * s.shape.rows or turn > caps.packed or not away:
        return None
    extent, most = c.over[0].extent, caps.packed // turn
    if _far(c, caps, [x for x in c.loads if stride(x, s.lane.name) == 0], []):
        # a line of each of their rows stays in the nearest cache until the next tile takes its rest
        most = min(most, max(caps.cache[0] // 2 // _LINE // inside, 1))
    everywhere = -(-_known(s.lane.extent) // (s.shape.vectors * lanes_of(caps, c.width)))
    best: tuple[float, int, int] | None = None
    for strips in range(1, everywhere + 1):
        depth = split(extent, max(min(most, caps.packed // (turn * strips)), 1))
        blocks = -(-_known(extent) // depth)
        if strips > 1 and depth * inside < min(_LEAST, _known(extent) * inside):
            break
        if blocks > 1 and c.home() is None:
            continue
        operand = moved(caps, rows * _known(extent) * inside * c.total.dtype.bytes, -(-everywhere // strips))
        results = rows * strips * s.shape.vectors * lanes_of(caps, c.width) * c.total.dtype.bytes
        again = 2 * (blocks - 1) * everywhere / strips
        wait = _AGAIN if results > caps.cache[1] else 1
        cost = operand + wait * moved(caps, results, again)
        if best is None or cost < best[0]:
            best = cost, depth, strips
    if best is None:
        return None
    _, depth, strips = best
    return replace(s, depth=None if depth == extent else depth, strips=strips, shared=True)


def moved(caps: Capabilities, size: int, times: float) -> float:
    """Cycles in which an array of `size` bytes comes so often from the cache that holds it."""
    near = next((n for n, cache in enumerate(caps.cache) if size <= cache), len(caps.cache))
    return times * size / caps.bandwidth[near - 1] if near else 0.0


def _side_by_side(c: Contraction, caps: Capabilities, s: Schedule, packed: int) -> int:
    """Strips that each tile takes in turn, where results go to memory: rows of them are then written in longer runs."""
    results = prod(_known(a.extent) for a in c.rows) * c.total.dtype.bytes
    return max(min(caps.cache[0] // 2 // packed, _BESIDE), 1) if results > caps.cache[1] else 1


def _scattered(c: Contraction, caps: Capabilities, s: Schedule) -> bool:
    """Whether what the rows of a tile read is too much to stay in a cache until the next strip."""
    if s.tile is None:
        return False
    rows, depth = _known(s.tile.extent), prod(_known(a.extent) for a in c.over)
    return rows * depth * c.total.dtype.bytes > caps.cache[1] and rows > s.shape.rows


def split(extent: Size, most: int) -> int:
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


@dataclass(frozen=True)
class Extents:
    """Rows and columns of the results and the depth of the sums; `even` where the number of rows is known, `packed` where the
    operand along the columns is packed in any case.

    `masked`: for each triangle of terms that count (whether rows, and columns, move its edge, and how long that is).
    """

    rows: int
    columns: int
    depth: int
    even: bool
    masked: tuple[tuple[bool, bool, int], ...] = ()
    packed: bool = False

    def counted(self, rows: int, columns: int) -> int:
        """The depth of the sums of a tile, on average, where terms that do not count are left out of whole tiles."""
        shares = (0.5 + (rows * r + columns * c) / (2 * edge) for r, c, edge in self.masked)
        return max(round(self.depth * min(1.0, *shares)), 1) if self.masked else self.depth


@lru_cache(maxsize=4096)
def best_tile(e: Extents, caps: Capabilities, width: int, far: int, movable: int) -> tuple[Tile, float, bool]:
    """The tile with which all sums take the fewest cycles, these, and whether operands are packed for it.

    `far`: loads along the lanes whose rows lie far apart; `movable`: those among them that may be packed. Where the number of
    rows is not known the tile is a power of two, which leaves simple remainders.
    """
    lanes = lanes_of(caps, width)
    best: tuple[float, Tile, bool] | None = None
    most = max(1, -(-e.columns // lanes))
    for vectors in range(1, min(most, caps.registers // 2 if caps.exact else 2) + 1):
        # a single row's multiply-adds take the vectors from memory
        limit = max((caps.registers - 1 - vectors) // vectors, 1)
        limit = min(limit, 12 if vectors == 2 else 14)
        for size in _sizes(e, limit):
            cycles, visits = _all_tiles(e, size, vectors, caps, width)
            plain = cycles + _VISIT * visits * far
            cycles, visits = _all_tiles(replace(e, packed=True), size, vectors, caps, width)
            copy = (_COPY if vectors * lanes * width // 8 <= _PAIR else 2 * _COPY) * e.columns
            if e.even:
                copy = _FETCH[e.columns * e.depth * width // 8 > caps.cache[1]] * -(-most // vectors)
            copied = cycles + copy * e.depth * movable + _VISIT * visits * (far - movable)
            packs = movable > 0 and e.depth >= 16 and copied < plain
            cycles = copied if packs else plain
            if best is None or cycles < best[0]:
                best = (cycles, Tile(size, vectors), packs)
    assert best is not None
    return best[1], best[0], best[2]


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
    for count, strip in strips_of(e.columns, lanes, vectors):
        first = e.columns  # the first tile takes the operand from where all of it lies
        for number, height in _heights(e.rows, size):
            deep = e.counted(height, strip * lanes)
            cost = partial(tile_cycles, height, strip, deep, caps=caps, bits=width)
            block = max(caps.packed // (e.depth * width // 8), 1) if e.packed else strip * lanes
            near = cost(columns=min(strip * lanes, block))
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


def tile_cycles(rows: int, vectors: int, depth: int, columns: int, caps: Capabilities, bits: int) -> float:
    """Cycles of one register tile: bound by multiply-adds, by loads, by the latency of a chain, or by the operand that the
    vectors come from where `columns` of it do not stay in the nearest cache; then its results.
    """
    work = rows * vectors
    loads = rows + (work if rows <= _FOLDED else vectors)
    step = max(work / caps.ports, loads / caps.ports, caps.latency)
    strip = vectors * lanes_of(caps, bits) * bits // 8
    for size, bytes_per_cycle in zip(caps.cache, caps.bandwidth, strict=True):
        if columns * bits // 8 * depth > size:
            step = max(step, strip / bytes_per_cycle)
    delay = ROW_LOAD * rows + LANE_LOAD * vectors
    return (step + delay) * depth + 1.5 * work + 12


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
