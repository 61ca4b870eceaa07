"""The graphs of the conformance suite for C: one export per operation and gradient order, its samples side by side.

Enters: the registry. Leaves: `Case`s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from charl.dtypes import DType
from charl.graph.ir import Graph
from charl.ops import OPS
from charl.ops.record import Op, Sample
from tests.ops import cases
from tests.ops.cases import Case


def merged(
    change: Callable[[Sample], Sample] = lambda s: s, orders: tuple[int, ...] = (0, 1, 2)
) -> Iterator[Case]:
    """One case per operation and order; `change` maps the samples (to double precision)."""
    for op in OPS.values():
        for order in orders:
            found = list(_cases(op, order, change))
            if found:
                yield _together(found, op, order)


def converted(turns: Sequence[Mapping[DType, DType]], orders: tuple[int, ...]) -> Iterator[Case]:
    """The same over samples with other element types: see `cases.retyped`."""
    for op in OPS.values():
        for order in orders:
            found = list(cases.retyped(turns, (order,), (op.name,)))
            if found:
                yield _together(found, op, order)


def _together(found: Sequence[Case], op: Op, order: int) -> Case:
    params = [p for c in found for p in c.graph.params]
    results = [r for c in found for r in c.graph.results]
    graph = Graph(f"{op.name}_g{order}", params, results)
    return Case(f"{op.name}-g{order}", graph, [a for c in found for a in c.arrays], op.name, order)


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
                if found is not None and value is not None:
                    found.id = f"{op.name}-{i}-g{order}"
                    yield found, value.graph
