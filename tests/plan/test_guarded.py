"""Sums and values behind a guard: of indices that only the guard keeps inside, or that are looked at piece by piece."""

from __future__ import annotations

import numpy as np
import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL, Capabilities
from charl.elaborate import elaborate
from charl.graph.evaluate import evaluate
from charl.loops.verify import verify as verify_kernel
from charl.passes import optimise
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.verify import verify
from charl.source import Source

PROGRAMS = {
    "the first of a running sum": """
        export fn f(x: f32[N], m: f32[N, N]) -> f32[N] where N >= 3 = concat([x[1:], cumsum(m[0], axis: 0)[:1]])
    """,
    "a sum written at the end, read in the middle": """
        export fn f(x: f32[N], m: f32[N, N]) -> f32 where N >= 3 {
            let mut y = cos(x)
            y[N - 1] *= tanh(sum(m[N - 2]))
            let mut s = x[0]
            if sin(s) < 2.0 { s += y[1] }
            s
        }
    """,
    # what is cut from where another piece lies is read by neither piece alone
    "pieces of pieces": """
        fn g(x: f32[N], w: f32[N, N]) -> f32 where N >= 3 {
            let mut a = x
            let mut m = w
            a[1:] = concat([(x[0] * a)[1:], (m[0, N - 1] * sin(x))[:1]])[:-1]
            m[0] = concat([sin(a)[1:], m[1][:1]])
            for i in 0..N {
                a = sin(x)
                m[0] = sin(tanh(m.T @ a))
            }
            x[0] + sum(a * sin(x)) + sum(tanh(m))
        }
        export fn f(x: f32[N], m: f32[N, N]) -> f32[N] where N >= 3 = grad(|y| sum(x * grad(g)(y, m)))(x)
    """,
}


@pytest.mark.parametrize("dims", [{}, {"N": 4}], ids=["at run time", "known"])
@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["vectors", "grid"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_they_are_what_the_graph_means(name: str, caps: Capabilities, dims: dict[str, int]) -> None:
    (export,) = elaborate(Source("f.ch", PROGRAMS[name]), dims=dims).exports
    rng = np.random.default_rng(0)
    arrays = [rng.uniform(-1, 1, shape).astype(np.float32) for shape in ((4,), (4, 4))]
    (wanted,) = evaluate(export.graph, arrays, {"N": 4})
    export.graph = optimise(export.graph)
    plan = plan_export(export, caps)
    for call in plan.calls:
        verify_kernel(call.kernel)
    (found,) = run_plan(plan, arrays, {"N": 4})
    np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-4, atol=1e-5)


SERIAL = """
fn f(x: f64[N], w: f64[N, N], p: i32[N]) -> f64 where N >= 3 {
    let mut a = x
    let mut b = sin(x)
    let mut m = w
    let mut s = x[0]
    for i in 0..N {
        for j in 0..N while s < 3.0 {
            m[0] = cumsum(b, axis: 0)[p]
            a = 0.5 * a + (a[j] * a)
        }
        m = tanh((a[:, None] * m[:, N - 1][None, :]) @ m.T)
        for j in 0..i while s < 3.0 { b *= (concat([b[1:], m[1][:1]]) + m[:, 0]) }
    }
    sum(a * b) + sum(tanh(m))
}
export fn second(x: f64[N], w: f64[N, N], p: i32[N], v: f64[N]) -> f64[N] where N >= 3 {
    grad(|x| sum(v * grad(f)(x, w, p)))(x)
}
"""


def test_arrays_of_one_kernel_lie_apart_though_they_are_used_one_after_another() -> None:
    """They are `restrict`; and what is filled and read under one condition is filled before it is read."""
    (export,) = elaborate(Source("serial.ch", SERIAL)).exports
    export.graph = optimise(export.graph)
    verify(plan_export(export, PORTABLE_C))
