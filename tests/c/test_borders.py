"""Pads, pools and convolutions on every instruction set: borders cut off, windows on lanes, what lies a few elements apart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_source
from charl.runtime.native import import_package
from charl.source import Source
from tests.c import build
from tests.support import needs_cc

PROGRAM = """
from conv import convolve, convolve_transposed, max_pool, average_pool

fn apart(x: f32[2, 3, 28, 28], w: f32[2, 3, 14, 14]) -> f32 = sum(max_pool(max(x, 0.0), 2) * w)
fn odd(x: f32[2, 3, 9, 13], w: f32[2, 3, 4, 6]) -> f32 = sum(max_pool(max(x, 0.0), 2) * w)
fn over(x: f32[2, 3, 11, 20], w: f32[2, 3, 6, 10]) -> f32 = sum(max_pool(max(x, 0.0), 3, stride: 2, padding: 1) * w)

export fn pool_apart(x: f32[2, 3, 28, 28], w: f32[2, 3, 14, 14]) -> f32[2, 3, 28, 28] = grad(apart)(x, w)
export fn pool_odd(x: f32[2, 3, 9, 13], w: f32[2, 3, 4, 6]) -> f32[2, 3, 9, 13] = grad(odd)(x, w)
export fn pool_over(x: f32[2, 3, 11, 20], w: f32[2, 3, 6, 10]) -> f32[2, 3, 11, 20] = grad(over)(x, w)
export fn pool_three(x: f32[2, 3, 12, 18]) -> f32[2, 3, 4, 6] = max_pool(x, 3)
export fn average(x: f32[2, 3, 12, 18]) -> f32[2, 3, 7, 10] = average_pool(x, 2, padding: 1)

fn strided(x: f32[2, 3, 17, 35], w: f32[4, 3, 3, 3]) = relu(convolve(x, w, stride: 2, padding: 1))

export fn conv_strided(x: f32[2, 3, 17, 35], w: f32[4, 3, 3, 3]) -> f32[2, 4, 9, 18] = strided(x, w)
export fn conv_strided_x(x: f32[2, 3, 17, 35], w: f32[4, 3, 3, 3]) = grad(|x| sum(strided(x, w) ** 2))(x)
export fn conv_strided_w(x: f32[2, 3, 17, 35], w: f32[4, 3, 3, 3]) = grad(|w| sum(strided(x, w) ** 2))(w)

/// A bias, a residual and a border, all where the convolution leaves its sums.
export fn conv_after(x: f32[1, 4, 10, 10], w: f32[4, 4, 3, 3], b: f32[4]) -> f32[1, 4, 14, 14] {
    pad(relu(convolve(x, w, padding: 1) + b[:, None, None] + x), low: (0, 0, 2, 2), high: (0, 0, 2, 2))
}

/// Each element by a window of its own: read around the borders, no padded copy.
fn depthwise(x: f32[N, C, H, W], w: f32[C, 3, 3], stride: int) {
    einsum("cuv,ncpquv->ncpq", w, windows(x, [3, 3], stride: stride, padding: 1))
}
export fn own_same(x: f32[2, 5, 20, 50], w: f32[5, 3, 3]) = relu(depthwise(clip(x, -0.5, 0.5), w, 1) + 0.1)
export fn own_strided(x: f32[2, 5, 30, 112], w: f32[5, 3, 3]) = depthwise(x, w, 2)
export fn own_narrow(x: f32[2, 5, 7, 13], w: f32[5, 3, 3]) = depthwise(x, w, 1)
export fn own_dilated(x: f32[3, 8, 20, 40], w: f32[8, 1, 3, 3]) = convolve(x, w, padding: 2, dilation: 2, groups: 8)
export fn own_inside(x: f32[2, 5, 19, 33], w: f32[5, 1, 5, 5]) = convolve(x, w, groups: 5)
export fn own_few(x: f32[2, 5, 7, 7], w: f32[5, 1, 3, 3]) = clip(convolve(x, w, padding: 1, groups: 5), 0.0, 6.0)
export fn own_line(x: f32[2, 4, 90], w: f32[4, 5]) {
    einsum("ck,ncpk->ncp", w, windows(x, [5], stride: 1, padding: [(4, 0)], axes: [2]))
}
export fn own_pool(x: f32[2, 3, 35, 77]) = max_pool(relu(x - 0.5), 3, stride: 2, padding: 1)
export fn own_space(x: f32[2, 3, 4, 7, 34]) = max_pool(x, 2, stride: 1, padding: 1)
export fn own_x(x: f32[2, 5, 20, 33], w: f32[5, 3, 3]) = grad(|x| sum(depthwise(x, w, 1) ** 2))(x)

/// Windows put back with strides: a reduction for each remainder of a place.
export fn back_even(x: f32[2, 5, 32, 32], w: f32[7, 5, 3, 3]) = grad(|x| sum(strides(x, w) ** 2))(x)
export fn back_odd(x: f32[2, 5, 31, 45], w: f32[7, 5, 3, 3]) = grad(|x| sum(strides(x, w) ** 2))(x)
export fn back_four(x: f32[2, 5, 16, 20], w: f32[5, 7, 4, 4]) = relu(convolve_transposed(x, w, stride: 2, padding: 1))
export fn back_three(x: f32[2, 5, 40], w: f32[5, 7, 6]) = convolve_transposed(x, w, stride: 3, padding: 1)
export fn back_space(x: f32[1, 2, 5, 6, 16], w: f32[2, 3, 2, 2, 2]) = convolve_transposed(x, w, stride: 2)
fn strides(x: f32[N, C, H, W], w: f32[O, C, 3, 3]) = convolve(x, w, stride: 2, padding: 1)

