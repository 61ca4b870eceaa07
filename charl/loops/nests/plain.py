"""Scalar elements, one after another; reductions may run on lanes along themselves.

Enters: sinks with one element a row. Leaves: their loops. Contractions take a few elements at once, whose operands are shared.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl.graph.scalar import Reduce
from charl.loops.emit import Emitter, Sink
from charl.loops.ir import Stmt
from charl.loops.nests.axes import Axis, instances, rereads, tiled


def scalar_rows(
    emitter: Emitter, rows: list[Axis], sinks: Sequence[Sink], reduces: Sequence[Reduce], heavy: bool
) -> tuple[Stmt, ...]:
    """Scalar elements; reductions may run on lanes along themselves. Contractions take 2 × 4 elements at once."""
    tile = {a.name: t for a, t in zip(rows[-2:], (2, 4)[-len(rows[-2:]) :])} if heavy else {}
    tile = {n: t for n, t in tile.items() if rereads(reduces, n)}
    body = lambda env: emitter.block(instances(sinks, env))  # noqa: E731
    return tiled(emitter, rows, tile, body)
