"""NumPy meanings that NumPy does not have: integer corner cases, saturating casts, erf.

Enters and leaves: arrays. Warnings are the caller's business (`np.errstate`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from charl.dtypes import DType, rounded

__all__: list[str] = []  # nothing here is offered as `charl.ops.…`

Array = np.ndarray[Any, Any]

_ERF = np.frompyfunc(math.erf, 1, 1)


def erf(x: Array) -> Array:
    """The error function, computed in double precision."""
    return np.asarray(_ERF(np.asarray(x, np.float64))).astype(x.dtype)


def power(a: Array, b: Array) -> Array:
    """a ** b as IEEE 754 has it. NumPy takes the square root for a scalar exponent of 0.5, whose special values differ."""
    x, y = np.broadcast_arrays(np.atleast_1d(a), np.atleast_1d(b))
    return np.asarray(np.power(x, y.copy()).reshape(np.broadcast(a, b).shape))


def floor_mod(a: Array, b: Array) -> Array:
    """Remainder with the divisor's sign: x - floor(x / y) * y of floats; of integers 0 for a zero divisor."""
    if a.dtype.kind == "f":
        return np.asarray(a - np.floor(a / b) * b)
    return np.asarray(np.remainder(a, b))


def _in_width(x: Array, by: Array) -> Any:
    unsigned = by.astype(np.dtype(f"uint{8 * by.dtype.itemsize}"))
    width = 8 * x.dtype.itemsize
    return unsigned < width, np.where(unsigned < width, by, 0).astype(by.dtype)


def shift_left(x: Array, by: Array) -> Array:
    """x << by; 0 for shifts outside the width."""
    inside, amount = _in_width(x, by)
    return np.where(inside, np.left_shift(x, amount), 0).astype(x.dtype)


def shift_right(x: Array, by: Array) -> Array:
    """x >> by, arithmetic where signed; 0 for shifts outside the width."""
    inside, amount = _in_width(x, by)
    return np.where(inside, np.right_shift(x, amount), 0).astype(x.dtype)


def saturating_cast(x: Array, to: np.dtype[Any]) -> Array:
    """To another element type: floats to integers truncate and saturate, NaN gives 0; to bool: not 0."""
    if x.dtype.kind != "f" or to.kind not in "iu":
        return np.asarray(x != 0) if to.kind == "b" else x.astype(to)
    limits = np.iinfo(to)
    wide = np.trunc(x.astype(np.float64))
    inside = (wide >= float(limits.min)) & (wide <= float(limits.max))  # float(2**63 - 1) is 2**63: see below
    if float(limits.max) > limits.max:
        inside &= wide < float(limits.max)
    out = np.where(inside, wide, 0).astype(to)
    edge = np.where(wide > 0, to.type(limits.max), to.type(limits.min))
    return np.asarray(np.where(inside | np.isnan(x), out, edge))


def in_single(ref: Callable[..., Array], op: str, result: DType) -> Callable[..., Array]:
    """An operation's `ref` where half floats take part: they compute in float32, and its result is rounded once."""
    if op in ("bitcast", "item"):  # which look at no numbers
        return ref

    def whole(arrays: Any, attrs: Any, shape: Any) -> Array:
        wide = [a.astype(np.float32) if a.dtype == np.float16 else a for a in arrays]
        out = ref(wide, attrs, shape)
        return np.asarray(rounded(out, result)) if result.is_half else out

    return whole
