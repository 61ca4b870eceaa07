"""Lanes along the last output axis, with a register tile of rows × vectors where operands are read again.

Enters: sinks with one element a row, and the element width. Leaves: their loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Expr, Load, Reduce
from charl.loops.emit import Emitter, Sink, divisible_by_lanes, lanes
from charl.loops.inline import substitute
from charl.loops.ir import Buffer, For, Local, Stmt
from charl.loops.nests.axes import Axis, instances, rereads, tiled, wrap
from charl.plan.access import expr_cost, nodes_of

Size = int | Dim

# Additions per element from which an epilogue is a loop over the tile rather than written out for each register.
_LONG_EPILOGUE = 8


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
        return wrap(before, (*lets, *emitter.lane_loop(last.name, last.extent, width, sinks)), "serial")
    vectors = 2 if heavy and rereads(reduces, last.name) else 1
    tile = {}
    if heavy and before and rereads(reduces, before[-1].name):
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
                    lane, width, limit, lambda: _register_tile(emitter, sinks, values, lane, width)
                ),
            )

        return (For(j, stop, tiled(emitter, before, tile, body), start=start, step=lanes(width) * count),)

    return _column_loops(columns, last.extent, width, vectors)


def _register_tile(
    emitter: Emitter, sinks: Sequence[Sink], values: dict[str, Sequence[Size]], lane: str, width: int
) -> tuple[Stmt, ...]:
    """One tile of vectors: all its reductions in one loop, then what is done with them.

    An epilogue of some size is a loop over the tile, kept on the stack meanwhile; a short one is written out.
    """
    count = prod(len(v) for v in values.values())
    reduces = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    nested = any(isinstance(e, Reduce) for r in reduces for e in nodes_of(r.body))
    if nested or count < 4 or sum(expr_cost(s.value) for s in sinks) < _LONG_EPILOGUE:
        return emitter.block(instances(sinks, values))
    loops = [(n, v, emitter.name(n.split(".")[0])) for n, v in values.items() if len(v) > 1]
    slot: Size = 0
    for _, v, index in loops:
        slot = slot * len(v) + dims.sym(index)
    declared: list[Stmt] = []
    sums: list[Sink] = []
    table: dict[int, Expr] = {}
    for r in reduces:
        kept = Buffer("sums", r.dtype, lanes(width) * count, "scratch")
        declared.append(Local(kept))
        table[id(r)] = Load(kept, (slot * lanes(width) + dims.sym(lane),), r.dtype)
        for i, chosen in enumerate(product(*values.values())):
            env = dict(zip(values, chosen))
            sums.append(Sink(substitute(r, env, {}), kept, lanes(width) * i + dims.sym(lane)))
    env = {n: v[0] for n, v in values.items()}
    env |= {n: v[0] + (v[1] - v[0]) * dims.sym(index) for n, v, index in loops}
    memo: dict[int, Expr] = {}
    moved = [s.at(env, memo) for s in emitter.replaced(sinks, table, reduces)]
    sums_first = emitter.block(sums)
    lets, moved = emitter.hoist(moved, frozenset(index for _, _, index in loops))
    body = emitter.block(moved)
    for _, v, index in reversed(loops):
        body = (For(index, len(v), body),)
    return (*declared, *sums_first, *lets, *body)


def _column_loops(
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
        return extent
    return max(range(max(limit // 2, 1), limit + 1), key=lambda r: (-(extent % r), r))
