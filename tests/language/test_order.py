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


def _top(x: Array, k: int) -> tuple[Array, Array]:
    """Greatest first, NaN before all, the first of equal ones first."""
    place = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    order = np.lexsort((place, np.where(np.isnan(x), 0, -x), ~np.isnan(x)), axis=-1)[..., :k]
    return np.take_along_axis(x, order, -1), order


@pytest.mark.parametrize("rows, n", [(1, 5), (3, 48), (4, 49), (7, 333)])
def test_the_greatest_by_every_way(package: Any, rows: int, n: int) -> None:
    x = np.round(random(rows, n) * 3)
    x[0, ::11], x[-1, 1::13], x[-1, 2::13] = np.nan, -np.inf, -0.0
    for a, b in zip(package.o1(x), _top(x, 5), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_greatest_of_a_known_number(package: Any) -> None:
    x = np.sort(np.round(random(3, 200) * 9))  # the order in which most are among the greatest for a while
    for (values, order), k in zip(package.o2(x), (64, 100), strict=True):
        np.testing.assert_array_equal(values, _top(x, k)[0])
        np.testing.assert_array_equal(order, _top(x, k)[1])


@pytest.mark.parametrize("n", [3, 48, 49, 300])
def test_integers_in_order(package: Any, n: int) -> None:
    x = _RNG.integers(-(2**31), 2**31 - 1, n).astype(np.int32)
    x[1:3] = -(2**31), 2**31 - 1
    up, down, top = package.o3(x)
    np.testing.assert_array_equal(up, np.argsort(x, kind="stable"))
    np.testing.assert_array_equal(down, np.argsort(-x.astype(np.int64), kind="stable"))
    np.testing.assert_array_equal(top, down[:3])
    words = _RNG.integers(0, 2**32, 77, dtype=np.uint64).astype(np.uint32)
    np.testing.assert_array_equal(package.o4(words), np.argsort(words, kind="stable"))


def test_sorting_in_lanes_and_its_gradient(package: Any) -> None:
    x = random(5, 60)
    np.testing.assert_array_equal(package.o5(x), np.argsort(x, kind="stable"))
    wanted = np.empty(60, np.float32)
    wanted[np.argsort(x[0])] = np.arange(60)
    wanted[np.argsort(-x[0])[:3]] += 1
    np.testing.assert_array_equal(package.o6(x[0]), wanted)


def test_places_that_are_sums(package: Any) -> None:
    keys = _RNG.permutation(13).astype(np.int32)[None]
    np.testing.assert_array_equal(package.o7(keys)[0], np.argsort(keys[0]))


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
