"""Cumulative sum, all of it: type, NumPy meaning, index-level meaning, gradient, samples."""

import numpy as np

from charl import dims, ops
from charl.dtypes import f32, i8
from charl.graph import scalar
from charl.graph.ir import Node, TensorType
from charl.ops import lanes
from charl.ops.common import SHAPES, array, sample, shape_with_axis, summed, total, total_dtype
from charl.ops.record import Op, make, register


def cumsum(x: Node, axis: int) -> Node:
    """Sums of everything up to and including each element along `axis`."""
    return make("cumsum", x, axis=axis)


def _at(node: Node, index: scalar.Index) -> scalar.Expr:
    axis, k = node.attrs["axis"], scalar.fresh()
    element = scalar.read(node.inputs[0], (*index[:axis], dims.sym(k), *index[axis + 1 :]))
    return total("add", ((k, index[axis] + 1),), element, node.dtype)


def _vjp(node: Node, ct: Node) -> tuple[Node]:
    axis = node.attrs["axis"]
    return (ops.reverse(cumsum(ops.reverse(ct, (axis,)), axis), (axis,)),)


register(
    Op(
        name="cumsum",
        doc="Sums of everything up to and including each element along an axis.",
        infer=lambda t, attrs: TensorType(total_dtype(t[0].dtype), shape_with_axis(t[0], attrs["axis"])),
        ref=lambda arrays, attrs, shape: summed(np.cumsum, arrays[0], attrs["axis"]),
        at=_at,
        vjp=_vjp,
        linear=lambda node: ((0,),),
        batch=lanes.along_axis,
        samples=lambda rng: [sample(array(rng, s, t), axis=len(s) // 2) for s in SHAPES for t in (f32, i8)],
    )
)
