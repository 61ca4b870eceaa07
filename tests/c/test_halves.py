"""Half floats in C: every f16 and bf16, every number halfway between two of them and its neighbours, on each instruction set.

The yardstick is NumPy (and ml_dtypes for bf16). Loads and stores are contiguous, strided, partial and transposed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.dtypes import DType, bf16, f16, f32, u32
from charl.graph.scalar import Apply, Load
from charl.loops.ir import Buffer, For, Kernel, Store, Transpose
from tests.c import build
from tests.c.kernels import N, i, lane, over_lanes
from tests.support import needs_cc

HALVES = (f16, bf16)
STRIDE = 3
ROWS, COLUMNS = 37, 71
# (instruction set, flags): AVX2 is also tried as it is without F16C.
MACHINES = [(isa, ()) for isa in build.ISA] + [("avx2", ("-U__F16C__",))]


def kernel(
    name: str, source: DType, target: DType, fn: str = "", step: int = 1, vector: bool = True
) -> Kernel:
    """target[i * step] = fn(source[i * step]) in f32 registers (or those of `fn`)."""
    x = Buffer("x", source, N * step, "input")
    y = Buffer("y", target, N * step, "output")
    at = (i + lane if vector else i) * step
    value: Any = Load(x, (at,), f32 if source in HALVES else source)
    if fn:
        value = Apply(fn, (value,), u32 if fn.endswith("bits") else f32)
    store = Store(y, at, value)
    return Kernel(
        name, (x, y), ("N",), (over_lanes(N, 32, [store]) if vector else (For("i.1", N, (store,)),),)
    )


def transposition(name: str, t: DType) -> Kernel:
    x = Buffer("x", t, ROWS * COLUMNS, "input")
    y = Buffer("y", f32, ROWS * COLUMNS, "output")
    return Kernel(name, (x, y), (), ((Transpose(y, 0, ROWS, x, 0, COLUMNS, ROWS, COLUMNS),),))


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> build.Library:
    out = build.Library("halves", tmp_path_factory.mktemp("halves"))
    for t in HALVES:
        for vector in (True, False):
            for step in (1, STRIDE):
                how = f"{t} {step} {vector}"
                name = f"{t}_{step}_{int(vector)}"
                out.add_kernel(f"load {how}", kernel(f"load_{name}", t, f32, step=step, vector=vector))
                out.add_kernel(f"store {how}", kernel(f"store_{name}", f32, t, step=step, vector=vector))
            name = f"{t}_{int(vector)}"
            out.add_kernel(
                f"round {t} {vector}", kernel(f"round_{name}", f32, f32, f"{t}_round", vector=vector)
            )
            out.add_kernel(f"bits {t} {vector}", kernel(f"bits_{name}", f32, u32, f"{t}_bits", vector=vector))
            out.add_kernel(
                f"value {t} {vector}", kernel(f"value_{name}", u32, f32, f"{t}_value", vector=vector)
            )
        out.add_kernel(f"transpose {t}", transposition(f"transpose_{t}", t))
    return out


@pytest.fixture(scope="module", params=MACHINES, ids=lambda m: " ".join((m[0], *m[1])))
def isa(request: pytest.FixtureRequest, library: build.Library) -> str:
    name, flags = request.param
    if reason := build.missing(name):
        pytest.skip(reason)
    library.build(name, ["-O2", *build.WARNINGS, *flags])
    return str(name)


def every(t: DType) -> Any:
    """All values of a type, an odd number of them, so that the last vector is partial."""
    return np.append(np.arange(1 << 16, dtype=np.uint16), np.uint16(1)).view(t.memory)


def between(t: DType) -> Any:
    """All values, what lies halfway between neighbours, and the numbers beside that."""
    values = every(t).astype(np.float32)
    bits = np.arange(1 << 16, dtype=np.uint32)
    next_ = ((bits + 1) & 0xFFFF).astype(np.uint16).view(t.memory).astype(np.float32)
    with np.errstate(all="ignore"):
        middle = ((values[:-1].astype(np.float64) + next_) / 2).astype(np.float32)
        beside = [np.nextafter(middle, np.float32(d)) for d in (-np.inf, np.inf)]
    extremes = np.array(
        [65519.996, 65520, 3.4e38, -3.4e38, 1e-45, -1e-45, 2.0**-25, 2.0**-24 * 1.5], np.float32
    )
    return np.concatenate([values, middle, *beside, extremes])


def same(found: Any, expected: Any) -> None:
    """Equal to the bit, but for what a NaN carries."""
    nan = np.isnan(expected.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(found.astype(np.float32)), nan)
    word = np.uint16 if found.dtype.itemsize == 2 else np.uint32
    np.testing.assert_array_equal(found.view(word)[~nan], expected.view(word)[~nan])


def run(library: build.Library, isa: str, key: str, x: Any, target: Any, step: int = 1) -> Any:
    spread = np.zeros(len(x) * step, x.dtype)
    spread[::step] = x
    y = np.zeros(len(x) * step, target)
    library.run_kernel(isa, key, [spread, y], {"N": len(x)})
    assert not y.reshape(-1, step)[:, 1:].astype(np.float32).any()
    return y[::step]


@pytest.mark.parametrize("vector", [True, False], ids=["vector", "scalar"])
@pytest.mark.parametrize("t", HALVES, ids=str)
def test_loads_and_stores(library: build.Library, isa: str, t: DType, vector: bool) -> None:
    with np.errstate(all="ignore"):
        wide, narrow = between(t), between(t).astype(t.memory)
    for step in (1, STRIDE):
        same(
            run(library, isa, f"load {t} {step} {vector}", every(t), np.float32, step),
            every(t).astype(np.float32),
        )
        same(run(library, isa, f"store {t} {step} {vector}", wide, t.memory, step), narrow)


@pytest.mark.parametrize("vector", [True, False], ids=["vector", "scalar"])
@pytest.mark.parametrize("t", HALVES, ids=str)
def test_registers(library: build.Library, isa: str, t: DType, vector: bool) -> None:
    with np.errstate(all="ignore"):
        wide, narrow = between(t), between(t).astype(t.memory)
    same(run(library, isa, f"round {t} {vector}", wide, np.float32), narrow.astype(np.float32))
    bits = run(library, isa, f"bits {t} {vector}", wide, np.uint32)
    assert not (bits >> 16).any()
    same(bits.astype(np.uint16).view(t.memory), narrow)
    high = every(t).view(np.uint16).astype(np.uint32) | np.uint32(
        0xABCD0000
    )  # what lies above is not looked at
    same(run(library, isa, f"value {t} {vector}", high, np.float32), every(t).astype(np.float32))


@pytest.mark.parametrize("t", HALVES, ids=str)
def test_transpositions(library: build.Library, isa: str, t: DType) -> None:
    x = np.random.default_rng(0).standard_normal(ROWS * COLUMNS).astype(t.memory)
    y = np.zeros(x.size, np.float32)
    library.run_kernel(isa, f"transpose {t}", [x, y])
    np.testing.assert_array_equal(y.reshape(COLUMNS, ROWS), x.astype(np.float32).reshape(ROWS, COLUMNS).T)


@needs_cc
@pytest.mark.parametrize("t", HALVES, ids=str)
def test_doubles_are_rounded_once(t: DType, tmp_path: Path) -> None:
    """By way of f32, what lies a little beside the middle of two halves would be rounded twice."""
    program = tmp_path / "narrowed.ch"
    program.write_text(f"export fn narrowed(x: f64[N]) -> {t}[N] = x as {t}\n")
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = every(t)[:-1].astype(np.float64), every(t)[1:].astype(np.float64)
        beside = [(low + high) / 2 * (1 + d) for d in (0.0, 2.0**-40, -(2.0**-40))]
        distance = [np.abs(beside[1] - x) for x in (low, high)]
    x = np.concatenate([*beside, [1e300, -1e300, 5e-324]])
    found = [charl.load(program, backend=b).narrowed(x) for b in ("c", "evaluator")]
    same(np.asarray(found[0]), np.asarray(found[1]))
    ordinary = np.isfinite(distance[0]) & np.isfinite(distance[1]) & (distance[0] != distance[1])
    nearer = np.where(distance[0] < distance[1], low, high)[ordinary]
    n = low.size
    np.testing.assert_array_equal(np.asarray(found[0])[n : 2 * n][ordinary].astype(np.float64), nearer)
