"""The graphs of the conformance suite for C: one export per operation and gradient order, its samples side by side.

Enters: the registry. Leaves: `Case`s whose element types C has. Samples with half floats, which C99 has not, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from charl.backends.capabilities import PORTABLE_C
from charl.graph.ir import Graph
from charl.ops import OPS
from charl.ops.record import Op, Sample
from tests.ops import cases
from tests.ops.cases import Case


def held(case: Case) -> bool:
    """Whether C holds every element type of a graph."""
    return all(n.dtype.name in PORTABLE_C.dtypes for n in case.graph.nodes())


def merged(
    change: Callable[[Sample], Sample] = lambda s: s, orders: tuple[int, ...] = (0, 1, 2)
) -> Iterator[Case]:
    """One case per operation and order; `change` maps the samples (to double precision)."""
    for op in OPS.values():
        for order in orders:
            found = [c for c in _cases(op, order, change) if held(c)]
            if found:
                params = [p for c in found for p in c.graph.params]
                results = [r for c in found for r in c.graph.results]
                graph = Graph(f"{op.name}_g{order}", params, results)
                arrays = [a for c in found for a in c.arrays]
                yield Case(f"{op.name}-g{order}", graph, arrays, op.name, order)


def _changed(op: Op, s: Sample, change: Callable[[Sample], Sample]) -> Sample:
    """Bitcasts and the bytes of constants are tied to the sizes of their types and stay as they are."""
    return s if op.name in ("bitcast", "constant") else change(s)


def _cases(op: Op, order: int, change: Callable[[Sample], Sample]) -> Iterator[Case]:
    for i, s in enumerate(cases.samples(op)):
        if s.orders >= order:
            case = cases.build(op, _changed(op, s, change), order, f"s{i}_")
            if case is not None:
                yield case


def separate(
    change: Callable[[Sample], Sample] = lambda s: s, orders: tuple[int, ...] = (1,)
) -> Iterator[tuple[Case, Graph]]:
    """Every sample on its own, with the graph that the gradient belongs to."""
    for op in OPS.values():
        for order in orders:
            for i, s in enumerate(cases.samples(op)):
                found = cases.build(op, _changed(op, s, change), order) if s.orders >= order else None
                value = cases.build(op, _changed(op, s, change), order - 1)
                if found is not None and value is not None and held(found):
                    found.id = f"{op.name}-{i}-g{order}"
                    yield found, value.graph
