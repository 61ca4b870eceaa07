"""Contraction: sums of products over any axes of two tensors, with any batch axes; matrix products are its best case.

Enters: two tensors and the pairs of axes to run together (`batch`) or to sum over (`sum`). Leaves: batch axes, then the
free axes of the first, then those of the second. Half floats accumulate in f32, small integers in (and give) 32 bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np

from charl import dims, ops
from charl.dtypes import accumulator, f16, f32, f64, i8, i32, i64
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Expr, Index, Reduce, fresh
from charl.ops import lanes
from charl.ops.common import (
    Array,
    Size,
    array,
    cast_expr,
    check_axes,
    others,
    require,
    sample,
    total_dtype,
    wide_numpy,
)
from charl.ops.record import Op, Sample, make, register

__all__ = ["contract"]

Pairs: TypeAlias = tuple[Sequence[int], Sequence[int]]


def contract(a: Node, b: Node, batch: Pairs = ((), ()), sum: Pairs = ((), ())) -> Node:
    """Sum of products: batch = (axes of a, axes of b) run together, sum = (axes of a, axes of b) vanish.

    The result has the batch axes, then the free axes of `a`, then those of `b`, as `lax.dot_general` has.
    """
    return make(
        "contract", a, b, batch=(tuple(batch[0]), tuple(batch[1])), sum=(tuple(sum[0]), tuple(sum[1]))
    )


def _free(rank: int, attrs: Attrs, side: int) -> tuple[int, ...]:
    return others((*attrs["batch"][side], *attrs["sum"][side]), rank)


def _infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    a, b = types
    require(a.dtype == b.dtype, f"contract: {a.dtype} meets {b.dtype}")
    require(a.dtype.kind != "bool", "contract is not defined for bool")
    for side, t in enumerate(types):
        check_axes((*attrs["batch"][side], *attrs["sum"][side]), t.rank, "contract")
    for pairs in (attrs["batch"], attrs["sum"]):
        require(len(pairs[0]) == len(pairs[1]), f"contract: {pairs} does not pair axes")
        for i, j in zip(*pairs, strict=True):
            require(
                a.shape[i] == b.shape[j],
                f"contract: size {a.shape[i]} (axis {i}) meets {b.shape[j]} (axis {j})",
            )
    shape = [a.shape[i] for i in (*attrs["batch"][0], *_free(a.rank, attrs, 0))]
    return TensorType(total_dtype(a.dtype), (*shape, *(b.shape[j] for j in _free(b.rank, attrs, 1))))


def _ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    """Through `matmul` of [batch, rows, sum] and [batch, sum, columns]."""
    a, b = arrays
    (batch_a, batch_b), (sum_a, sum_b) = attrs["batch"], attrs["sum"]
    free_a, free_b = _free(a.ndim, attrs, 0), _free(b.ndim, attrs, 1)
    sizes = [int(np.prod([a.shape[i] for i in axes])) for axes in (batch_a, free_a, sum_a)]
    columns = int(np.prod([b.shape[j] for j in free_b]))
    left = a.transpose((*batch_a, *free_a, *sum_a)).reshape(sizes)
    right = b.transpose((*batch_b, *sum_b, *free_b)).reshape(sizes[0], sizes[2], columns)
    wide = wide_numpy(a)
    out = np.matmul(left.astype(wide, copy=False), right.astype(wide, copy=False)).reshape(shape)
    return np.asarray(out.astype(a.dtype) if a.dtype.kind == "f" else out)


def _at(node: Node, index: Index) -> Expr:
    a = node.inputs[0]
    wide = accumulator(a.dtype)
    over = tuple((fresh(), a.shape[i]) for i in node.attrs["sum"][0])
    nb = len(node.attrs["batch"][0])
    free_a = _free(a.rank, node.attrs, 0)
    rest = (index[nb : nb + len(free_a)], index[nb + len(free_a) :])
    factors = []
    for side, x in enumerate(node.inputs):
        at: list[Size] = [0] * x.rank
        for k, i in zip(node.attrs["batch"][side], index[:nb], strict=True):
            at[k] = i
        for k, i in zip(_free(x.rank, node.attrs, side), rest[side], strict=True):
            at[k] = i
        for k, (name, _) in zip(node.attrs["sum"][side], over, strict=True):
            at[k] = dims.sym(name)
        factors.append(cast_expr(scalar.read(x, tuple(at)), wide))
    product = scalar.apply("mul", *factors)
    return cast_expr(Reduce("add", over, product, wide) if over else product, node.dtype)


def _to_side(node: Node, ct: Node, side: int) -> Node:
    """The cotangent of one input: `ct` contracted with the other over the other's free axes, axes put in place."""
    x, y = node.inputs[side], node.inputs[1 - side]
    batch, summed = node.attrs["batch"], node.attrs["sum"]
    nb = len(batch[0])
    free_x, free_y = _free(x.rank, node.attrs, side), _free(y.rank, node.attrs, 1 - side)
    first = nb + (len(free_x) if side == 0 else 0)
    run = (tuple(range(nb)), batch[1 - side])
    out = contract(ct, y, run, (tuple(range(first, first + len(free_y))), free_y))
    pair = dict(zip(summed[1 - side], summed[side], strict=True))
    where = (*batch[side], *free_x, *(pair[j] for j in sorted(summed[1 - side])))
    return ops.transpose(out, sorted(range(x.rank), key=lambda k: where[k]))


def _batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
    """Lanes of both run together; those of one side alone are one more free axis of it, moved to the front."""

    def moved(pair: Pairs) -> Pairs:
        left, right = (lanes.shifted(axes) if m else axes for axes, m in zip(pair, mapped, strict=True))
        return left, right

    (a, b), batch, summed = inputs, moved(node.attrs["batch"]), moved(node.attrs["sum"])
    if all(mapped):
        return contract(a, b, ((0, *batch[0]), (0, *batch[1])), summed)
    out = contract(a, b, batch, summed)
    at = len(batch[0])
    if mapped[1]:
        at += len(_free(a.rank, node.attrs, 0))
    return ops.transpose(out, (at, *others((at,), out.rank)))


def _samples(rng: np.random.Generator) -> Iterator[Sample]:
    none: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    for sa, sb, batch, summed, t in (
        ((), (), none, none, f32),
        ((7,), (7,), none, ((0,), (0,)), f32),
        ((5, 3), (3, 7), none, ((1,), (0,)), f32),
        ((3, 5), (7, 3), none, ((0,), (1,)), f64),
        ((17,), (3,), none, none, f32),
        ((2, 3, 5), (2, 5, 4), ((0,), (0,)), ((2,), (1,)), f32),
        ((3, 2, 4), (5, 4, 3, 2), ((1,), (3,)), ((0, 2), (2, 1)), f64),
        ((4, 0), (0, 3), none, ((1,), (0,)), f32),
        ((2, 1, 3, 1, 2), (3, 2, 2), ((0,), (1,)), ((2, 4), (0, 2)), f32),
    ):
        yield sample(array(rng, sa, t), array(rng, sb, t), batch=batch, sum=summed)
    for t in (i32, i8, i64, f16):
        a, b = array(rng, (3, 9), t, -90, 90), array(rng, (9, 2), t, -90, 90)
        yield sample(a, b, batch=none, sum=((1,), (0,)), orders=0)


register(
    Op(
        "contract",
        "Sums of products over paired axes of two tensors.",
        _infer,
        _ref,
        _at,
        lambda node, ct: (_to_side(node, ct, 0), _to_side(node, ct, 1)),
        _samples,
        linear=lambda node: ((0,), (1,)),
        batch=_batch,
    )
)
