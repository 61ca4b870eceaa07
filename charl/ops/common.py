"""What the records share: refusing, normalising axes, index arithmetic, constants of a shape, sample arrays.

Enters: types, sizes, random generators. Leaves: the same, checked or made. Registers no operation itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from charl import dims
from charl.dims import Dim
from charl.dtypes import ALL, DType, accumulator, boolean, f16, f32, f64, i8, i32, i64, u32
from charl.graph import scalar
from charl.graph.ir import Node, Shape, TensorType
from charl.graph.scalar import Const, Expr, Index, IndexValue, Reduce
from charl.ops.record import Sample, TypeRuleError

__all__: list[str] = []  # nothing here is offered as `charl.ops.…`

Size: TypeAlias = int | Dim
Array: TypeAlias = np.ndarray[Any, Any]

DTYPES: tuple[DType, ...] = (f32, f64, i32, u32, i64, i8, f16, boolean)


def require(condition: bool, message: str) -> None:
    """Refuse the inputs of an operation unless `condition` holds."""
    if not condition:
        raise TypeRuleError(message)


def shown(shape: Shape) -> str:
    """A shape as text."""
    return f"[{', '.join(map(str, shape))}]"


def check_axes(axes: Iterable[Any], rank: int, what: str) -> tuple[int, ...]:
    """Axes, refused unless they are distinct and inside the rank."""
    out = tuple(axes)
    for a in out:
        if not isinstance(a, int) or not 0 <= a < rank:
            raise TypeRuleError(f"{what}: axis out of range for rank {rank}: {out}")
    if len(set(out)) != len(out):
        raise TypeRuleError(f"{what}: an axis is named twice: {out}")
    return out


def shape_with_axis(t: TensorType, axis: int) -> Shape:
    """The shape of a type, refused where it has no such axis."""
    check_axes((axis,), t.rank, "axis")
    return t.shape


def others(axes: Iterable[int], rank: int) -> tuple[int, ...]:
    """The axes not named, ascending."""
    named = set(axes)
    return tuple(i for i in range(rank) if i not in named)


def provably_negative(x: Size) -> bool:
    """Whether a size is negative for certain (symbols stand for sizes of 0 or more)."""
    return isinstance(x, int) and x < 0


def total_dtype(t: DType) -> DType:
    """Element type of sums and products of `t`: floats keep theirs, small integers widen to 32 bits."""
    return accumulator(t) if t.is_integer else t


def wide_numpy(x: Array) -> Any:
    """The NumPy type in which sums and products of `x` accumulate."""
    if x.dtype == np.bool_:
        return x.dtype
    name = f"{x.dtype.kind}{8 * x.dtype.itemsize}"
    return accumulator(ALL[name]).numpy


def summed(fn: Callable[..., Any], x: Array, axis: int | tuple[int, ...]) -> Array:
    """`np.sum`, `np.prod`, `np.cumsum` with the types of `total` and `total_dtype`."""
    wide = wide_numpy(x)
    out = np.asarray(fn(x, axis=axis, dtype=wide))
    return out.astype(x.dtype) if x.dtype.kind == "f" else out


def total(fn: str, over: tuple[tuple[str, Size], ...], body: Expr, dtype: DType) -> Expr:
    """`body` combined by `fn` (add, mul) over indices, accumulated in the wide type, as `dtype`."""
    wide = accumulator(body.dtype)
    return cast_expr(Reduce(fn, over, cast_expr(body, wide), wide), dtype)


def cast_expr(x: Expr, dtype: DType) -> Expr:
    """`x` as `dtype`, itself where it is that already."""
    if x.dtype == dtype:
        return x
    if dtype == boolean:
        return scalar.apply("ne", x, Const(zero_of(x.dtype), x.dtype))
    return scalar.apply("cast", x, dtype=dtype)


def zero_of(dtype: DType) -> float | int | bool:
    """The Python zero of an element type."""
    return number(0, dtype)


def number(value: float | int | bool, dtype: DType) -> float | int | bool:
    """A Python number as the kind of Python number that `dtype` holds."""
    if dtype.is_float:
        return float(value)
    return bool(value) if dtype == boolean else int(value)


def clamped(value: Expr, low: Size, high: Size) -> Size:
    """A run-time integer brought into low..high (both inclusive; `low` wins), as an index."""
    if low == high:
        return low
    wide = cast_expr(value, i32) if value.dtype.bytes < 4 else value
    below = scalar.apply("min", wide, IndexValue(high, wide.dtype))
    return dims.atom(dims.Value(scalar.apply("max", below, IndexValue(low, wide.dtype))))


def linear(index: Index, shape: Shape) -> Size:
    """Row-major position of `index`."""
    out: Size = 0
    for i, n in zip(index, shape, strict=True):
        out = out * n + i
    return out


def split_linear(position: Size, shape: Shape) -> Index:
    """The index whose row-major position is `position`, which is in range."""
    out: list[Size] = []
    for k in range(len(shape)):
        below = dims.product(shape[k + 1 :])
        i = dims.floordiv(position, below)
        out.append(i if k == 0 else dims.mod(i, shape[k]))
    return tuple(out)


# ---------------------------------------------------------------- samples


def array(
    rng: np.random.Generator, shape: Sequence[int], dtype: DType = f32, low: float = -2, high: float = 2
) -> Array:
    """Random elements of `dtype`: floats in low..high, integers there too (unsigned ones from 0), both booleans."""
    shape = tuple(shape)
    if dtype == boolean:
        return rng.random(shape) < 0.5
    if dtype.is_float:
        return rng.uniform(low, high, shape).astype(dtype.numpy)
    bottom = max(int(low), 0) if dtype.kind == "uint" else int(low)
    return rng.integers(bottom, int(high) + 1, shape).astype(dtype.numpy)


def distinct(rng: np.random.Generator, shape: Sequence[int], dtype: DType = f32) -> Array:
    """Elements of which no two are near each other, in random order (no tie within a finite difference)."""
    n = int(np.prod(tuple(shape)))
    values = (rng.permutation(n) - n / 2 + 0.25) / max(n, 4) * 4
    return values.reshape(tuple(shape)).astype(dtype.numpy)


def sample(*arrays: Any, orders: int | None = None, smooth: bool = True, **attrs: Any) -> Sample:
    """A `Sample`; the arrays may be anything NumPy takes.

    Unless given, `orders` is 2 where there is an input of f32 or f64, else 0.
    """
    given = tuple(np.asarray(a) for a in arrays)
    if orders is None:
        orders = 2 if any(a.dtype in (np.float32, np.float64) for a in given) else 0
    return Sample(given, attrs, orders, smooth)


SHAPES: tuple[tuple[int, ...], ...] = ((17,), (3, 5), (2, 0), (2, 1, 3), (2, 3, 1, 2, 2))


def orders_of(dtype: DType) -> int:
    """Up to which order samples of this type are differentiated."""
    return 2 if dtype in (f32, f64) else 0


def scalar_like(node: Node, value: float) -> Node:
    """`value` broadcast to the type of `node`."""
    from charl import ops

    return ops.full(value, node.type)


def zeros_like(node: Node) -> Node:
    """Zeros of the type of `node`."""
    return scalar_like(node, 0)


def as_type(dtype: DType, shape: Iterable[Size]) -> TensorType:
    """A `TensorType` of a checked shape."""
    sizes = tuple(shape)
    for n in sizes:
        if provably_negative(n):
            raise TypeRuleError(f"a size is negative in {shown(sizes)}")
    return TensorType(dtype, sizes)
