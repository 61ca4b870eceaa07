"""Updates in place that wait for each other: one of them is computed elsewhere and copied, and planning ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan


@pytest.fixture(
    scope="module",
    params=["evaluator", pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)],
)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(Path(__file__).with_name("conflict.ch"), backend=request.param)


def test_what_is_doubled_is_read_before_and_after(package: Any) -> None:
    x = np.random.default_rng(0).random(5, dtype=np.float32)
    found, width = package.doubled(x)
    order, w = x.astype(float), 1
    while w < 9:
        near = order * w
        order, w = (near + 2 * w)[::-1] + near.sum(), 2 * w
    assert width == w
    np.testing.assert_allclose(found, order, rtol=1e-5)


def test_nearest(package: Any) -> None:
    rng = np.random.default_rng(1)
    x, q = rng.random((11, 2), dtype=np.float32), rng.random((4, 2), dtype=np.float32)
    y = rng.integers(0, 4, 11).astype(np.int32)
    at = np.argsort(((q[:, None] - x) ** 2).sum(-1), axis=1)[:, :3]
    wanted = [np.bincount(v, minlength=4).argmax() for v in y[at]]
    np.testing.assert_array_equal(package.nearest(x, q, y), wanted)


def test_what_is_scattered_is_not_overwritten(package: Any) -> None:
    rng = np.random.default_rng(2)
    x, w, p = rng.random(4), rng.random((4, 4)), np.array([1, 0, 2, 0])

    def walked(w: np.ndarray) -> float:
        a, b, m = x, np.sin(x), w
        for i in range(1, 4):
            b = np.where((np.arange(4) == 0) & (a[3] > 0.2), m[1, 1], b)
            m = m[p]
            for _ in range(i + 1, 4):
                a = 0.5 * a + np.tanh(m.T @ a)
        return float((a * b).sum() + np.tanh(m).sum())

    steps = 1e-6 * np.eye(16).reshape(16, 4, 4)
    wanted = [(walked(w + e) - walked(w - e)) / 2e-6 for e in steps]
    found = package.shuffled(x.astype(np.float32), w.astype(np.float32), p.astype(np.int32))
    np.testing.assert_allclose(np.ravel(found), wanted, rtol=1e-4, atol=1e-5)
