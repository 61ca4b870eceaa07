"""Sliding windows, and their adjoint: what convolutions and pools are made of.

Enters: tensors, and for each of some axes a window's size, stride and dilation. Leaves: all windows as a view with an axis for
the place and one for the tap, or the sum of overlapping windows put back. A convolution is a contraction over
windows, a pool a reduction over them; neither is an operation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import gcd
from typing import Any, TypeAlias

import numpy as np

from charl import dims
from charl.dtypes import accumulator, boolean, f16, f32, f64, i8, i32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Const, Expr, Guard, Index, Reduce, fresh
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    as_type,
    cast_expr,
    check_axes,
    require,
    sample,
    total_dtype,
    wide_numpy,
    zero_of,
)
from charl.ops.record import Op, Sample, make, register

__all__ = ["overlap_add", "windows"]

Test: TypeAlias = tuple[Size, Size, Size]  # index, low, high


def places(length: Size, size: Size, stride: Size, dilation: Size) -> Size:
    """How many windows of `size` taps, `dilation` apart, fit into `length` when each starts `stride` after the last."""
    return dims.rounded_down(length - dilation * (size - 1) - 1, stride) + 1


def _check(name: str, attrs: Attrs, rank: int) -> None:
    axes = check_axes(attrs["axes"], rank, name)
    for key in ("strides", "dilations"):
        steps = attrs[key]
        require(len(steps) == len(axes), f"{name}: {len(steps)} {key} for {len(axes)} axes")
        require(not any(isinstance(s, int) and s < 1 for s in steps), f"{name}: {key} of {steps}")


# ---------------------------------------------------------------- windows


def windows(
    x: Node, axes: Sequence[int], sizes: Sequence[Size], strides: Sequence[Size], dilations: Sequence[Size]
) -> Node:
    """x[…, L, …] as […, O, …, K]: element (…, o, …, k) is x[…, stride * o + dilation * k, …], for each of `axes`.

    The axes of taps stand last, in the order of `axes`.
    """
    return make(
        "windows",
        x,
        axes=tuple(axes),
        sizes=tuple(sizes),
        strides=tuple(strides),
        dilations=tuple(dilations),
    )


def _windows_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,) = types
    _check("windows", attrs, x.rank)
    require(len(attrs["sizes"]) == len(attrs["axes"]), "windows: a size for each axis")
    shape = list(x.shape)
    for axis, size, stride, dilation in _each(attrs, attrs["sizes"]):
        require(not (isinstance(size, int) and size < 1), f"windows: a size of {size}")
        shape[axis] = places(x.shape[axis], size, stride, dilation)
    return as_type(x.dtype, (*shape, *attrs["sizes"]))


def _each(attrs: Attrs, sizes: Sequence[Size]) -> Iterator[tuple[int, Size, Size, Size]]:
    return zip(attrs["axes"], sizes, attrs["strides"], attrs["dilations"], strict=True)


def _windows_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    (out,) = arrays
    for axis, taps in zip(attrs["axes"], shape[out.ndim :], strict=True):
        stride, dilation = (attrs[k][attrs["axes"].index(axis)] for k in ("strides", "dilations"))
        at = stride * np.arange(shape[axis])[:, None] + dilation * np.arange(taps)
        out = np.moveaxis(np.take(out, at, axis), axis + 1, -1)
    return out


def _windows_at(node: Node, index: Index) -> Expr:
    (x,) = node.inputs
    source = list(index[: x.rank])
    taps = index[x.rank :]
    for tap, (axis, _, stride, dilation) in zip(taps, _each(node.attrs, node.attrs["sizes"]), strict=True):
        source[axis] = stride * index[axis] + dilation * tap
    return scalar.read(x, tuple(source))


def _windows_vjp(node: Node, ct: Node) -> tuple[Node]:
    (x,) = node.inputs
    axes = node.attrs["axes"]
    lengths = [x.shape[a] for a in axes]
    return (overlap_add(ct, axes, lengths, node.attrs["strides"], node.attrs["dilations"]),)


# shape, axes, sizes, strides, dilations
_CASES: tuple[tuple[tuple[int, ...], ...], ...] = (
    ((7,), (0,), (3,), (1,), (1,)),
    ((9,), (0,), (2,), (3,), (2,)),
    ((2, 7), (1,), (2,), (2,), (1,)),
    ((4, 2), (0,), (5,), (1,), (1,)),  # none fits
    ((2, 5, 6), (1, 2), (3, 2), (1, 2), (1, 3)),
    ((11, 1), (0,), (3,), (4,), (2,)),  # taps that no window shares a remainder with
    ((1, 2, 3, 4, 5), (4, 2, 3), (2, 2, 1), (2, 1, 3), (1, 1, 1)),
)


def _windows_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axes, sizes, strides, dilations in _CASES:
        x = array(rng, shape, f64 if len(shape) == 2 else f32)
        yield sample(x, axes=axes, sizes=sizes, strides=strides, dilations=dilations)
    for t in (i8, boolean):
        yield sample(array(rng, (5, 3), t), axes=(0,), sizes=(2,), strides=(2,), dilations=(1,), orders=0)


register(
    Op(
        "windows",
        "Every window of some axes: an axis for its place, and a last one for the tap.",
        _windows_infer,
        _windows_ref,
        _windows_at,
        _windows_vjp,
        _windows_samples,
        linear=lambda node: ((0,),),
        batch=lanes.along_axes,
    )
)

# ---------------------------------------------------------------- overlap-add


def overlap_add(
    y: Node, axes: Sequence[int], lengths: Sequence[Size], strides: Sequence[Size], dilations: Sequence[Size]
) -> Node:
    """Windows […, O, …, K] put back into […, L, …], each element the sum of all taps that lie on it.

    The adjoint of `windows` of a tensor with these `lengths` along `axes`.
    """
    return make(
        "overlap_add",
        y,
        axes=tuple(axes),
        lengths=tuple(lengths),
        strides=tuple(strides),
        dilations=tuple(dilations),
    )


def _overlap_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (y,) = types
    axes, lengths = attrs["axes"], attrs["lengths"]
    rank = y.rank - len(axes)
    require(rank >= 0, f"overlap_add: {len(axes)} axes of rank {y.rank}")
    _check("overlap_add", attrs, rank)
    require(len(lengths) == len(axes), "overlap_add: a length for each axis")
    require(y.dtype != boolean, "overlap_add is not defined for bool")
    shape = list(y.shape[:rank])
    for length, (axis, size, stride, dilation) in zip(lengths, _each(attrs, y.shape[rank:]), strict=True):
        count = places(length, size, stride, dilation)
        require(count == shape[axis], f"overlap_add: {shape[axis]} windows where {count} fit into {length}")
        shape[axis] = length
    return as_type(total_dtype(y.dtype), shape)


def _overlap_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    (y,) = arrays
    out = np.zeros(shape, wide_numpy(y))
    rank = len(shape)
    for taps in np.ndindex(y.shape[rank:]):
        at: list[Any] = [slice(None)] * rank
        for tap, (axis, _, stride, dilation) in zip(taps, _each(attrs, y.shape[rank:]), strict=True):
            first = dilation * tap
            at[axis] = slice(first, first + stride * y.shape[axis], stride)
        if 0 not in y.shape:
            out[tuple(at)] += y[..., *taps]
    return out.astype(y.dtype) if y.dtype.kind == "f" else out


def _overlap_at(node: Node, index: Index) -> Expr:
    """Zero plus the taps that lie on the element; taps that cannot are not looked at."""
    (y,) = node.inputs
    wide = accumulator(y.dtype)
    source, taps = list(index), []
    over: list[tuple[str, Size]] = []
    tests: list[Test] = []
    for axis, size, stride, dilation in _each(node.attrs, y.shape[node.rank :]):
        name = fresh()
        count, tap, source[axis], test = _taps(index[axis], size, stride, dilation, dims.sym(name))
        over.append((name, count))
        taps.append(tap)
        tests += [*test, (tap, 0, size), (source[axis], 0, y.shape[axis])]
    element = cast_expr(scalar.read(y, (*source, *taps)), wide)
    body = Guard(tuple(tests), element, Const(zero_of(wide), wide))
    return cast_expr(Reduce("add", tuple(over), body, wide), node.dtype)


def _taps(i: Size, size: Size, stride: Size, dilation: Size, t: Size) -> tuple[Size, Size, Size, list[Test]]:
    """Which taps can lie on element i: their number, number t of them, the place of its window, and what remains to test.

    They are those for which i - dilation * tap is a multiple of the stride.
    """
    if dilation == 1:
        return dims.ceildiv(size, stride), dims.mod(i, stride) + stride * t, dims.floordiv(i, stride) - t, []
    if isinstance(stride, int) and isinstance(dilation, int):
        shared = gcd(stride, dilation)
        step, apart = stride // shared, dilation // shared
        first = dims.mod(dims.floordiv(i, shared) * pow(apart, -1, step), step)
        place = dims.floordiv(i - dilation * first, stride) - apart * t
        return dims.ceildiv(size, step), first + step * t, place, [(dims.mod(i, shared), 0, 1)]
    rest = i - dilation * t
    return size, t, dims.floordiv(rest, stride), [(dims.mod(rest, stride), 0, 1)]


def _overlap_vjp(node: Node, ct: Node) -> tuple[Node]:
    (y,) = node.inputs
    sizes = y.shape[node.rank :]
    return (windows(ct, node.attrs["axes"], sizes, node.attrs["strides"], node.attrs["dilations"]),)


def _overlap_samples(rng: np.random.Generator) -> Iterator[Sample]:
    def one(case: tuple[tuple[int, ...], ...], t: object, orders: int | None = None) -> Sample:
        shape, axes, sizes, strides, dilations = case
        from_ = [*shape]
        for axis, size, stride, dilation in zip(axes, sizes, strides, dilations, strict=True):
            count = places(shape[axis], size, stride, dilation)
            assert isinstance(count, int)
            from_[axis] = count
        y = array(rng, (*from_, *sizes), t)  # type: ignore[arg-type]
        lengths = tuple(shape[a] for a in axes)
        return sample(y, axes=axes, lengths=lengths, strides=strides, dilations=dilations, orders=orders)

    for case in _CASES:
        yield one(case, f64 if len(case[0]) == 2 else f32)
    for t in (i8, i32, f16):
        yield one(((7, 2), (0,), (3,), (2,), (1,)), t, orders=0)


register(
    Op(
        "overlap_add",
        "Windows added up where they lie: the adjoint of `windows`.",
        _overlap_infer,
        _overlap_ref,
        _overlap_at,
        _overlap_vjp,
        _overlap_samples,
        linear=lambda node: ((0,),),
        batch=lanes.along_axes,
    )
)
