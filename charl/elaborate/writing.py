"""Indexed writes: `x[…] = v` and `x[…] += v`.

Enters: an assignment to an index of a mutable place. Leaves: a new value in that place. Where integer tensors name an element
twice, the last in row-major order stays, and `+=` and `-=` count each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charl import ops
from charl.elaborate import access, operators
from charl.elaborate import values as v
from charl.elaborate.access import Gather
from charl.elaborate.indexing import plan
from charl.elaborate.operators import Operand
from charl.elaborate.scope import Scope
from charl.errors import CharlError
from charl.graph.ir import Node, Shape, TensorType, at_span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator


def write(el: Elaborator, s: ast.Assign, scope: Scope) -> None:
    """`x[items] = v` and `x[items] op= v`."""
    from charl.elaborate import stacks
    from charl.elaborate.statements import require_mutable

    target = s.target
    assert isinstance(target, ast.Index)
    place = el.place(target.value, scope)
    require_mutable(place, target.value)
    x = place.get()
    if isinstance(x, v.ErrorValue):
        raise v.Silenced
    if stacks.is_stack(x):
        place.set(el.settle(stacks.write(el, x, s, scope)))
        return
    right = el.operand(s.value, scope)
    with at_span(s.span):
        stages = access.stages(el, x, plan(el, x, target, scope), target.span)
        place.set(el.settle(written(el, x, stages, right, s)))


def written(el: Elaborator, x: Node, stages: list[access.Stage], right: Operand, s: ast.Assign) -> Node:
    """`x` after the assignment: read stage by stage, then put back from the last to the first."""
    before: list[Node] = []
    part = x
    for stage in stages:
        before.append(part)
        part = stage.read(part)
    adding = s.op in ("+", "-") and any(isinstance(stage, Gather) for stage in stages)
    if s.op and not adding:
        right = Operand(operators.binary(el, s.op, Operand(part, s.target.span), right, s.span), s.value.span)
    new = _fitted(el, x, right, part.shape, s)
    if s.op == "-" and adding:
        new = ops.neg(new)
    for stage, old in zip(reversed(stages), reversed(before), strict=True):
        new = stage.add(old, new) if adding and isinstance(stage, Gather) else stage.write(old, new)
    return new


def _fitted(el: Elaborator, x: Node, right: Operand, shape: Shape, s: ast.Assign) -> Node:
    """The written value in the element type and shape of the part."""
    if isinstance(right.value, v.Run):
        right = Operand(operators.numbers_like(el, right.value, x, right.span), right.span)
    target = Operand(ops.zeros(TensorType(x.dtype, shape)), s.target.span)
    nodes = operators.same_dtype(el, [target, right], "an assignment", s.span)
    got = Operand(nodes[1], right.span)
    if operators.broadcast_shapes(el, target, got, "an assignment", s.span) != shape:
        first = (shape[0] if shape else 1, nodes[1].shape[0] if nodes[1].shape else 1)
        raise CharlError([operators.no_broadcast(target, got, "an assignment", s.span, *first)])
    return operators.broadcast_to(nodes[1], shape)
