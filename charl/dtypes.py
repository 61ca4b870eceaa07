"""Element types: their names, sizes, kinds and NumPy equivalents. The only table of them.

Two NumPy types go with one: `numpy` is what the evaluator computes with, `memory` what arrays outside hold. They differ for
bf16, which NumPy lacks: the evaluator has float32 numbers that were rounded, arrays outside are of ml_dtypes' bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np


@dataclass(frozen=True)
class DType:
    """One element type. `kind` is "float", "int", "uint" or "bool"; `bytes` its size in C memory."""

    name: str
    kind: str
    bytes: int
    numpy: Any  # numpy dtype; a bf16 is a float32 that was rounded

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def is_float(self) -> bool:
        return self.kind == "float"

    @property
    def is_integer(self) -> bool:
        return self.kind in ("int", "uint")

    @property
    def is_half(self) -> bool:
        """Whether it is a float of 16 bits: those compute in f32, and are rounded after every operation."""
        return self.is_float and self.bytes == 2

    @property
    def bits(self) -> int:
        return 8 * self.bytes

    @property
    def memory(self) -> Any:
        """The NumPy type of arrays as programs outside have them."""
        return _bfloat16() if self.name == "bf16" else self.numpy


@lru_cache(maxsize=1)
def _bfloat16() -> Any:
    import ml_dtypes  # 20 ms, which only programs with bf16 pay

    return np.dtype(ml_dtypes.bfloat16)


f16 = DType("f16", "float", 2, np.dtype("float16"))
bf16 = DType("bf16", "float", 2, np.dtype("float32"))
f32 = DType("f32", "float", 4, np.dtype("float32"))
f64 = DType("f64", "float", 8, np.dtype("float64"))
i8 = DType("i8", "int", 1, np.dtype("int8"))
i16 = DType("i16", "int", 2, np.dtype("int16"))
i32 = DType("i32", "int", 4, np.dtype("int32"))
i64 = DType("i64", "int", 8, np.dtype("int64"))
u8 = DType("u8", "uint", 1, np.dtype("uint8"))
u16 = DType("u16", "uint", 2, np.dtype("uint16"))
u32 = DType("u32", "uint", 4, np.dtype("uint32"))
u64 = DType("u64", "uint", 8, np.dtype("uint64"))
boolean = DType("bool", "bool", 1, np.dtype("bool"))

ALL: dict[str, DType] = {
    t.name: t for t in (f16, bf16, f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, boolean)
}


def accumulator(t: DType) -> DType:
    """The type in which sums of `t` accumulate: f32 for the half floats, i32 (u32) for small integers.

    It holds every value of `t`, so that it stands for `t` in registers too.
    """
    if t.is_half:
        return f32
    if t in (i8, i16):
        return i32
    return u32 if t in (u8, u16) else t


def smallest_normal(t: DType) -> float:
    """The least positive float with a full mantissa in the type that operations on `t` compute in."""
    return float(np.finfo((f32 if t.is_half else t).numpy).tiny)


def rounded(x: Any, t: DType) -> Any:
    """An array of floats as the evaluator has elements of `t`: the nearest values of the type, ties to even; NaN stays NaN."""
    with np.errstate(over="ignore"):
        return np.asarray(x, t.numpy) if t != bf16 else loaded(stored(x, t), t)


def stored(x: Any, t: DType) -> Any:
    """An array of the evaluator as memory has it."""
    if t != bf16:
        return np.asarray(x)
    x = np.asarray(x)
    return (odd(x) if x.dtype == np.float64 else x.astype(np.float32)).astype(t.memory)


def odd(x: Any) -> Any:
    """An array of f64 as f32, cut off, the last bit set where something was: rounded from there, it is rounded once.

    Source: Boldo and Melquiond (2008), rounding to odd.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        near = np.asarray(x).astype(np.float32)
    cut = np.where(np.abs(near.astype(np.float64)) > np.abs(x), np.nextafter(near, np.float32(0)), near)
    exact = (near == x) | np.isnan(x)
    return np.where(exact, near, (cut.view(np.uint32) | np.uint32(1)).view(np.float32))


def loaded(x: Any, t: DType) -> Any:
    """An array from memory as the evaluator has it."""
    return np.asarray(x, t.numpy)
