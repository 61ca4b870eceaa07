"""What passes ask about values: is it a constant, are all its elements one number, can it be minus zero.

Enters: nodes. Leaves: answers, or None for "not known". Makes no node except constants.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from charl import ops
from charl.dtypes import DType
from charl.graph.ir import Node

Number: TypeAlias = float | int | bool

NEVER_MINUS_ZERO = frozenset(("abs", "exp", "exp2", "cosh", "iota", "size_value"))


def splat(node: Node) -> Number | None:
    """The number that every element of `node` is, where it is a constant."""
    while node.op in ("broadcast", "reshape"):
        node = node.inputs[0]
    if node.op != "constant":
        return None
    value: Number | bytes = node.attrs["value"]
    return None if isinstance(value, bytes) else value


def scalar_of(node: Node) -> Node | None:
    """The rank-0 value that is broadcast to `node`, `node` itself where it is of rank 0."""
    if not node.shape:
        return node
    if node.op == "broadcast" and not node.inputs[0].shape:
        return node.inputs[0]
    return None


def same_number(a: Number, b: Number, dtype: DType) -> bool:
    """Whether two numbers are the same bits in `dtype` (any NaN is the same)."""
    if dtype.is_float:
        x, y = float(a), float(b)
        return (x != x and y != y) or (x == y and math.copysign(1.0, x) == math.copysign(1.0, y))
    return a == b


def full_like(node: Node, value: Number) -> Node:
    """`value` in every element of the type of `node`."""
    return ops.full(value, node.type)


def never_minus_zero(node: Node, depth: int = 4) -> bool:
    """Whether no element can be -0.0, so that adding 0.0 changes nothing."""
    if not node.dtype.is_float or node.op in NEVER_MINUS_ZERO:
        return True
    number = splat(node)
    if number is not None:
        return not same_number(number, -0.0, node.dtype)
    if depth == 0:
        return False
    if node.op in ("broadcast", "reshape", "transpose", "slice", "reverse", "gather"):
        return never_minus_zero(node.inputs[0], depth - 1)
    if node.op == "cast":
        return not node.inputs[0].dtype.is_float
    if node.op == "mul":
        return node.inputs[0] is node.inputs[1]
    if node.op == "add":  # -0 only from -0 and -0
        return any(never_minus_zero(i, depth - 1) for i in node.inputs)
    if node.op == "select":
        return all(never_minus_zero(i, depth - 1) for i in node.inputs[1:])
    return False


# What is only another way to look at its input: in the body of a loop or the side of a branch it is read through.
VIEWS = frozenset(("constant", "size_value", "iota", "broadcast", "reshape", "transpose", "slice"))


def inside(x: Node, made: list[Node]) -> Node:
    """A value from outside as it is made inside a region: views anew, over what they look at; `made` gets them."""
    if x.op not in VIEWS:
        return x
    inputs = tuple(inside(i, made) for i in x.inputs)
    made.append(Node(x.op, inputs, x.attrs, x.type, (), x.span, x.name))
    return made[-1]
