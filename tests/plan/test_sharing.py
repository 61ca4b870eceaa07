"""Kernels stay on one thread where their arrays would wander between the caches of the cores."""

from __future__ import annotations

from dataclasses import replace

from charl.backends.capabilities import AVX512
from charl.compile import Options, elaborated
from charl.loops.ir import For, Kernel
from charl.loops.touches import touches
from charl.loops.walk import statements
from charl.plan.build import plan_program
from charl.plan.ir import Lowered
from charl.source import Source

STEP = """
export fn step(mut w: f32[784, N], mut m: f32[784, N], mut v: f32[784, N], x: f32[1, 784]) -> f32[1, N] {
    let y = x @ w
    let d = x.T @ y
    m = 0.9 * m + 0.1 * d
    v = 0.9 * v + 0.1 * d ** 2
    w = w - m / (sqrt(v) + 1e-8)
    y
}
"""
ROWS = """
export fn rows(x: f32[2048, N], w: f32[N, N]) -> f32[2048, N] = softmax(softmax(x) @ w)
"""
TWO = """
export fn predict(w: f32[783, 128], x: f32[32, 783]) -> f32[32, 128] = x @ w

export fn train(mut w: f32[783, 128], x: f32[32, 783]) -> f32[32, 128] {
    let y = x @ w
    w = w - 0.001 * (x.T @ y)
    y
}
"""


def lowered(text: str, n: int = 128, exchange: float = AVX512.exchange) -> Lowered:
    dims = {"N": n} if "N]" in text else {}
    program = elaborated(Source("step.ch", text), Options(dims=dims))
    return plan_program(program, replace(AVX512, exchange=exchange))


def parallel(kernel: Kernel) -> bool:
    loops = (s for nest in kernel.nests for s in statements(nest) if isinstance(s, For))
    return any(s.kind in ("parallel", "each") for s in loops)


def on_threads(program: Lowered, export: str) -> list[bool]:
    plan = next(p for p in program.plans if p.export.name == export)
    return [parallel(c.kernel) for c in plan.calls]


def test_weights_that_one_thread_multiplies_are_updated_by_it() -> None:
    assert not any(on_threads(lowered(STEP), "step"))
    assert any(on_threads(lowered(STEP, exchange=1e9), "step"))


def test_threads_share_what_does_not_fit_the_caches() -> None:
    assert on_threads(lowered(STEP, 8192), "step").count(True) == 2


def test_arrays_that_all_kernels_divide_alike_do_not_move() -> None:
    assert on_threads(lowered(ROWS), "rows") == [True, True, True]


def test_weights_that_nobody_writes_are_in_every_cache() -> None:
    program = lowered(TWO)
    assert on_threads(program, "predict") == [True]
    assert on_threads(program, "train") == [False, False]
    assert len({k.name for k in program.kernels}) == len(program.kernels) == 3


def test_weights_are_divided_alike_by_the_product_and_the_update() -> None:
    assert on_threads(lowered(TWO.replace("783", "784")), "train") == [True, False, True]


def test_what_a_kernel_touches() -> None:
    (plan,) = lowered("export fn rows(x: f32[4096, N], b: f32[N]) -> f32[4096, N] = exp(x + tanh(b))").plans
    call = plan.calls[-1]
    found = {(call.places[t.buffer].kind, t.written): (t.bytes, t.divided) for t in touches(call.kernel)}
    everything = 4096 * 128 * 4
    assert found == {
        ("parameter", False): (everything, True),
        ("result", True): (everything, True),
        ("arena", False): (128 * 4, False),
    }


def test_threads_share_what_comes_from_behind_the_nearest_cache() -> None:
    """Few operations, but long waits: a row by a matrix of 1 MB; not one that the nearest cache holds."""
    for rows, divided in ((256, True), (32, False)):
        text = f"export fn run(x: f32[1, {rows}], w: f32[{rows}, 4 * {rows}]) -> f32[1, 4 * {rows}] = x @ w"
        assert on_threads(lowered(text), "run") == [divided]
