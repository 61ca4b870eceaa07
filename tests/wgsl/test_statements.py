"""Statements of the loop IR as WGSL, from kernels written by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from charl.backends.wgsl.printer import grid, print_kernel
from charl.backends.wgsl.reserved import RESERVED
from charl.dims import Func, Size, Value, atom, sym
from charl.dtypes import DType, boolean, f32, i32, u32
from charl.errors import InternalError
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref, apply
from charl.loops.ir import Accumulator, Buffer, For, If, Kernel, Let, Local, Simd, Stmt, Store, Update
from tests.wgsl.device import run

pytestmark = pytest.mark.needs_vulkan

I, J, K, N = sym("i.1"), sym("j.2"), sym("k.3"), sym("N")  # noqa: E741
X = Buffer("x", f32, N, "input")
OUT = Buffer("out", f32, N, "output")


def over(index: str, stop: Size, *body: Stmt) -> tuple[Stmt, ...]:
    return (For(index, stop, body, "parallel"),)


def load(b: Buffer, index: Size) -> Expr:
    return Load(b, (index,), b.dtype)


@pytest.mark.parametrize("fn", ["add", "mul", "max", "min"])
def test_reductions_of_floats(fn: str) -> None:
    a, out = Buffer("a", f32, 21 * N, "input"), Buffer("out", f32, N, "output")
    body: tuple[Stmt, ...] = (
        Accumulator("acc.4", fn, f32),
        For("k.3", 21, (Update("acc.4", fn, load(a, 21 * I + K)),)),
        Store(out, I, Ref("acc.4", f32)),
    )
    x = np.random.default_rng(0).uniform(0.5, 1.5, (70, 21)).astype(np.float32)
    x[3, 5], x[4, 0], x[5, 20] = np.nan, np.inf, -np.inf
    got = run(
        Kernel("r", (a, out), ("N",), (over("i.1", N, *body),)), [x, np.zeros(70, np.float32)], {"N": 70}
    )
    reduce = {"add": np.sum, "mul": np.prod, "max": np.max, "min": np.min}[fn]
    np.testing.assert_allclose(got[1], reduce(x, axis=1), rtol=1e-5)


@pytest.mark.parametrize("fn", ["argmax", "argmin"])
@pytest.mark.parametrize("t", [f32, i32, u32])
def test_positions_of_extremes(fn: str, t: DType) -> None:
    a, out = Buffer("a", t, 9 * N, "input"), Buffer("out", i32, N, "output")
    body: tuple[Stmt, ...] = (
        Accumulator("at", fn, t),
        For("k.3", 9, (Update("at", fn, load(a, 9 * I + K), IndexValue(K, i32)),)),
        Store(out, I, Ref("at", i32)),
    )
    x = np.random.default_rng(0).integers(0, 5, (64, 9)).astype(t.numpy)  # with ties
    if t == f32:
        x[7, 4], x[7, 6] = np.nan, np.nan
        x[8], x[9] = -np.inf, np.inf
    got = run(Kernel("p", (a, out), ("N",), (over("i.1", N, *body),)), [x, np.zeros(64, np.int32)], {"N": 64})
    np.testing.assert_array_equal(got[1], getattr(np, fn)(x, axis=1))


@pytest.mark.parametrize("fn", ["and", "or"])
def test_reductions_of_bools(fn: str) -> None:
    a, out = Buffer("a", boolean, 3 * N, "input"), Buffer("out", boolean, N, "output")
    body: tuple[Stmt, ...] = (
        Accumulator("acc", fn, boolean),
        For("k.3", 3, (Update("acc", fn, load(a, 3 * I + K)),)),
        Store(out, I, Ref("acc", boolean)),
    )
    x = np.random.default_rng(0).integers(0, 2, (40, 3)).astype(bool)
    got = run(Kernel("b", (a, out), ("N",), (over("i.1", N, *body),)), [x, np.zeros(40, bool)], {"N": 40})
    np.testing.assert_array_equal(got[1], (np.all if fn == "and" else np.any)(x, axis=1))


def test_guards_are_lazy_and_nest() -> None:
    """A guard inside a guard, with loads that are out of bounds outside of it."""
    inner = Guard(((I, 5, N),), load(X, I - 5), apply("neg", load(X, I)))
    value = Guard(((I, 2, N - 1),), inner, Const(7.0, f32))
    kernel = Kernel("g", (X, OUT), ("N",), (over("i.1", N, Store(OUT, I, value)),))
    text = print_kernel(kernel)
    assert "select" not in text
    x = np.arange(1, 11, dtype=np.float32)
    got = run(kernel, [x, np.zeros(10, np.float32)], {"N": 10})[1]
    assert got.tolist() == [7, 7, -3, -4, -5, 1, 2, 3, 4, 7]


def test_what_ranges_prove_is_not_tested() -> None:
    value = Guard(((I, 0, N),), load(X, I), Const(0.0, f32))
    text = print_kernel(Kernel("g", (X, OUT), ("N",), (over("i.1", N, Store(OUT, I, value)),)))
    assert "out[i] = x[i];" in text


def test_nests_of_one_kernel_run_side_by_side() -> None:
    a, b = Buffer("a", f32, N, "output"), Buffer("b", f32, 3, "output")
    first = over("i.1", N, Store(a, I, IndexValue(I, f32)))
    second = over("j.2", 3, Store(b, J, IndexValue(10 + J, f32)))
    third: tuple[Stmt, ...] = (Store(Buffer("c", f32, 1, "output"), 0, Const(5.0, f32)),)
    c = third[0].buffer  # type: ignore[union-attr]
    kernel = Kernel("s", (a, b, c), ("N",), (first, second, third))
    assert grid(kernel) == N + 4
    for n in (0, 1, 63, 64, 200):
        arrays = [np.full(s, -1, np.float32) for s in (n, 3, 1)]
        got = run(kernel, arrays, {"N": n})
        assert got[0].tolist() == list(range(n))
        assert got[1].tolist() == [10, 11, 12] and got[2].tolist() == [5]


def test_more_workgroups_than_one_row_holds() -> None:
    """65535 workgroups of 64 in one direction are not enough: the grid gets a second."""
    n = 65535 * 64 + 77
    b = Buffer("b", u32, N, "output")
    kernel = Kernel("wide", (b,), ("N",), (over("i.1", N, Store(b, I, IndexValue(I + 1, u32))),))
    got = run(kernel, [np.zeros(n, np.uint32)], {"N": n})[0]
    np.testing.assert_array_equal(got, np.arange(1, n + 1, dtype=np.uint32))


def test_points_become_indices_of_all_parallel_loops() -> None:
    out = Buffer("out", i32, 12 * N, "output")
    value = IndexValue(100 * I + 10 * J + K, i32)
    nest = over("i.1", N, *over("j.2", 3, *over("k.3", 4, Store(out, 12 * I + 4 * J + K, value))))
    got = run(Kernel("ijk", (out,), ("N",), (nest,)), [np.zeros((5, 3, 4), np.int32)], {"N": 5})[0]
    i, j, k = np.indices((5, 3, 4))
    np.testing.assert_array_equal(got, 100 * i + 10 * j + k)


def test_indices_round_down_below_zero() -> None:
    out = Buffer("out", i32, 4 * N, "output")
    shifted = I - 6
    functions = ("floordiv", "mod", "ceildiv", "max")
    stores = [
        Store(out, 4 * I + at, IndexValue(atom(Func(fn, (shifted, 4))), i32))
        for at, fn in enumerate(functions)
    ]
    got = run(
        Kernel("f", (out,), ("N",), (over("i.1", N, *stores),)), [np.zeros((13, 4), np.int32)], {"N": 13}
    )
    s = np.arange(13) - 6
    np.testing.assert_array_equal(got[0], np.stack([s // 4, s % 4, -(-s // 4), np.maximum(s, 4)], axis=1))


def test_division_of_proved_indices_is_plain() -> None:
    out = Buffer("out", i32, N, "output")
    text = print_kernel(
        Kernel("f", (out,), ("N",), (over("i.1", N, Store(out, I, IndexValue(I // 4 + I % 4, i32))),))
    )
    assert "div_i32" not in text and re.search(r"i / 4", text) and re.search(r"i % 4", text)


def test_run_time_indices_lets_and_loops() -> None:
    """out[i] = sum of x[at[k]] for k from i in steps of 2, where the bool holds."""
    at, on = Buffer("at", u32, N, "input"), Buffer("on", boolean, N, "input")
    kernel = Kernel(
        "gather",
        (X, at, on, OUT),
        ("N",),
        (
            over(
                "i.1",
                N,
                Accumulator("sum.5", "add", f32),
                For(
                    "k.3",
                    N,
                    (
                        Let("x.6", load(X, atom(Value(load(at, K))))),
                        If(load(on, K), (Update("sum.5", "add", Ref("x.6", f32)),)),
                    ),
                    start=I,
                    step=2,
                ),
                Store(OUT, I, Ref("sum.5", f32)),
            ),
        ),
    )
    r = np.random.default_rng(0)
    n = 33
    x, to, flags = (
        r.standard_normal(n).astype(np.float32),
        r.integers(0, n, n).astype(np.uint32),
        r.random(n) < 0.5,
    )
    got = run(kernel, [x, to, flags, np.zeros(n, np.float32)], {"N": n})[3]
    want = [np.where(flags, x[to], 0)[i::2].sum() for i in range(n)]
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


def test_local_arrays() -> None:
    """A tile of each invocation's own, floats and bools."""
    tile, marks = Buffer("tile", f32, 4, "scratch"), Buffer("marks", boolean, 4, "scratch")
    kernel = Kernel(
        "tiles",
        (X, OUT),
        ("N",),
        (
            over(
                "i.1",
                N,
                Local(tile),
                Local(marks),
                For(
                    "k.3",
                    4,
                    (
                        Store(tile, K, apply("mul", load(X, I), IndexValue(K, f32))),
                        Store(marks, K, apply("gt", load(tile, K), Const(5.0, f32))),
                    ),
                ),
                Store(OUT, I, apply("select", load(marks, 3), load(tile, 3), load(tile, 1))),
            ),
        ),
    )
    x = np.arange(7, dtype=np.float32)
    got = run(kernel, [x, np.zeros(7, np.float32)], {"N": 7})[1]
    np.testing.assert_array_equal(got, np.where(3 * x > 5, 3 * x, x))


