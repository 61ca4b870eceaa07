"""What sorting is made of: keys that are whole numbers, and the question of what kind of target a graph is for.

Enters: a tensor of numbers. Leaves: unsigned integers in the same order. The sort itself is Charl code in `charl/lib/order.ch`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from charl import ops
from charl.dtypes import DType, boolean, f32, i32, i64, u32, u64
from charl.graph.ir import Attrs, Node, TensorType
from charl.graph.scalar import Const, Expr, Index
from charl.ops.common import Array, scalar_like
from charl.ops.record import Op, make, register

__all__ = ["order_keys", "parallel"]


def order_keys(x: Node) -> Node:
    """u32 (u64 for elements of 64 bits) in the order of the elements of `x`: equal for equal ones, NaN the greatest."""
    word, signed = (u64, i64) if x.dtype.bits == 64 else (u32, i32)
    if x.dtype.is_float:
        return _float_keys(x if x.dtype.bits >= 32 else ops.cast(x, f32), word, signed)
    if x.dtype.kind in ("uint", "bool"):
        return ops.cast(x, word)
    return ops.bitxor(ops.bitcast(ops.cast(x, signed), word), _sign(x, word))


def _float_keys(x: Node, word: DType, signed: DType) -> Node:
    """The bits of a float order positive numbers; those of negative ones are turned round. Both zeros are one."""
    zero = scalar_like(x, 0)
    bits = ops.bitcast(ops.select(ops.eq(x, zero), zero, x), signed)
    below = ops.lt(bits, scalar_like(bits, 0))
    plain = ops.bitcast(bits, word)
    keys = ops.select(below, ops.bitnot(plain), ops.bitxor(plain, _sign(x, word)))
    # NaN by its bits: targets may take x != x to be false
    size = ops.bitand(plain, scalar_like(plain, 2 ** (word.bits - 1) - 1))
    infinity = 0x7F800000 if word.bits == 32 else 0x7FF0000000000000
    return ops.select(ops.gt(size, scalar_like(size, infinity)), scalar_like(keys, 2**word.bits - 1), keys)


def _sign(x: Node, word: DType) -> Node:
    return ops.full(1 << (word.bits - 1), TensorType(word, x.shape))


def parallel() -> Node:
    """Whether kernels run an invocation for each element, so that a serial loop is slow: known when a target is planned for."""
    return make("parallel")


def _ref(arrays: Sequence[Array], attrs: Attrs, shape: tuple[int, ...]) -> Array:
    return np.asarray(True)


def _at(node: Node, index: Index) -> Expr:
    return Const(True, boolean)


register(
    Op("parallel", "Whether a target is a grid.", lambda types, attrs: TensorType(boolean, ()), _ref, _at)
)
