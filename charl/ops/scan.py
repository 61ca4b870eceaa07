"""Cumulative sum, all of it: type, NumPy meaning, index-level meaning, gradient, samples."""

from typing import Any

import numpy as np

from charl import dims, ops
from charl.dtypes import accumulator, f32, f64, i8
from charl.graph import scalar
from charl.graph.ir import Node, TensorType
from charl.ops.common import array, cast_expr, check_axes, sample, total_dtype, wide_numpy
from charl.ops.record import Op, make, register

__all__ = ["cumsum"]


def cumsum(x: Node, axis: int) -> Node:
    """Sums of everything up to and including each element along `axis`."""
    return make("cumsum", x, axis=axis)


def _infer(types: Any, attrs: Any) -> TensorType:
    check_axes((attrs["axis"],), types[0].rank, "cumsum")
    return TensorType(total_dtype(types[0].dtype), types[0].shape)


def _ref(arrays: Any, attrs: Any, shape: Any) -> Any:
    (x,) = arrays
    return np.cumsum(x, attrs["axis"], wide_numpy(x)).astype(
        x.dtype if x.dtype.kind == "f" else wide_numpy(x)
    )


def _at(node: Node, index: Any) -> Any:
    (x,), axis, k = node.inputs, node.attrs["axis"], scalar.fresh()
    body = cast_expr(scalar.read(x, (*index[:axis], dims.sym(k), *index[axis + 1 :])), accumulator(x.dtype))
    return cast_expr(scalar.Reduce("add", ((k, index[axis] + 1),), body, body.dtype), node.dtype)


def _vjp(node: Node, ct: Node) -> Any:
    axis = node.attrs["axis"]
    return (ops.reverse(cumsum(ops.reverse(ct, (axis,)), axis), (axis,)),)


def _samples(rng: np.random.Generator) -> Any:
    for shape, axis, t, orders in (
        ((17,), 0, f32, 2),
        ((3, 5), 1, f64, 2),
        ((2, 3, 1, 0, 2), 4, f32, 1),
        ((9,), 0, i8, 0),
    ):
        yield sample(array(rng, shape, t, -99, 99), axis=axis, orders=orders)


register(
    Op("cumsum", "Sums up to and including each element along an axis.", _infer, _ref, _at, _vjp, _samples)
)
