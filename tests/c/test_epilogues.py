"""What is made of sums of rows, in C against the evaluator: on lanes where that is work, on all instruction sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from charl import dims, ops
from charl.backends.capabilities import PORTABLE_C
from charl.dims import Dim
from charl.dtypes import DType, f32, f64
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, TensorType
from charl.graph.scalar import Apply
from charl.loops.ir import Simd
from charl.loops.walk import expressions, statements
from charl.plan.access import nodes_of
from charl.plan.build import plan_export
from charl.plan.ir import Plan
from tests.c import build
from tests.plan.graphs import export


def _graph(shape: tuple[int | Dim, ...], dtype: DType) -> Graph:
    """y * exp(sin(x w)) - x w, with w of the last axis of x."""
    x, w = (ops.parameter(n, TensorType(dtype, s)) for n, s in (("x", shape), ("w", shape[-1:])))
    y = ops.parameter("y", TensorType(dtype, shape[:-1]))
    z = ops.contract(x, w, sum=((len(shape) - 1,), (0,)))
    return Graph("f", [x, w, y], [ops.sub(ops.mul(y, ops.exp(ops.sin(z))), z)])


CASES = [_graph((130, 37), f32), _graph((64, 20), f64), _graph((3, 100, 40), f32), _graph((7, 33), f32)]


def _on_lanes(plan: Plan) -> bool:
    """Whether a kernel computes exp of vectors."""
    return any(
        isinstance(x, Apply) and x.fn == "exp"
        for call in plan.calls
        for nest in call.kernel.nests
        for region in statements(nest)
        if isinstance(region, Simd)
        for s in statements(region.body)
        for e in expressions(s)
        for x in nodes_of(e)
    )


@pytest.mark.parametrize("isa", build.ISA)
def test_functions_of_sums(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library = build.Library("epilogues", tmp_path)
    for i, graph in enumerate(CASES):
        plan = build.plan_graph(graph)
        assert _on_lanes(plan) == (graph.results[0].shape[-1] >= 64)  # type: ignore[operator]
        library.add_plan(str(i), plan)
    library.build(isa, ["-O1", *build.WARNINGS])
    rng = np.random.default_rng(3)
    for i, graph in enumerate(CASES):
        arrays = [rng.standard_normal(p.shape).astype(p.dtype.numpy) for p in graph.params]  # type: ignore[arg-type]
        (got,), (wanted,) = library.run_plan(isa, str(i), arrays), evaluate(graph, arrays)
        np.testing.assert_allclose(got, wanted, rtol=2e-4, atol=2e-4, err_msg=str(graph.params[0].type))


def test_blocks_of_rows_whose_number_is_known_at_run_time_only() -> None:
    graph = _graph((dims.sym("N"), 37), f32)
    assert _on_lanes(plan_export(export(graph.params, graph.results, dims=["N"]), PORTABLE_C))
