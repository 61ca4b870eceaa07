"""The choice for a contraction: along which axis lanes run, the register tile, what is packed, how sums are blocked.

Enters: a `Contraction` and capabilities. Leaves: the cheapest `Schedule` by one cost model, or None where lanes cannot run
along an output axis or cost more than along the sum. Costs are cycles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.graph.scalar import Load
from charl.loops.nests.axes import HOPS, Axis
from charl.loops.nests.contraction.ahead import read_behind
from charl.loops.nests.contraction.cycles import (
    FETCH,
    VISIT,
    Extents,
    Tile,
    best_tile,
    known,
    lanes_of,
    moved,
)
from charl.loops.nests.contraction.depth import blocked
from charl.loops.nests.contraction.form import Contraction, far_loads, stride
from charl.loops.nests.contraction.schedule import Schedule

TURN = 0.4  # cycles to transpose an element between nearby arrays
_SIDEWAYS = 6.0  # to add up the lanes of one sum
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
    if not c.total.dtype.is_float or len(c.rows) < 2 or not c.stores_along(natural):
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
    rows = 1 if tile is None else known(tile.extent)
    depth = prod(known(a.extent) for a in c.over)
    far = far_loads(c, caps, reads, packed)
    movable = [x for x in far if x.dtype.is_float and x.dtype.bits == c.width]
    if flipped or not _packable(c) or any(tile and tile.name in x.symbols() for x in movable):
        movable = []
    columns = known(lane.extent)
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
    s = blocked(c, caps, base, far)
    others = [x for x in c.loads if x not in reads]
    together = shape.vectors * (s.strips if s.shared else 1)
    turns = -(-vectors // together)  # in which all tiles come to their rows
    lines = [_lines(x, tile, shape.rows) for x in far_loads(c, caps, others, [])]
    visit = FETCH[1] if rows * depth * c.total.dtype.bytes > caps.cache[1] else VISIT
    cycles += visit * sum(lines) * tiles * turns * depth
    cycles = max(cycles, moved(caps, rows * depth * c.total.dtype.bytes, turns))
    s = replace(s, ahead=read_behind(c, caps, s))
    yield replace(s, cost=s.cost + cycles * prod(known(a.extent) for a in outer))


def _masked(c: Contraction, lane: Axis, tile: Axis | None) -> tuple[tuple[bool, bool, int], ...]:
    """What `Extents` knows of masks: those whose edge runs across the tiles, or across the sum."""
    out = []
    for limit in c.limits:
        rows, columns = (a is not None and a.name in dims.symbols(limit) for a in (tile, lane))
        crossed = [a.extent for a in (*c.rows, *c.over) if a.name in dims.symbols(limit)]
        if len(crossed) > 1:
            out.append((rows, columns, max(map(known, crossed))))
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
