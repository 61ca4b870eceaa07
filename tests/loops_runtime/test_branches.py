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


def costly(w: Array, x: Array, c: list[bool]) -> float:
    h = x
    for flag in c:
        if flag:
            h = w @ np.tanh(w @ h) ** 2
        elif h[0] > 0.4:
            t = h
            for _ in range(3):
                t = np.sin(w @ t) + h
            h = t
        else:
            h = h * h
    return float(h @ h)


@pytest.mark.parametrize("c", [[True, False, True, False], [False, False, True, True], [False] * 4])
def test_what_sides_made_is_kept(case: Any, c: list[bool]) -> None:
    package, t, tolerance = case
    w = np.array([[0.6, -0.3, 0.2], [0.1, 0.8, -0.4], [0.5, 0.2, 0.3]])
    x, v = np.array([0.7, -0.2, 0.4]), np.array([0.3, 1.0, -0.5])
    flags = np.array(c)
    value, (dw, dx) = package.kept(w.astype(t), x.astype(t), flags)
    close(value, costly(w, x, c), tolerance)
    close(dw, differences(lambda w: costly(w, x, c), w, 1e-6), max(tolerance, 1e-7))
    wanted = differences(lambda x: costly(w, x, c), x, 1e-6)
    close(dx, wanted, max(tolerance, 1e-7))

    def slope(step: float) -> Array:
        return differences(lambda x: costly(w, x, c), x + step * v, 1e-5)

    second = (slope(1e-4) - slope(-1e-4)) / 2e-4
    for found in package.kept_second(w.astype(t), x.astype(t), v.astype(t), flags):
        close(found, second, max(tolerance, 1e-5))
    both, other = np.stack([x, x * 0.5]).astype(t), [not flag for flag in c]
    lanes = package.kept_lanes(w.astype(t), both, np.array([c, other]))
    close(lanes[0], wanted, max(tolerance, 1e-7))
    close(lanes[1], differences(lambda x: costly(w, x, other), x / 2, 1e-6), max(tolerance, 1e-7))


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


PRODUCTS = """
fn f(x: f32[N, 8], w: f32[8, 8], c: bool[4]) -> f32 {{
    let mut h = x
    {loop} {{ h = if {flag} {{ tanh(h @ w) @ w }} else {{ h * 0.5 }} }}
    sum(h * h)
}}
export fn g(x: f32[N, 8], w: f32[8, 8], c: bool[4]) -> (f32, f32[8, 8]) = value_and_grad(f, wrt: 1)(x, w, c)
"""


@pytest.mark.parametrize(("loop", "flag", "back"), [("if true", "c[0]", 3), ("for i in 0..4", "c[i]", 4)])
def test_a_product_of_a_side_is_computed_once(loop: str, flag: str, back: int) -> None:
    """Two products forward, two for `w` and one or, where the start of the side moves, two for `h` backward."""
    found = operations(PRODUCTS.format(loop=loop, flag=flag))
    assert found.count("contract") == 2 + back
    assert found.count("branch") == 2


def test_both_targets_print_a_branch() -> None:
    source = """
export fn f(x: f32[512, 512], c: bool[]) -> f32[512, 512] = if c { x @ x } else { x }
"""
    made = compile_source(Source("choice.ch", source), Options())
    assert "if (c) {" in made.files["choice.c"].decode()
    assert '"if"' in made.files["wgsl/manifest.json"].decode()
