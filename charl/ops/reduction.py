"""Reductions over axes, which vanish: sum, product, max, min, and, or, argmax, argmin.

Enters: a tensor. Leaves: one element per index of the axes that stay. Sums and products of half floats accumulate in
f32, those of 8 and 16 bit integers in (and give) 32 bits. The gradient of max and min goes to the first extreme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias

import numpy as np

from charl import dims, ops
from charl.dtypes import DType, boolean, f16, f32, f64, i8, i32, i64, u8
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Expr, Index, Reduce, fresh
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    check_axes,
    distinct,
    others,
    require,
    sample,
    scalar_like,
    summed,
    total,
    total_dtype,
    zeros_like,
)
from charl.ops.record import Jvp, Op, Sample, Vjp, make, register

__all__ = [
    "argmax",
    "argmin",
    "reduce_and",
    "reduce_max",
    "reduce_min",
    "reduce_or",
    "reduce_prod",
    "reduce_sum",
]

Reducer: TypeAlias = Callable[[Node, Sequence[int]], Node]


def _infer(
    name: str, kinds: Sequence[str], widens: bool
) -> Callable[[Sequence[TensorType], Attrs], TensorType]:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
        (x,) = types
        require(x.dtype.kind in kinds, f"{name} is not defined for {x.dtype}")
        axes = check_axes(attrs["axes"], x.rank, name)
        kept = tuple(x.shape[k] for k in others(axes, x.rank))
        return TensorType(total_dtype(x.dtype) if widens else x.dtype, kept)

    return infer


def _at(fn: str) -> Callable[[Node, Index], Expr]:
    def at(node: Node, index: Index) -> Expr:
        (x,) = node.inputs
        axes = sorted(node.attrs["axes"])
        over = tuple((fresh(), x.shape[k]) for k in axes)
        inside: list[Size] = [0] * x.rank
        for k, (name, _) in zip(axes, over, strict=True):
            inside[k] = dims.sym(name)
        for k, i in zip(others(axes, x.rank), index, strict=True):
            inside[k] = i
        body = scalar.read(x, tuple(inside))
        if fn in ("add", "mul"):
            return total(fn, over, body, node.dtype)
        return Reduce(fn, over, body, x.dtype)

    return at


def _total_ref(fn: Callable[..., Any]) -> Callable[[Sequence[Array], Attrs, tuple[int, ...]], Array]:
    def ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
        return summed(fn, arrays[0], tuple(attrs["axes"]))

    return ref


def _bounds(t: Any, fn: str) -> Any:
    """What an empty max or min gives: the lowest or highest of the type."""
    if np.dtype(t).kind == "f":
        return -np.inf if fn == "max" else np.inf
    limits = np.iinfo(t)
    return limits.min if fn == "max" else limits.max


def _extreme_ref(fn: str) -> Callable[[Sequence[Array], Attrs, tuple[int, ...]], Array]:
    def ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
        (x,) = arrays
        ufunc = np.maximum if fn == "max" else np.minimum
        initial = x.dtype.type(_bounds(x.dtype, fn))
        return np.asarray(ufunc.reduce(x, axis=tuple(attrs["axes"]), initial=initial))

    return ref


def _reducer(
    name: str,
    fn: str,
    kinds: Sequence[str],
    ref: Callable[[Sequence[Array], Attrs, tuple[int, ...]], Array],
    vjp: Vjp | None,
    samples: Callable[[np.random.Generator], Iterator[Sample]],
    doc: str,
    jvp: Jvp | None = None,
) -> Reducer:
    linear = (lambda node: ((0,),)) if fn == "add" else None
    infer = _infer(name, kinds, fn in ("add", "mul"))
    register(
        Op(
            name,
            doc,
            infer,
            ref,
            _at(fn),
            vjp,
            samples,
            linear=linear,
            jvp=jvp,
            batch=lanes.along_axes,
        )
    )
    return lambda x, axes: make(name, x, axes=tuple(axes))


# ---------------------------------------------------------------- gradients


def _spread(node: Node, value: Node) -> Node:
    """A value per reduced group, repeated over the group."""
    (x,) = node.inputs
    return ops.broadcast(value, x.shape, others(node.attrs["axes"], x.rank))


def _group(node: Node) -> tuple[Node, Callable[[Node], Node]]:
    """The input with all reduced axes as one last axis, and the way back for a tensor of that shape."""
    (x,) = node.inputs
    axes = tuple(sorted(node.attrs["axes"]))
    perm = (*others(axes, x.rank), *axes)
    turned = ops.transpose(x, perm)
    flat = ops.reshape(turned, (*node.shape, dims.product(x.shape[k] for k in axes)))
    back = tuple(sorted(range(x.rank), key=lambda k: perm[k]))
    return flat, lambda g: ops.transpose(ops.reshape(g, turned.shape), back)


def _extreme_vjp(arg: str) -> Vjp:
    def vjp(node: Node, ct: Node) -> tuple[Node]:
        flat, back = _group(node)
        last = flat.rank - 1
        first = make(arg, flat, axis=last)
        here = ops.eq(ops.iota(flat.shape, last, i32), ops.broadcast(first, flat.shape, tuple(range(last))))
        spread = ops.broadcast(ct, flat.shape, tuple(range(last)))
        return (back(ops.select(here, spread, zeros_like(spread))),)

    return vjp


def _factors(flat: Node) -> Node:
    """For each element of the last axis the product of the others, formed as such: right with zeros, in every order.

    Costs the square of the axis, fused and without storage.
    """
    n, r = flat.shape[-1], flat.rank
    pairs = (*flat.shape, n)
    own = ops.eq(ops.iota(pairs, r - 1, i32), ops.iota(pairs, r, i32))
    others_ = ops.broadcast(flat, pairs, (*range(r - 1), r))
    return reduce_prod(ops.select(own, scalar_like(others_, 1), others_), (r,))


def _prod_vjp(node: Node, ct: Node) -> tuple[Node]:
    flat, back = _group(node)
    spread = ops.broadcast(ct, flat.shape, tuple(range(flat.rank - 1)))
    return (back(ops.zero_safe(spread, ops.mul(spread, _factors(flat)))),)


def _prod_jvp(node: Node, tangents: Sequence[Node | None]) -> Node | None:
    (t,) = tangents
    if t is None:
        return None
    flat, _ = _group(node)
    along, _ = _group(Node(node.op, (t,), node.attrs, node.type))
    return reduce_sum(ops.zero_safe(along, ops.mul(along, _factors(flat))), (flat.rank - 1,))


# ---------------------------------------------------------------- samples


def _shapes() -> Iterator[tuple[tuple[int, ...], tuple[int, ...], DType]]:
    yield (), (), f32
    yield (17,), (0,), f32
    yield (3, 5), (1,), f64
    yield (5, 3), (0,), f32
    yield (2, 1, 3), (0, 2), f64
    yield (3, 0), (1,), f32
    yield (2, 3, 1, 2, 3), (1, 3, 4), f32


def _number_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axes, t in _shapes():
        yield sample(distinct(rng, shape, t), axes=axes)
    for t2 in (i32, i8, u8, i64, f16):
        yield sample(array(rng, (3, 7), t2, -9, 9), axes=(1,), orders=0)
    yield sample(np.array([[1, np.nan, 2], [np.inf, 1, -np.inf], [0, 3, 3]], np.float32), axes=(1,), orders=0)


def _prod_samples(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _number_samples(rng)
    yield sample(np.array([[2.0, 0.0, 3.0], [0.0, 0.0, 5.0]], np.float64), axes=(1,))


def _tie_samples(rng: np.random.Generator) -> Iterator[Sample]:
    yield from _number_samples(rng)
    yield sample(np.array([[1, 3, 3, 2], [5, 5, 5, 5]], np.float32), axes=(1,), orders=1, smooth=False)


def _bool_samples(rng: np.random.Generator) -> Iterator[Sample]:
    for shape, axes, _ in _shapes():
        yield sample(array(rng, shape, boolean), axes=axes, orders=0)


def _bool_ref(fn: Callable[..., Any]) -> Callable[[Sequence[Array], Attrs, tuple[int, ...]], Array]:
    return lambda arrays, attrs, shape: np.asarray(fn(arrays[0], axis=tuple(attrs["axes"])))


NUMBER = ("float", "int", "uint")

reduce_sum = _reducer(
    "reduce_sum",
    "add",
    NUMBER,
    _total_ref(np.sum),
    lambda node, ct: (_spread(node, ct),),
    _number_samples,
    "The sum over some axes; 0 of nothing.",
)
reduce_prod = _reducer(
    "reduce_prod",
    "mul",
    NUMBER,
    _total_ref(np.prod),
    _prod_vjp,
    _prod_samples,
    "The product over some axes; 1 of nothing.",
    _prod_jvp,
)
reduce_max = _reducer(
    "reduce_max",
    "max",
    NUMBER,
    _extreme_ref("max"),
    _extreme_vjp("argmax"),
    _tie_samples,
    "The largest over some axes; NaN wins; the lowest of the type of nothing.",
)
reduce_min = _reducer(
    "reduce_min",
    "min",
    NUMBER,
    _extreme_ref("min"),
    _extreme_vjp("argmin"),
    _tie_samples,
    "The smallest over some axes; NaN wins; the highest of the type of nothing.",
)
reduce_and = _reducer(
    "reduce_and",
    "and",
    ("bool",),
    _bool_ref(np.all),
    None,
    _bool_samples,
    "Whether all hold; true of nothing.",
)
reduce_or = _reducer(
    "reduce_or",
    "or",
    ("bool",),
    _bool_ref(np.any),
    None,
    _bool_samples,
    "Whether any holds; false of nothing.",
)

# ---------------------------------------------------------------- positions


def argmax(x: Node, axis: int) -> Node:
    """i32 position of the first largest element along `axis`; NaN counts as largest."""
    return make("argmax", x, axis=axis)


def argmin(x: Node, axis: int) -> Node:
    """i32 position of the first smallest element along `axis`; NaN counts as smallest."""
    return make("argmin", x, axis=axis)


def _arg(name: str) -> None:
    def infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
        (x,), axis = types, attrs["axis"]
        require(x.dtype.kind in NUMBER, f"{name} is not defined for {x.dtype}")
        check_axes((axis,), x.rank, name)
        return TensorType(i32, (*x.shape[:axis], *x.shape[axis + 1 :]))

    def ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
        (x,), axis = arrays, attrs["axis"]
        if x.shape[axis] == 0:
            return np.zeros(shape, np.int32)
        fn = np.argmax if name == "argmax" else np.argmin
        return np.asarray(fn(x, axis=axis)).astype(np.int32)

    def at(node: Node, index: Index) -> Expr:
        (x,), axis = node.inputs, node.attrs["axis"]
        k = fresh()
        body = scalar.read(x, (*index[:axis], dims.sym(k), *index[axis:]))
        return Reduce(name, ((k, x.shape[axis]),), body, i32)

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        for shape, axis, t in (
            ((17,), 0, f32),
            ((3, 5), 1, f64),
            ((5, 3), 0, f32),
            ((2, 1, 3), 1, i32),
            ((0, 3), 1, f32),
            ((3, 0), 1, f32),
            ((2, 3, 1, 2, 3), 3, i8),
        ):
            yield sample(array(rng, shape, t, -9, 9), axis=axis, orders=0)
        ties = [[1, 3, 3, 2], [np.nan, 7, np.nan, 7], [np.inf, -np.inf, np.inf, -np.inf]]
        yield sample(np.array(ties, np.float32), axis=1, orders=0)

    what = "largest" if name == "argmax" else "smallest"
    doc = f"i32 position of the first {what} element along an axis; NaN counts as {what}; 0 of nothing."
    register(Op(name, doc, infer, ref, at, lambda node, ct: (None,), samples, batch=lanes.along_axis))


_arg("argmax")
_arg("argmin")
