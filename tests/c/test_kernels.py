"""Kernels written by hand through printer and compiler: tails, reductions, tiles, scatters, what is odd in vectors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl.dtypes import DType, f32, f64, i32, u32
from charl.loops.evaluate import evaluate
from charl.loops.ir import Kernel
from tests.c import build, kernels

ODD = (f32, f64, i32, u32)
EXTREMES = [(fn, t, v) for fn in ("argmax", "argmin") for t in (f32, f64, i32) for v in (False, True)]
TILES = [(4, 16, 8, 2), (6, 33, 5, 3), (1, 1, 1, 1), (8, 47, 3, 4)]
ROWS = [(3, 1), (2, 15), (2, 16), (3, 17), (1, 70)]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> build.Library:
    out = build.Library("kernels", tmp_path_factory.mktemp("kernels"), chunks=1)
    out.add_kernel("sum", kernels.sum_of_products())
    for shape in TILES:
        out.add_kernel(f"matmul {shape}", kernels.matmul(*shape))
    for shape in ROWS:
        out.add_kernel(f"softmax {shape}", kernels.softmax(*shape))
    for fn, t, vector in EXTREMES:
        out.add_kernel(f"{fn} {t} {vector}", kernels.extreme(fn, t, vector))
    out.add_kernel("scatter", kernels.scatter(7))
    for t in ODD:
        out.add_kernel(f"odd {t}", kernels.odd_vectors(t))
        out.add_kernel(f"joined {t}", kernels.joined(t))
    return out


@pytest.fixture(scope="module", params=list(build.ISA))
def isa(request: pytest.FixtureRequest, library: build.Library) -> str:
    if reason := build.missing(request.param):
        pytest.skip(reason)
    library.build(request.param, ["-O2", *build.WARNINGS])
    return str(request.param)


def both(library: build.Library, isa: str, key: str, arrays: list[Any], n: int | None = None) -> list[Any]:
    """Run compiled and evaluated with four lanes; the arrays of both must agree."""
    sizes = {} if n is None else {"N": n}
    mine = [a.copy() for a in arrays]
    kernel: Kernel = library._kernels[key]
    evaluate(kernel, mine, sizes)
    library.run_kernel(isa, key, arrays, sizes)
    for b, got, expected in zip(kernel.buffers, arrays, mine):
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-6, err_msg=f"{key} {b.name}")
    return arrays


def floats(n: int, seed: int = 0, t: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(n).astype(t)


@pytest.mark.parametrize("n", [0, 1, 3, 7, 8, 15, 16, 17, 31, 97])
def test_sum_with_tail(library: build.Library, isa: str, n: int) -> None:
    x, w, y = both(library, isa, "sum", [floats(n), floats(n, 1), np.zeros(1, np.float32)], n)
    np.testing.assert_allclose(y[0], np.dot(x.astype(float), w.astype(float)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", TILES)
def test_register_tile(library: build.Library, isa: str, shape: tuple[int, int, int, int]) -> None:
    m, n, depth, _ = shape
    a, b = floats(m * depth), floats(depth * n, 1)
    *_, c = both(library, isa, f"matmul {shape}", [a, b, np.full(m * n, 9, np.float32)])
    np.testing.assert_allclose(
        c.reshape(m, n), a.reshape(m, depth) @ b.reshape(depth, n), rtol=1e-5, atol=1e-5
    )


@pytest.mark.parametrize("shape", ROWS)
def test_softmax(library: build.Library, isa: str, shape: tuple[int, int]) -> None:
    rows, columns = shape
    x = floats(rows * columns) * 10
    _, y = both(library, isa, f"softmax {shape}", [x, np.zeros_like(x)])
    np.testing.assert_allclose(y.reshape(rows, columns).sum(1), 1, rtol=1e-5)


@pytest.mark.parametrize("which", EXTREMES, ids=lambda e: f"{e[0]}-{e[1]}-{e[2]}")
@pytest.mark.parametrize("n", [1, 2, 16, 19, 53])
def test_extremes(library: build.Library, isa: str, which: tuple[str, DType, bool], n: int) -> None:
    """The first of several, and NaN before everything."""
    fn, t, vector = which
    rng = np.random.default_rng(n)
    for trial in range(6):
        x = rng.integers(-3, 4, n).astype(t.numpy)
        if t.is_float and trial == 1:
            x[rng.integers(0, n)] = np.nan
        if t.is_float and trial == 2:
            x[:] = -np.inf if fn == "argmax" else np.inf
        _, y = both(library, isa, f"{fn} {t} {vector}", [x, np.zeros(1, np.int32)], n)
        expected = np.argmax(x) if fn == "argmax" else np.argmin(x)
        assert y[0] == expected, (x, y)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 40), st.integers(0, 1000))
def test_scatter(library: build.Library, isa: str, n: int, seed: int) -> None:
    index = np.random.default_rng(seed).integers(-2, 9, n).astype(np.int32)
    arrays = [index, floats(n * 5, seed), floats(35, seed + 1)]
    expected = arrays[2].reshape(7, 5).astype(float)
    for i, row in zip(index, arrays[1].reshape(n, 5)):
        if 0 <= i < 7:
            expected[i] += row
    *_, table = both(library, isa, "scatter", arrays, n)
    np.testing.assert_allclose(table.reshape(7, 5), expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 70), st.integers(0, 1000))
@pytest.mark.parametrize("t", ODD, ids=str)
def test_odd_vectors(library: build.Library, isa: str, t: DType, n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, z = (rng.integers(0, 50, 3 * n).astype(t.numpy) for _ in range(2))
    index = rng.integers(0, 3 * n, n).astype(np.int32)
    both(library, isa, f"odd {t}", [x, np.zeros(n, t.numpy), z, index], n)


@pytest.mark.parametrize("n", [5, 16, 37])
@pytest.mark.parametrize("t", ODD, ids=str)
def test_guards_are_lazy_on_both_sides(library: build.Library, isa: str, t: DType, n: int) -> None:
    """Parts joined along lanes and across them; `test_sanitizers_find_nothing` watches what the same kernel reads."""
    rng = np.random.default_rng(n)
    x, y, one = (rng.integers(0, 50, s).astype(t.numpy) for s in (3, n - 3, 1))
    a, b = both(library, isa, f"joined {t}", [x, y, one, *np.zeros((2, 2 * n), t.numpy)], n)[3:]
    row = np.concatenate([x, y])
    row_a = np.concatenate([row[: n - 1], one])
    inside = (np.arange(n) >= 2) & (np.arange(n) < 5)
    np.testing.assert_array_equal(a, np.concatenate([row_a, row_a]))
    np.testing.assert_array_equal(
        b, np.concatenate([np.full(n, one[0] + 7), row + np.where(inside, one[0], 7)])
    )
