"""What draws random numbers: its distribution on the evaluator, and the same numbers in C and WGSL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

PROGRAM = Path(__file__).resolve().parent / "drawn.ch"
RANDOM = np.random.default_rng(4)
X = RANDOM.standard_normal((30, 40)).astype(np.float32)
W = RANDOM.standard_normal((40, 50)).astype(np.float32)
PICTURES = (RANDOM.random((20, 2, 6, 7)) + 1).astype(np.float32)
TARGETS = np.eye(4, dtype=np.float32)[np.arange(8) % 4]


def results(backend: str) -> dict[str, Any]:
    package = charl.load(PROGRAM, backend=backend)
    rng = package.Rng.init(seed=9) if hasattr(package.Rng, "init") else package.Rng()
    rng.leaves()["key"][...] = np.array([9, 7], np.uint32)
    rng.leaves()["counter"][...] = 0
    net = package.Dropped()
    net.leaves()["1.w"][...] = W
    rows = np.arange(30, dtype=np.float32).reshape(10, 3)
    return {
        "dropped": package.dropped(net, X, rng),
        "order": package.order(rows, np.arange(10, dtype=np.int32), rng),
        "mixed": package.mixed(PICTURES[:8, :, 0, :3], TARGETS, rng),
        "erased": package.erased(PICTURES, rng),
        "truncated": package.truncated(rng),
        "orthonormal": package.orthonormal(rng),
    }


@pytest.fixture(scope="module")
def evaluated() -> dict[str, Any]:
    return results("evaluator")


def test_dropped_layers_keep_the_mean(evaluated: dict[str, Any]) -> None:
    plain, dropped = evaluated["dropped"]
    np.testing.assert_allclose(plain, X @ W, rtol=1e-4, atol=1e-4)
    assert np.corrcoef(plain.ravel(), dropped.ravel())[0, 1] > 0.6 and not np.allclose(plain, dropped)
    assert np.polyfit(plain.ravel(), dropped.ravel(), 1)[0] == pytest.approx(1, abs=0.15)


def test_order_is_one_for_all_arrays(evaluated: dict[str, Any]) -> None:
    x, y = evaluated["order"]
    assert sorted(y) == list(range(10)) and list(y) != list(range(10))
    np.testing.assert_array_equal(x, np.arange(30).reshape(10, 3)[y])


def test_mixup_mixes_examples_as_targets(evaluated: dict[str, Any]) -> None:
    x, y = evaluated["mixed"]
    np.testing.assert_allclose(y.sum(1), 1, rtol=1e-6)
    weights = {round(float(v), 4) for v in y.ravel()} - {0.0, 1.0}
    assert len(weights) <= 2 and (len(weights) < 2 or sum(weights) == pytest.approx(1, abs=1e-3))
    low, high = PICTURES[:8, :, 0, :3].min(), PICTURES[:8, :, 0, :3].max()
    assert low <= x.min() and x.max() <= high


def test_cutout_erases_one_square_in_every_channel(evaluated: dict[str, Any]) -> None:
    gone = evaluated["erased"] == 0
    np.testing.assert_array_equal(gone[:, 0], gone[:, 1])
    for image in gone[:, 0]:
        rows, columns = (np.flatnonzero(image.any(a)) for a in (1, 0))
        assert 2 <= len(rows) <= 3 and 2 <= len(columns) <= 3
        assert image.sum() == len(rows) * len(columns)
    np.testing.assert_array_equal(evaluated["erased"][~gone], PICTURES[~gone])


def test_the_truncated_normal_has_its_moments(evaluated: dict[str, Any]) -> None:
    z = (evaluated["truncated"] - 1) / 0.5
    assert np.abs(z).max() <= 2 + 1e-5
    assert z.mean() == pytest.approx(0, abs=0.06) and z.std() == pytest.approx(0.8796, abs=0.04)


def test_orthogonal_weights(evaluated: dict[str, Any]) -> None:
    a, b = evaluated["orthonormal"]
    np.testing.assert_allclose(a.T @ a, np.eye(3), atol=1e-5)
    rows = b.reshape(4, -1)
    np.testing.assert_allclose(rows @ rows.T, 4 * np.eye(4), atol=1e-4)


@pytest.mark.parametrize(
    "backend", [pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)]
)
def test_every_backend_draws_the_same(backend: str, evaluated: dict[str, Any]) -> None:
    for name, found in results(backend).items():
        wanted = evaluated[name]
        pairs = zip(found, wanted, strict=True) if isinstance(found, tuple) else [(found, wanted)]
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=2e-5, err_msg=name)
