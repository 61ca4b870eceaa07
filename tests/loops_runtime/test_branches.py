"""Branches that run one side, on every backend: values, places, derivatives, lanes; and what stays a choice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_source
from charl.elaborate import elaborate
from charl.graph.ir import Graph
from charl.passes import optimise
from charl.source import Source
from tests.loops_runtime.test_loops import BACKENDS, Array, close, differences

PROGRAMS = Path(__file__).with_name("branches.ch")
X = np.array([0.5, 1.5, 2.0])


@pytest.fixture(scope="module", params=BACKENDS)
def case(request: pytest.FixtureRequest) -> tuple[Any, Any, float]:
    """A package, the element type of its floats, and how exact it is."""
    backend, f64, tolerance = request.param
    package = charl.load(PROGRAMS, backend=backend, f64=f64)
    return package, np.float64 if f64 == "f64" else np.float32, tolerance


@pytest.mark.parametrize("c", [True, False])
def test_values_and_derivatives(case: Any, c: bool) -> None:
    package, t, tolerance = case
    x, v, flag = X.astype(t), np.array([1.0, -2.0, 0.5]), np.bool_(c)
    gradient = 1 / X if c else 2 * X
    curve = -v / X**2 if c else 2 * v
    close(package.chosen(x, flag), np.log(X).sum() if c else X @ X, tolerance)
    close(package.chosen_gradient(x, flag), gradient, tolerance)
    close(package.chosen_forward(x, v.astype(t), flag), gradient @ v, tolerance)
    close(package.chosen_second(x, v.astype(t), flag), curve, tolerance)


def test_what_is_not_run_does_not_leak(case: Any) -> None:
    package, t, tolerance = case
    x = np.array([0.0, -1.0, 3.0])  # the other side takes logarithms
    close(package.chosen_gradient(x.astype(t), np.bool_(False)), 2 * x, tolerance)
    close(package.chosen_second(x.astype(t), x.astype(t), np.bool_(False)), 2 * x, tolerance)


def test_lanes_take_their_own_sides(case: Any) -> None:
    package, t, tolerance = case
    x = np.stack([X, -X, X])
    found = package.chosen_lanes(x.astype(t), np.array([True, False, False]))
    close(found, np.stack([1 / X, -2 * X, 2 * X]), tolerance)
    close(package.chosen_by_all(x.astype(t), np.bool_(False)), 2 * x, tolerance)


@pytest.mark.parametrize("c", [True, False])
@pytest.mark.parametrize("x", [[0.5, 0.25], [2.0, 3.0]])
def test_places_and_structs(case: Any, x: list[float], c: bool) -> None:
    package, t, tolerance = case
    a = np.array(x)
    n, at, weight = 1.0, a.copy(), 2.0
    if c:
        n, at[0] = a @ a, 7.0
    q, w = (at * 2, 1.0) if a @ a > n else (a @ a * at, weight)
    if c:
        at, weight = q, w
    found = package.places(a.astype(t), np.bool_(c))
    for y, wanted in zip(found, (n * weight, at, q), strict=True):
        close(y, wanted, tolerance)


def filtered(x: Array) -> Array:
    y = x.copy()
    for i in range(len(x)):
        if x[i] > 0:
            if i % 2 == 0:
                y[i] = np.log(x[i])
            else:
                for j in range(i):
                    y[i] += y[j] * 0.5
    return y


def test_branches_in_loops(case: Any) -> None:
    package, t, tolerance = case
    x = np.array([0.5, 1.25, -1.0, 0.75, 2.0, -0.5])
    w = np.arange(1.0, 7.0)
    close(package.sieve(x.astype(t)), filtered(x), tolerance)
    wanted = differences(lambda x: float(filtered(x) @ w), x, 1e-6)
    close(package.sieve_gradient(x.astype(t), w.astype(t)), wanted, max(tolerance, 1e-7))


@pytest.mark.parametrize("k", [0, 1, 2, 5])
def test_a_match_on_a_number(case: Any, k: int) -> None:
    package, t, tolerance = case
    wanted = [X @ X, np.log(X).sum(), np.log(X).sum()][k] if k < 3 else X.sum()
    close(package.by_number(X.astype(t), np.int32(k)), wanted, tolerance)


# ---------------------------------------------------------------- without running


def operations(source: str) -> list[str]:
    """The operations of the only export, those of sides and bodies too."""

    def walk(graph: Graph) -> list[str]:
        out: list[str] = []
        for n in graph.nodes():
            out.append(n.op)
            for region in n.regions:
                out += walk(region)
        return out

    (export,) = elaborate(Source("a.ch", source)).exports
    return walk(optimise(export.graph))


def test_light_sides_are_a_choice() -> None:
    found = operations("export fn f(x: f32) -> f32 = if x > 0.0 { x } else { -x }")
    assert "branch" not in found and "select" in found


@pytest.mark.parametrize("side", ["x @ x[:, None] * x", "cumsum(x, axis: 0)", "exp(x)"])
def test_sides_with_work_are_a_branch(side: str) -> None:
    text = f"export fn f(x: f32[N], c: bool[]) -> f32[N] = if c {{ {side} }} else {{ x }}"
    found = operations(text)
    assert found.count("branch") == 1 and "select" not in found


def test_a_known_condition_leaves_one_side() -> None:
    found = operations(
        "export fn f(x: f32[N]) -> f32[N] { let c = 1 < 2; if c { exp(x) } else { cumsum(x) } }"
    )
    assert "branch" not in found and "cumsum" not in found


def test_both_targets_print_a_branch() -> None:
    source = """
export fn f(x: f32[512, 512], c: bool[]) -> f32[512, 512] = if c { x @ x } else { x }
"""
    made = compile_source(Source("choice.ch", source), Options())
    assert "if (c) {" in made.files["choice.c"].decode()
    assert '"if"' in made.files["wgsl/manifest.json"].decode()
