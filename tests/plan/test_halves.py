"""Products with weights that are updated: in two parts, by rows, as updates leave them to threads; only where that may pay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charl.backends.capabilities import AVX512, WGSL, Capabilities
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node
from charl.loops.ir import For, Kernel
from charl.loops.touches import touches
from charl.loops.walk import statements
from charl.plan import serial
from charl.plan.build import plan_export, plan_program
from charl.plan.evaluate import run_plan
from charl.plan.halves import halved
from charl.plan.ir import Plan, every
from charl.plan.verify import verify
from tests.elaborate import programs

SMALL = replace(AVX512, cache=(64, *AVX512.cache[1:]), thread_work=16)
STEP = "export fn f(mut w: f32[{k}, 24], x: f32[{m}, {k}]) -> f32[{m}, 24] {{\n let y = {product}\n {update}\n y\n}}"
GRADIENT = "w = w - 0.01 * (x.T @ y)"
# Weights that a loop carries, with the update before the product, behind it, and moved into the next turn's product.
LOOPS = {
    "behind": "let y = x[t] @ w\n w = w - 0.01 * (x[t].T @ y)",
    "before": "w = 0.9 * w\n let y = x[t] @ w",
    "moved": "let y = x[t, :1] @ w\n w = w - 0.01 * (x[t, :1].T @ y)",
}


def step(k: int = 64, m: int = 4, product: str = "x @ w", update: str = GRADIENT) -> str:
    return STEP.format(k=k, m=m, product=product, update=update)


def products(graph: Graph, caps: Capabilities = SMALL) -> list[Node]:
    parts = halved(graph, frozenset(graph.params[:1]), caps).everywhere()
    return [n for n in parts if n.op == "contract" and n.inputs[0].rank == n.inputs[1].rank == 3]


def check(plan: Plan) -> None:
    verify(plan)
    rng = np.random.default_rng(3)
    given = [rng.normal(size=[int(s) for s in p.shape]).astype(np.float32) for p in plan.export.graph.params]
    for found, wanted in zip(run_plan(plan, given, {}, 16), evaluate(plan.export.graph, given), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("product", ["x @ w", 'einsum("kj,ik->ji", w, x).T'])
def test_both_halves_are_rows_of_the_weights(product: str) -> None:
    export = programs.export(step(product=product))
    (node,) = products(export.graph)
    assert node.shape[0] == 2 and {x.shape[n] for x in node.inputs for n in range(3)} >= {2, 32}
    check(plan_export(export, SMALL))


@pytest.mark.parametrize(
    ("text", "caps"),
    [
        (step(update="w = w + 1.0", k=63), SMALL),  # no halves
        (step(m=16), SMALL),  # parts as large as the weights
        (step(), replace(SMALL, cache=AVX512.cache)),  # the nearest cache holds the weights
        (step(), replace(SMALL, threads=1)),
        (step(), WGSL),
    ],
)
def test_others_stay_whole(text: str, caps: Capabilities) -> None:
    assert not products(programs.export(text).graph, caps)


def test_weights_that_do_not_change_are_multiplied_whole() -> None:
    graph = programs.export("export fn f(w: f32[64, 24], x: f32[4, 64]) -> f32[4, 24] = x @ w").graph
    assert halved(graph, frozenset(), SMALL) is graph


@pytest.mark.parametrize("turn", LOOPS.values(), ids=LOOPS)
def test_weights_that_a_loop_carries(turn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "WORK", 64)  # scaled like these arrays: no loop is one kernel
    text = f"""export fn f(w0: f32[64, 24], x: f32[3, 4, 64]) -> (f32[24], f32[64, 24]) {{
        let mut w = w0
        let mut total = zeros(24)
        for t in 0..3 {{
            {turn}
            total = total + sum(y, axis: 0)
        }}
        (total, w)
    }}"""
    export = programs.export(text)
    assert products(export.graph)
    check(plan_export(export, SMALL))


def test_threads_multiply_with_the_rows_that_they_update() -> None:
    text = step(784, 32).replace("24]", "128]")
    (plan,) = plan_program(programs.program(text), AVX512).plans

    def parallel(kernel: Kernel) -> list[For]:
        return [s for n in kernel.nests for s in statements(n) if isinstance(s, For) and s.kind == "parallel"]

    first, summed, last = plan.calls
    assert [s.stop for s in parallel(first.kernel)] == [2] and not parallel(summed.kernel)
    periods = [t.period for c in (first, last) for t in touches(c.kernel) if c.places[t.buffer].name == "w"]
    assert all(0.95 * 784 * 128 < n <= 784 * 128 for n in periods) and len(periods) == 3
    assert not any(s.apart for c in every(plan.steps) for s in parallel(c.kernel))
