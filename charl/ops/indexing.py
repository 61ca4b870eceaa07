"""Access by run-time indices: gather, and slices that start anywhere.

Enters: tensors and integer tensors. Leaves: elements at those places. Indices clamp; a slice that does not fit is shifted
until it does. No index is ever trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import ops
from charl.dtypes import boolean, f32, f64, i8, i32, i64, u32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import Const, Expr, Guard, Index, IndexValue
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    as_type,
    clamped,
    others,
    provably_negative,
    require,
    sample,
    shown,
    zeros_like,
)
from charl.ops.record import Indexed, Op, Sample, Scatter, make, register

__all__ = ["dynamic_slice", "dynamic_update", "gather", "index_within"]

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

# ---------------------------------------------------------------- slices that start anywhere


def dynamic_slice(x: Node, starts: Sequence[Node], sizes: Sequence[Size], meant: bool = False) -> Node:
    """`sizes` elements of `x` from run-time `starts` (integer scalars, one per axis), shifted so that they fit.

    Where starts outside are `meant`, no debug build reports them.
    """
    return make("dynamic_slice", x, *starts, sizes=tuple(sizes), **told(meant))


def dynamic_update(x: Node, update: Node, starts: Sequence[Node], meant: bool = False) -> Node:
    """`x` with `update` written over it from run-time `starts` on, shifted so that it fits.

    Where starts outside are `meant`, no debug build reports them.
    """
    return make("dynamic_update", x, update, *starts, **told(meant))


def _check_starts(name: str, x: TensorType, starts: Sequence[TensorType], sizes: Shape) -> None:
    require(len(starts) == len(sizes) == x.rank, f"{name}: rank {x.rank} needs as many starts and sizes")
    for t in starts:
        require(t.dtype.is_integer and not t.shape, f"{name}: a start is an integer scalar, not {t}")
    fits = not any(provably_negative(n - m) for n, m in zip(x.shape, sizes, strict=True))
    require(fits, f"{name}: {shown(sizes)} is larger than {shown(x.shape)}")


def _slice_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    _check_starts("dynamic_slice", types[0], types[1:], attrs["sizes"])
    return as_type(types[0].dtype, attrs["sizes"])


def _update_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    x, update = types[:2]
    require(x.dtype == update.dtype, f"dynamic_update: {x.dtype} meets {update.dtype}")
    _check_starts("dynamic_update", x, types[2:], update.shape)
    return x


def _window(shape: tuple[int, ...], starts: Sequence[Array], sizes: tuple[int, ...]) -> tuple[slice, ...]:
    at = [max(0, min(int(s), n - m)) for s, n, m in zip(starts, shape, sizes, strict=True)]
    return tuple(slice(a, a + m) for a, m in zip(at, sizes, strict=True))


def _update_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    out = arrays[0].copy()
    out[_window(shape, arrays[2:], arrays[1].shape)] = arrays[1]
    return out


def _start(node: Node, start: Node, axis: int, size: Size) -> Size:
    room = node.inputs[0].shape[axis] - size
    return 0 if room == 0 else clamped(scalar.read(start, ()), 0, room)


def _windows(node: Node, starts: Sequence[Node], sizes: Shape) -> tuple[Indexed, ...]:
    """Where the starts of a window into the first input shall lie."""
    if is_meant(node):
        return ()
    return tuple(Indexed(s, n, m) for s, n, m in zip(starts, node.inputs[0].shape, sizes, strict=True))


def _slice_at(node: Node, index: Index) -> Expr:
    x, *starts = node.inputs
    shifted = (
        i + _start(node, s, k, node.shape[k]) for k, (i, s) in enumerate(zip(index, starts, strict=True))
    )
    return scalar.read(x, tuple(shifted))


def _update_at(node: Node, index: Index) -> Expr:
    x, update, *starts = node.inputs
    tests, inner = [], []
    for k, (i, s) in enumerate(zip(index, starts, strict=True)):
        first = _start(node, s, k, update.shape[k])
        inner.append(i - first)
        if update.shape[k] != x.shape[k]:
            tests.append((i, first, first + update.shape[k]))
    new = scalar.read(update, tuple(inner))
    return Guard(tuple(tests), new, scalar.read(x, index)) if tests else new


def _update_write(node: Node) -> Scatter:
    _, update, *starts = node.inputs
    first = tuple(_start(node, s, k, update.shape[k]) for k, s in enumerate(starts))
    return Scatter(
        update.shape,
        lambda u: tuple(i + a for i, a in zip(u, first, strict=True)),
        lambda u: scalar.read(update, u),
        "set",
    )


def _update_vjp(node: Node, ct: Node) -> tuple[Node | None, ...]:
    _, update, *starts = node.inputs
    meant = is_meant(node)
    kept = dynamic_update(ct, zeros_like(update), starts, meant)
    return kept, dynamic_slice(ct, starts, update.shape, meant), *(None for _ in starts)


def _slice_vjp(node: Node, ct: Node) -> tuple[Node | None, ...]:
    x, *starts = node.inputs
    return dynamic_update(zeros_like(x), ct, starts, is_meant(node)), *(None for _ in starts)


def _repeated(x: Node) -> Node | None:
    """The number that a value repeats, if that is all it does."""
    while x.op in ("broadcast", "reshape"):
        x = x.inputs[0]
    return x if x.op == "constant" and not x.shape else None


def _slice_batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    """Axes with one start for all lanes are cut as one; along the others every lane gathers its own."""
    (x, *starts), (shape, sizes) = inputs, (node.inputs[0].shape, node.shape)
    own = [k for k, m in enumerate(mapped[1:]) if m and (shape[k] != sizes[k] or shape[k] == 1)]
    zero = ops.constant(0, i32)
    together = [zero if m else s for s, m in zip(starts, mapped[1:], strict=True)]
    cut = tuple(n if k in own else m for k, (n, m) in enumerate(zip(shape, sizes, strict=True)))
    lead = ([zero], (size,)) if mapped[0] else ([], ())
    meant = is_meant(node)
    if any(a != b for a, b in zip(cut, shape, strict=True)):
        x = dynamic_slice(x, [*lead[0], *together], (*lead[1], *cut), meant)
    if not mapped[0]:
        x = lanes.spread(x, size)
    for k in own:
        if sizes[k] == 1:
            x = gather(x, ops.reshape(starts[k], (size, 1)), k + 1, 1, meant)
            continue
        first = index_within(starts[k], shape[k], sizes[k], meant)
        places = TensorType(first.dtype, (size, sizes[k]))
        idx = ops.add(ops.broadcast(first, places.shape, (0,)), ops.iota(places.shape, 1, first.dtype))
        x = gather(x, idx, k + 1, 1, meant=True)
    return x


def _update_batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    """With one start for all lanes the same update; else what is inside a lane's window is gathered from its update."""
    starts, (shape, window) = inputs[2:], (node.shape, node.inputs[1].shape)
    x, update = lanes.every(inputs[:2], mapped[:2], size)
    own = [k for k, m in enumerate(mapped[2:]) if m and shape[k] != window[k]]
    if not own:
        zero = ops.constant(0, i32)
        together = [zero if m else s for s, m in zip(starts, mapped[2:], strict=True)]
        return dynamic_update(x, update, [zero, *together], is_meant(node))
    repeated = _repeated(inputs[1])  # one number everywhere is the same wherever it is written
    if repeated is not None:
        update = ops.broadcast(repeated, x.shape, ())
    inside: Node | None = None
    for k, start in enumerate(lanes.every(starts, mapped[2:], size)):
        if shape[k] == window[k]:
            continue
        first = index_within(start, shape[k], window[k], is_meant(node))
        along = (size, shape[k])
        relative = ops.sub(ops.iota(along, 1, first.dtype), ops.broadcast(first, along, (0,)))
        if repeated is None:
            update = gather(update, relative, k + 1, 1, meant=True) if window[k] != 0 else x
        end = ops.broadcast(ops.size_value(window[k], first.dtype), along, ())
        test = ops.and_(ops.ge(relative, zeros_like(relative)), ops.lt(relative, end))
        test = ops.broadcast(test, x.shape, (0, k + 1))
        inside = test if inside is None else ops.and_(inside, test)
    assert inside is not None
    return ops.select(inside, update, x)


