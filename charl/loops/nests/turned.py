"""Elements made of transposed operands: blocks of these are turned to an array first, so that lanes read them in order.

Enters: sinks without sums over row axes. Leaves: their loops by blocks of two axes, or None where no operand runs along another
axis than the stores do. A load for each lane would take a cache line for each element.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Guard, Load
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite
from charl.loops.ir import Buffer, For, Local, Stmt, Transpose
from charl.loops.nests.axes import Axis, store_width, wrap
from charl.loops.sinks import Sink
from charl.plan.access import nodes_of

Size = int | Dim

_ROWS, _COLUMNS = (
    32,
    64,
)  # of a block: rows of results, and elements of each, in whole cache lines on either side
_LEAST = 16  # elements of an axis for which a block pays
_MOST = 3  # operands


def turned(emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...] | None:
    """The loops, where some operands lie along another axis."""
    if not emitter.vectors or len(rows) < 2:
        return None
    lane = rows[-1]
    width = store_width(emitter, lane, sinks)
    found = _across(sinks, lane.name)
    if width is None or not 0 < len(found) <= _MOST or any(x.dtype.bits != width for x in found):
        return None
    axes = [a for a in rows[:-1] if all(dims.coefficient(x.index[0], a.name) == 1 for x in found)]
    if not axes or any(isinstance(a.extent, int) and a.extent < _LEAST for a in (axes[-1], lane)):
        return None
    across = axes[-1]

    def block(i: Size, height: Size, j: Size, length: Size) -> tuple[Stmt, ...]:
        return _block(emitter, sinks, found, (across.name, i, height), (lane.name, j, length), width)

    outer = [a for a in rows[:-1] if a is not across]
    down = lambda i, n: _steps(emitter, lane, _COLUMNS, lambda j, m: block(i, n, j, m))  # noqa: E731
    return wrap(outer, _steps(emitter, across, _ROWS, down))


def _across(sinks: Sequence[Sink], lane: str) -> list[Load]:
    """Loads whose neighbours along the lanes lie apart; none where some cannot be copied."""
    values = [e for s in sinks for e in nodes_of(s.value)]
    if any(isinstance(e, Guard) for e in values):
        return []
    found = [e for e in values if isinstance(e, Load) and dims.coefficient(e.index[0], lane) not in (0, 1)]
    plain = all(
        x.dtype.is_float and x.dtype == x.source.dtype and dims.coefficient(x.index[0], lane) is not None
        for x in found
    )
    return list(dict.fromkeys(found)) if plain else []


def _steps(
    emitter: Emitter, axis: Axis, size: int, body: Callable[[Size, Size], tuple[Stmt, ...]]
) -> tuple[Stmt, ...]:
    """A loop over blocks of an axis: (first element, how many)."""
    extent = axis.extent
    if isinstance(extent, int) and extent <= size:
        return body(0, extent)
    name = emitter.name(axis.name.split(".")[0])
    at = dims.sym(name)
    even = isinstance(extent, int) and extent % size == 0
    count = size if even else dims.minimum(extent - at, size, {name: (0, extent - 1)})
    return (For(name, extent, body(at, count), "parallel", step=size),)


def _block(
    emitter: Emitter,
    sinks: Sequence[Sink],
    loads: Sequence[Load],
    across: tuple[str, Size, Size],
    along: tuple[str, Size, Size],
    width: int,
) -> tuple[Stmt, ...]:
    """A block of results. `across`, `along`: name, first element and number of those that rows and lanes run over."""
    (row, i, height), (lane, j, length) = across, along
    r, c = emitter.name(row.split(".")[0]), emitter.name(lane.split(".")[0])
    copies: list[Stmt] = []
    table: dict[Expr, Expr] = {}
    for x in loads:
        kept = Buffer("turned", x.dtype, _ROWS * _COLUMNS, "scratch")
        step = dims.coefficient(x.index[0], lane)
        assert step is not None
        first = dims.substitute(x.index[0], {row: i, lane: j})
        copies += [Local(kept), Transpose(kept, 0, _COLUMNS, x.source, first, step, length, height)]
        place = (dims.sym(row) - i) * _COLUMNS + dims.sym(lane) - j
        table[x] = Load(kept, (place,), x.dtype)
    memo = Memo()
    read = [Sink(rewrite(s.value, table.get, memo), s.buffer, s.index, s.add, span=s.span) for s in sinks]
    env = {row: i + dims.sym(r), lane: j + dims.sym(c)}
    here = Memo()
    lets, moved = emitter.hoist([s.at(env, here) for s in read], frozenset([c]))
    return (*copies, For(r, height, (*lets, *emitter.lane_loop(c, length, width, moved))))
