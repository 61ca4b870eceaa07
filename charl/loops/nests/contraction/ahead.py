"""What is read later is asked for while the sums of register tiles grow.

An optimizer's update of weights reads them and their moments from memory, a few lines of each row of a tile; a block of a large
operand is packed from as many pages as it has rows. No processor foresees either. The loop of the sum is cut into parts, and
each part asks for some rows of what its tile does with the sums, or of the block that is packed next. An operand that the
second cache holds need not be packed at all where each step of the sum asks for a row of it that is read some steps later,
which then is in the nearest one.
Nor is a tile of weights foreseen, a dozen rows far from one another: each turn asks for a line of the next one.

Enters: a `Contraction`, its `Schedule`, register tiles. Leaves: what is worth asking for, the sum in parts, and tiles that ask.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Const, Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Buffer, For, Prefetch, Simd, Stmt
from charl.loops.nests.axes import Axis
from charl.loops.nests.contraction.cycles import LINE
from charl.loops.nests.contraction.form import Contraction, stride
from charl.loops.nests.contraction.packing import Strip, Values
from charl.loops.nests.contraction.schedule import Schedule
from charl.plan.access import nodes_of

Size = int | Dim

_LEAST = 16  # elements of the sum in a part
# So far ahead of the sum an operand is asked for that is read where it lies, by tiles and by a row of its own: more do not
# stay in the nearest cache.
_ROWS, _ALONE = 8, 6


def read_behind(c: Contraction, caps: Capabilities, s: Schedule) -> tuple[Load, ...]:
    """What the epilogue of whole sums reads from behind the second cache in the order of the lanes, for each row of a tile."""
    known = s.tile is not None and all(isinstance(a.extent, int) for a in (s.tile, *c.over))
    if not known or not caps.exact or s.depth is not None or s.flipped or (c.limits and len(c.over) == 1):
        return ()
    assert s.tile is not None
    zero = Const(0.0, c.total.dtype)
    found: dict[Load, None] = {}
    for sink in c.sinks:
        value = rewrite(sink.value, lambda e: zero if e is c.total else None, Memo())
        behind = [x for x in nodes_of(value) if isinstance(x, Load)]
        if (
            len(c.over) > 1 and sink.buffer is not None
        ):  # short rows of many images: what is stored comes from there first
            behind.append(Load(sink.buffer, (sink.index,), sink.buffer.dtype))
        for x in behind:
            if not isinstance(x.source, Buffer):
                continue
            size = x.source.size
            along, down = (dims.coefficient(x.index[0], a.name) for a in (s.lane, s.tile))
            if along == 1 and down and isinstance(size, int) and size * x.dtype.bytes > caps.cache[1]:
                found[x] = None
    return tuple(found)


def read_next(c: Contraction, caps: Capabilities, lanes: Sequence[str], tile: Axis | None) -> Load | None:
    """What tiles read other rows of, each in the order of the sum, and come from behind the second cache."""
    if tile is None or not caps.exact or not isinstance(tile.extent, int):
        return None
    for x in c.loads:
        names = x.symbols()
        if tile.name not in names or not names.isdisjoint(lanes) or not isinstance(x.source, Buffer):
            continue
        size = x.source.size
        far = isinstance(size, int) and size * x.dtype.bytes > caps.cache[1]
        if far and stride(x, c.over[-1].name) == 1:
            return x
    return None


def asking_onward(
    tile: Sequence[Stmt],
    total: Reduce,
    s: Schedule,
    rows: Sequence[Size],
    ranges: Mapping[str, tuple[Size, Size]],
) -> tuple[Stmt, ...]:
    """A register tile whose sum asks for the rows of the next one, a line of one of them in each turn."""
    assert s.tile is not None and s.onward is not None
    found = [x for x in nodes_of(total.body) if isinstance(x, Load) and x.source is s.onward.source]
    name, _ = total.over[-1]
    line = LINE // s.onward.dtype.bytes
    if len(total.over) > 1 or len(found) != 1 or dims.coefficient(found[0].index[0], name) != 1:
        return tuple(tile)
    first = dims.minimum(rows[0] + len(rows), s.tile.extent - len(rows), ranges)
    turn = dims.mod(dims.sym(name), line)
    ask: list[Stmt] = []
    for n in range(0, len(rows), line):
        row = dims.minimum(turn + n, len(rows) - 1)
        env = {s.tile.name: first + row, name: dims.sym(name) - turn}
        ask.append(Prefetch(s.onward.source, dims.substitute(found[0].index[0], env)))
    return tuple(_in_loop(x, name, tuple(ask)) for x in tile)


@dataclass(frozen=True)
class Parts:
    """A sum over index `part`, `count` times, and over `inner` in it, `size` elements of the sum; of a sum over several axes the
    parts are the turns of the outermost loop. A sum that no such parts make is one, without a loop over parts.
    """

    total: Reduce
    part: str
    inner: str
    count: int
    size: int

    @property
    def index(self) -> Size:
        """The index of the whole sum."""
        before = dims.sym(self.part) * self.size if self.part else 0
        return before + (dims.sym(self.inner) if self.inner else 0)


def rows_in_parts(emitter: Emitter, total: Reduce, rows: int) -> Parts | None:
    """The sum of a tile of `rows` rows in equal parts, a row for each where its depth has such divisors."""
    (name, depth), *rest = total.over
    assert isinstance(depth, int)
    if rest:
        return Parts(total, name, "", depth, 1)
    count = max(n for n in range(1, rows + 1) if depth % n == 0)
    return None if count == 1 or depth // count < _LEAST else _parts(emitter, total, count)


def block_in_parts(emitter: Emitter, total: Reduce, tiles: int) -> Parts:
    """A block of the sum in equal parts, as many as `tiles` tiles need to ask for each row of the next block in one of them."""
    ((_, depth),) = total.over
    assert isinstance(depth, int)
    return _parts(emitter, total, depth // depth_of_parts(depth, tiles))


def depth_of_parts(depth: int, tiles: int) -> int:
    """Elements of the sum in such a part."""
    return depth // min(n for n in range(1, depth + 1) if depth % n == 0 and n * tiles >= depth)


def _parts(emitter: Emitter, total: Reduce, count: int) -> Parts:
    ((name, depth),) = total.over
    assert isinstance(depth, int)
    part, inner = (emitter.name(name.split(".")[0]) for _ in range(2))
    out = Parts(total, part, inner, count, depth // count)
    body = substitute(total.body, {name: out.index}, Memo())
    return replace(out, total=replace(total, over=((part, count), (inner, depth // count)), body=body))


def asking(
    tile: Sequence[Stmt], parts: Parts, s: Schedule, strip: Strip, rows: Values, lanes: int
) -> tuple[Stmt, ...]:
    """A register tile each part of whose sum asks for rows of what is read behind it."""
    assert s.tile is not None
    own = rows[s.tile.name]
    each = -(-len(own) // parts.count)
    ask: list[Stmt] = []
    for n in range(each):
        row = dims.minimum(dims.sym(parts.part) * each + n, len(own) - 1, {parts.part: (0, parts.count - 1)})
        places = {**rows, s.tile.name: [own[0] + row]}
        for load, chosen in product(s.ahead, product(*places.values())):
            at = dict(zip(places, chosen, strict=True))
            ask += _lines(load, at, s.lane.name, strip.start, strip.vectors * lanes, lanes)
    return tuple(_in_loop(x, parts.part, tuple(ask)) for x in tile)


def asking_rows(
    tile: Sequence[Stmt], step: tuple[str, Size], c: Contraction, s: Schedule, strip: Strip, lanes: int,
    packed: Load | None = None,
) -> tuple[Stmt, ...]:  # fmt: skip
    """A register tile each step of whose sum asks for a row of the operand that is read some steps later, and for the lines
    behind its own, which the next strip reads: behind the last strip those are the next row's, or none of the array's. `step`:
    (innermost loop, index of the sum). A single row, which waits for the second cache as it is, asks for what it reads itself;
    a tile that reads it `packed` for its rows there.

    A sum in parts could leave out what is asked for in vain, and costs more: processors do not foresee the ends of short loops.
    """
    assert s.asks is not None
    (loop, index), (axis,) = step, c.over
    width = strip.vectors * lanes
    if packed is not None:
        ask = _lines(packed, {axis.name: index + _ROWS}, s.lane.name, strip.start, width, lanes, near=True)
    elif s.tile is None:
        row = dims.minimum(index + _ALONE, axis.extent - 1, {loop: (0, axis.extent - 1)})
        ask = _lines(s.asks, {axis.name: row}, s.lane.name, strip.start, width, lanes, near=True)
    else:
        ask = _lines(s.asks, {axis.name: index + _ROWS}, s.lane.name, strip.start, width, lanes, near=True)
        ask += _lines(s.asks, {axis.name: index}, s.lane.name, strip.start + width, width, lanes)
    return tuple(_in_loop(x, loop, ask) for x in tile)


def asking_tile(
    tile: Sequence[Stmt], step: tuple[str, Size], c: Contraction, s: Schedule, strip: Strip, strips: int, rows: Sequence[Size],
    ranges: Mapping[str, tuple[Size, Size]],
) -> tuple[Stmt, ...]:  # fmt: skip
    """One of so many strips of a register tile, which asks for its share of what the next tile reads along the sum."""
    assert s.tile is not None
    (loop, index), (axis,) = step, c.over
    each = -(-len(rows) // strips)
    ask: list[Stmt] = []
    for load in c.loads:
        down, along = (dims.coefficient(load.index[0], a.name) for a in (s.tile, axis))
        if load == s.asks or along != 1 or not down:
            continue
        for n in range(each):
            row = dims.minimum(strip.place * each + n, len(rows) - 1, ranges)
            row = dims.minimum(rows[0] + len(rows) + row, s.tile.extent - 1, ranges)
            at = {s.tile.name: row, axis.name: index}
            ask.append(Prefetch(load.source, dims.substitute(load.index[0], at), near=True))
    return tuple(_in_loop(x, loop, tuple(ask)) for x in tile)


def asking_next(
    tile: Sequence[Stmt], parts: Parts, c: Contraction, s: Schedule, strip: Strip, around: Strip, k: Size, number: Size,
    lanes: int, ranges: Mapping[str, tuple[Size, Size]],
) -> tuple[Stmt, ...]:  # fmt: skip
    """Tile `number` of a strip of the block that begins at `k`, each part of whose sum asks for a row of what is packed next:
    that of the next strip of those `around` it, in which it has that place, or behind the last one the first of the next block.
    """
    (load,), (axis,) = s.packed, c.over
    assert s.depth is not None
    width = strip.vectors * lanes
    on = dims.floordiv(around.place + 1, around.many)
    begin = strip.start + width * (1 - on * around.many)
    if not dims.nonnegative(s.lane.extent - around.start - width * around.many):  # the last strip is not full
        begin = dims.minimum(begin, s.lane.extent - width, ranges)
    after = dims.minimum(k + on * s.depth, axis.extent - s.depth, ranges)
    row = dims.minimum(
        number * parts.count + dims.sym(parts.part), s.depth - 1, {**ranges, parts.part: (0, parts.count - 1)}
    )
    ask = _lines(load, {axis.name: after + row}, s.lane.name, begin, width, lanes)
    return tuple(_in_loop(x, parts.part, ask) for x in tile)


def _lines(
    load: Load, at: Mapping[str, Size], lane: str, begin: Size, width: int, lanes: int, near: bool = False
) -> tuple[Stmt, ...]:
    """Ask for the cache lines of `width` elements along the lanes."""
    step = max(LINE // load.dtype.bytes, lanes)
    places = ({**at, lane: begin + first} for first in range(0, width, step))
    return tuple(Prefetch(load.source, dims.substitute(load.index[0], env), near) for env in places)


def _in_loop(s: Stmt, index: str, first: tuple[Stmt, ...]) -> Stmt:
    """The statement with `first` at the beginning of the loop over `index`."""
    if isinstance(s, For) and s.index == index:
        return replace(s, body=(*first, *s.body))
    if isinstance(s, (For, Simd)):
        return replace(s, body=tuple(_in_loop(x, index, first) for x in s.body))
    return s
