"""Elements made of transposed operands in C against NumPy: by blocks, with what is left at the edges, on all instruction sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl
from charl import ops
from charl.backends.capabilities import PORTABLE_C
from charl.dtypes import DType, f32, f64
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.loops.ir import Transpose
from charl.loops.walk import statements
from tests.c import build
from tests.support import needs_cc


def _graph(shape: tuple[int, ...], axes: tuple[int, ...], dtype: DType, beside: bool) -> Graph:
    """A transposition, times another one where that is asked for, and what lies in order."""
    x = ops.parameter("x", TensorType(dtype, shape))
    turned: Node = ops.transpose(x, axes)
    y = ops.parameter("y", TensorType(dtype, turned.shape))
    params = [x, y]
    out = ops.sub(y, turned)
    if beside:
        z = ops.parameter("z", TensorType(dtype, shape))
        params.append(z)
        out = ops.mul(out, ops.transpose(ops.sin(z), axes))
    return Graph("f", params, [out])


CASES = [
    _graph(shape, axes, dtype, beside)
    for shape, axes in (
        ((64, 128), (1, 0)),
        ((100, 37), (1, 0)),
        ((16, 16), (1, 0)),
        ((3, 33, 70), (0, 2, 1)),
        ((40, 3, 65), (2, 1, 0)),
        ((20, 2, 50), (1, 2, 0)),
    )
    for dtype, beside in ((f32, False), (f64, False), (f32, True))
]


@pytest.mark.parametrize("isa", build.ISA)
def test_transposed_operands(isa: str, tmp_path: Path) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library = build.Library("turned", tmp_path)
    for i, graph in enumerate(CASES):
        plan = build.plan_graph(graph)
        kinds = [s for c in plan.calls for nest in c.kernel.nests for s in statements(nest)]
        assert any(isinstance(s, Transpose) for s in kinds)
        library.add_plan(str(i), plan)
    library.build(isa, ["-O1", *build.WARNINGS])
    rng = np.random.default_rng(3)
    for i, graph in enumerate(CASES):
        arrays = [rng.standard_normal(p.shape).astype(p.dtype.numpy) for p in graph.params]  # type: ignore[arg-type]
        (got,), (wanted,) = library.run_plan(isa, str(i), arrays), evaluate(graph, arrays)
        np.testing.assert_allclose(got, wanted, rtol=1e-5, atol=1e-6, err_msg=str(graph.params[0].type))


def test_short_axes_are_not_worth_a_copy() -> None:
    plan = build.plan_graph(_graph((8, 64), (1, 0), f32, False), PORTABLE_C)
    kinds = [s for c in plan.calls for nest in c.kernel.nests for s in statements(nest)]
    assert not any(isinstance(s, Transpose) for s in kinds)


@needs_cc
@pytest.mark.parametrize("sizes", [(1, 1), (5, 70), (64, 32), (131, 97)])
def test_sizes_that_are_known_later(sizes: tuple[int, int], tmp_path: Path) -> None:
    source = tmp_path / "sizes.ch"
    source.write_text("export fn f(x: f32[N, M], y: f32[M, N]) -> f32[M, N] = x.T * 2.0 + y\n")
    x, y = (np.random.default_rng(1).random(s).astype(np.float32) for s in (sizes, sizes[::-1]))
    np.testing.assert_allclose(charl.load(source, backend="c").f(x, y), x.T * 2 + y, rtol=1e-6)
