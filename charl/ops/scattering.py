"""Writes at run-time indices along one axis: `scatter_add`, which adds all, and `scatter`, where the last one stays.

Enters: tensors, integer tensors and updates shaped as `gather` gives them. Leaves: the first with the updates in it. Indices
outside are dropped (or clamped). Where two updates meet, they count in row-major order of the indices, on every backend.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import dims, ops
from charl.dtypes import accumulator, boolean, f32, f64, i8, i32, i64, u32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Const, Expr, Guard, Index, IndexValue, Reduce, fresh
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    cast_expr,
    clamped,
    linear,
    require,
    sample,
    shown,
    split_linear,
    zero_of,
    zeros_like,
)
from charl.ops.indexing import (
    at_indices,
    clip,
    gather,
    is_meant,
    places,
    split_index,
    told,
    updates_shape,
)
from charl.ops.record import Op, Sample, Scatter, make, register

__all__ = ["scatter", "scatter_add"]

# ---------------------------------------------------------------- scatter_add


def scatter_add(
    x: Node, idx: Node, updates: Node, axis: int, batch: int = 0, mode: str = "drop", meant: bool = False
) -> Node:
    """`x` plus `updates` (shaped as `gather` gives them) at `idx`; indices outside are dropped, or clamped.

    Half floats accumulate in f32. Where indices outside are `meant`, no debug build reports them.
    """
    if x.dtype.is_half:
        wide = accumulator(x.dtype)
        total = scatter_add(ops.cast(x, wide), idx, ops.cast(updates, wide), axis, batch, mode, meant)
        return ops.cast(total, x.dtype)
    return make("scatter_add", x, idx, updates, axis=axis, batch=batch, mode=mode, **told(meant))


def _add_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    x, idx, updates = types
    shape = updates_shape("scatter_add", x, idx, attrs)
    require(updates.shape == shape, f"scatter_add: updates are {shown(updates.shape)}, not {shown(shape)}")
    require(updates.dtype == x.dtype, f"scatter_add: {x.dtype} meets {updates.dtype}")
    require(x.dtype != boolean and not x.dtype.is_half, f"scatter_add is not defined for {x.dtype}")
    require(attrs["mode"] in ("drop", "clamp"), f"scatter_add: mode {attrs['mode']!r}")
    return x


def _inside(idx: Array, n: int, attrs: Attrs, shape: tuple[int, ...]) -> Array:
    """Which updates go to a place that exists."""
    given = places(attrs, (idx >= 0) & (idx.astype(np.uint64) < n), shape)[attrs["axis"]]
    return np.broadcast_to(given, shape)


def _add_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    x, idx, updates = arrays
    out = x.copy()
    if updates.size == 0 or out.size == 0:
        return out
    n = shape[attrs["axis"]]
    inside = clip(idx, n - 1)
    spread = np.broadcast_arrays(*places(attrs, inside, updates.shape))
    kept = np.ones(updates.shape, bool)
    if attrs["mode"] == "drop":
        kept = _inside(idx, n, attrs, updates.shape)
    np.add.at(out, tuple(p[kept] for p in spread), updates[kept])
    return out


def _add_at(node: Node, index: Index) -> Expr:
    (x, idx, updates), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]
    over = tuple((fresh(), n) for n in idx.shape[batch:])
    inner = tuple(dims.sym(name) for name, _ in over)
    place = scalar.read(idx, (*index[:batch], *inner))
    wide = cast_expr(place, i32) if place.dtype.bytes < 4 else place
    if node.attrs["mode"] == "clamp":
        wide = IndexValue(clamped(wide, 0, x.shape[axis] - 1), wide.dtype)
    hit = scalar.apply("eq", wide, IndexValue(index[axis], wide.dtype))
    update = scalar.read(updates, (*index[:axis], *inner, *index[axis + 1 :]))
    chosen = scalar.apply("select", hit, update, Const(zero_of(x.dtype), x.dtype))
    total = Reduce("add", over, chosen, x.dtype) if over else chosen
    return scalar.apply("add", scalar.read(x, index), total)


def _written(node: Node, combine: str) -> Scatter:
    """The serial form: every update in order."""
    (x, idx, updates), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]

    def place(u: Index) -> tuple[Index, Expr, Index]:
        before, inner, after = split_index(u, idx, axis, batch)
        return before, scalar.read(idx, inner), after

    def wide(u: Index) -> Expr:
        at = place(u)[1]
        return cast_expr(at, i32) if at.dtype.bytes < 4 else at

    def where(u: Index) -> Index:
        before, at, after = place(u)
        inside = clamped(at, 0, x.shape[axis] - 1) if condition is None else dims.atom(dims.Value(wide(u)))
        return (*before, inside, *after)

    def fits(u: Index) -> Expr:
        at = wide(u)
        above = scalar.apply("ge", at, Const(0, at.dtype))
        return scalar.apply("and", above, scalar.apply("lt", at, IndexValue(x.shape[axis], at.dtype)))

    condition = fits if node.attrs["mode"] == "drop" else None
    return Scatter(updates.shape, where, lambda u: scalar.read(updates, u), combine, condition)


def _add_vjp(node: Node, ct: Node) -> tuple[Node, None, Node]:
    (_, idx, updates), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]
    back = gather(ct, idx, axis, batch, is_meant(node))
    if node.attrs["mode"] == "drop":
        wide = ops.cast(idx, i32) if idx.dtype.bytes < 4 else idx
        end = ops.broadcast(ops.size_value(ct.shape[axis], wide.dtype), wide.shape, ())
        inside = ops.and_(ops.ge(wide, zeros_like(wide)), ops.lt(wide, end))
        axes = (*range(batch), *range(axis, axis + idx.rank - batch))
        back = ops.select(ops.broadcast(inside, updates.shape, axes), back, zeros_like(back))
    return ct, None, back


def _add_batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    axis, batch, mode = node.attrs["axis"], node.attrs["batch"], node.attrs["mode"]
    x, idx, updates = lanes.every(inputs, mapped, size)
    if batch == 0 and not mapped[1]:
        return scatter_add(x, inputs[1], updates, axis + 1, 0, mode, is_meant(node))
    return scatter_add(x, idx, updates, axis + 1, batch + 1, mode, is_meant(node))


def _add_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, index_shape, axis, batch, mode, t in (
        ((7,), (), 0, 0, "drop", f32),
        ((5,), (9,), 0, 0, "drop", f32),
        ((5, 3), (4,), 0, 0, "clamp", f64),
        ((3, 5), (2, 2), 1, 0, "drop", f32),
        ((2, 4, 3), (2, 3), 1, 1, "clamp", f32),
        ((2, 3, 1, 2, 3), (2, 2), 4, 1, "drop", f64),
        ((3, 2), (0,), 0, 0, "drop", f32),
    ):
        updates = (*shape[:axis], *index_shape[batch:], *shape[axis + 1 :])
        x, idx, u = array(rng, shape, t), array(rng, index_shape, i32, -2, 7), array(rng, updates, t)
        yield sample(x, idx, u, axis=axis, batch=batch, mode=mode)
    for ti, t in ((i64, i32), (u32, i64), (i8, f32)):
        x, idx, u = array(rng, (4, 2), t), array(rng, (7,), ti, -3, 6), array(rng, (7, 2), t)
        yield sample(x, idx, u, axis=0, batch=0, mode="drop", orders=0)


register(
    Op(
        "scatter_add",
        "The first plus updates at run-time indices along one axis, added in row-major order.",
        _add_infer,
        _add_ref,
        _add_at,
        _add_vjp,
        _add_samples,
        lambda node: _written(node, "add"),
        batch=_add_batch,
        indexed=at_indices,
    )
)

# ---------------------------------------------------------------- scatter


def scatter(x: Node, idx: Node, updates: Node, axis: int, batch: int = 0, meant: bool = False) -> Node:
    """`x` with `updates` (shaped as `gather` gives them) at `idx`; indices outside are dropped, the last of equal ones stays.

    Where indices outside are `meant`, no debug build reports them.
    """
    return make("scatter", x, idx, updates, axis=axis, batch=batch, mode="drop", **told(meant))


def _infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    x, idx, updates = types
    shape = updates_shape("scatter", x, idx, attrs)
    require(updates.shape == shape, f"scatter: updates are {shown(updates.shape)}, not {shown(shape)}")
    require(updates.dtype == x.dtype, f"scatter: {x.dtype} meets {updates.dtype}")
    return x


def _ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    x, idx, updates = arrays
    out = x.copy()
    if updates.size == 0 or out.size == 0:
        return out
    n, axis, batch = shape[attrs["axis"]], attrs["axis"], attrs["batch"]
    kept = _inside(idx, n, attrs, updates.shape)
    spread = np.broadcast_arrays(*places(attrs, clip(idx, n - 1), updates.shape))
    span = range(axis, axis + idx.ndim - batch)  # one index after the other, so that the last one stays
    for at in np.ndindex(*(updates.shape[k] for k in span)):
        cut = (*(slice(None) for _ in range(axis)), *at)
        out[tuple(p[cut][kept[cut]] for p in spread)] = updates[cut][kept[cut]]
    return out


def _at(node: Node, index: Index) -> Expr:
    (x, idx, updates), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]
    span = idx.shape[batch:]
    over = tuple((fresh(), n) for n in span)
    inner = tuple(dims.sym(name) for name, _ in over)
    place = scalar.read(idx, (*index[:batch], *inner))
    wide = cast_expr(place, i32) if place.dtype.bytes < 4 else place
    hit = scalar.apply("eq", wide, IndexValue(index[axis], wide.dtype))
    position = IndexValue(linear(inner, span), i32)
    last: Expr = scalar.apply("select", hit, position, Const(-1, i32))
    if over:
        last = Reduce("max", over, last, i32)
    found = dims.atom(dims.Value(last))
    new = scalar.read(updates, (*index[:axis], *split_linear(found, span), *index[axis + 1 :]))
    return Guard(((found, 0, dims.product(span)),), new, scalar.read(x, index))


def _vjp(node: Node, ct: Node) -> tuple[Node, None, Node]:
    (x, idx, updates), axis, batch = node.inputs, node.attrs["axis"], node.attrs["batch"]
    span, rows = idx.shape[batch:], x.shape[:batch]
    meant = is_meant(node)
    kept = scatter(ct, idx, zeros_like(updates), axis, batch, meant)
    order = ops.reshape(ops.iota((dims.product(span),), 0, i32), span)
    order = ops.broadcast(order, idx.shape, tuple(range(batch, idx.rank)))
    none = ops.full(-1, TensorType(i32, (*rows, x.shape[axis])))
    last = gather(scatter(none, idx, order, batch, batch, meant), idx, batch, batch, meant)
    axes = (*range(batch), *range(axis, axis + idx.rank - batch))
    stays = ops.broadcast(ops.eq(last, order), updates.shape, axes)
    return kept, None, ops.select(stays, gather(ct, idx, axis, batch, meant), zeros_like(updates))


def _batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    axis, batch = node.attrs["axis"], node.attrs["batch"]
    x, idx, updates = lanes.every(inputs, mapped, size)
    if batch == 0 and not mapped[1]:
        return scatter(x, inputs[1], updates, axis + 1, meant=is_meant(node))
    return scatter(x, idx, updates, axis + 1, batch + 1, is_meant(node))


def _samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, index_shape, axis, batch, t in (
        ((7,), (), 0, 0, f32),
        ((5,), (9,), 0, 0, f32),
        ((5, 3), (4,), 0, 0, f64),
        ((3, 5), (2, 2), 1, 0, f32),
        ((2, 4, 3), (2, 3), 1, 1, f32),
        ((2, 3, 1, 2, 3), (2, 2), 4, 1, f64),
        ((3, 2), (0,), 0, 0, f32),
        ((1, 2), (4, 2), 0, 0, f32),
    ):
        updates = (*shape[:axis], *index_shape[batch:], *shape[axis + 1 :])
        x, idx, u = array(rng, shape, t), array(rng, index_shape, i32, -2, 7), array(rng, updates, t)
        yield sample(x, idx, u, axis=axis, batch=batch, mode="drop")
    for ti, t in ((i64, i32), (u32, boolean), (i8, f32)):
        x, idx, u = array(rng, (4, 2), t), array(rng, (7,), ti, -3, 6), array(rng, (7, 2), t)
        yield sample(x, idx, u, axis=0, batch=0, mode="drop", orders=0)


register(
    Op(
        "scatter",
        "The first with updates at run-time indices along one axis; of equal indices the last in row-major order stays.",
        _infer,
        _ref,
        _at,
        _vjp,
        _samples,
        lambda node: _written(node, "set"),
        batch=_batch,
        indexed=at_indices,
    )
)
