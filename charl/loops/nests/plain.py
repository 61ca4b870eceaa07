"""Scalar elements, one after another; reductions may run on lanes along themselves.

Enters: sinks with one element a row. Leaves: their loops. Contractions take a tile of elements at once, whose operands are
shared: that of the fewest cycles, bound by multiply-adds, by loads, or by the latency of few sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Expr, Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.ir import Buffer, For, Local, Stmt
from charl.loops.nests.axes import Axis, instances, rereads, store_width, tiled, wrap
from charl.loops.sinks import Sink
from charl.plan.access import expr_cost, nodes_of

Size = int | Dim

_OPEN = (1, 2, 4)  # elements of an axis whose extent is not known, or that none of up to _WHOLE divides
_WHOLE = 8
_CANDIDATES = 4  # of the last axes
# Additions from which on what is made of sums goes on lanes, for so many elements at once.
_COSTLY = 16
_BLOCK = 64
_FEW = 4  # elements from which on a row is vectors, or a loop


def scalar_rows(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    reduces: Sequence[Reduce],
    heavy: bool,
) -> tuple[Stmt, ...]:
    """Scalar elements; reductions may run on lanes along themselves. Contractions take several elements at once."""
    if (apart := _epilogue_apart(emitter, caps, rows, sinks, reduces, heavy)) is not None:
        return apart
    tile = _tile(caps, rows, reduces) if heavy else {} if reduces else _short(rows[-1])
    body = lambda env: emitter.block(instances(sinks, env))  # noqa: E731
    return tiled(emitter, rows, tile, body)


def _short(axis: Axis) -> dict[str, int]:
    """Few elements of a row, written out: compilers call memmove for a loop that copies two or three."""
    return {axis.name: axis.extent} if isinstance(axis.extent, int) and 1 < axis.extent < _FEW else {}


def _epilogue_apart(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    reduces: Sequence[Reduce],
    heavy: bool,
) -> tuple[Stmt, ...] | None:
    """Sums of a block of elements, kept on the stack, then what is made of them on lanes; None where that is little work."""
    *outer, last = rows
    totals = list(dict.fromkeys(reduces))
    rest = sum(expr_cost(s.value) for s in sinks) - sum(expr_cost(r) for r in totals)
    nested = any(isinstance(e, Reduce) for r in totals for e in nodes_of(r.body))
    if nested or rest < _COSTLY or (isinstance(last.extent, int) and last.extent < _BLOCK):
        return None
    held = {r: Buffer("sums", r.dtype, _BLOCK, "scratch") for r in totals}
    name, lane = (emitter.name(last.name.split(".")[0]) for _ in range(2))
    at = dims.sym(name)
    whole = isinstance(last.extent, int) and last.extent % _BLOCK == 0
    count = _BLOCK if whole else dims.minimum(last.extent - at, _BLOCK, {name: (0, last.extent - 1)})
    place = dims.sym(last.name)
    table: dict[int, Expr] = {id(r): Load(held[r], (place - at,), r.dtype) for r in reduces}
    memo = emitter.memo()
    after = [s.at({last.name: at + dims.sym(lane)}, memo) for s in emitter.replaced(sinks, table)]
    width = store_width(emitter, Axis(lane, count), after)
    if width is None:
        return None
    several = _tile(caps, [last], reduces).get(last.name, 1) if heavy else 1
    summed = [Sink(r, kept, place - at) for r, kept in held.items()]
    each = Axis(emitter.name(last.name.split(".")[0]), count)
    memo = emitter.memo()
    summed = [s.at({last.name: at + dims.sym(each.name)}, memo) for s in summed]
    sums = tiled(emitter, [each], {each.name: several}, lambda env: emitter.block(instances(summed, env)))
    lets, after = emitter.hoist(after, frozenset([lane]))
    body = (*(Local(kept) for kept in held.values()), *sums, *lets)
    body += emitter.lane_loop(lane, count, width, after)
    return wrap(outer, (For(name, last.extent, body, "parallel", step=_BLOCK),))


def _tile(caps: Capabilities, rows: Sequence[Axis], reduces: Sequence[Reduce]) -> dict[str, int]:
    """Elements at once along up to three axes; of equally good tiles the one that grows along the last axes."""
    found = {(e.source, e.index): e for r in reduces for e in nodes_of(r.body) if isinstance(e, Load)}
    loads = list(found.values())
    axes = [a for a in rows[-_CANDIDATES:] if rereads(reduces, a.name)]
    most = max(caps.registers * 5 // 8, 8)
    best: tuple[float, dict[str, int]] = (_cycles(caps, loads, {}), {})
    for sizes in product(*(_sizes(a.extent) for a in axes)):
        tile = {a.name: n for a, n in zip(axes, sizes, strict=True) if n > 1}
        if len(tile) > 3 or prod(tile.values()) > most:
            continue
        cycles = _cycles(caps, loads, tile)
        if cycles <= best[0]:
            best = (cycles, tile)
    return best[1]


def _sizes(extent: Size) -> list[int]:
    """Elements of an axis that a tile may take: those that leave no rest, where there are."""
    if not isinstance(extent, int):
        return list(_OPEN)
    even = [n for n in range(1, _WHOLE + 1) if extent % n == 0]
    return even if len(even) > 1 else list(_OPEN)


def _cycles(caps: Capabilities, loads: Sequence[Load], tile: dict[str, int]) -> float:
    """Cycles of a step of the sums, for one of them: multiply-adds, loads, latency, and what comes from behind the nearest cache.

    Elements a few places apart are in lines that are there already.
    """
    work = prod(tile.values())
    read = sum(prod(n for name, n in tile.items() if name in x.symbols()) for x in loads)
    far = sum(prod(n for name, n in tile.items() if _far(caps, x, name)) for x in loads)
    fetched = far * 64 / caps.bandwidth[0]
    return max(work / caps.ports, read / caps.ports, caps.latency, fetched) / work


def _far(caps: Capabilities, load: Load, name: str) -> bool:
    """Whether neighbours along an index lie so far apart that they are streams of their own."""
    step = dims.coefficient(load.index[0], name)
    return step != 0 and not (isinstance(step, int) and abs(step) * load.dtype.bytes < caps.far)
