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
