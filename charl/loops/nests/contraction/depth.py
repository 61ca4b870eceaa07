"""How deep the blocks of a sum are, how many strips share one, and where what is packed for them lies.

Enters: a `Contraction` and a `Schedule` with its tile and packed operands. Leaves: the same with blocks. What is packed keeps to
the stack that a kernel may take, an array for each thread; of many rows it lies in the workspace, and threads share it. A block
is so deep and so wide that the least passes between the caches.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

from charl.backends.capabilities import Capabilities
from charl.graph.scalar import Load
from charl.loops.nests.contraction.ahead import depth_of_parts, read_behind
from charl.loops.nests.contraction.cycles import FETCH, LINE, Tile, known, lanes_of, moved, split
from charl.loops.nests.contraction.form import Contraction, far_loads, stride
from charl.loops.nests.contraction.schedule import Schedule

_THIN = 4  # rows up to which weights are read once only, so that the order of memory decides
_FEW = 4  # tiles for which packing takes as long as reading again
_TOGETHER = 4  # strips that share a block of a large product
_LEAST = 128  # elements of the sum in a block in the workspace, at least where there are as many
_AGAIN = 4  # times as long tiles wait for results that leave the second cache between blocks
_FOUND = 12  # cycles in which a tile comes to one of the rows of an operand that lie far apart, and are not in the second cache
_HELD = 0.25  # share of the time in which results come and go between blocks that such tiles wait for
_IN_ORDER = 0.1  # share of the time in which an operand comes that tiles wait for, where it is read in order
_STREAMED = 192  # elements of the sum, at most, of a block whose tiles ask for the next one
_RUN = 8  # elements of the sum between two requests, where blocks can have them: the ends of shorter loops are not foreseen
_MANY = 24  # tiles that are enough for threads to divide, and for a loop of its own that packs
_BESIDE = 16  # strips beside one another in a row of results that is written to memory
_ROW = 4096  # results that take such a block in turn: they stay in the nearest cache
# Elements of the sum that one pass over the results of such a thin product takes, times its rows, and at least. Fewer passes
# write less often to lines of the results that two threads share.
_DEPTH, _SHALLOW = 16, 8
_SHARED = 2  # times the second cache: from there on an operand comes faster to several threads


def blocked(c: Contraction, caps: Capabilities, s: Schedule, far: list[Load]) -> Schedule:
    """The depth of blocks: of few rows whose weights come from memory once, and of what is packed."""
    rows = 1 if s.tile is None else known(s.tile.extent)
    depth, columns = prod(known(a.extent) for a in c.over), known(s.lane.extent)
    if far and not s.packed and not s.flipped and rows <= _THIN and len(c.over) == 1 and c.home() is not None:
        strip = 2 * lanes_of(caps, c.width)
        size = depth * columns * c.total.dtype.bytes
        streamed = size > caps.cache[1]
        deep = max(_DEPTH // rows, _SHALLOW)
        if streamed and columns > strip and depth > _SHALLOW and not c.guarded:
            shape = Tile(s.shape.rows if s.tile is None else min(rows, _THIN), 2)
            wide = max(_ROW // (strip * rows), 1)
            return replace(s, shape=shape, depth=deep, strips=wide, divided=size > _SHARED * caps.cache[1])
    return _bounded(c, caps, s)


def _bounded(c: Contraction, caps: Capabilities, s: Schedule) -> Schedule:
    """Blocks of the sum so deep that the packed strips keep to the stack they may take."""
    if not s.packed:
        return s
    width = s.shape.vectors * max(caps.max_lanes * 32 // c.width, 1) * c.total.dtype.bytes
    turn = width * len(s.packed) * prod(known(a.extent) for a in c.over[1:])  # of the sum's outermost loop
    extent = c.over[0].extent
    tile = s.tile.extent if s.tile is not None else 1
    waits = c.home() is None
    room = caps.stack
    if waits:  # for the sums
        room -= tile * width if isinstance(tile, int) else room
    fits = not s.flipped and turn <= room
    if fits and (deep := _streamed(c, caps, s)):
        return replace(s, depth=deep, strips=_everywhere(c, caps, s), divided=True, streamed=True)
    s = replace(s, as_read=fits and _as_read(c, caps, s))
    if not s.flipped and (shared := _shared(c, caps, s, turn)):
        return shared
    if fits and _scattered(c, caps, s):
        many = min(_TOGETHER, -(-known(s.lane.extent) * c.total.dtype.bytes // width))
        many = max(min(many, caps.stack // 2 // (known(tile) * width)), 1) if waits else many
        room = caps.stack - (known(tile) * width * many if waits else 0)
        most = max(room // turn // many, 1)
        return replace(s, depth=split(extent, most), strips=many, waits=waits)
    tiles = -(-known(tile) // s.shape.rows)
    most = caps.stack // turn
    if fits and not waits and 1 < tiles <= _FEW and known(extent) * turn > caps.cache[0]:
        most = max(caps.cache[0] // turn, 1)  # what is packed for few tiles does not leave the nearest cache
    if isinstance(extent, int) and extent <= most:
        return replace(s, strips=_side_by_side(c, caps, s, turn * extent)) if not s.flipped else s
    if not fits:
        return replace(s, packed=(), turned=(), cost=float("inf")) if s.turned else replace(s, packed=())
    return replace(s, depth=split(extent, max(min(most, room // turn), 1)), waits=waits)


def _as_read(c: Contraction, caps: Capabilities, s: Schedule) -> bool:
    """Whether the first tile of a block packs it. For many tiles of an operand that comes from behind the second cache a loop
    of its own is better: it waits for more rows at once.
    """
    if s.turned or s.tile is None or not isinstance(s.tile.extent, int) or s.shape.rows < 2:
        return False
    near = known(s.lane.extent) * prod(known(a.extent) for a in c.over) * c.total.dtype.bytes <= caps.cache[1]
    return near or s.tile.extent < _MANY * s.shape.rows


def _shared(c: Contraction, caps: Capabilities, s: Schedule, turn: int) -> Schedule | None:
    """Blocks in the workspace, for so many rows that threads can divide them: the whole sum of a strip if that fits, so that no
    result is visited twice, else as deep as fits; of short sums several strips. They are for rows that leave the second cache
    until the next strip: what another core has packed comes from there. And for sums behind which tiles read from memory, which
    then comes in longer runs. Rows whose number is not known count as many where the packed operand lies behind the second cache,
    from where wide blocks come faster.
    """
    rows = known(s.tile.extent) if s.tile else 1
    inside = prod(known(a.extent) for a in c.over[1:])
    away = rows * known(c.over[0].extent) * inside * c.total.dtype.bytes >= caps.cache[1]
    if s.tile is not None and not isinstance(
        s.tile.extent, int
    ):  # there may be more, and wide blocks are packed faster
        away |= known(s.lane.extent) * known(c.over[0].extent) * inside * c.total.dtype.bytes > caps.cache[1]
    if rows <= (_MANY - 1) * s.shape.rows or turn > caps.packed or not (away or read_behind(c, caps, s)):
        return None
    extent, most = c.over[0].extent, caps.packed // turn
    scattered = bool(far_loads(c, caps, [x for x in c.loads if stride(x, s.lane.name) == 0], []))
    if scattered:
        # a line of each of their rows stays in the nearest cache until the next tile takes its rest
        most = min(most, max(caps.cache[0] // 2 // LINE // inside, 1))
    everywhere = _everywhere(c, caps, s)
    best: tuple[float, int, int] | None = None
    for strips in range(1, everywhere + 1):
        depth = split(extent, max(min(most, caps.packed // (turn * strips)), 1))
        blocks = -(-known(extent) // depth)
        if strips > 1 and depth * inside < min(_LEAST, known(extent) * inside):
            break
        if c.home() is None and not (blocks == 1 and isinstance(extent, int)):
            continue
        operand = moved(caps, rows * known(extent) * inside * c.total.dtype.bytes, -(-everywhere // strips))
        results = rows * strips * s.shape.vectors * lanes_of(caps, c.width) * c.total.dtype.bytes
        if scattered:
            visits = -(-rows // s.shape.rows) * known(extent) * inside * -(-everywhere // strips)
            cost = max(operand, _FOUND * visits)
            cost += _HELD * moved(caps, results, 2 * (blocks - 1) * everywhere / strips)
        else:
            wait = _AGAIN if results + turn * strips * depth > caps.cache[1] else 1
            cost = _IN_ORDER * operand + wait * FETCH[1] * (blocks - 1) * everywhere * rows
        if best is None or cost < best[0]:
            best = cost, depth, strips
    if best is None:
        return None
    _, depth, strips = best
    return replace(s, depth=None if depth == extent else depth, strips=strips, shared=True)


def _streamed(c: Contraction, caps: Capabilities, s: Schedule) -> int | None:
    """The depth of blocks whose tiles ask for what is packed next, of a large operand that comes from memory once.

    All strips of a block come before the next block, so that what tiles read of the other operand stays in the second cache: of
    more rows it would not, but many tiles make up for packing that waits. Each block but the first visits the results once more.
    """
    if s.turned or len(s.packed) != 1 or len(c.over) != 1 or s.tile is None or c.limits or c.home() is None:
        return None
    sizes = (c.over[0].extent, s.tile.extent, s.lane.extent)
    if not all(isinstance(x, int) for x in sizes) or not caps.exact:
        return None
    depth, rows, columns = (known(x) for x in sizes)
    if depth * columns * c.total.dtype.bytes <= caps.cache[1] or rows <= s.shape.rows:
        return None
    fitting = [n for n in range(_STREAMED // 2 + 1, _STREAMED + 1) if depth % n == 0]
    tiles = -(-rows // s.shape.rows)
    most = max(fitting, key=lambda n: (depth_of_parts(n, tiles) >= _RUN, n), default=0)
    if not most or rows * most * c.total.dtype.bytes > caps.cache[1] // 4:
        return None
    if rows >= _MANY * s.shape.rows and read_behind(c, caps, s):  # which takes longer runs of whole sums
        return None
    return most if rows * (depth // most - 1) < 1.4 * depth else None


def _everywhere(c: Contraction, caps: Capabilities, s: Schedule) -> int:
    """Strips of the lane axis."""
    return -(-known(s.lane.extent) // (s.shape.vectors * lanes_of(caps, c.width)))


def _side_by_side(c: Contraction, caps: Capabilities, s: Schedule, packed: int) -> int:
    """Strips that each tile takes in turn, where results go to memory: rows of them are then written in longer runs."""
    results = prod(known(a.extent) for a in c.rows) * c.total.dtype.bytes
    return max(min(caps.cache[0] // 2 // packed, _BESIDE), 1) if results > caps.cache[1] else 1


def _scattered(c: Contraction, caps: Capabilities, s: Schedule) -> bool:
    """Whether what the rows of a tile read is too much to stay in a cache until the next strip."""
    if s.tile is None:
        return False
    rows, depth = known(s.tile.extent), prod(known(a.extent) for a in c.over)
    return rows * depth * c.total.dtype.bytes > caps.cache[1] and rows > s.shape.rows
