"""Kernels bind no more buffers than the target has, however much a graph reads and keeps."""

from __future__ import annotations

import pytest

from charl import ops
from charl.backends.capabilities import WGSL
from charl.dtypes import f32
from charl.graph.ir import Graph, Node, TensorType
from charl.plan.build import plan_export
from charl.plan.ir import Plan
from charl.program import Argument, Export, Field, Record
from tests.ops import odd


def planned(graph: Graph) -> Plan:
    arguments = tuple(Argument(p.name or "", p.type) for p in graph.params)
    result = Record("", "tuple", tuple(Field(str(i), r.type) for i, r in enumerate(graph.results)))
    return plan_export(Export("f", "", arguments, result, graph, ()), WGSL)


def widest(graph: Graph) -> int:
    return max(len({id(p) for p in call.places}) for call in planned(graph).calls)


@pytest.mark.parametrize("family", sorted(odd.FAMILIES))
@pytest.mark.parametrize("sizes", [(1, 2, 1), (17, 15, 16)])
def test_second_derivatives_stay_within_the_limit(family: str, sizes: tuple[int, int, int]) -> None:
    assert widest(odd.case(family, sizes, 2).graph) <= WGSL.max_buffers


def parameters(count: int) -> list[Node]:
    return [ops.parameter(f"x{i}", TensorType(f32, (3, 5))) for i in range(count)]


def test_sums_and_concatenations_of_many_values() -> None:
    xs = parameters(60)
    total = xs[0]
    for x in xs[1:]:
        total = ops.add(total, x)
    graph = Graph("many", xs, [total, ops.exp(ops.concatenate(xs, 0))])
    assert widest(graph) <= WGSL.max_buffers
