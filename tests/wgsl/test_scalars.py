"""Scalar functions on the adapter against the NumPy meaning in the operations' records: corner cases and samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.dims import sym
from charl.dtypes import ALL, DType, boolean, f32, i32, u32
from charl.graph.scalar import FUNCTIONS, Apply, Const, Expr, Load
from charl.loops.ir import Buffer, For, Kernel, Store
from charl.ops.record import OPS, Op, Sample
from tests.wgsl.device import Array, Batch, run

pytestmark = pytest.mark.needs_vulkan

KINDS = (f32, i32, u32, boolean)
POINT = sym("i.1")
N = sym("N")


def dtype_of(a: Array) -> DType:
    return next(t for t in ALL.values() if t.numpy == a.dtype and t.name != "bf16")


def elementwise(fn: str, types: tuple[DType, ...], result: DType) -> Kernel:
    """out[i] = fn(a[i], b[i], ...)."""
    inputs = tuple(Buffer(f"x{k}", t, N, "input") for k, t in enumerate(types))
    out = Buffer("out", result, N, "output")
    value = Apply(fn, tuple(Load(b, (POINT,), b.dtype) for b in inputs), result)
    return Kernel(fn, (*inputs, out), ("N",), ((For("i.1", N, (Store(out, POINT, value),), "parallel"),),))


def cases(op: Op) -> list[tuple[Sample, Array]]:
    out = []
    assert op.samples is not None
    for s in op.samples(np.random.default_rng(0)):
        arrays = [np.asarray(a) for a in s.arrays]
        result = s.attrs.get("dtype")
        if any(dtype_of(a) not in KINDS for a in arrays) or (result is not None and result not in KINDS):
            continue
        with np.errstate(all="ignore"):
            out.append((s, np.asarray(op.ref(arrays, s.attrs, arrays[0].shape))))
    return out


SCALAR_OPS = sorted(set(FUNCTIONS) & set(OPS))


def test_every_function_of_an_operation() -> None:
    """All samples of all elementwise operations in one submission."""
    batch = Batch()
    wanted: list[tuple[str, Sample, Array]] = []
    for name in SCALAR_OPS:
        for s, want in cases(OPS[name]):
            arrays = [np.asarray(a).reshape(-1) for a in s.arrays]
            kernel = elementwise(name, tuple(map(dtype_of, arrays)), dtype_of(want))
            batch.add(kernel, [*arrays, np.zeros(want.size, want.dtype)], {"N": want.size})
            wanted.append((name, s, want.reshape(-1)))
    assert len({name for name, _, _ in wanted}) == len(SCALAR_OPS)
    wrong = []
    for (name, s, want), got in zip(wanted, batch.results(), strict=True):
        close = agrees(want, got[-1])
        wrong += [
            f"{name}({', '.join(str(np.ravel(a)[i]) for a in s.arrays)}) = {got[-1][i]}, not {want[i]}"
            for i in np.flatnonzero(~close)[:6]
        ]
    assert not wrong, "\n".join(wrong)


def agrees(want: Array, got: Array) -> Any:
    if want.dtype.kind != "f":
        return want == got
    return np.isclose(got, want, rtol=2e-6, atol=5e-7, equal_nan=True)


@pytest.mark.parametrize("name", ["tanh", "expm1", "log1p", "log", "atan", "asin", "sinh", "erf"])
def test_small_results_keep_their_digits(name: str) -> None:
    """Where the standard allows an absolute error, the helpers keep the relative one."""
    x = np.concatenate([np.logspace(-30, -1, 400), np.linspace(0.1, 0.99, 400)]).astype(np.float32)
    x = np.concatenate([x, -x]) if name != "log" else np.concatenate([1 + x, 1 - x / 2])
    _, got = run(elementwise(name, (f32,), f32), [x, np.zeros_like(x)], {"N": x.size})
    with np.errstate(all="ignore"):
        want = np.asarray(OPS[name].ref([x.astype(np.float64)], {}, x.shape))
    np.testing.assert_allclose(got, want, rtol=8e-7)


CONSTANTS = [
    (f32, float("nan")),
    (f32, float("inf")),
    (f32, float("-inf")),
    (f32, -0.0),
    (f32, 1e-45),
    (f32, 0.1),
    (f32, -3.4028235e38),
    (i32, -(1 << 31)),
    (i32, -7),
    (u32, (1 << 32) - 1),
    (boolean, True),
]


def test_constants_are_exact() -> None:
    batch = Batch()
    for t, value in CONSTANTS:
        out = Buffer("out", t, 1, "output")
        kernel = Kernel("constant", (out,), (), ((Store(out, 0, Const(value, t)),),))
        batch.add(kernel, [np.zeros(1, t.numpy)])
    for (t, value), (got,) in zip(CONSTANTS, batch.results(), strict=True):
        want = np.array([value], t.numpy)
        assert got.tobytes() == want.tobytes() or (value != value and np.isnan(got[0])), (t, value, got)


OVERFLOWS = [
    ("add", (1 << 31) - 1, 1, -(1 << 31)),
    ("mul", 65536, 65536, 0),
    ("div", 7, 0, 0),
    ("mod", -7, 3, 2),
    ("div", -(1 << 31), -1, -(1 << 31)),
    ("shl", 1, 32, 0),
    ("shr", -8, 1, -4),
    ("shr", -8, 40, 0),
]


def test_arithmetic_of_constants_is_not_refused() -> None:
    """Shader compilers reject constant expressions that overflow; the language wraps."""
    batch = Batch()
    for fn, a, b, _ in OVERFLOWS:
        out = Buffer("out", i32, 1, "output")
        value: Expr = Apply(fn, (Const(a, i32), Const(b, i32)), i32)
        batch.add(Kernel(fn, (out,), (), ((Store(out, 0, value),),)), [np.zeros(1, np.int32)])
    assert [int(r[0][0]) for r in batch.results()] == [want for *_, want in OVERFLOWS]


def test_threefry_gives_the_published_vectors() -> None:
    """Known answers of Random123 (kat_vectors, threefry2x32, 20 rounds)."""
    vectors = [
        ((0, 0, 0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF,) * 4, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344, 0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ]
    columns = [np.array([v[0][k] for v in vectors], np.uint32) for k in range(4)]
    for word, fn in enumerate(("threefry", "threefry1")):
        kernel = elementwise(fn, (u32,) * 4, u32)
        got = run(kernel, [*columns, np.zeros(3, np.uint32)], {"N": 3})[-1]
        assert got.tolist() == [v[1][word] for v in vectors]
