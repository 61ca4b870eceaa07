"""Scalar elements, one after another; reductions may run on lanes along themselves.

Enters: sinks with one element a row. Leaves: their loops. Contractions take a few elements at once, whose operands are shared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, product
from math import prod

from charl.backends.capabilities import Capabilities
from charl.graph.scalar import Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.ir import Stmt
from charl.loops.nests.axes import Axis, instances, tiled
from charl.loops.sinks import Sink
from charl.plan.access import nodes_of

# Registers beside the sums of a cell: operands that wait to be used again.
_OPERANDS = 6


def scalar_rows(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    reduces: Sequence[Reduce],
    heavy: bool,
) -> tuple[Stmt, ...]:
    """Scalar elements; reductions may run on lanes along themselves. Contractions take a cell of elements at once."""
    tile = _cell(caps, rows, reduces) if heavy else {}
    body = lambda env: emitter.block(instances(sinks, env))  # noqa: E731
    return tiled(emitter, rows, tile, body)


def _cell(caps: Capabilities, rows: Sequence[Axis], reduces: Sequence[Reduce]) -> dict[str, int]:
    """How many elements along which one or two axes are summed at once: the fewest cycles for each."""
    loads = [
        x.symbols()
        for x in dict.fromkeys(e for r in reduces for e in nodes_of(r.body) if isinstance(e, Load))
    ]
    best: tuple[float, dict[str, int]] = (float("inf"), {})
    for cell in _cells(rows, caps.registers - _OPERANDS):
        work = prod(cell.values())
        read = sum(prod(n for name, n in cell.items() if name in symbols) for symbols in loads)
        cycles = max(work, read, caps.latency * caps.ports) / work
        for axis in rows:
            if isinstance(axis.extent, int) and axis.name in cell:  # what is left goes one by one
                cycles *= 1 + axis.extent % cell[axis.name] / axis.extent
        if cycles < best[0] * 0.99:
            best = (cycles, cell)
    return {name: n for name, n in best[1].items() if n > 1}


def _cells(rows: Sequence[Axis], most: int) -> Iterator[dict[str, int]]:
    """Sizes of one or two axes, the small ones first."""
    pairs: list[tuple[Axis, ...]] = [*combinations(reversed(rows), 2)] or [(rows[0],)]
    for pair in pairs:
        sizes = [
            [n for n in (1, 2, 3, 4, 6, 8) if not isinstance(a.extent, int) or n <= a.extent] for a in pair
        ]
        for chosen in product(*sizes):
            if prod(chosen) <= most:
                yield {a.name: n for a, n in zip(pair, chosen, strict=True)}
