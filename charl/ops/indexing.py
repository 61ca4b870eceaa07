"""Access by run-time indices: gather, and indices that are brought into a range.

Enters: tensors and integer tensors. Leaves: elements at those places. Indices clamp. No index is ever trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import ops
from charl.dtypes import f32, f64, i8, i32, i64, u32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import Const, Expr, Index, IndexValue
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    clamped,
    others,
    provably_negative,
    require,
    sample,
    shown,
    zeros_like,
)
from charl.ops.record import Indexed, Op, Sample, make, register

__all__ = ["gather", "index_within"]

# ---------------------------------------------------------------- gather


def gather(x: Node, idx: Node, axis: int, batch: int = 0, meant: bool = False) -> Node:
    """Elements of `x` (B, P, n, Q) at the indices `idx` (B, I) along `axis`: B, P, I, Q. `batch` is the rank of B.

    Indices outside clamp to the nearest inside. Where that is `meant`, no debug build reports it.
    """
    return make("gather", x, idx, axis=axis, batch=batch, **told(meant))


def told(meant: bool) -> Attrs:
    """The attribute of a node whose indices may lie outside on purpose, or were looked at before."""
    return {"meant": True} if meant else {}


def is_meant(node: Node) -> bool:
    """Whether a gather or scatter takes indices outside without a report."""
    return bool(node.attrs.get("meant"))


def at_indices(node: Node) -> tuple[Indexed, ...]:
    """Where the indices of a gather or scatter (x, idx, …) shall lie."""
    x, idx = node.inputs[:2]
    return () if is_meant(node) else (Indexed(idx, x.shape[node.attrs["axis"]]),)


def updates_shape(name: str, x: TensorType, idx: TensorType, attrs: Attrs) -> Shape:
    """The shape that updates of `x` at `idx` have."""
    axis, batch = attrs["axis"], attrs["batch"]
    require(idx.dtype.is_integer, f"{name}: indices are integers, not {idx.dtype}")
    require(0 <= batch <= axis < x.rank, f"{name}: axis {axis} and batch {batch} of rank {x.rank}")
    require(batch <= idx.rank, f"{name}: batch {batch} of rank {idx.rank}")
    require(idx.shape[:batch] == x.shape[:batch], f"{name}: batch of {shown(x.shape)} and {shown(idx.shape)}")
    return (*x.shape[:axis], *idx.shape[batch:], *x.shape[axis + 1 :])


def _gather_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    shape = updates_shape("gather", types[0], types[1], attrs)
    empty = types[0].shape[attrs["axis"]] == 0 and 0 not in shape
    require(not empty, "gather: from an axis of size 0")
    return TensorType(types[0].dtype, shape)


def places(attrs: Attrs, idx: Array, shape: tuple[int, ...]) -> list[Array]:
    """For every axis of x but the indexed one its coordinate, for that one `idx`, all spread over the updates."""
    axis, batch = attrs["axis"], attrs["batch"]
    span = idx.ndim - batch
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    behind = len(shape) - axis - span
    lined = (*idx.shape[:batch], *[1] * (axis - batch), *idx.shape[batch:], *[1] * behind)
    here = idx.reshape(lined)
    return [*grids[:axis], here, *grids[axis + span :]]


def _gather_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    x, idx = arrays
    if 0 in shape:
        return np.zeros(shape, x.dtype)
    inside = clip(idx, x.shape[attrs["axis"]] - 1)
    return np.asarray(x[tuple(places(attrs, inside, shape))])


def clip(idx: Array, high: int) -> Array:
    if idx.dtype.kind == "u":
        return np.minimum(idx, np.uint64(high)).astype(np.int64)
    return np.clip(idx.astype(np.int64), 0, high)


def split_index(index: Index, idx: Node, axis: int, batch: int) -> tuple[Index, Index, Index]:
    """An index of the updates as: that of the leading axes, that of `idx`, that of the trailing axes."""
    span = idx.rank - batch
    return index[:axis], (*index[:batch], *index[axis : axis + span]), index[axis + span :]


def _gather_at(node: Node, index: Index) -> Expr:
    (x, idx), axis = node.inputs, node.attrs["axis"]
    before, inner, after = split_index(index, idx, axis, node.attrs["batch"])
    place = clamped(scalar.read(idx, inner), 0, x.shape[axis] - 1)
    return scalar.read(x, (*before, place, *after))


def _one_hot(x: Node, idx: Node, axis: int, batch: int) -> Node:
    """Whether an element of `x` is the one that `idx`, clamped, picks in its row."""
    # Compared in idx's own type or wider, so that no index wraps into range.
    wide = ops.cast(idx, i32) if idx.dtype.bytes < 4 else idx
    low, high = ops.full(0, wide.type), ops.size_value(x.shape[axis] - 1, wide.dtype)
    inside = ops.max_(ops.min_(wide, ops.broadcast(high, wide.shape, ())), low)
    spread = ops.broadcast(inside, x.shape, tuple(range(batch)))
    return ops.eq(ops.iota(x.shape, axis, wide.dtype), spread)


def _gather_vjp(node: Node, ct: Node) -> tuple[Node, None]:
    (x, idx), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]
    if idx.rank == batch:  # one index per row: fuses with what follows
        spread = ops.broadcast(ct, x.shape, tuple(k for k in range(x.rank) if k != axis))
        return ops.select(_one_hot(x, idx, axis, batch), spread, zeros_like(x)), None
    return ops.scatter_add(zeros_like(x), idx, ct, axis, batch, "clamp", is_meant(node)), None


def _gather_batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    """Lanes are one more batch axis; of indices alone, without a batch axis, they are some of the indices."""
    (x, idx), axis, batch = inputs, node.attrs["axis"], node.attrs["batch"]
    meant = is_meant(node)
    if batch == 0 and not mapped[0]:
        out = gather(x, idx, axis, meant=meant)
        return ops.transpose(out, (axis, *others((axis,), out.rank)))
    if batch == 0 and not mapped[1]:
        return gather(x, idx, axis + 1, meant=meant)
    x, idx = lanes.every(inputs, mapped, size)
    return gather(x, idx, axis + 1, batch + 1, meant)


def _gather_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, index_shape, axis, batch, t in (
        ((7,), (), 0, 0, f32),
        ((7,), (5,), 0, 0, f32),
        ((5, 3), (2, 2), 0, 0, f64),
        ((3, 5), (4,), 1, 0, f32),
        ((3, 5), (3,), 1, 1, f32),
        ((2, 4, 3), (2, 3), 2, 1, f64),
        ((2, 3, 2, 3, 2), (2, 3, 2), 3, 2, f32),
        ((1, 3), (0,), 0, 0, f32),
    ):
        yield sample(array(rng, shape, t), array(rng, index_shape, i32, -2, 8), axis=axis, batch=batch)
    yield sample(array(rng, (5, 2), i32), array(rng, (3,), i64, -9, 9), axis=0, batch=0, orders=0)
    wild = np.array([-(2**63), 2**63 - 1, 2**32, -1, 2], np.int64)
    yield sample(array(rng, (5,), f32), wild, axis=0, batch=0, orders=1)
    yield sample(array(rng, (3,), i8), np.array([0, 2**32 - 1, 2], np.uint32), axis=0, batch=0, orders=0)


register(
    Op(
        "gather",
        "Elements at run-time indices along one axis; indices clamp.",
        _gather_infer,
        _gather_ref,
        _gather_at,
        _gather_vjp,
        _gather_samples,
        linear=lambda node: ((0,),),
        batch=_gather_batch,
        indexed=at_indices,
    )
)

# ---------------------------------------------------------------- indices brought into an axis


def index_within(idx: Node, extent: Size, size: Size = 1, meant: bool = False) -> Node:
    """Indices of `size` elements each, shifted to where these are among `extent`; as i32 where `idx` is narrower.

    For operations that compute with indices before anything is read at them: debug builds report those that are shifted,
    unless that is `meant`.
    """
    wide = ops.cast(idx, i32) if idx.dtype.bytes < 4 else idx
    return make("index_within", wide, extent=extent, size=size, **told(meant))


def _within_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (t,) = types
    require(t.dtype.is_integer and t.dtype.bytes >= 4, f"index_within: indices are integers, not {t.dtype}")
    fits = not provably_negative(attrs["extent"] - attrs["size"]) or 0 in t.shape
    require(fits, f"index_within: {attrs['size']} of {attrs['extent']} elements")
    return t


def _within_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    return clip(arrays[0], attrs["extent"] - attrs["size"]).astype(arrays[0].dtype)


def _within_at(node: Node, index: Index) -> Expr:
    room = node.attrs["extent"] - node.attrs["size"]
    below = scalar.apply("min", scalar.read(node.inputs[0], index), IndexValue(room, node.dtype))
    return scalar.apply("max", below, Const(0, node.dtype))


def _within_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, extent, size, t in (
        ((), 4, 1, i32),
        ((5,), 3, 2, i64),
        ((2, 3), 2, 2, u32),
        ((0,), 1, 1, i32),
        ((0,), 0, 1, i32),
        ((1, 2, 1, 3, 2), 4, 1, i64),
    ):
        yield sample(array(rng, shape, t, 0 if t == u32 else -3, 8), extent=extent, size=size, orders=0)


register(
    Op(
        "index_within",
        "Run-time indices brought to where they are within an axis.",
        _within_infer,
        _within_ref,
        _within_at,
        lambda node, ct: (None,),
        _within_samples,
        batch=lanes.elementwise,
        indexed=lambda node: (
            () if is_meant(node) else (Indexed(node.inputs[0], node.attrs["extent"], node.attrs["size"]),)
        ),
    )
)
