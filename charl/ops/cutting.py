"""Operations that cut and join: slice, pad, concatenate.

Enters: tensors, and ranges along their axes (sizes may be symbolic). Leaves: the same elements, some left out or others
put beside them; no arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import ops
from charl.dtypes import boolean, f32, f64, i8, i32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Const, Expr, Guard, Index
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    as_type,
    number,
    provably_negative,
    require,
    sample,
)
from charl.ops.record import Op, Sample, make, register

__all__ = ["concatenate", "pad", "slice_", "spread"]

# ---------------------------------------------------------------- slice


def slice_(
    x: Node, starts: Sequence[Size], sizes: Sequence[Size], strides: Sequence[int] | None = None
) -> Node:
    """Elements starts[k] + i * strides[k] for i below sizes[k] along every axis k."""
    steps = tuple(strides or (1,) * x.rank)
    if tuple(sizes) == x.shape and all(s == 1 for s in steps):
        return x
    return make("slice", x, starts=tuple(starts), sizes=tuple(sizes), strides=steps)


def _slice_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,), starts, sizes, steps = types, attrs["starts"], attrs["sizes"], attrs["strides"]
    require(len(starts) == len(sizes) == len(steps) == x.rank, f"slice: rank {x.rank} needs as many ranges")
    for n, start, size, step in zip(x.shape, starts, sizes, steps, strict=True):
        require(isinstance(step, int) and step >= 1, f"slice: a stride of {step}")
        require(not provably_negative(start), f"slice: starts at {start}")
        last = start + (size - 1) * step
        require(size == 0 or not provably_negative(n - 1 - last), f"slice: {last} is outside 0..{n}")
    return as_type(x.dtype, sizes)


def _slice_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    ranges = zip(attrs["starts"], attrs["sizes"], attrs["strides"], strict=True)
    return arrays[0][tuple(slice(a, a + (n - 1) * s + 1 if n else a, s) for a, n, s in ranges)]


def _slice_at(node: Node, index: Index) -> Expr:
    ranges = zip(index, node.attrs["starts"], node.attrs["strides"], strict=True)
    return scalar.read(node.inputs[0], tuple(i * step + start for i, start, step in ranges))


def _slice_vjp(node: Node, ct: Node) -> tuple[Node]:
    return (spread(ct, node.inputs[0].shape, node.attrs["starts"], node.attrs["strides"]),)


def spread(x: Node, shape: Sequence[Size], starts: Sequence[Size], strides: Sequence[int]) -> Node:
    """Zeros of `shape` with `x` at starts[k] + i * strides[k] along every axis k: what `slice_` read, in its place."""
    for axis, step in enumerate(strides):
        if step > 1:
            x = _apart(x, axis, step)
    high = [n - (start + m) for n, start, m in zip(shape, starts, x.shape, strict=True)]
    return pad(x, starts, high, 0)


def _apart(x: Node, axis: int, step: int) -> Node:
    """step - 1 zeros between neighbours along `axis`."""
    n, rank = x.shape[axis], x.rank
    if n == 0:
        return x
    apart = ops.reshape(x, (*x.shape[: axis + 1], 1, *x.shape[axis + 1 :]))
    high = [step - 1 if k == axis + 1 else 0 for k in range(rank + 1)]
    apart = pad(apart, [0] * (rank + 1), high, 0)
    joined = ops.reshape(apart, (*x.shape[:axis], n * step, *x.shape[axis + 1 :]))
    sizes = (*x.shape[:axis], (n - 1) * step + 1, *x.shape[axis + 1 :])
    return slice_(joined, [0] * rank, sizes)


def _slice_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, starts, sizes, steps in (
        ((), (), (), ()),
        ((17,), (3,), (5,), (3,)),
        ((5, 7), (1, 0), (3, 7), (1, 1)),
        ((5, 7), (4, 3), (1, 0), (1, 2)),
        ((3, 4, 5), (0, 1, 0), (2, 2, 3), (2, 2, 2)),
        ((2, 3, 1, 4, 3), (1, 0, 0, 2, 1), (1, 3, 1, 2, 2), (1, 1, 1, 1, 1)),
    ):
        yield sample(
            array(rng, shape, f64 if len(shape) == 2 else f32), starts=starts, sizes=sizes, strides=steps
        )
    yield sample(array(rng, (9, 2), i8), starts=(1, 1), sizes=(4, 1), strides=(2, 1), orders=0)


register(
    Op(
        "slice",
        "A range with a stride along every axis.",
        _slice_infer,
        _slice_ref,
        _slice_at,
        _slice_vjp,
        _slice_samples,
        linear=lambda node: ((0,),),
        batch=lanes.changed(
            lambda a, n: {
                "starts": (0, *a["starts"]),
                "sizes": (n, *a["sizes"]),
                "strides": (1, *a["strides"]),
            }
        ),
    )
)

# ---------------------------------------------------------------- pad


def pad(x: Node, low: Sequence[Size], high: Sequence[Size], value: float | int | bool = 0) -> Node:
    """`x` with low[k] elements of `value` before it and high[k] behind it along every axis k."""
    if all(n == 0 for n in (*low, *high)):
        return x
    return make("pad", x, low=tuple(low), high=tuple(high), value=number(value, x.dtype))


def _pad_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,), low, high = types, attrs["low"], attrs["high"]
    require(len(low) == len(high) == x.rank, f"pad: rank {x.rank} needs as many widths")
    require(not any(provably_negative(n) for n in (*low, *high)), f"pad: a width is negative: {low}, {high}")
    return as_type(x.dtype, (a + n + b for a, n, b in zip(low, x.shape, high, strict=True)))


def _pad_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    out = np.full(shape, attrs["value"], arrays[0].dtype)
    ranges = zip(attrs["low"], arrays[0].shape, strict=True)
    out[tuple(slice(a, a + n) for a, n in ranges)] = arrays[0]
    return out


def _pad_at(node: Node, index: Index) -> Expr:
    (x,), low, high = node.inputs, node.attrs["low"], node.attrs["high"]
    inside = scalar.read(x, tuple(i - a for i, a in zip(index, low, strict=True)))
    ranges = zip(index, low, high, x.shape, strict=True)
    tests = tuple((i, a, a + n) for i, a, b, n in ranges if a != 0 or b != 0)
    return Guard(tests, inside, Const(node.attrs["value"], node.dtype)) if tests else inside


def _pad_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, low, high, value in (
        ((), (), (), 0.0),
        ((5,), (2,), (0,), 0.0),
        ((0,), (1,), (2,), -1.5),
        ((3, 5), (0, 1), (2, 3), 1.0),
        ((2, 1, 3, 2, 2), (0, 1, 0, 0, 1), (1, 0, 0, 2, 0), 0.0),
    ):
        yield sample(array(rng, shape, f64 if len(shape) == 2 else f32), low=low, high=high, value=value)
    yield sample(array(rng, (3, 2), f32), low=(1, 0), high=(0, 1), value=float("-inf"), orders=1)
    yield sample(array(rng, (2, 3), i32), low=(1, 1), high=(1, 0), value=-7, orders=0)
    yield sample(array(rng, (3,), boolean), low=(1,), high=(1,), value=True, orders=0)


register(
    Op(
        "pad",
        "The input inside a margin of one value.",
        _pad_infer,
        _pad_ref,
        _pad_at,
        lambda node, ct: (slice_(ct, node.attrs["low"], node.inputs[0].shape),),
        _pad_samples,
        jvp=lambda node, t: pad(t[0], node.attrs["low"], node.attrs["high"], 0) if t[0] is not None else None,
        linear=lambda node: ((0,),) if node.attrs["value"] == 0 else (),
        batch=lanes.changed(lambda a, n: {"low": (0, *a["low"]), "high": (0, *a["high"])}),
    )
)

# ---------------------------------------------------------------- concatenate


def concatenate(xs: Sequence[Node], axis: int) -> Node:
    """Tensors one behind another along `axis`."""
    return xs[0] if len(xs) == 1 else make("concatenate", *xs, axis=axis)


def _concatenate_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    axis = attrs["axis"]
    require(bool(types), "concatenate: of nothing")
    first = types[0]
    require(0 <= axis < first.rank, f"concatenate: axis {axis} of rank {first.rank}")
    total: Size = 0
    for t in types:
        fits = t.dtype == first.dtype and t.rank == first.rank
        fits = fits and all(
            a == b for k, (a, b) in enumerate(zip(t.shape, first.shape, strict=True)) if k != axis
        )
        require(fits, f"concatenate: {first} and {t} along axis {axis}")
        total = total + t.shape[axis]
    return TensorType(first.dtype, (*first.shape[:axis], total, *first.shape[axis + 1 :]))


def _offsets(node: Node) -> Iterator[tuple[Node, Size]]:
    at: Size = 0
    for x in node.inputs:
        yield x, at
        at = at + x.shape[node.attrs["axis"]]


def _concatenate_at(node: Node, index: Index) -> Expr:
    axis, out = node.attrs["axis"], None
    for x, at in reversed(list(_offsets(node))):
        if x.shape[axis] == 0:
            continue
        part = scalar.read(x, (*index[:axis], index[axis] - at, *index[axis + 1 :]))
        out = part if out is None else Guard(((index[axis], at, at + x.shape[axis]),), part, out)
    return out if out is not None else scalar.read(node.inputs[0], index)


def _concatenate_vjp(node: Node, ct: Node) -> tuple[Node, ...]:
    axis, rank = node.attrs["axis"], node.rank
    return tuple(
        slice_(ct, tuple(at if k == axis else 0 for k in range(rank)), x.shape) for x, at in _offsets(node)
    )


def _concatenate_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shapes, axis in (
        (((3,), (1,), (0,), (5,)), 0),
        (((2, 3), (2, 4)), 1),
        (((2, 0), (1, 0)), 0),
        (((1, 2, 1, 3, 2), (1, 2, 2, 3, 2)), 2),
    ):
        arrays = [array(rng, s, f64 if len(s) == 2 else f32) for s in shapes]
        yield sample(*arrays, axis=axis)
    yield sample(array(rng, (2, 3), i32), array(rng, (1, 3), i32), axis=0, orders=0)


register(
    Op(
        "concatenate",
        "Tensors one behind another along an axis.",
        _concatenate_infer,
        lambda arrays, attrs, shape: np.concatenate(arrays, attrs["axis"]),
        _concatenate_at,
        _concatenate_vjp,
        _concatenate_samples,
        linear=lambda node: (range(len(node.inputs)),),
        batch=lanes.along_axis,
    )
)
