"""Loops that stay loops, on every backend, against the same loops in NumPy and finite differences of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_source
from charl.elaborate import elaborate
from charl.errors import CharlError
from charl.source import Source
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
PROGRAMS = Path(__file__).with_name("programs.ch")

BACKENDS = [
    pytest.param(("evaluator", "f64", 1e-10), id="evaluator"),
    pytest.param(("c", "f64", 1e-10), marks=needs_cc, id="c"),
    pytest.param(("wgpu", "f32", 3e-4), marks=needs_vulkan, id="wgsl"),
]


@pytest.fixture(scope="module", params=BACKENDS)
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, float]:
    """A package, the element type of its floats, and how exact it is."""
    backend, f64, tolerance = request.param
    package = charl.load(PROGRAMS, backend=backend, f64=f64)
    return package, np.float64 if f64 == "f64" else np.float32, tolerance


def close(found: Any, wanted: Any, tolerance: float) -> None:
    scale = max(1.0, float(np.abs(wanted).max(initial=0)))
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * scale)


def differences(f: Callable[[Array], float], x: Array, h: float) -> Array:
    out = np.zeros_like(x)
    for i in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[i] = h
        out[i] = (f(x + d) - f(x - d)) / (2 * h)
    return out


def nested(x: Array) -> float:
    total = 0.0
    for row in x:
        p = 1.0
        for e in row:
            p = p * 0.5 + np.sin(e) * p
        total += p
    return float(total)


def sweep(x: Array) -> Array:
    out = x.copy()
    for i in range(len(x)):
        for j in range(len(x)):
            out[i, j] += out[j, i] * 0.5
    return out


X = np.random.default_rng(0).standard_normal((4, 3))
V = np.random.default_rng(1).standard_normal((4, 3))
S = np.random.default_rng(2).standard_normal((5, 5))


def test_nested_loops_and_their_derivatives(case: Any) -> None:
    package, t, tolerance = case
    x, v = X.astype(t), V.astype(t)
    close(package.nested(x), nested(X), tolerance)
    gradient = differences(nested, X, 1e-6)
    close(package.nested_gradient(x), gradient, max(tolerance, 1e-7))
    close(package.nested_forward(x, v), (gradient * V).sum(), max(tolerance, 1e-7))

    def slope(at: Array) -> float:
        return (nested(at + 1e-4 * V) - nested(at - 1e-4 * V)) / 2e-4

    close(package.nested_second(x, v), differences(slope, X, 1e-4), max(tolerance, 1e-5))


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (1, 1), (3, 70)])
def test_loops_of_any_length(case: Any, shape: tuple[int, int]) -> None:
    package, t, tolerance = case
    x = np.random.default_rng(3).uniform(0, 0.5, shape)
    close(package.nested(x.astype(t)), nested(x), tolerance)
    close(package.nested_gradient(x.astype(t)), differences(nested, x, 1e-6), max(tolerance, 1e-7))


@pytest.mark.parametrize("n", [1, 2, 6])
def test_yields_stack(case: Any, n: int) -> None:
    package, t, tolerance = case
    x = np.array([0.5, -0.25, 0.75])
    rows, p = [], x
    for i in range(1, n):
        p = p * x + i
        rows.append(p)
    close(package.powers(x.astype(t), np.zeros(n, t)), np.array(rows).reshape(n - 1, 3), tolerance)


def test_places_that_trade_values(case: Any) -> None:
    package, t, tolerance = case
    p, q = np.arange(3.0), np.arange(3.0) * 10
    a, b = p.astype(t), q.astype(t)
    for _ in range(7):
        p, q = q, p + 1
    found = package.swap(a, b)
    close(found[0], p, tolerance)
    close(found[1], q, tolerance)


def test_elements_written_in_a_loop(case: Any) -> None:
    package, t, tolerance = case
    close(package.sweep(S.astype(t)), sweep(S), tolerance)
    w = np.random.default_rng(4).standard_normal(S.shape)
    wanted = differences(lambda x: float((sweep(x) * w).sum()), S, 1e-6)
    close(package.sweep_gradient(S.astype(t), w.astype(t)), wanted, max(tolerance, 1e-7))


@pytest.mark.parametrize("x", [0.5, 1.5, 100.0])
def test_while(case: Any, x: float) -> None:
    package, t, tolerance = case
    y, n = x, 0
    while y > 1:
        y, n = y / 2, n + 1
    found = package.halvings(t(x))
    close(found[0], y, tolerance)
    assert found[1] == n


@pytest.mark.parametrize("a", [1.0, 7.0, 40.0])
def test_a_bounded_while_in_reverse(case: Any, a: float) -> None:
    package, t, tolerance = case

    def root(a: float, steps: int | None = None) -> tuple[float, int]:
        x, n = a, 0
        while n < steps if steps is not None else abs(x * x - a) > 1e-5 * a:
            x, n = 0.5 * (x + a / x), n + 1
        return x, n

    x, steps = root(a)
    slope = (root(a + 1e-5, steps)[0] - root(a - 1e-5, steps)[0]) / 2e-5
    found = package.root_gradient(t(a))
    close(found[0], x, max(tolerance, 1e-9))
    close(found[1], slope, max(tolerance, 1e-7))


def test_yields_behind_the_end_are_zero(case: Any) -> None:
    package, t, tolerance = case
    close(package.countdown(t(2.75)), [1.75, 0.75, -0.25, 0, 0, 0, 0, 0], tolerance)


def test_a_stream_goes_through_the_iterations(case: Any) -> None:
    package, _, _ = case
    found, wanted = (f(package.Rng.init()) for f in (package.draws, package.unrolled_draws))
    np.testing.assert_array_equal(found, wanted)
    assert len(np.unique(found)) == 15


def test_a_loop_reads_what_was_written_before_it(case: Any) -> None:
    package, t, tolerance = case
    a, x, s, r = np.array([0.1, 0.2, 0.3], t), t(0.5), 0.0, 0.0
    written, other = np.array([0.5, 0.2, 0.3]), np.array([7.0, 0.1, 0.15])
    for i in range(3):
        s, r = np.tanh(s * 0.5 + written[i]), np.tanh(r * 0.5 + other[i])
    close(package.read_after_write(a, x), (s, r), tolerance)
    close(a, written, tolerance)


# ---------------------------------------------------------------- without running


LONG = """
fn walk(x: f32[4]) -> f32 {{
    let mut s = x
    for i in 0..{n} {{ s = s * 0.5 + sin(s) }}
    sum(s)
}}
export fn step(x: f32[4]) -> f32[4] {{ grad(walk)(x) }}
"""


def test_the_trip_count_changes_no_kernel() -> None:
    texts = []
    for n in (10, 10000):
        source = LONG.format(n=n)
        made = compile_source(Source("walk.ch", source), Options(targets=("c",)))
        texts.append(made.files["walk.c"].decode())
    assert abs(len(texts[0]) - len(texts[1])) < 100
    assert "< 10000; ++i" in texts[1]  # the loop stands in the kernel itself


def diagnostics(text: str) -> list[tuple[str, str]]:
    with pytest.raises(CharlError) as error:
        elaborate(Source("a.ch", text))
    return [(d.code, d.span.text) for d in error.value.diagnostics if d.span is not None]


def test_an_unbounded_loop_has_no_reverse_mode() -> None:
    source = """
fn f(x: f32) -> f32 {
    let mut y = x
    while y > 1.0 { y = y * 0.5 }
    y
}
export fn g(x: f32) -> f32 { grad(f)(x) }
"""
    assert [c for c, _ in diagnostics(source)] == ["E0505"]


def test_a_mistake_in_a_body_is_told_once() -> None:
    source = """
fn f(x: f32[N]) -> f32 {
    let mut s = 0.0
    for e in x { s = s + nothing }
    s
}
"""
    assert diagnostics(source) == [("E0301", "nothing")]
