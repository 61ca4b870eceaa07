"""The SIMD headers, function by function: accuracy of the float functions in units in the last place, integers exactly.

Every function of the scalar language runs in a vector kernel on each instruction set. Floats are swept through all
exponents, signs, subnormal numbers, infinities and NaN; the yardstick is the same function in double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.dtypes import DType, boolean, f32, f64, i32, i64, u32, u64
from charl.ops import OPS
from tests.c import build, kernels

VECTORS = (f32, f64, i32, u32, i64, u64)
FLOATS = (f32, f64)
INTEGERS = (i32, u32, i64, u64)

# Largest error in units in the last place, of f32 vectors. Measured on a sweep of 2^20 values and more; docs/accuracy.md has
# the figures over all floats. Without vectors the functions are those of the C library, which may be off by LIBM.
LIBM = 2.5
ULP = {
    **dict.fromkeys(("neg", "abs", "sign", "floor", "ceil", "round", "trunc", "sqrt"), 0.5),
    **dict.fromkeys(("add", "sub", "mul", "div", "min", "max"), 0.5),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log1p", "sin", "cos", "tanh", "erf"), 1.6),
    **dict.fromkeys(("asin", "acos", "atan", "sinh", "cosh", "atan2", "pow", "tan"), 1.0),
    "rsqrt": 1.6,
}
TWO = ("add", "sub", "mul", "div", "min", "max", "pow", "atan2")
INTEGER_TWO = ("bitand", "bitor", "bitxor", "shl", "shr")
COMPARE = ("eq", "ne", "lt", "le", "gt", "ge")


def _float_functions() -> list[tuple[str, DType]]:
    return [(fn, t) for fn in ULP for t in FLOATS]


def _integer_functions() -> list[tuple[str, DType]]:
    both = ["add", "sub", "mul", "div", "mod", "pow", "min", "max", *INTEGER_TWO]
    return [(fn, t) for t in INTEGERS for fn in [*both, "neg", "abs", "sign", "bitnot"]]


CASTS = [(a, b) for a, b in [(f32, i32), (f32, u32), (f64, i64), (f64, u64), (i32, u32), (i64, u64)]]
CASTS += [(b, a) for a, b in CASTS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> build.Library:
    """One kernel for each function and type."""
    out = build.Library("simd", tmp_path_factory.mktemp("simd"))
    for fn, t in _float_functions() + _integer_functions():
        arguments = [t] * (1 + (fn in TWO or fn in ("mod", *INTEGER_TWO)))
        out.add_kernel(f"{fn} {t}", kernels.elementwise(f"{fn}_{t}", fn, arguments, t))
    for t in VECTORS:
        for fn in COMPARE:
            out.add_kernel(f"{fn} {t}", kernels.elementwise(f"{fn}_{t}", fn, [t, t], boolean))
        out.add_kernel(f"select {t}", kernels.elementwise(f"select_{t}", "select", [boolean, t, t], t))
    for fn in ("and", "or", "eq", "ne", "lt", "ge", "not"):
        arguments = [boolean] * (1 if fn == "not" else 2)
        out.add_kernel(f"{fn} bool", kernels.elementwise_masks(f"{fn}_bool", fn, arguments))
    for a, b in CASTS:
        for fn in ("cast", "bitcast"):
            out.add_kernel(f"{fn} {a} {b}", kernels.elementwise(f"{fn}_{a}_{b}", fn, [a], b))
    for fn in ("threefry", "threefry1"):
        out.add_kernel(fn, kernels.elementwise(fn, fn, [u32] * 4, u32))
    return out


@pytest.fixture(scope="module", params=list(build.ISA))
def isa(request: pytest.FixtureRequest, library: build.Library) -> str:
    if reason := build.missing(request.param):
        pytest.skip(reason)
    library.build(request.param, ["-O2", *build.WARNINGS])
    return str(request.param)


def call(library: build.Library, isa: str, key: str, arguments: list[Any], result: Any) -> Any:
    """The values of one kernel; an odd count, so that the last vector is partial."""
    y = np.zeros(len(arguments[0]), result)
    library.run_kernel(isa, key, [*arguments, y], {"N": len(y)})
    return y


def sweep(t: DType, count: int) -> Any:
    """Floats of every exponent, both signs, and what is special."""
    bits = np.arange(count, dtype=np.longdouble) * (np.longdouble(2) ** t.bits / count)
    words = bits.astype(np.uint32 if t.bits == 32 else np.uint64)
    special = np.array(
        [0.0, -0.0, 1, -1, 2, 0.5, np.inf, -np.inf, np.nan, 88.7, -103.9, 709.7, 1e-30, 0.625, 0.9277]
    )
    near = np.concatenate([np.linspace(-20, 20, count // 4), np.linspace(-2, 2, count // 4) ** 3])
    multiples = np.arange(-200, 201) * (np.pi / 4)
    return np.concatenate([words.view(t.numpy), *(x.astype(t.numpy) for x in (special, near, multiples))])


def exact(fn: str, *args: Any) -> Any:
    """The function in double precision, by NumPy and the evaluator."""
    wide = [a.astype(np.float64) for a in args]
    return OPS[fn].ref(wide, {}, wide[0].shape)


def ulps(found: Any, expected: Any) -> Any:
    """Errors in units in the last place of `found`'s type; special values must be equal."""
    t = found.dtype
    with np.errstate(all="ignore"):
        rounded = expected.astype(t)
    finite = np.isfinite(rounded) & np.isfinite(found)
    big = np.finfo(t).max
    edge = np.isinf(rounded) & (np.abs(expected) < 1.0001 * float(big)) | np.isinf(found) & (
        np.abs(rounded) > 0.9999 * big
    )
    same = (rounded == found) | (np.isnan(rounded) & np.isnan(found))
    assert (same | finite | edge).all(), "a special value is wrong"
    unit = np.spacing(np.maximum(np.abs(np.where(finite, rounded, 1)), np.finfo(t).tiny)).astype(np.float64)
    return np.where(
        finite,
        np.abs(np.where(finite, found, 0).astype(np.float64) - np.where(finite, expected, 0)) / unit,
        0,
    )


