"""Loops that are none: of no iteration, and of one."""

from __future__ import annotations

import numpy as np
import pytest

from charl import ops
from charl.dtypes import f32, i32
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.ops.regions import loop
from charl.passes import optimise


@pytest.mark.parametrize("extent", [0, 1, 2])
@pytest.mark.parametrize("halts", [False, True])
def test_short_loops(extent: int, halts: bool) -> None:
    x = ops.parameter("x", TensorType(f32, (3,)))
    limit = ops.parameter("limit", TensorType(i32, ()))

    def body(index: Node, state: list[Node]) -> tuple[list[Node], list[Node]]:
        go, y = state
        moved = ops.select(ops.broadcast(go, (3,), ()), ops.add(ops.mul(y, y), x), y)
        return [ops.and_(go, ops.lt(index, limit)), moved], [ops.mul(y, x)]

    looped = loop(extent, [ops.lt(ops.constant(0, i32), limit), x], body, halts)
    graph = Graph("short", [x, limit], [looped.carried[1], looped.yields[0]])
    after = optimise(graph, check=True)
    assert any(n.op == "loop" for n in after.nodes()) == (extent > 1)
    for given in (0, 1, 5):
        arrays = [np.array([0.5, -1.0, 2.0], np.float32), np.array(given, np.int32)]
        for found, wanted in zip(evaluate(after, arrays), evaluate(graph, arrays), strict=True):
            np.testing.assert_array_equal(found, wanted)
