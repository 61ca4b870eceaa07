"""Choice and conversion, element by element: select, cast, bitcast, and a wall for derivatives.

Enters: tensors of equal shape. Leaves: a tensor of that shape. What a `select` does not take receives a zero cotangent.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charl import ops
from charl.dtypes import DType, bf16, boolean, loaded, rounded, stored
from charl.graph import scalar
from charl.graph.ir import Attrs, Node, TensorType
from charl.ops import lanes
from charl.ops.common import Array, cast_expr, require, scalar_like, shown
from charl.ops.elementwise import ANY, same_types
from charl.ops.elementwise_samples import bitcast_samples, cast_samples, select_samples
from charl.ops.numeric import saturating_cast
from charl.ops.record import Op, make, register

__all__ = ["barrier", "bitcast", "cast", "select", "stop_gradient", "zero_safe"]


def select(c: Node, a: Node, b: Node) -> Node:
    """`a` where `c`, else `b`."""
    return make("select", c, a, b)


def cast(x: Node, dtype: DType) -> Node:
    """`x` as `dtype`, itself where it is that already. To integers: truncates, saturates, NaN gives 0."""
    return x if x.dtype == dtype else make("cast", x, dtype=dtype)


def bitcast(x: Node, dtype: DType) -> Node:
    """The bits of `x` read as `dtype` of the same size."""
    return x if x.dtype == dtype else make("bitcast", x, dtype=dtype)


def stop_gradient(x: Node) -> Node:
    """`x`, through which no derivative passes."""
    return make("stop_gradient", x)


def barrier(x: Node) -> Node:
    """`x` as another value: what is computed from it is not shared with what is computed from `x`."""
    return make("barrier", x)


def zero_safe(ct: Node, part: Node) -> Node:
    """`part`, a product with `ct`, or 0 where it is not finite although `ct` is 0.

    Only there: derivatives of the product with respect to `ct` stay right where `ct` happens to be 0.
    """
    zero = scalar_like(ct, 0)
    top = float(np.finfo("float32" if ct.dtype.name == "bf16" else ct.dtype.numpy).max)
    return select(ops.or_(ops.ne(ct, zero), ops.le(ops.abs_(part), scalar_like(part, top))), part, zero)


def masked_product(node: Node) -> Node | None:
    """The product, where `node` is what `zero_safe` made of one; else None."""
    if node.op != "select" or node.inputs[0].op != "or":
        return None
    test, part, _ = node.inputs
    moved, finite = test.inputs
    safe = moved.op == "ne" and finite.op == "le" and finite.inputs[0].op == "abs"
    return part if safe and finite.inputs[0].inputs[0] is part else None


def _cast_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    if attrs["dtype"] == bf16 and arrays[0].dtype == np.float64:
        return np.asarray(rounded(arrays[0], bf16))
    return saturating_cast(arrays[0], attrs["dtype"].numpy)


def _select_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    require(len(types) == 3, "select takes a condition and two values")
    require(types[0].dtype == boolean, f"select: the condition is bool, not {types[0].dtype}")
    out = same_types("select", types[1:], ANY, 2)
    require(types[0].shape == out.shape, f"select: {shown(types[0].shape)} meets {shown(out.shape)}")
    return out


def _select_vjp(node: Node, ct: Node) -> tuple[Node | None, Node, Node]:
    c = node.inputs[0]
    zero = scalar_like(ct, 0)
    return None, select(c, ct, zero), select(c, zero, ct)


def _bitcast_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    (x,), t = types, attrs["dtype"]
    require(
        x.dtype.bytes == t.bytes and boolean not in (x.dtype, t), f"bitcast: {x.dtype} and {t} differ in size"
    )
    return TensorType(t, x.shape)


def _bitcast_ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    x, t = np.ascontiguousarray(arrays[0]), attrs["dtype"].numpy
    if attrs["dtype"] == bf16 and x.dtype.itemsize == 2:
        return np.asarray(loaded(x.view(bf16.memory).reshape(shape), bf16))
    if x.dtype == np.float32 and t.itemsize == 2:
        return np.asarray(stored(x, bf16).view(t).reshape(shape))
    if x.dtype.itemsize == t.itemsize:
        return np.asarray(x.view(t).reshape(shape))
    if x.dtype == np.float64:  # an f32 that is evaluated in double precision
        return np.asarray(x.astype(np.float32).view(t).reshape(shape))
    return np.asarray(x.view(np.float32).astype(t).reshape(shape))


register(
    Op(
        "select",
        "The second where the first holds, else the third.",
        _select_infer,
        lambda arrays, attrs, shape: np.where(*arrays),
        lambda node, index: scalar.apply("select", *(scalar.read(x, index) for x in node.inputs)),
        _select_vjp,
        select_samples,
        branches=True,
        linear=lambda node: ((1, 2),),
        batch=lanes.elementwise,
    )
)
register(
    Op(
        "cast",
        "Another element type; to integers truncating and saturating, NaN giving 0; to bool: not 0.",
        lambda types, attrs: TensorType(attrs["dtype"], types[0].shape),
        _cast_ref,
        lambda node, index: cast_expr(scalar.read(node.inputs[0], index), node.dtype),
        lambda node, ct: (cast(ct, node.inputs[0].dtype) if node.inputs[0].dtype.is_float else None,),
        cast_samples,
        linear=lambda node: ((0,),) if node.dtype.is_float and node.inputs[0].dtype.is_float else (),
        batch=lanes.elementwise,
    )
)
register(
    Op(
        "bitcast",
        "The same bits as another element type of the same size.",
        _bitcast_infer,
        _bitcast_ref,
        lambda node, index: scalar.apply("bitcast", scalar.read(node.inputs[0], index), dtype=node.dtype),
        lambda node, ct: (None,),
        bitcast_samples,
        batch=lanes.elementwise,
    )
)
register(
    Op(
        "stop_gradient",
        "The input, through which no derivative passes.",
        lambda types, attrs: types[0],
        lambda arrays, attrs, shape: arrays[0],
        lambda node, index: scalar.read(node.inputs[0], index),
        lambda node, ct: (None,),
        lambda rng: select_samples(rng, only_value=True),
        batch=lanes.elementwise,
    )
)
register(
    Op(
        "barrier",
        "The input, as a value that no pass takes for it.",
        lambda types, attrs: types[0],
        lambda arrays, attrs, shape: arrays[0],
        lambda node, index: scalar.read(node.inputs[0], index),
        lambda node, ct: (ct,),
        lambda rng: select_samples(rng, only_value=True),
        linear=lambda node: ((0,),),
        batch=lanes.elementwise,
    )
)