def signs_of_zero(fn: str, found: Any, expected: Any) -> None:
    """Zeros have the sign that C99 gives them (NumPy takes it from 0.0 in `sign`)."""
    zero = (found == 0) & (expected == 0) & (fn != "sign")
    np.testing.assert_array_equal(np.signbit(found[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("fn", list(ULP))
def test_floats_within_their_bound(library: build.Library, isa: str, fn: str) -> None:
    x = sweep(f32, 1 << 20 if fn in ("exp", "log", "sin", "tanh") else 1 << 17)
    with np.errstate(all="ignore"):
        arguments = [x] if fn not in TWO else [x, np.random.default_rng(1).permutation(x)]
        expected = exact(fn, *arguments)
        found = call(library, isa, f"{fn} f32", arguments, np.float32)
        error = ulps(found, expected)
    signs_of_zero(fn, found, expected)
    worst = int(np.argmax(error))
    at = [float(a[worst]) for a in arguments]
    bound = max(ULP[fn], LIBM if isa == "scalar" else 0.0)
    assert (
        error[worst] <= bound + 0.01
    ), f"{fn}{at} = {found[worst]!r}, {expected[worst]!r}: {error[worst]:.2f} ulp"


@pytest.mark.parametrize("fn", list(ULP))
def test_doubles(library: build.Library, isa: str, fn: str) -> None:
    x = sweep(f64, 1 << 13)
    with np.errstate(all="ignore"):
        arguments = [x] if fn not in TWO else [x, np.random.default_rng(1).permutation(x)]
        expected = OPS[fn].ref(arguments, {}, x.shape)
        found = call(library, isa, f"{fn} f64", arguments, np.float64)
    np.testing.assert_allclose(found, expected, rtol=1e-15, atol=1e-300)
    signs_of_zero(fn, found, expected)


def integers(t: DType, count: int = 4097) -> tuple[Any, Any]:
    """Pairs with all corners: extremes, zeros, small and shift-sized numbers."""
    rng = np.random.default_rng(7)
    info = np.iinfo(t.numpy)
    corner = [
        c
        for c in (0, 1, 2, 3, 31, 32, 33, 63, 64, 65, -1, -2, -32, info.min, info.max, info.max - 1)
        if c >= info.min
    ]
    a, b = (g.reshape(-1) for g in np.meshgrid(np.array(corner, t.numpy), np.array(corner, t.numpy)))
    full = rng.integers(info.min, info.max, (2, count), t.numpy, endpoint=True)
    small = rng.integers(0, 70, (2, count)).astype(t.numpy)
    return np.concatenate([a, full[0], full[0], small[0]]), np.concatenate([b, full[1], small[0], small[1]])


@pytest.mark.parametrize("t", INTEGERS, ids=str)
def test_integers_exactly(library: build.Library, isa: str, t: DType) -> None:
    a, b = integers(t)
    for fn in [fn for fn, other in _integer_functions() if other == t]:
        two = len(library._kernels[f"{fn} {t}"].buffers) == 3
        x, y = (a, b) if fn != "pow" else (a, b % 9)
        arguments = [x, y] if two else [x]
        with np.errstate(all="ignore"):
            expected = OPS[fn].ref(arguments, {}, x.shape)
        found = call(library, isa, f"{fn} {t}", arguments, t.numpy)
        np.testing.assert_array_equal(found, expected, err_msg=f"{fn} {t}")


@pytest.mark.parametrize("t", VECTORS, ids=str)
def test_comparisons_and_selection(library: build.Library, isa: str, t: DType) -> None:
    if t.is_float:
        a = sweep(t, 500)
        b = np.roll(a, 3)
        b[::7] = a[::7]
    else:
        a, b = integers(t)
    word = np.int32 if t.bits == 32 else t.numpy
    for fn in COMPARE:
        found = call(library, isa, f"{fn} {t}", [a, b], word)
        np.testing.assert_array_equal(found, OPS[fn].ref([a, b], {}, a.shape).astype(word), err_msg=fn)
    condition = (np.arange(len(a)) % 3 == 0).astype(word)
    found = call(library, isa, f"select {t}", [condition, a, b], t.numpy)
    np.testing.assert_array_equal(found, np.where(condition != 0, a, b))


def test_masks(library: build.Library, isa: str) -> None:
    a, b = np.arange(101, dtype=np.int32) % 2, np.arange(101, dtype=np.int32) // 2 % 2
    for fn in ("and", "or", "eq", "ne", "lt", "ge", "not"):
        arguments = [a] if fn == "not" else [a, b]
        found = call(library, isa, f"{fn} bool", arguments, np.int32)
        expected = OPS[fn].ref([x != 0 for x in arguments], {}, a.shape)
        np.testing.assert_array_equal(found != 0, expected, err_msg=fn)


@pytest.mark.parametrize("pair", CASTS, ids=lambda p: f"{p[0]}-{p[1]}")
def test_conversions(library: build.Library, isa: str, pair: tuple[DType, DType]) -> None:
    source, result = pair
    x = sweep(source, 5001) if source.is_float else integers(source)[0]
    if source.is_float:
        edges = [2.0**k + d for k in (31, 32, 63, 64) for d in (0, 0.5, -0.5, -1)]
        x = np.concatenate([x, np.array(edges + [-e for e in edges]).astype(source.numpy)])
    for fn in ("cast", "bitcast"):
        with np.errstate(all="ignore"):
            expected = OPS[fn].ref([x], {"dtype": result}, x.shape)
        found = call(library, isa, f"{fn} {source} {result}", [x], result.numpy)
        np.testing.assert_array_equal(found, expected, err_msg=fn)


def test_threefry_vectors(library: build.Library, isa: str) -> None:
    """Random123's known answers for Threefry-2x32 with 20 rounds."""
    known = [
        ((0, 0, 0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 4, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]
    arguments = [np.array([v[0][n] for v in known] * 7, np.uint32) for n in range(4)]
    for word, fn in enumerate(("threefry", "threefry1")):
        found = call(library, isa, fn, arguments, np.uint32)
        assert [hex(v) for v in found] == [hex(v[1][word]) for v in known] * 7
