"""Slices that start anywhere, read and written.

Enters: tensors and run-time starts. Leaves: elements from there on. A slice that does not fit is shifted until it does; no start
is ever trusted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from charl import ops
from charl.dtypes import boolean, f32, f64, i8, i32
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, Shape, TensorType
from charl.graph.scalar import Expr, Guard, Index
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    as_type,
    clamped,
    provably_negative,
    require,
    sample,
    shown,
    zeros_like,
)
from charl.ops.indexing import gather, index_within, is_meant, told
from charl.ops.record import Indexed, Op, Sample, Scatter, make, register

__all__ = ["dynamic_slice", "dynamic_update"]


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