_WINDOWS = (
    ((), (), ()),
    ((7,), (3,), (2,)),
    ((7,), (3,), (99,)),
    ((5, 4), (2, 4), (-3, 1)),
    ((3, 4), (2, 0), (1, 1)),
    ((2, 3, 1, 2, 4), (1, 2, 1, 2, 3), (1, 1, 0, 0, 5)),
)


def _slice_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, sizes, starts in _WINDOWS:
        x = array(rng, shape, f64 if len(shape) == 2 else f32)
        yield sample(x, *(np.int32(s) for s in starts), sizes=sizes)
    yield sample(array(rng, (9,), i8), np.int64(2**40), sizes=(2,), orders=0)


def _update_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, sizes, starts in _WINDOWS:
        t = f64 if len(shape) == 2 else f32
        yield sample(array(rng, shape, t), array(rng, sizes, t), *(np.int32(s) for s in starts))
    yield sample(array(rng, (9,), boolean), array(rng, (4,), boolean), np.uint32(3), orders=0)


register(
    Op(
        "dynamic_slice",
        "A window whose start is known at run time, shifted so that it fits.",
        _slice_infer,
        lambda arrays, attrs, shape: arrays[0][_window(arrays[0].shape, arrays[1:], shape)],
        _slice_at,
        _slice_vjp,
        _slice_samples,
        linear=lambda node: ((0,),),
        batch=_slice_batch,
        indexed=lambda node: _windows(node, node.inputs[1:], node.shape),
    )
)
register(
    Op(
        "dynamic_update",
        "The first with the second written over it at a place known at run time, shifted so that it fits.",
        _update_infer,
        _update_ref,
        _update_at,
        _update_vjp,
        _update_samples,
        _update_write,
        linear=lambda node: ((0, 1),),
        batch=_update_batch,
        distinct=True,
        indexed=lambda node: _windows(node, node.inputs[2:], node.inputs[1].shape),
    )
)
