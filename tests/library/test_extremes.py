"""Activations and their derivatives where an exp overflows or vanishes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl
from tests.language.backends import BACKENDS

X = np.array([-np.inf, -1e4, -200, -100, -89, -20, 0, 20, 89, 100, 200, 1e4], np.float32)
PROGRAM = """
export fn sigmoids(x: f32[N]) = (sigmoid(x), grad(|x| sum(sigmoid(x)))(x), grad(|x| sum(grad(|x| sum(sigmoid(x)))(x)))(x))
export fn gates(x: f32[N]) = (gelu_tanh(x), grad(|x| sum(gelu_tanh(x)))(x), grad(|x| sum(silu(x)))(x))
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_nothing_is_lost_far_out(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "far.ch"
    path.write_text(PROGRAM)
    package = charl.load(path, backend=backend)
    value, slope, curve = package.sigmoids(X)
    with np.errstate(over="ignore"):
        wanted = 1 / (1 + np.exp(-X.astype(np.float64)))
    np.testing.assert_allclose(value, wanted, rtol=1e-5, atol=1e-30)
    np.testing.assert_allclose(slope, wanted * (1 - wanted), atol=1e-6)
    np.testing.assert_allclose(curve, wanted * (1 - wanted) * (1 - 2 * wanted), atol=1e-6)
    for found in package.gates(X[1:]):
        near = np.abs(X[1:]) < 1e3  # beyond, a cube has no place among floats on every device
        assert np.isfinite(found).all()
        np.testing.assert_allclose(found[near & (X[1:] < -50)], 0, atol=1e-6)
