"""Operations that move elements: broadcast, reshape, transpose, reverse.

Enters: tensors, and where their elements go (sizes may be symbolic). Leaves: the same elements elsewhere; no arithmetic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import dims, ops
from charl.dtypes import boolean, f32, f64, i8, i32, i64
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import Expr, Index
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    as_type,
    check_axes,
    linear,
    others,
    require,
    sample,
    shown,
    split_linear,
)
from charl.ops.record import Op, Sample, TypeRuleError, make, register

__all__ = ["broadcast", "reshape", "reverse", "transpose"]

# ---------------------------------------------------------------- broadcast


def broadcast(x: Node, shape: Shape, axes: Sequence[int]) -> Node:
    """`x` repeated: its axis i becomes axis axes[i] (ascending) of `shape`; an axis of size 1 may grow."""
    if tuple(shape) == x.shape and tuple(axes) == tuple(range(x.rank)):
        return x
    return make("broadcast", x, shape=tuple(shape), axes=tuple(axes))


def _broadcast_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,), shape = types, attrs["shape"]
    axes = check_axes(attrs["axes"], len(shape), "broadcast")
    if len(axes) != x.rank:
        raise TypeRuleError(f"broadcast: {len(axes)} axes for rank {x.rank}")
    if list(axes) != sorted(axes):
        raise TypeRuleError(f"broadcast: axes descend: {axes}")
    for n, a in zip(x.shape, axes, strict=True):
        if n != 1 and n != shape[a]:
            raise TypeRuleError(f"broadcast: {shown(x.shape)} does not fit {shown(shape)} at axes {axes}")
    return as_type(x.dtype, shape)


def _broadcast_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    along = [1] * len(shape)
    for a, n in zip(attrs["axes"], arrays[0].shape, strict=True):
        along[a] = n
    return np.broadcast_to(arrays[0].reshape(along), shape)


def _broadcast_at(node: Node, index: Index) -> Expr:
    (x,) = node.inputs
    grows = [n == 1 and node.shape[a] != 1 for n, a in zip(x.shape, node.attrs["axes"], strict=True)]
    return scalar.read(x, tuple(0 if g else index[a] for g, a in zip(grows, node.attrs["axes"], strict=True)))


def _broadcast_vjp(node: Node, ct: Node) -> tuple[Node]:
    (x,), axes = node.inputs, node.attrs["axes"]
    kept = [a for a, n in zip(axes, x.shape, strict=True) if n == node.shape[a]]
    total = ops.reduce_sum(ct, others(kept, node.rank))
    return (reshape(total, x.shape),)


def _broadcast_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for source, shape, axes in (
        ((), (7,), ()),
        ((), (0, 2), ()),
        ((5,), (3, 5), (1,)),
        ((3,), (3, 1, 5), (0,)),
        ((1, 4), (3, 4), (0, 1)),
        ((2, 3), (2, 3, 1, 2, 5), (0, 1)),
    ):
        yield sample(array(rng, source, f64 if len(shape) == 2 else f32), shape=shape, axes=axes)
    yield sample(array(rng, (3,), boolean), shape=(2, 3), axes=(1,), orders=0)
    yield sample(array(rng, (3,), i8), shape=(3, 17), axes=(0,), orders=0)


register(
    Op(
        "broadcast",
        "The input repeated along new axes, and along its axes of size 1.",
        _broadcast_infer,
        _broadcast_ref,
        _broadcast_at,
        _broadcast_vjp,
        _broadcast_samples,
        linear=lambda node: ((0,),),
        batch=lanes.changed(lambda a, n: {"shape": (n, *a["shape"]), "axes": (0, *lanes.shifted(a["axes"]))}),
    )
)

# ---------------------------------------------------------------- reshape


def reshape(x: Node, shape: Shape) -> Node:
    """The same elements in row-major order under another shape of provably equal size."""
    return x if tuple(shape) == x.shape else make("reshape", x, shape=tuple(shape))


def _reshape_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,), shape = types, attrs["shape"]
    same = dims.product(x.shape) == dims.product(shape)
    require(same, f"reshape: {shown(x.shape)} has not as many elements as {shown(shape)}")
    return as_type(x.dtype, shape)


def _matched_groups(old: Shape, new: Shape) -> Iterator[tuple[list[int], list[int]]]:
    """Runs of axes of the two shapes whose products are provably equal, shortest first."""
    i = j = 0
    while i < len(old) or j < len(new):
        first: tuple[list[int], list[int]] | None = None
        left: Size = 1
        lefts: list[tuple[int, Size]] = [(i, left)]
        for k in range(i, len(old)):
            left = left * old[k]
            lefts.append((k + 1, left))
        right: Size = 1
        for m in range(j, len(new) + 1):
            if m > j:
                right = right * new[m - 1]
            end = next((k for k, p in lefts if p == right and k + m > i + j), None)
            if end is not None:
                first = list(range(i, end)), list(range(j, m))
                break
        assert first is not None, (old, new)
        yield first
        i, j = i + len(first[0]), j + len(first[1])


def _reshape_at(node: Node, index: Index) -> Expr:
    (x,) = node.inputs
    source: list[Size] = [0] * x.rank
    if 0 in x.shape:
        return scalar.read(x, tuple(source))  # has no element: nothing will ask
    for old, new in _matched_groups(x.shape, node.shape):
        position = linear(tuple(index[j] for j in new), tuple(node.shape[j] for j in new))
        wide = [i for i in old if x.shape[i] != 1]
        for i, at in zip(wide, split_linear(position, tuple(x.shape[i] for i in wide)), strict=True):
            source[i] = at
    return scalar.read(x, tuple(source))


def _reshape_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for source, shape in (
        ((), (1, 1)),
        ((6,), (2, 3)),
        ((2, 3), (6,)),
        ((4, 3), (2, 6)),
        ((3, 1, 5), (1, 5, 3)),
        ((0, 3), (3, 5, 0)),
        ((2, 3, 2, 1, 3), (6, 1, 6)),
    ):
        yield sample(array(rng, source, f64 if len(shape) == 2 else f32), shape=shape)
    yield sample(array(rng, (2, 9), i64), shape=(3, 6), orders=0)


register(
    Op(
        "reshape",
        "The same elements, in row-major order, under another shape.",
        _reshape_infer,
        lambda arrays, attrs, shape: arrays[0].reshape(shape),
        _reshape_at,
        lambda node, ct: (reshape(ct, node.inputs[0].shape),),
        _reshape_samples,
        linear=lambda node: ((0,),),
        batch=lanes.changed(lambda a, n: {"shape": (n, *a["shape"])}),
    )
)

# ---------------------------------------------------------------- transpose and reverse


def transpose(x: Node, perm: Sequence[int]) -> Node:
    """Axis i of the result is axis perm[i] of `x`."""
    return x if tuple(perm) == tuple(range(x.rank)) else make("transpose", x, perm=tuple(perm))


def _transpose_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    perm = check_axes(attrs["perm"], types[0].rank, "transpose")
    require(len(perm) == types[0].rank, f"transpose: {perm} is no permutation of {types[0].rank} axes")
    return TensorType(types[0].dtype, tuple(types[0].shape[p] for p in perm))


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=lambda i: perm[i]))


def reverse(x: Node, axes: Sequence[int]) -> Node:
    """`x` back to front along `axes`."""
    return make("reverse", x, axes=tuple(axes)) if axes else x


def _reverse_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    check_axes(attrs["axes"], types[0].rank, "reverse")
    return types[0]


def _reverse_at(node: Node, index: Index) -> Expr:
    axes = node.attrs["axes"]
    turned = (n - 1 - i if k in axes else i for k, (i, n) in enumerate(zip(index, node.shape, strict=True)))
    return scalar.read(node.inputs[0], tuple(turned))


def _transpose_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, perm in (
        ((), ()),
        ((3, 5), (1, 0)),
        ((2, 0, 3), (2, 0, 1)),
        ((2, 3, 1, 2, 5), (4, 1, 3, 0, 2)),
    ):
        yield sample(array(rng, shape, f64 if len(shape) == 2 else f32), perm=perm)
    yield sample(array(rng, (17, 1, 3), i32), perm=(1, 2, 0), orders=0)


def _reverse_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axes in (((7,), (0,)), ((0, 2), (0,)), ((3, 5), (0, 1)), ((2, 3, 1, 2, 3), (1, 2, 4))):
        yield sample(array(rng, shape, f64 if len(shape) == 2 else f32), axes=axes)
    yield sample(array(rng, (2, 3), boolean), axes=(1,), orders=0)


register(
    Op(
        "transpose",
        "Axis i of the result is axis perm[i] of the input.",
        _transpose_infer,
        lambda arrays, attrs, shape: arrays[0].transpose(attrs["perm"]),
        lambda node, index: scalar.read(node.inputs[0], tuple(index[i] for i in inverse(node.attrs["perm"]))),
        lambda node, ct: (transpose(ct, inverse(node.attrs["perm"])),),
        _transpose_samples,
        linear=lambda node: ((0,),),
        batch=lanes.changed(lambda a, n: {"perm": (0, *lanes.shifted(a["perm"]))}),
    )
)
register(
    Op(
        "reverse",
        "The input back to front along some axes.",
        _reverse_infer,
        lambda arrays, attrs, shape: np.flip(arrays[0], attrs["axes"]),
        _reverse_at,
        lambda node, ct: (reverse(ct, node.attrs["axes"]),),
        _reverse_samples,
        linear=lambda node: ((0,),),
        batch=lanes.along_axes,
    )
)