def test_stores_add_and_buffers_are_updated_in_place() -> None:
    w = Buffer("w", f32, N, "inout")
    kernel = Kernel("u", (w, X), ("N",), (over("i.1", N, Store(w, I, load(X, I), add=True)),))
    a, b = np.arange(9, dtype=np.float32), np.ones(9, np.float32)
    np.testing.assert_array_equal(run(kernel, [a, b], {"N": 9})[0], a + 1)


def test_names_the_language_reserves_are_changed() -> None:
    words = sorted(RESERVED)
    hints = [*words, "0.w", "größe", "a__b", "is_nan", "9", "_", "w.1"]
    for start in range(0, len(hints), 7):
        buffers = tuple(Buffer(h, f32, 4, "output") for h in hints[start : start + 7])
        stores = tuple(Store(b, 0, Const(1.0, f32)) for b in buffers)
        kernel = Kernel(words[start % len(words)], buffers, (words[start % len(words)],), (stores,))
        # The module is compiled here: naga refuses what is reserved.
        got = run(kernel, [np.zeros(4, np.float32)] * len(buffers), {kernel.dims[0]: 1})
        assert all(a[0] == 1 for a in got)


def test_deep_expressions_are_taken_apart() -> None:
    """Shader compilers recurse over expressions; 300 nested operators must pass."""
    value: Expr = load(X, I)
    for _ in range(150):
        value = Apply("add", (Const(1.0, f32), Apply("neg", (value,), f32)), f32)
    kernel = Kernel("deep", (X, OUT), ("N",), (over("i.1", N, Store(OUT, I, value)),))
    x = np.arange(5, dtype=np.float32)
    np.testing.assert_array_equal(run(kernel, [x, x], {"N": 5})[1], x)


def test_what_was_not_made_for_a_grid_is_an_internal_error() -> None:
    simd = (Simd("lane", 32, None, (Store(OUT, sym("lane"), Const(0.0, f32)),)),)
    with pytest.raises(InternalError, match="for a grid"):
        print_kernel(Kernel("v", (OUT,), (), (simd,)))
    with pytest.raises(InternalError, match="count from 0"):
        print_kernel(Kernel("v", (OUT,), (), ((For("i.1", 4, (), "parallel", start=1),),)))
