"""Loops among branches, methods and lanes, and derivatives through loops that hold derivatives of loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
f = np.float32
X = np.random.default_rng(0).standard_normal(6).astype(f)


@pytest.fixture(
    scope="module",
    params=["evaluator", pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)],
)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(Path(__file__).with_name("nested.ch"), backend=request.param)


def test_a_method_writes_a_struct_in_every_turn(package: Any) -> None:
    p = package.P.init()
    rows = X.reshape(3, 2)
    found = package.structs(p, rows)
    x = np.zeros(2)
    for row in rows:
        x = x * 0.5 + row
    np.testing.assert_allclose(found, x.sum(), rtol=1e-5, atol=1e-6)
    assert p.n == 3


def test_loops_in_branches_and_branches_in_loops(package: Any) -> None:
    for c, sign in ((3, 1), (1, -1)):
        np.testing.assert_allclose(package.branchy(X, np.int32(c)), sign * X.sum(), rtol=1e-5, atol=1e-6)
    wanted = np.where(X > 0, X, -2 * X).sum() + len(X)
    np.testing.assert_allclose(package.inside(X), wanted, rtol=1e-5)
    lanes = np.stack([X, -X, X * 2, X - 1])
    np.testing.assert_allclose(package.lanes(lanes), [package.inside(x) for x in lanes], rtol=1e-5)
    best, at, found = package.largest(X)
    assert (best, at, found) == (X.max(), X.argmax(), bool(X.argmax()))


def test_sequences_side_by_side(package: Any) -> None:
    y = np.outer(X, [1, -2, 3]).astype(f)
    np.testing.assert_array_equal(package.zipped(X, y), X[:, None] * y)
    assert package.empty(X[:3]).shape == (0, 3)
    sums, slope = package.none(np.zeros((0, 3), f), X[:3])
    assert sums.shape == (0,) and slope.tolist() == [1, 1, 1]
    turned, total = package.nothing(np.zeros((4, 0), f))
    assert turned.shape == (0, 4) and total == 0


def test_an_element_is_written_that_sums_what_was_written(package: Any) -> None:
    lower = np.tril(np.random.default_rng(1).standard_normal((4, 4))).astype(f) + 3 * np.eye(4, dtype=f)
    rows = np.random.default_rng(2).standard_normal((3, 4)).astype(f)
    wanted = (np.linalg.solve(lower, rows.T) ** 2).sum(0)
    np.testing.assert_allclose(package.solved_rows(lower, rows), wanted, rtol=1e-5)


def slopes(function: Any, w: Array, h: float) -> Array:
    return np.array([(function(w + d) - function(w - d)) / (2 * h) for d in np.eye(len(w)) * h])


def descend(w: Array) -> float:
    a = w
    for _ in range(3):
        a = a - 0.1 * np.cos(a) * w
    return float(a.sum())


def descend_cubic(w: Array) -> float:
    a = w
    for _ in range(3):
        a = a - 0.3 * a * a * w[0]
    return float(a.sum())


def test_derivatives_through_a_loop_of_gradients(package: Any) -> None:
    w, v = X[:2].astype(np.float64), X[2:4].astype(np.float64)
    np.testing.assert_allclose(package.meta(X[:2]), slopes(descend_cubic, w, 1e-5), rtol=1e-4)
    np.testing.assert_allclose(package.meta2(X[:2]), slopes(descend, w, 1e-5), rtol=1e-4)
    ahead, behind = (slopes(descend, w + s * 1e-4 * v, 1e-4) for s in (1, -1))
    np.testing.assert_allclose(package.hes(X[:2], X[2:4]), (ahead - behind) / 2e-4, rtol=1e-3, atol=1e-4)


def test_second_order_through_a_loop_that_stops(package: Any) -> None:
    def relax(y: float) -> float:
        while y > 0.1:
            y = y * 0.5 + 0.01 * np.sin(y)
        return y

    h = 1e-3
    wanted = (relax(0.9 + h) - 2 * relax(0.9) + relax(0.9 - h)) / h**2
    np.testing.assert_allclose(package.second(f(0.9)), wanted, rtol=1e-3)


def test_an_export_without_arguments(package: Any) -> None:
    assert package.fibonacci() == 55
