"""Cumulative sums in C against the evaluator: carried from element to element, alone and fused, on all instruction sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charl import dims, ops
from charl.dtypes import DType, f32, f64, i8, i32
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.loops.ir import For
from charl.loops.walk import statements
from charl.ops.scan import cumsum
from tests.c import build

Shape = tuple[int, ...]


def _graph(shape: Shape, axis: int, dtype: DType, kind: str) -> Graph:
    """A cumulative sum, and what is done to it."""
    x = ops.parameter("x", TensorType(dtype, shape))
    y: Node = cumsum(x, axis)
    if kind == "from the end":
        y = ops.reverse(cumsum(ops.reverse(x, (axis,)), axis), (axis,))
    elif kind == "fused":
        y = ops.add(ops.mul(y, x), ops.sin(x))
    elif kind == "of products":
        y = cumsum(ops.mul(x, ops.cos(x)), axis)
    elif kind == "padded":
        before = tuple(int(a == axis) for a in range(len(shape)))
        y = ops.pad(y, before, tuple(2 * n for n in before))
    elif kind == "twice":
        y = ops.add(y, cumsum(ops.mul(x, x), axis))
    elif kind == "of sums":
        y = cumsum(ops.reduce_sum(x, (len(shape) - 1,)), axis)
    return Graph("f", [x], [y])


KINDS = ("alone", "from the end", "fused", "of products", "padded", "twice")
CASES = [
    *(_graph(shape, axis, f32, kind) for shape, axis in (((37, 100), 0), ((37, 45), 1)) for kind in KINDS),
    *(_graph((9, 20, 3), axis, f32, "fused") for axis in range(3)),
    *(_graph((50,), 0, t, "alone") for t in (f32, f64, i8, i32)),
    _graph((5, 16, 33), 1, f64, "from the end"),
    _graph((6, 30, 20), 1, f32, "of sums"),
]


def _grows(loop: For) -> bool:
    """Whether a loop takes more turns from one turn of a loop around it to the next."""
    names = dims.symbols(loop.stop) if loop.stop is not None else frozenset()
    return any(not n.startswith("VL") for n in names)


@pytest.mark.parametrize("isa", build.ISA)
def test_cumulative_sums(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library = build.Library("running", tmp_path)
    for i, graph in enumerate(CASES):
        plan = build.plan_graph(graph)
        loops = [s for c in plan.calls for nest in c.kernel.nests for s in statements(nest)]
        assert not [s for s in loops if isinstance(s, For) and _grows(s)]
        library.add_plan(str(i), plan)
    library.build(isa, ["-O1", *build.WARNINGS])
    rng = np.random.default_rng(3)
    for i, graph in enumerate(CASES):
        (p,) = graph.params
        shape: Shape = p.shape  # type: ignore[assignment]
        x = rng.standard_normal(shape) if p.dtype.is_float else rng.integers(-9, 9, shape)
        arrays = [x.astype(p.dtype.numpy)]
        (got,), (wanted,) = library.run_plan(isa, str(i), arrays), evaluate(graph, arrays)
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4, err_msg=f"case {i}: {p.type}")
