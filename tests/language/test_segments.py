"""Sums by run-time indices on every backend, against NumPy, and the kernels that compute them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_file
from charl.loops.ir import For, If, Simd, Stmt
from charl.loops.walk import body, statements
from tests.language.backends import BACKENDS

Array: TypeAlias = "np.ndarray[Any, Any]"
PROGRAM = Path(__file__).with_name("segments.ch")

_RNG = np.random.default_rng(0)
FROM, TO = (np.array(x, np.int32) for x in ((0, 3, 3, 5, 1, 0, 2, 4, 3), (1, 1, 4, 0, 1, 2, 3, 3, 1)))
OUT = np.array((1, -1, 4, 9, 1, 2, 3, 3, 5), np.int32)  # some are outside of five


def random(*shape: int) -> Array:
    return _RNG.standard_normal(shape).astype(np.float32)


def added(base: Array, where: Any, updates: Array) -> Array:
    out = base.copy()
    np.add.at(out, where, updates)
    return out


def messages(x: Array, i: Array, j: Array, w: Array) -> Array:
    kept = (j >= 0) & (j < 5)
    new = np.maximum(x[i] * w[:, None] - 0.3, 0) * np.exp(-x[i])
    return added(np.zeros((5, 20), np.float32), j[kept], new[kept])


def again(x: Array, i: Array, j: Array) -> Array:
    y = x.copy()
    for t in range(3):
        y = added(y, j, np.float32(0.1) * y[i] + x[i])
        y[t] = 0.5 * y[t + 1] + x[t]
    return y


def cells(x: Array, i: Array, j: Array, v: Array) -> tuple[Array, Array]:
    z = x.copy()
    for k in range(9):
        z[i[k], j[k]] = v[k] ** 2 - 1
    return added(x, (i, j), v**2), z


def each(x: Array, j: Array, v: Array) -> Array:
    return np.stack([added(*lane) for lane in zip(x, j, 2 * v)])


CASES: dict[str, tuple[tuple[Array, ...], Callable[..., Any]]] = {
    "messages": ((random(6, 20), FROM, OUT, random(9)), messages),
    "few": ((random(6, 3), FROM, TO), lambda x, i, j: added(np.zeros((5, 3), np.float32), j, x[i])),
    "numbers": (
        (random(6), FROM, TO, random(9)),
        lambda x, i, j, w: added(np.zeros(5, np.float32), j, w * x[i]),
    ),
    "again": ((random(6, 20), FROM, TO), again),
    "cells": ((random(4, 5, 17), FROM % 4, TO, random(9, 17)), cells),
    "any_size": (
        (random(6, 19), FROM, TO, random(9, 19)),
        lambda x, i, j, w: added(np.zeros_like(x), j, x[i] * w),
    ),
    "each": ((random(3, 8, 17), np.stack([FROM, TO, FROM]), random(3, 9, 17)), each),
}


@pytest.fixture(scope="module", params=BACKENDS)
def package(request: pytest.FixtureRequest) -> Any:
    return charl.load(PROGRAM, backend=request.param)


@pytest.mark.parametrize("name", CASES)
def test_sums(package: Any, name: str) -> None:
    arguments, reference = CASES[name]
    found, wanted = getattr(package, name)(*arguments), reference(*arguments)
    for a, b in zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]:
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


def test_a_value_is_read_before_it_is_written_over(package: Any) -> None:
    y = random(6, 20)
    wanted = added(y, TO, 2 * y[FROM])
    package.onto_itself(y, FROM, TO)
    np.testing.assert_allclose(y, wanted, rtol=1e-6, atol=1e-6)


def kernels(name: str) -> list[tuple[Stmt, ...]]:
    plans = compile_file(PROGRAM, Options(targets=("c",))).lowered["c"].plans
    plan = next(p for p in plans if p.export.name == name)
    return [nest for call in plan.calls for nest in call.kernel.nests]


@pytest.mark.parametrize("name", ["messages", "few", "numbers", "any_size"])
def test_updates_are_computed_as_they_are_added(name: str) -> None:
    assert len(kernels(name)) == 1


def test_what_is_written_over_is_not_read_meanwhile() -> None:
    assert len(kernels("onto_itself")) == 2


def test_rows_are_added_on_lanes_behind_one_test_of_their_place() -> None:
    (nest,) = kernels("messages")
    (test,) = [s for s in statements(nest) if isinstance(s, If)]
    vectors, rest = (s for s in test.body if isinstance(s, For))
    (vector,) = body(vectors)
    assert isinstance(vector, Simd) and vector.count is None, "what fills no vector has no mask"
    assert not any(isinstance(s, (Simd, If)) for s in statements(rest.body))
