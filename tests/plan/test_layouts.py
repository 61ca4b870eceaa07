"""Orders of axes in memory: what loops read by rows, sums over several axes, matrices of loops in strips."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl
from charl.backends.capabilities import AVX512
from charl.compile import Options, elaborated
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node
from charl.loops.ir import Transpose
from charl.loops.walk import statements
from charl.plan.build import plan_export
from charl.plan.ir import Plan, Repeat
from charl.plan.layouts import laid_out
from charl.source import Source
from tests.c import build

RECURRENT = """
fn run(x: f32[12, 20, 64], w: f32[64, 128], r: f32[128, 128]) -> f32 {
    let pre = x @ w
    let mut h = zeros(12, 128)
    let hs = for t in 0..20 {
        h = tanh(pre[:, t] + h @ r)
        yield h
    }
    sum(hs ** 2)
}
export fn step(x: f32[12, 20, 64], w: f32[64, 128], r: f32[128, 128]) -> (f32, (f32[64, 128], f32[128, 128])) =
    value_and_grad(run, wrt: (1, 2))(x, w, r)
"""


def optimised() -> Graph:
    return elaborated(Source("step.ch", RECURRENT), Options()).exports[0].graph


def planned() -> Plan:
    return plan_export(elaborated(Source("step.ch", RECURRENT), Options()).exports[0], AVX512)


def inside(graph: Graph, op: str) -> list[Node]:
    return [n for loop in graph.nodes() if loop.op == "loop" for n in loop.regions[0].nodes() if n.op == op]


def test_loops_read_their_rows_along_the_first_axis() -> None:
    def shapes(g: Graph) -> set[tuple[int, ...]]:
        return {n.inputs[0].shape for n in inside(g, "dynamic_slice")}

    before, after = optimised(), laid_out(optimised(), AVX512)
    assert (12, 20, 128) in shapes(before)
    assert all(s[0] == 20 for s in shapes(after))


def test_summed_axes_lie_alike() -> None:
    sums = [n.attrs["sum"] for n in laid_out(optimised(), AVX512).nodes() if n.op == "contract"]
    assert ((0, 1), (0, 1)) in sums
    assert all(a == b == tuple(sorted(a)) for a, b in sums if len(a) > 1)


def test_matrices_of_a_loop_are_copied_before_it() -> None:
    """For the loop forward, and the other way round for the one that goes back."""
    plan = planned()
    forward, back = (s for s in plan.steps if isinstance(s, Repeat))
    inside = [c.kernel for c in (*forward.body, *back.body)]
    assert not any(isinstance(s, Transpose) for k in inside for n in k.nests for s in statements(n))
    read = [b.name for k in inside for b in k.buffers if b.size == 128 * 128]
    assert read == ["r", "r_2"]
    copies = [c for c in plan.calls if [b.size for b in c.kernel.buffers] == [128 * 128, 128 * 128]]
    assert [c.places[0].kind for c in copies] == ["parameter", "parameter"]


def test_what_is_left_back_to_front_is_stored_so() -> None:
    graph = optimised()
    assert any(n.op == "reverse" for n in graph.nodes())
    assert not any(c.kernel.name.endswith("reverse") for c in planned().calls)


STRIDED = """
from conv import convolve, convolve_transposed

export fn back(x: f32[3, 20, 9, 9], w: f32[24, 20, 3, 3], c: f32[3, 24, 5, 5]) =
    grad(|x| sum(convolve(x, w, stride: 2, padding: 1) * c))(x)
export fn laid(x: f32[2, 6, 7, 8], w: f32[6, 5, 3, 2]) = convolve_transposed(x, w, stride: 2, padding: 1)
export fn line(x: f32[2, 6, 3], w: f32[6, 5, 4]) = convolve_transposed(x, w, stride: 2)
"""


def test_windows_that_are_put_back_lie_by_their_taps(tmp_path: Path) -> None:
    """Where they have more places than taps."""
    program = elaborated(Source("strided.ch", STRIDED), Options())
    shapes = {}
    for export in program.exports:
        (put,) = (n for n in laid_out(export.graph, AVX512).nodes() if n.op == "overlap_add")
        before = put.inputs[0].inputs[0]
        shapes[export.name] = before.shape if before.attrs.get("laid") else None
    assert shapes == {"back": (3, 20, 3, 3, 5, 5), "laid": (2, 1, 5, 3, 2, 7, 8), "line": None}
    path = tmp_path / "strided.ch"
    path.write_text(STRIDED)
    emitted, rng = charl.load(path), np.random.default_rng(0)
    for export in program.exports:
        arrays = [rng.standard_normal(p.shape).astype(np.float32) for p in export.graph.params]
        (want,) = evaluate(export.graph, arrays)
        np.testing.assert_allclose(getattr(emitted, export.name)(*arrays), want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("simd", ["scalar", "avx512"])
def test_values(tmp_path: Path, simd: str) -> None:
    if (reason := build.missing(simd)) is not None:
        pytest.skip(reason)
    path = tmp_path / "step.ch"
    path.write_text(RECURRENT)
    rng = np.random.default_rng(0)
    shapes = [(12, 20, 64), (64, 128), (128, 128)]
    arrays = [(0.1 * rng.standard_normal(s)).astype(np.float32) for s in shapes]
    loss, (dw, dr) = charl.load(path, simd=simd).step(*arrays)
    for have, want in zip((loss, dw, dr), evaluate(optimised(), arrays), strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-4, atol=2e-4)
