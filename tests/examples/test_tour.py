"""The programs of examples/tour mean what they say: on every backend, against figures computed here in NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
ROOT = Path(__file__).resolve().parents[2]
TOUR = ROOT / "examples" / "tour"
K, D, N = 10, 16, 37

BACKENDS = [
    pytest.param("evaluator", "f64", 1e-9, id="evaluator"),
    pytest.param("c", "f64", 1e-9, marks=needs_cc, id="c"),
    pytest.param("wgpu", "f32", 2e-4, marks=needs_vulkan, id="wgsl"),
]


def test_digits_is_the_program_of_the_example() -> None:
    assert (TOUR / "digits.ch").read_bytes() == (ROOT / "examples" / "digits" / "digits.ch").read_bytes()


def log_likelihood(m: dict[str, Array], x: Array) -> float:
    """What gmm.ch computes, one component at a time."""
    logs = []
    for k in range(K):
        factor = np.diag(np.exp(m["logdiag"][k]))
        factor[np.tril_indices(D, -1)] = m["lower"][k]
        r = (x - m["mean"][k]) @ factor.T
        logs.append(m["alpha"][k] + m["logdiag"][k].sum() - 0.5 * (r**2).sum(1))
    return float(np.logaddexp.reduce(logs).sum() - len(x) * np.logaddexp.reduce(m["alpha"]))


def mixture(scale: float, seed: int) -> dict[str, Array]:
    random = np.random.default_rng(seed)
    shapes = {"alpha": (K,), "mean": (K, D), "logdiag": (K, D), "lower": (K, D * (D - 1) // 2)}
    return {name: scale * random.standard_normal(shape) for name, shape in shapes.items()}


def moved(m: dict[str, Array], v: dict[str, Array], step: float) -> dict[str, Array]:
    return {name: m[name] + step * v[name] for name in m}


@pytest.mark.parametrize("backend, f64, tolerance", BACKENDS)
def test_gmm(backend: str, f64: str, tolerance: float) -> None:
    package = charl.load(TOUR / "gmm.ch", backend=backend, f64=f64)
    m, v = mixture(0.3, 0), mixture(1.0, 1)
    x = np.random.default_rng(2).standard_normal((N, D))
    net, direction = package.Mixture(), package.Mixture()
    for record, values in ((net, m), (direction, v)):
        for name, array in record.leaves().items():
            array[...] = values[name]
    rows = x.astype(net.leaves()["alpha"].dtype)
    value, gradient = package.gradient(net, rows)
    assert value == pytest.approx(log_likelihood(m, x), rel=tolerance)
    slope = sum(float(np.sum(a * v[name])) for name, a in gradient.leaves().items())
    h = 1e-5
    wanted = (log_likelihood(moved(m, v, h), x) - log_likelihood(moved(m, v, -h), x)) / (2 * h)
    assert slope == pytest.approx(wanted, rel=max(tolerance, 1e-7))
    if backend == "wgpu":
        return  # Mesa's software driver takes a minute to compile the shaders of `hvp`
    curvature = sum(
        float(np.sum(a * v[name])) for name, a in package.hvp(net, direction, rows).leaves().items()
    )
    h = 1e-3
    ends = log_likelihood(moved(m, v, h), x) + log_likelihood(moved(m, v, -h), x)
    assert curvature == pytest.approx((ends - 2 * log_likelihood(m, x)) / h**2, rel=1e-4)


@pytest.mark.parametrize(
    "backend", [pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)]
)
def test_one_digits_package_serves_every_batch(backend: str) -> None:
    """Neither recompiled nor padded: the loader is made once, the batch is an argument."""
    package, oracle = (charl.load(TOUR / "digits.ch", backend=b) for b in (backend, "evaluator"))
    rng = np.random.default_rng(0)
    for n in (1, 7, 64, 1000, 0):
        x = rng.random((n, 64), dtype=np.float32)
        found, wanted = (p.predict(p.Digits.init(seed=0), x) for p in (package, oracle))
        assert found.shape == (n, 10)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)
