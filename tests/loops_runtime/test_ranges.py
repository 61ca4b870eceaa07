"""Loops up to run-time integers and loops that end early, on every backend, with derivatives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from tests.loops_runtime.test_loops import BACKENDS, close, diagnostics

PROGRAMS = Path(__file__).with_name("ranges.ch")


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    """The programs on a backend; they compute in f32."""
    return charl.load(PROGRAMS, backend=request.param[0])


@pytest.mark.parametrize("n", [-3, 0, 1, 4, 5])
def test_a_range_of_any_length(package: Any, n: int) -> None:
    x = np.arange(5, dtype=np.float32)
    close(package.first(x, np.int32(n)), x[: max(n, 0)].sum(), 1e-6)


@pytest.mark.parametrize("n", [0, 2, 9])
def test_bounds_that_depend_on_indices(package: Any, n: int) -> None:
    assert package.triangle(np.int32(n)) == sum(j for i in range(1, n) for j in range(i, min(n, 2 * i)))


def nest(x: float, n: int) -> float:
    for _ in range(2):
        for i in range(n):
            for _ in range(i):
                x = np.sin(x) + 0.1
    return x


@pytest.mark.parametrize("n", [0, 1, 4])
def test_loops_of_every_kind_in_each_other(package: Any, n: int) -> None:
    slope = (nest(0.3 + 1e-6, n) - nest(0.3 - 1e-6, n)) / 2e-6
    close(package.nested(np.float32(0.3), np.int32(n)), nest(0.3, n), 1e-5)
    close(package.nested_forward(np.float32(0.3), np.int32(n)), slope, 1e-5)


def chain(x: float, n: int) -> float:
    for _ in range(n):
        x = np.sin(x) + 0.1
    return x


@pytest.mark.parametrize("n", [0, 3, 9, 20])
def test_a_bound_gives_reverse_mode(package: Any, n: int) -> None:
    steps = min(n, 9)
    slope = (chain(0.3 + 1e-6, steps) - chain(0.3 - 1e-6, steps)) / 2e-6
    close(package.bounded(np.float32(0.3), np.int32(n)), slope, 1e-5)


def root(a: float, steps: int | None = None) -> tuple[float, int]:
    y, n = 1 + 0.5 * a, 0
    while n < (20 if steps is None else steps) and (steps is not None or abs(y * y - a) > 1e-4):
        y, n = y - 0.05 * 4 * y * (y * y - a), n + 1
    return y, n


def test_an_optimisation_inside_of_a_derivative(package: Any) -> None:
    a = 1.7
    value, steps = root(a)
    slope = (root(a + 1e-6, steps)[0] - root(a - 1e-6, steps)[0]) / 2e-6
    close(package.value(np.float32(a)), value, 1e-5)
    for name in ("reverse_reverse", "forward_reverse", "reverse_forward", "forward_forward"):
        close(getattr(package, name)(np.float32(a)), slope, 1e-4)


# ---------------------------------------------------------------- refused


def test_a_run_time_length_cannot_yield() -> None:
    source = """
fn f(x: f32[N], n: i32) -> f32 { let y = for i in 0..n { yield x[i] }
  sum(y) }
"""
    assert diagnostics(source)[0] == ("E0330", "n")


def test_a_run_time_length_has_no_reverse_mode() -> None:
    source = """
fn f(x: f32, n: i32) -> f32 { let mut y = x
  for i in 0..n { y = sin(y) }
  y }
export fn g(x: f32, n: i32) -> f32 { grad(f)(x, n) }
"""
    assert [c for c, _ in diagnostics(source)] == ["E0505"]
