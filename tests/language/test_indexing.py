"""Indexing, read and written, on every backend, against the same index in NumPy."""

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


def ints(*values: int) -> Array:
    return np.array(values, np.int32)


X8, X25, X48, X46, X456 = random(8), random(4, 5), random(4, 8), random(4, 6), random(4, 5, 6)
I3, J3, TWICE, PAIRS = ints(0, 2, 3), ints(4, 1, 1), ints(1, 3, 1), (ints(0, 0, 3), ints(1, 1, 2))
ROW = slice(None)

READS: dict[str, tuple[tuple[Any, ...], Callable[..., Array]]] = {
    "g1": ((X25, I3, J3), lambda x, i, j: x[i, j]),
    "g2": ((X456, I3, J3), lambda x, i, j: x[i, :, j]),
    "g3": ((X456, I3[:, None], ints(1, 5)), lambda x, i, j: x[1:3, i, j]),
    "g4": ((X456, I3), lambda x, i: x[1, :, i]),
    "g5": ((X456, I3), lambda x, i: x[i, 2, 1:4]),
    "g6": ((X456, I3, np.int32(3)), lambda x, i, j: x[i, j]),
    "g7": ((X456, I3), lambda x, i: x[:, 1, None, i]),
    "g8": ((X456, I3), lambda x, i: x[i, :, None, 2]),
    "g9": ((X456, I3), lambda x, i: x[::-1, i, ::2]),
    "k1": ((X456, I3, J3), lambda x, i, j: x[:, i, ..., j]),  # `...` stands for nothing and separates
    "k2": ((X456, I3, J3), lambda x, i, j: x[:, i, j, ...]),
    "k3": ((X456, I3), lambda x, i: x[:, 1, ..., i]),
    "h1": ((X8,), lambda x: x[6:2:-1]),
    "h2": ((X8,), lambda x: x[5::-2]),
    "h3": ((X8,), lambda x: x[:2:-3]),
    "h4": ((X8,), lambda x: x[-2:-7:-2]),
    "h5": ((X48,), lambda x: x[::-2, ::-1]),
    "h6": ((X8,), lambda x: x[2:6:-1]),
    "h7": ((X8,), lambda x: x[100:-100:-1]),
    "h8": ((random(7),), lambda x: x[::-2]),
    "h9": ((X8, np.int32(2)), lambda x, t: x[t : t + 5 : 2]),
}

WRITES: dict[str, tuple[tuple[Any, ...], Callable[..., Any]]] = {
    "w1": ((X8, random(4)), lambda x, v: x.__setitem__(np.s_[::2], v)),
    "w2": ((X48, random(4, 3)), lambda x, v: x.__setitem__(np.s_[..., 1::3], v)),
    "w3": ((X8, ints(1, 2, 1, 2, 7), random(5)), lambda x, i, v: x.__setitem__(i, v)),
    "w4": ((X8,), lambda x: x.__setitem__(np.s_[::-1], X8)),
    "w5": ((X456, *PAIRS, random(3, 5)), lambda x, i, j, v: np.add.at(x, (i, ROW, j), v)),
    "w6": ((X456, *PAIRS, random(3, 5)), lambda x, i, j, v: x.__setitem__((i, ROW, j), v)),
    "w7": ((X46, TWICE), lambda x, i: x.__setitem__((slice(1, 3), i), 7)),
    "w8": ((X8,), lambda x: x.__setitem__(np.s_[6:1:-2], [1, 2, 3])),
    "w9": ((X46, TWICE), lambda x, i: x.__setitem__((i, np.s_[::2]), x[i, ::2] * 2)),
    "w10": ((X46, TWICE, random(3)), lambda x, i, v: np.subtract.at(x, (i, i), v)),
    "w11": ((X8, np.int32(1), random(3)), lambda x, t, v: x.__setitem__(np.s_[t : t + 5 : 2], v)),
    "w12": ((X46, np.int32(1), TWICE), lambda x, t, i: x.__setitem__((t, i), 9)),
    "w13": ((random(5, 3), random(3)), lambda x, v: x.__setitem__(np.s_[::2], v)),
}


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(Path(__file__).with_name("indexing.ch"), backend=request.param)


def test_reads(package: Any) -> None:
    for name, (arguments, numpy) in READS.items():
        np.testing.assert_array_equal(getattr(package, name)(*arguments), numpy(*arguments), err_msg=name)


def test_writes(package: Any) -> None:
    for name, (arguments, numpy) in WRITES.items():
        wanted = arguments[0].copy()
        numpy(wanted, *arguments[1:])
        np.testing.assert_allclose(
            getattr(package, name)(*arguments), wanted, rtol=1e-6, atol=1e-6, err_msg=name
        )


def test_several_writes(package: Any) -> None:
    v = random(6)
    wanted = X46.copy()
    wanted[-1] = v
    wanted[0, -1] = 5
    wanted[1:3, 2] += 1
    np.testing.assert_array_equal(package.w14(X46, v), wanted)


def test_what_is_outside_is_dropped(package: Any) -> None:
    updates = np.array([10, 20, 30, 40, 50], np.float32)
    wanted = X8.copy()
    wanted[0] = 50
    np.testing.assert_array_equal(package.w3(X8, ints(-1, 8, 100, 0, 0), updates), wanted)
    np.testing.assert_array_equal(package.w12(X46, np.int32(4), ints(1, 2, 3)), X46)
    np.testing.assert_array_equal(package.g1(X25, ints(-5, 9, 2), ints(0, 1, 7)), X25[[0, 3, 2], [0, 1, 4]])


def test_gradient_of_a_write(package: Any) -> None:
    """Of two updates of one element, the one that stays has the gradient."""
    x, v = X46.astype(np.float64), random(3, 3).astype(np.float64)

    def loss(x: Array, v: Array) -> float:
        y = x * x
        y[TWICE, ::2] = v * v
        return float((y * y).sum())

    found = package.d1(x.astype(np.float32), TWICE, v.astype(np.float32))
    for n, (a, given) in enumerate(zip((x, v), found, strict=True)):
        wanted = np.zeros_like(a)
        for at in np.ndindex(a.shape):
            d = np.zeros_like(a)
            d[at] = 1e-5
            ups, downs = [[x, v], [x, v]]
            ups[n], downs[n] = a + d, a - d
            wanted[at] = (loss(*ups) - loss(*downs)) / 2e-5
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4)
