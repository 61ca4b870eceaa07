"""The choice for a contraction: along which axis lanes run, the register tile, what is packed, how sums are blocked.

Enters: a `Contraction` and capabilities. Leaves: the cheapest `Schedule` by one cost model, or None where lanes cannot run
along an output axis or cost more than along the sum. Costs are cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import gcd, prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.graph.scalar import Load
from charl.loops.nests.axes import HOPS, Axis
from charl.loops.nests.contraction.ahead import read_behind, read_next
from charl.loops.nests.contraction.cycles import (
    FETCH,
    LINE,
    VISIT,
    Extents,
    Tile,
    asked_tile,
    best_tile,
    known,
    lanes_of,
    moved,
    packing_from_afar,
    panels_cycles,
    strips_of,
    widths,
)
from charl.loops.nests.contraction.depth import blocked
from charl.loops.nests.contraction.form import Contraction, far_loads, stride
from charl.loops.nests.contraction.limits import counted
from charl.loops.nests.contraction.remainder import WORTH, along_cycles, left_over, shortened
from charl.loops.nests.contraction.schedule import WAITING, Schedule

TURN = 0.4  # cycles to transpose an element between nearby arrays
_CROSSING = 8.0  # each time a tile comes to a row that has not stayed in the second cache
_PAGE = 4096  # bytes of a page; in which sets of a cache it lies is up to the system
_SIDEWAYS = 6.0  # to add up the lanes of one sum
# Times that tiles come to their rows, at most, where they ask for the next ones; and cycles of a step of their sums, at least,
# behind which it is hidden where the next line lies.
_ONWARD, _HIDES = 2, 10
_ONCE = 0.9  # share of the cycles that may be left, at most, where loops move into those over strips: threads have fewer
# Strips in turn for which it pays that a tile copies what it reads along its rows; and cycles of each row of that.
_STRIPS, _COPYING = 4, 2.0
_GATHER = 8.0  # cycles of such a load; those of every other element come from two loads


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
    if not c.total.dtype.is_float or len(c.rows) < 2 or not c.stores_along(natural) or c.updates:
        return
    for axis in c.rows[:-1]:
        if known(axis.extent) >= lanes_of(caps, c.width) // 2:
            yield from _with_lanes(c, caps, axis, True)


def _with_lanes(c: Contraction, caps: Capabilities, lane: Axis, flipped: bool) -> Iterator[Schedule]:
    packed: list[Load] = []
    hops = 0.0  # cycles for loads that skip elements
    for load in c.loads:
        step = stride(load, lane.name)
        if step in (0, 1):
            continue
        if isinstance(step, int) and 1 < step <= HOPS and len(c.over) > 1 and not c.updates:
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
    side = _Side(c, caps, base, tuple(reads), hops)
    yield side.schedule()
    if not flipped and (along := _left_over(c, caps, base)):
        yield replace(side, base=replace(base, lane=shortened(lane, along), along=along)).schedule()
    if not flipped and not packed and (shared := side.in_blocks()) is not None:
        yield shared
    if (once := side.packed_once()) is not None:
        yield once


@dataclass(frozen=True)
class _Side:
    """Schedules with lanes along an axis and register tiles along another: those of `base`. `reads`: the loads along the lanes;
    `hops`: cycles of those that skip elements.
    """

    c: Contraction
    caps: Capabilities
    base: Schedule
    reads: tuple[Load, ...]
    hops: float

    def schedule(self) -> Schedule:
        """The cheapest tile; what lies far apart along the sum is packed where that pays."""
        c, caps, base = self.c, self.caps, self.base
        far = far_loads(c, caps, list(self.reads), list(base.packed))
        movable = [x for x in far if self._movable(x)]
        extents = self._extents(bool(base.packed) and not base.flipped)
        shape, cycles, moves = best_tile(extents, caps, c.width, len(far), len(movable))
        if moves and not base.packed and len(movable) == 1 and self._askable(movable[0]):
            most = cycles + packing_from_afar(extents, caps, c.width, shape.vectors)
            most += panels_cycles(extents, shape, caps, c.width)
            if asking := self._asking(movable[0], extents, far, most):
                return asking
        if base.flipped and far:
            cycles += (_CROSSING - VISIT) * self._crossed(far, shape)
        s = replace(base, shape=shape, packed=(*base.packed, *movable) if moves else base.packed)
        s = blocked(c, caps, s, far)
        return self._costed(replace(s, asks=self._across_lines(s)), cycles)

    def in_blocks(self) -> Schedule | None:
        """The same with all that lies along the lanes in blocks of the workspace, for the sake of the other operand: where its
        rows lie far apart, tiles then come to them once for all strips. None where there are no such blocks.
        """
        c, caps = self.c, self.caps
        others = [x for x in c.loads if x not in self.reads]
        if not far_loads(c, caps, others, []) or not all(self._movable(x) for x in self.reads):
            return None
        copy = sum(moved(caps, self._columns * self._depth * x.dtype.bytes, 1) for x in self.reads)
        found = []
        for wide in widths(self._columns, lanes_of(caps, c.width), caps)[1:]:  # one vector is loads all over
            shape, cycles, _ = best_tile(self._extents(True), caps, c.width, 0, 0, wide)
            s = blocked(c, caps, replace(self.base, shape=shape, packed=self.reads), [])
            if s.shared:
                found.append(self._costed(s, cycles + copy))
        return min(found, key=lambda s: s.cost, default=None)

    def packed_once(self) -> Schedule | None:
        """The same with strips around the loops over those axes that the operand along the lanes does not have: what comes from
        behind the second cache is packed once for all their turns, as many as that cache holds the other operand of. None where
        it stays there itself, or strips are too long.
        """
        c, caps, base = self.c, self.caps, self.base
        within = tuple(a for a in base.outer if not any(a.name in x.symbols() for x in self.reads))
        constant = caps.exact and all(isinstance(a.extent, int) for a in (*c.rows, *c.over))
        if not within or base.tile is None or not constant or c.limits:
            return None
        if self._columns * self._depth * c.total.dtype.bytes <= caps.cache[1]:
            return None
        if not all(x in base.packed or self._copyable(x) for x in self.reads):
            return None
        turn = self._rows * self._depth * prod(known(a.extent) for a in within[1:]) * c.total.dtype.bytes
        extent = known(within[0].extent)
        many = max(
            n for n in range(1, extent + 1) if extent % n == 0 and (n == 1 or n * turn <= caps.cache[1])
        )
        outer = tuple(a for a in base.outer if a not in within)
        s = replace(base, packed=self.reads, outer=outer, within=within, together=many)
        if s.again == 1:
            return None
        found = []
        for wide in widths(self._columns, lanes_of(caps, c.width), caps):
            row = wide * lanes_of(caps, c.width) * c.total.dtype.bytes
            if row * (self._depth * len(self.reads) + WAITING * base.flipped) > caps.stack:
                break
            shape, cycles, _ = best_tile(replace(self._extents(True), again=True), caps, c.width, 0, 0, wide)
            strips = -(-self._columns * c.total.dtype.bytes // row)
            cycles += FETCH[1] * strips * self._depth * len(self.reads) / s.again
            found.append(self._costed(replace(s, shape=shape), cycles / _ONCE))
        return min(found, key=lambda s: s.cost, default=None)

    def _movable(self, x: Load) -> bool:
        """Whether a load may be packed for a turn of the outer loops."""
        return not self.base.flipped and self._copyable(x)

    def _copyable(self, x: Load) -> bool:
        tile = self.base.tile
        own = tile is not None and tile.name in x.symbols()
        return _packable(self.c) and not own and _is_like(x, self.c)

    def _asking(self, x: Load, e: Extents, far: list[Load], most: float) -> Schedule | None:
        """Tiles that ask for the rows of an operand: each that reads them where they lie, or the first, which packs them. None
        where both take `most` cycles or more.
        """
        c, caps = self.c, self.caps
        best = None
        for packed in (True, False):
            found = asked_tile(replace(e, packed=packed), caps, c.width, _apart(c, x))
            if found is None or found[1] >= most:
                continue
            s = replace(self.base, shape=found[0])
            if packed:
                s = blocked(c, caps, replace(s, packed=(x,)), far)
            else:
                s = replace(s, strips=-(-self._columns // lanes_of(caps, c.width)))
            if s.as_read or not packed:
                best, most = self._costed(replace(s, asks=x), found[1]), found[1]
        return best

    def _askable(self, x: Load) -> bool:
        """Whether tiles may ask for the rows of an operand: one that the second cache holds, whose rows are lines of it."""
        c, caps, lane, tile = self.c, self.caps, self.base.lane, self.base.tile
        whole = tile is not None and all(isinstance(a.extent, int) for a in (*c.rows, *c.over))
        others = [y for y in c.loads if y is not x]
        if not whole or not caps.exact or len(c.over) > 1 or c.limits or far_loads(c, caps, others, []):
            return False
        first = dims.substitute(x.index[0], {lane.name: 0})
        steps = [dims.coefficient(first, name) for name in dims.symbols(first)]
        steps.append(dims.substitute(first, dict.fromkeys(dims.symbols(first), 0)))
        aligned = all(isinstance(n, int) and n * x.dtype.bytes % LINE == 0 for n in steps)
        return aligned and self._columns * self._depth * x.dtype.bytes <= caps.cache[1]

    def _across_lines(self, s: Schedule) -> Load | None:
        """An operand that a single row reads from the second cache once, by vectors of which many lie across two lines: each that
        comes late delays two of them.
        """
        c, caps = self.c, self.caps
        if s.tile is not None or s.depth is not None or s.packed or s.flipped or len(self.reads) != 1:
            return None
        if not caps.exact or caps.max_lanes * 4 % LINE or len(c.over) > 1 or c.limits or c.guarded:
            return None
        (x,), columns, depth = self.reads, s.lane.extent, c.over[0].extent
        step = stride(x, c.over[0].name)
        if not (isinstance(step, int) and isinstance(columns, int) and isinstance(depth, int)):
            return None
        far = caps.cache[0] < columns * depth * x.dtype.bytes <= caps.cache[1]
        return x if far and step * x.dtype.bytes % LINE and stride(x, s.lane.name) == 1 else None

    @property
    def _rows(self) -> int:
        return 1 if self.base.tile is None else known(self.base.tile.extent)

    @property
    def _columns(self) -> int:
        return known(self.base.lane.extent)

    @property
    def _depth(self) -> int:
        return prod(known(a.extent) for a in self.c.over)

    def _extents(self, packed: bool) -> Extents:
        lane, tile = self.base.lane, self.base.tile
        masked = _masked(self.c, lane, tile)
        return Extents(self._rows, self._columns, self._depth, tile is None or _whole(tile), masked, packed)

    def _scattering(self, s: Schedule) -> Load | None:
        """What tiles read along their rows, for several strips that share a block, and does not stay in the nearest cache between
        these: its lines share few of the sets.
        """
        c, caps, tile = self.c, self.caps, s.tile
        if not s.shared or s.strips < _STRIPS or tile is None or s.flipped or c.limits or not caps.exact:
            return None
        if not all(isinstance(a.extent, int) for a in (tile, *c.over)):
            return None
        inside = prod(known(a.extent) for a in c.over[1:])
        depth = inside * known(c.over[0].extent if s.depth is None else s.depth)
        for x in c.loads:
            if x in self.reads or stride(x, tile.name) != 1 or not _is_like(x, c):
                continue
            if stride(x, c.over[-1].name) not in (0, 1) and depth > _staying(c, caps, x, 0):
                return x
        return None

    def _crossed(self, far: Sequence[Load], shape: Tile) -> int:
        """How often tiles come to rows of these loads that do not stay in the second cache."""
        width = shape.vectors * lanes_of(self.caps, self.c.width)
        visits = -(-self._rows // shape.rows) * -(-self._columns // width) * self._depth
        return sum(visits for x in far if self._depth > _staying(self.c, self.caps, x))

    def _costed(self, s: Schedule, cycles: float) -> Schedule:
        """The schedule with its cost. `cycles`: of its tiles and what is packed of what lies far apart."""
        c, caps, rows, columns, depth = self.c, self.caps, self._rows, self._columns, self._depth
        vectors = -(-columns // lanes_of(caps, c.width))
        tiles = -(-rows // s.shape.rows)
        cycles += self.hops * tiles * vectors * depth
        cycles += len(s.turned) * TURN * columns * depth / s.again + (TURN + 0.1) * rows * columns * s.flipped
        others = [x for x in c.loads if x not in self.reads]
        strips = strips_of(columns, lanes_of(caps, c.width), s.shape.vectors)
        together = s.strips if s.shared else 1
        turns = sum(-(-n // together) for n, _ in strips)  # in which all tiles come to their rows
        lines = [_lines(x, s.tile, s.shape.rows) for x in far_loads(c, caps, others, [])]
        visit = FETCH[1] if rows * depth * c.total.dtype.bytes > caps.cache[1] else VISIT
        cycles += visit * sum(lines) * tiles * turns * depth
        if copied := self._scattering(s):
            s = replace(s, copied=copied)
            cycles += (_COPYING + s.shape.rows / 4) * tiles * turns * depth
        if s.along:
            cycles += along_cycles(rows, s.shape.rows, s.along, depth, 1, caps, c.width)
            turns += 1
        coming = moved(caps, s.again * rows * depth * c.total.dtype.bytes, turns) / s.again
        cycles = cycles + coming if s.within else max(cycles, coming)
        alone = turns <= _ONWARD and not s.flipped and s.asks is None
        alone &= s.shape.rows * s.shape.vectors >= _HIDES * caps.ports
        onward = read_next(c, caps, [s.lane.name], s.tile) if alone else None
        if s.along:
            cycles /= WORTH
        s = replace(s, ahead=read_behind(c, caps, s), onward=onward)
        return replace(s, cost=s.cost + cycles * prod(known(a.extent) for a in (*s.outer, *s.within)))


def _left_over(c: Contraction, caps: Capabilities, s: Schedule) -> int:
    """Lanes that may run along the sum, all of it at once."""
    if s.tile is None or not isinstance(s.lane.extent, int) or not isinstance(s.tile.extent, int) or c.limits:
        return 0
    along = left_over(c, caps, s.lane.extent, [x for x in c.loads if s.lane.name not in x.symbols()])
    size = along * prod(known(a.extent) for a in c.over) * c.total.dtype.bytes
    return along if size <= caps.stack // 2 else 0


def _is_like(x: Load, c: Contraction) -> bool:
    return x.dtype.is_float and x.dtype.bits == c.width


def _staying(c: Contraction, caps: Capabilities, x: Load, cache: int = 1) -> float:
    """Rows of a load whose lines stay in a cache, the second: those that lie multiples of a large power of two apart share few of
    its sets.
    """
    step = stride(x, c.over[-1].name)
    if not isinstance(step, int):
        return 0
    places = _PAGE // max(gcd(step * x.dtype.bytes, _PAGE), LINE)  # in a page, where lines of rows begin
    return places * caps.cache[cache] / _PAGE


def _apart(c: Contraction, x: Load) -> int:
    """Bytes between neighbours along the sum."""
    step = stride(x, c.over[-1].name)
    return step * x.dtype.bytes if isinstance(step, int) else 0


def _masked(c: Contraction, lane: Axis, tile: Axis | None) -> tuple[tuple[bool, bool, int, float], ...]:
    """What `Extents` knows of masks: those whose edge runs across the tiles, or across the sum."""
    out = []
    extents = {a.name: a.extent for a in (*c.rows, *c.over)}
    for limit in c.limits:
        rows, columns = (a is not None and a.name in dims.symbols(limit) for a in (tile, lane))
        crossed = [n for n in extents if n in dims.symbols(limit)]
        if len(crossed) > 1:
            share = counted((limit,), extents, {})
            out.append((rows, columns, max(known(extents[n]) for n in crossed), share))
    return tuple(out)


def _tile_axis(c: Contraction, lane: Axis, reads: list[Load], flipped: bool) -> Axis | None:
    """The axis along which vectors are read again; of several the last, which results run along where they are flipped."""
    free = [a for a in c.rows if a is not lane and not any(a.name in x.symbols() for x in reads)]
    if flipped and c.rows[-1] not in free:
        return None
    return free[-1] if free else None


def _packable(c: Contraction) -> bool:
    """Whether operands can be copied to arrays of a known size for a turn of the sum's outermost loop."""
    return not c.guarded and not c.updates and all(isinstance(a.extent, int) for a in c.over[1:])


def _lines(x: Load, tile: Axis | None, rows: int) -> float:
    """Cache lines that the rows of a tile take of a load, on average."""
    step = stride(x, tile.name) if tile is not None else 0
    return min(rows, 1 / 16 + rows * step / 16) if isinstance(step, int) else rows


def _along_the_sum(c: Contraction, caps: Capabilities) -> float:
    """Cycles with lanes along the sum, or of plain loops where they cannot run along it."""
    outputs = prod(known(a.extent) for a in c.rows)
    depth = prod(known(a.extent) for a in c.over)
    if along_the_sum(c):
        width = lanes_of(caps, c.width)
        inner = known(c.over[-1].extent)
        return outputs * (depth / inner * -(-inner // width) * 0.75 + _SIDEWAYS)
    return outputs * depth * 2.0


def along_the_sum(c: Contraction) -> bool:
    """Whether lanes can run along the sum: every operand lies in order there."""
    steps = [stride(x, c.over[-1].name) for x in c.loads]
    return all(x in (0, 1) for x in steps) and 1 in steps and not c.guarded


def _whole(axis: Axis) -> bool:
    return isinstance(axis.extent, int)