export fn conv_deep_w(x: f32[3, 5, 14, 14], d: f32[3, 6, 10, 10]) = grad(|w| sum(convolve(x, w) * d))(zeros(6, 5, 5, 5))
"""

SHAPES = re.compile(r"export fn (\w+)\((.*?)\)(?: ->| =)")


def _arguments(name: str) -> dict[str, Any]:
    parameters = next(m[2] for m in SHAPES.finditer(PROGRAM) if m[1] == name)
    r = np.random.default_rng(0)
    found = re.findall(r"(\w+): f32\[([\d, ]+)\]", parameters)
    return {p: r.standard_normal([int(n) for n in s.split(",")]).astype(np.float32) for p, s in found}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("borders") / "borders.ch"
    path.write_text(PROGRAM, encoding="utf-8")
    return path


@needs_cc
@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_agrees_with_the_evaluator(program: Path, isa: str) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    wanted, got = charl.load(program, backend="evaluator"), charl.load(program, simd=isa)
    for name in [m[1] for m in SHAPES.finditer(PROGRAM)]:
        a = _arguments(name)
        expected, actual = getattr(wanted, name)(**a), getattr(got, name)(**a)
        np.testing.assert_allclose(actual, expected, rtol=2e-4, atol=1e-4, err_msg=name)


UPDATE = """
export fn update(mut w: f32[84, 10], x: f32[32, 84], d: f32[32, 10]) { w = w - 0.1 * (x.T @ d) }
"""


@needs_cc
@pytest.mark.parametrize("isa", ["scalar", "avx2", "avx512"])
def test_no_row_is_updated_twice(tmp_path: Path, isa: str) -> None:
    """84 rows are whole strips, whole vectors and a part of one; what lies behind the weight stays as it is."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    options = Options(targets=("c",), simd=isa)
    files = compile_source(Source("update.ch", UPDATE), options).files
    package = import_package(files, tmp_path / isa).load("c", simd=isa)
    r = np.random.default_rng(0)
    memory = np.full((84 + 40, 10), np.float32(7))
    w, x, d = memory[:84], r.standard_normal((32, 84), np.float32), r.standard_normal((32, 10), np.float32)
    package.update(w, x, d)
    np.testing.assert_allclose(w, 7 - 0.1 * (x.T @ d), rtol=1e-4, atol=1e-4)
    assert (memory[84:] == 7).all()


def test_no_kernel_is_left_scalar() -> None:
    """Inside a border and in windows apart, everything runs on lanes."""
    options = Options(targets=("c",), simd="avx512")
    code = compile_source(Source("borders.ch", PROGRAM), options).files["borders.c"].decode()
    kernels = [
        k
        for k in code.split("\nstatic void ")[1:]
        if k.startswith(("borders_pool_apart", "borders_pool_three"))
    ]
    assert len(kernels) >= 3
    for kernel in kernels:
        assert "VL32" in kernel or "vf32_" in kernel, kernel
    assert "vf32_load_strided" in code


ROWS = """
from conv import convolve
export fn inside(x: f32[3, 5, 20, 64], w: f32[5, 1, 3, 3]) = clip(convolve(x, w, groups: 5), 0.0, 6.0)
export fn bordered(x: f32[3, 5, 20, 64], w: f32[5, 1, 3, 3]) = convolve(x, w, padding: 1, groups: 5)
"""


@pytest.mark.parametrize("name", ["inside", "bordered"])
def test_windows_of_several_rows_load_an_element_once(name: str) -> None:
    """A tile of rows takes every row that its windows see by one load a tap; a bound that is a literal needs no test for NaN."""
    code = compile_source(Source("rows.ch", ROWS), Options(targets=("c",), simd="avx512")).files["rows.c"]
    text = re.sub(r"\s+", " ", code.decode())
    kernel = next(k for k in text.split(" static void ")[1:] if k.startswith(f"rows_{name}_"))
    tiles = [t for t in re.split(r"for \(ptrdiff_t \w+ = \d+; ", kernel) if t.count("vf32_fma") > 9]
    assert tiles
    for tile in tiles:
        loads = re.findall(r"vf32_load\w*\((?:f32_near\()?(x[^;]*?)\)", tile)
        assert len(set(loads)) == len(loads) < 0.6 * tile.count("vf32_fma")
    assert "vf32_max" not in text and text.count("vf32_most(") == text.count("vf32_least(") > 0


SHIFTED = """
export fn differences(x: f32[N]) -> f32[N] = x - concat([zeros(1), x[0:N-1]])
"""


def test_no_pointer_is_made_before_an_array() -> None:
    """Lanes that a border leaves out lie before the first element: a number says where, as pointer arithmetic must not."""
    files = compile_source(Source("shifted.ch", SHIFTED), Options(targets=("c",))).files
    code = files["shifted.c"].decode()
    assert "f32_near(x, i - 1)" in code
    assert not re.search(r"_load\w*\(\w+ - ", code) and not re.search(r"_load\w*\(\w+ \+ [^()]* - ", code)
