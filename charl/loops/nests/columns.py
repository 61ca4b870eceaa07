"""Lanes along the last output axis, with a register tile of rows × vectors where operands are read again.

Enters: sinks with one element a row, and the element width. Leaves: their loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Reduce
from charl.loops.emit import Emitter
from charl.loops.ir import For, Stmt
from charl.loops.nests.axes import Axis, rereads, tiled, wrap
from charl.loops.nests.contraction.tiles import register_tile
from charl.loops.sinks import Sink, divisible_by_lanes, lanes

Size = int | Dim

# Vectors of a row that sums down columns take at once, so that memory is read in runs of several cache lines.
_COLUMNS = 8


def lane_rows(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    reduces: Sequence[Reduce],
    heavy: bool,
    width: int,
) -> tuple[Stmt, ...]:
    """Lanes along the last axis; a register tile of rows × vectors where operands are read again."""
    last, before = rows[-1], rows[:-1]
    if not reduces:
        names = frozenset([last.name])
        lets, sinks = emitter.hoist(sinks, names)
        return wrap(before, (*lets, *emitter.lane_loop(last.name, last.extent, width, sinks, "parallel")))
    vectors = 2 if rereads(reduces, last.name) else 1
    outer: list[Axis] = []
    if not heavy:  # rows in the order of memory
        vectors = together(last.extent, width, len(reduces))
        outer, before = before, []
    tile = {}
    if before and rereads(reduces, before[-1].name):
        tile = {before[-1].name: _tile_rows(before[-1].extent, caps.registers)}

    def columns(start: Size, stop: Size, count: int, partial: bool) -> tuple[Stmt, ...]:
        j = emitter.name(last.name.split(".")[0])

        def body(env: dict[str, Sequence[Size]]) -> tuple[Stmt, ...]:
            lane = emitter.name("lane")
            at = [dims.sym(j) + lanes(width) * u + dims.sym(lane) for u in range(count)]
            limit = dims.minimum(last.extent - dims.sym(j), lanes(width)) if partial else None
            values = {**env, last.name: at}
            return (
                emitter.region(
                    lane, width, limit, lambda: register_tile(emitter, sinks, values, lane, lanes(width))
                ),
            )

        tiles = tiled(emitter, before, tile, body)
        return (For(j, stop, tiles, "parallel", start, lanes(width) * count),)

    return wrap(outer, column_loops(columns, last.extent, width, vectors))


def together(extent: Size, width: int, reduces: int) -> int:
    """Vectors of a column sum: a power of two that the extent is worth, with few enough accumulators."""
    limit = _COLUMNS // reduces
    if isinstance(extent, int):
        limit = min(limit, extent // (512 // width))
    count = 1
    while 2 * count <= limit:
        count *= 2
    return count


def column_loops(
    columns: Callable[[Size, Size, int, bool], tuple[Stmt, ...]], extent: Size, width: int, vectors: int
) -> tuple[Stmt, ...]:
    """Full tiles, then single vectors, the last of which may be partial; what cannot occur is left out."""
    widest = 512 // width
    if isinstance(extent, int) and extent < widest:
        return columns(0, extent, 1, True)
    out: tuple[Stmt, ...] = ()
    start: Size = 0
    if vectors > 1 and not (isinstance(extent, int) and extent < vectors * widest):
        block = lanes(width) * vectors
        whole = isinstance(extent, int) and extent % (widest * vectors) == 0
        start = extent if whole else dims.floordiv(extent, block) * block
        out = columns(0, start, vectors, False)
    if start != extent:
        out += columns(start, extent, 1, not divisible_by_lanes(extent, width))
    return out


def _tile_rows(extent: Size, registers: int) -> int:
    """Rows of a register tile of two vectors each, beside the operands.

    A constant extent is divided evenly where some number of rows does; one that is not known takes a power of two, which
    batch sizes often are multiples of.
    """
    # More rows leave too few registers for the operands: 784 x 128 x 32 ran at 71 % of the limit with 14, at 96 % with 8.
    limit = registers * 3 // 8
    if not isinstance(extent, int):
        return registers // 4
    if extent <= limit:
        return max(extent, 1)
    return max(range(max(limit // 2, 1), limit + 1), key=lambda r: (-(extent % r), r))
