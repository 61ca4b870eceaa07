"""Sorting, `einsum` and streams of random numbers on every backend, against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.language.backends import BACKENDS

Array: TypeAlias = "np.ndarray[Any, Any]"

_RNG = np.random.default_rng(0)


def random(*shape: int) -> Array:
    return _RNG.standard_normal(shape).astype(np.float32)


TIES = np.round(random(4, 15))
ODD = np.round(random(23) * 2)
ODD[[3, 7]], ODD[5], ODD[9] = np.nan, np.inf, -np.inf
GREATEST = np.argsort(-TIES, kind="stable")[:, :3]

CASES: dict[str, tuple[tuple[Array, ...], Callable[..., Any]]] = {
    "s1": ((random(4, 5),), np.sort),
    "s2": ((random(4, 5),), lambda x: np.argsort(x, 0, kind="stable")),
    "s3": ((TIES,), lambda x: (np.take_along_axis(x, GREATEST, -1), GREATEST)),
    "s4": ((random(4, 5),), lambda x: np.cumprod(x, 1)),
    "s6": ((_RNG.integers(-3, 3, 37).astype(np.int32),), lambda x: np.argsort(x, kind="stable")),
    "s7": ((random(2, 9, 3),), lambda x: -np.sort(-x, 1)),
    "s8": ((random(1),), np.sort),
    "e1": ((random(4, 4),), np.diag),
    "e2": ((random(4, 4),), np.trace),
    "e3": ((random(2, 3, 4), random(4, 5)), np.matmul),
    "e4": ((random(3), random(4), random(5)), lambda x, y, z: np.einsum("i,j,k->kji", x, y, z)),
    "e5": ((random(1, 3, 4), random(2, 4, 5)), lambda x, y: np.einsum("...ij,...jk", x, y)),
    "e6": ((random(3, 4, 3, 4),), lambda x: np.einsum("ijij->ji", x)),
    "e7": ((random(3, 4),), np.sum),
    "e8": ((random(3, 4),), np.transpose),
    "e9": ((random(3, 4, 4), random(4, 3)), lambda x, y: np.einsum("aii,ia->a", x, y)),
    "e10": ((random(1, 3), random(1, 3)), lambda x, y: np.einsum("...i,...i->...", x, y)),
    "e11": ((random(4, 4),), np.diag),
}


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(Path(__file__).with_name("order.ch"), backend=request.param)


def test_values(package: Any) -> None:
    for name, (arguments, numpy) in CASES.items():
        found, wanted = getattr(package, name)(*arguments), numpy(*arguments)
        pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
        for a, b in pairs:
            np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6, err_msg=name)


def test_nan_is_the_greatest(package: Any) -> None:
    up, down = package.s5(ODD)
    np.testing.assert_array_equal(up, np.sort(ODD))
    order = sorted(range(23), key=lambda i: (not np.isnan(ODD[i]), -ODD[i]))
    np.testing.assert_array_equal(down, order)


def test_gradient_goes_to_where_an_element_came_from(package: Any) -> None:
    x = random(7)

    def f(x: Array) -> float:
        return float((np.sort(x) * np.arange(1, 8)).sum() + np.cumprod(x).sum())

    steps = 1e-6 * np.eye(7)
    wanted = [(f(x + d) - f(x - d)) / 2e-6 for d in steps]
    np.testing.assert_allclose(package.s9(x), wanted, rtol=1e-4, atol=1e-5)


def test_streams(package: Any) -> None:
    rng = package.Rng.init(3)
    first, second = package.p1(rng), package.p1(rng)
    assert sorted(first) == sorted(second) == list(range(10)) and list(first) != list(second)
    a, b = package.p2(rng)
    assert not np.intersect1d(a, b).size
    np.testing.assert_array_equal(package.p3(rng), package.p4(rng))


def test_draws_are_the_same_everywhere(package: Any) -> None:
    assert list(package.p1(package.Rng.init(3))) == [4, 0, 7, 5, 3, 9, 2, 1, 6, 8]
