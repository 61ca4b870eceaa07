"""jacobian and hessian: all derivatives of a tensor, as one pass of a mode in many lanes.

Enters: a function, options and the arguments of a call. Leaves: for every element of the result, along leading axes of its
shape, the derivative with respect to every element of the argument. Each lane follows one basis vector: of the argument
in forward mode, of the result in reverse mode, whichever are fewer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from charl import dims, ops
from charl.batch import batched
from charl.elaborate import values as v
from charl.elaborate.parameters import Call
from charl.elaborate.variables import Variable, called, shown, single
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size, TensorType
from charl.ops.regions import endless
from charl.ops.structural import inverse

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

TENSORS = code("E0513", "what a `jacobian` is taken of is no tensor of floats")

Blocks: TypeAlias = dict[tuple[Node, Node], Node]  # by result and variable


def jacobian(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`jacobian(f)(x)`: of a result of shape S and an argument of shape T, a tensor of shape (*S, *T).

    Of a struct it is the struct with such a tensor for each of its own, of several results the tuple of theirs.
    """
    variables, result = called(el, d, call)
    leaves = [n for _, n in v.leaves(result)]
    if not leaves or any(not n.dtype.is_float for n in leaves):
        text = v.describe_value(result)
        raise fail(
            TENSORS,
            f"a `{d.operator}` is taken of float tensors, and {shown(d.function)} gives {text}",
            call.span,
            labels=(Label(call.span, text),),
        )
    outputs, inputs = list(dict.fromkeys(leaves)), [n for x in variables for n in x.nodes.values()]
    rows, columns = _total(outputs), _total(inputs)
    ahead = endless(outputs) or dims.nonnegative(rows - columns)
    blocks = _by_columns(outputs, inputs) if ahead else _by_rows(outputs, inputs)
    return _assembled(result, variables, blocks, single(d))


def hessian(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`hessian(f)(x)` is `jacobian(grad(f))(x)`: forward over reverse."""
    return jacobian(el, v.Derived("hessian", v.Derived("grad", d.function, d.options), d.options), call)


def _total(nodes: Sequence[Node]) -> Size:
    total: Size = 0
    for n in nodes:
        total = total + dims.product(n.shape)
    return total


# ---------------------------------------------------------------- the two modes


def _by_columns(outputs: Sequence[Node], inputs: Sequence[Node]) -> Blocks:
    """Forward mode along every basis vector of the inputs."""
    from charl.grad import Dual, pushed

    blocks: Blocks = {}
    for x in inputs:
        direction = ops.parameter("direction", x.type)
        found = pushed(outputs, {n: Dual(n, direction if n is x else None) for n in inputs})
        lanes = _lanes([d.tangent for d in found], outputs, direction)
        for y, columns in zip(outputs, lanes, strict=True):
            perm = inverse((columns.rank - 1, *range(columns.rank - 1)))
            blocks[y, x] = ops.reshape(ops.transpose(columns, perm), (*y.shape, *x.shape))
    return blocks


def _by_rows(outputs: Sequence[Node], inputs: Sequence[Node]) -> Blocks:
    """Reverse mode from every basis vector of the results."""
    from charl.grad import vjp

    blocks: Blocks = {}
    for y in outputs:
        direction = ops.parameter("direction", y.type)
        lanes = _lanes(vjp([y], inputs, [direction]), inputs, direction)
        for x, rows in zip(inputs, lanes, strict=True):
            blocks[y, x] = ops.reshape(rows, (*y.shape, *x.shape))
    return blocks


def _lanes(found: Sequence[Node | None], of: Sequence[Node], direction: Node) -> list[Node]:
    """Derivatives along one direction (None: zero), along all basis vectors of its shape."""
    count = dims.product(direction.shape)
    filled = [g if g is not None else ops.zeros(n.type) for g, n in zip(found, of, strict=True)]
    return batched(filled, {direction: _basis(direction.type, count)}, count)


def _basis(t: TensorType, count: Size) -> Node:
    """One basis vector of a type in each of `count` lanes."""
    square = (count, count)
    hot = ops.cast(ops.eq(ops.iota(square, 0), ops.iota(square, 1)), t.dtype)
    return ops.reshape(hot, (count, *t.shape))


# ---------------------------------------------------------------- values


def _assembled(result: Any, variables: Sequence[Variable], blocks: Blocks, one: bool) -> Any:
    """The blocks in the form of the result, within it in that of the arguments."""
    if isinstance(result, Node):
        y = result
        parts = [v.stacked(x.collect(lambda _, n: blocks[y, n]), y.shape) for x in variables]
        return parts[0] if one else v.Tuple(tuple(parts))
    if isinstance(result, (v.Tuple, v.Run)):
        return replace(result, items=tuple(_assembled(x, variables, blocks, one) for x in result.items))
    members = {n: _assembled(x, variables, blocks, one) for n, x in v.children(result)}
    first = next(iter(members.values()))
    inner = replace(first.type, lead=()) if isinstance(first, v.Instance) else v.type_of(first)
    return v.Instance(replace(result.type, each=v.describe(inner)), members)
