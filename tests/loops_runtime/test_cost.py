"""What loops cost: what is copied, how many kernels run, what is kept for reverse mode, what a slice's gradient touches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.backends.capabilities import PORTABLE_C
from charl.compile import Options, elaborated, read_source
from charl.plan.build import plan_program
from charl.plan.ir import Call, Choose, Plan, Repeat
from charl.source import Source
from tests.loops_runtime.test_loops import BACKENDS, close

HERE = Path(__file__).parent
TOUR = HERE.parents[1] / "examples" / "tour"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_factor_written_element_by_element(backend: Any) -> None:
    name, f64, tolerance = backend
    t = np.float64 if f64 == "f64" else np.float32
    package = charl.load(HERE / "cholesky.ch", backend=name, f64=f64)
    rng = np.random.default_rng(0)
    b = rng.standard_normal((5, 5))
    a, v = b @ b.T + 5 * np.eye(5), rng.standard_normal((5, 5))
    v = np.tril(v)
    close(package.factor(a.astype(t)), np.linalg.cholesky(a), max(tolerance, 1e-9))
    value, gradient = package.gradient(a.astype(t))
    inverse = np.linalg.inv(a)
    wanted = np.tril(inverse) - 0.5 * np.diag(np.diag(inverse))  # only the lower half is read
    close(value, np.linalg.slogdet(a)[1] / 2, tolerance)
    close(gradient, wanted, tolerance)
    close(package.forward(a.astype(t), v.astype(t)), (wanted * v).sum(), tolerance)
    whole = -inverse @ (v + v.T - np.diag(np.diag(v))) @ inverse
    close(package.second(a.astype(t), v.astype(t)), np.tril(whole) - 0.5 * np.diag(np.diag(whole)), tolerance)


# ---------------------------------------------------------------- plans


def plans(source: str | Path, **dims: int) -> dict[str, Plan]:
    text = Source("cost.ch", source) if isinstance(source, str) else read_source(source)
    lowered = plan_program(elaborated(text, Options(dims=dims)), PORTABLE_C)
    return {p.export.name: p for p in lowered.plans}


def test_elements_are_written_in_place() -> None:
    found = plans(HERE / "cholesky.ch", N=32)
    plan = found["factor"]
    assert plan.arena_bytes == 0  # not even one copy of the matrix
    assert len(plan.steps) == 2 and all(isinstance(s, Call) for s in plan.steps)  # zeros, and all loops
    gradient = found["gradient"]
    rows = 2 * 32**3 * 8  # two rows for each element
    assert isinstance(gradient.arena_bytes, int) and gradient.arena_bytes < 1.25 * rows


def test_small_steps_are_one_kernel() -> None:
    plan = plans(TOUR / "pendulum.ch", T=1000)["fit_step"]
    assert not any(isinstance(s, (Repeat, Choose)) for s in plan.steps)
    assert len(plan.steps) <= 6


ROWS = """
fn f(x: f32[T, 8]) -> f32 {
    let mut s = zeros(8)
    for t in 0..T { s = tanh(s * 0.5 + x[t] * x[(t + 1) % T]) }
    sum(s)
}
export fn g(x: f32[T, 8]) -> f32[T, 8] = grad(f)(x)
"""


def test_the_gradient_of_a_slice_touches_the_slice() -> None:
    small, large = (plans(ROWS, T=n)["g"].flops for n in (50, 500))
    assert isinstance(small, int) and isinstance(large, int)
    assert large < 11 * small


def test_no_copy_in_a_large_step() -> None:
    source = """
fn f(x: f32[T, 64], w: f32[64, 64]) -> f32 {
    let mut h = zeros(64)
    for t in 0..T { h = tanh(x[t] + h @ w) }
    sum(h)
}
export fn g(x: f32[T, 64], w: f32[64, 64]) -> f32[64, 64] = grad(f, wrt: 1)(x, w)
"""
    plan = plans(source, T=10)["g"]
    bodies = [s.body for s in plan.steps if isinstance(s, Repeat)]
    assert len(bodies) == 2
    weights = [
        p for body in bodies for s in body if isinstance(s, Call) for p in s.places if p.size == 64 * 64
    ]
    assert {p.kind for p in weights} <= {"parameter", "result"}  # the sum grows where the result lies


CHECKPOINTS = """
fn step(x: f32[64], w: f32[64, 64]) -> f32[64] = tanh(w @ tanh(w @ tanh(w @ x)))
fn inner(x: f32[64], w: f32[64, 64]) -> f32[64] {
    let mut y = x
    for _ in 0..16 { y = STEP(y, w) }
    y
}
fn f(x: f32[64], w: f32[64, 64]) -> f32 {
    let mut y = x
    for _ in 0..16 { y = INNER(y, w) }
    sum(y)
}
export fn g(x: f32[64], w: f32[64, 64]) -> f32[64] = grad(f)(x, w)
"""


def test_checkpoints_trade_memory_for_work() -> None:
    bytes_, work = [], []
    for step, inner in (
        ("step", "inner"),
        ("checkpoint(step)", "inner"),
        ("step", "checkpoint(inner)"),
        ("checkpoint(step)", "checkpoint(inner)"),
    ):
        plan = plans(CHECKPOINTS.replace("STEP", step).replace("INNER", inner))["g"]
        assert isinstance(plan.arena_bytes, int) and isinstance(plan.flops, int)
        bytes_.append(plan.arena_bytes)
        work.append(plan.flops)
    assert bytes_ == sorted(bytes_, reverse=True)
    assert work == sorted(work)
    assert bytes_[0] > 3 * 256 * 64 * 4  # three products of every step
    assert bytes_[3] < 3 * (16 + 16) * 64 * 4  # the starts of either loop
    assert work[0] * 1.4 < work[3] < work[0] * 2.1


def test_the_trip_count_changes_neither_nodes_nor_kernels() -> None:
    def counted(n: int) -> tuple[int, int]:
        plan = plans(ROWS, T=n)["g"]
        return len(plan.export.graph.nodes()), len(plan.calls)

    assert counted(1_000) == counted(100_000)
