"""Forward mode: tangents of results from tangents of inputs, in one walk from the inputs to the results.

Enters: nodes of a graph and tangent nodes. Leaves: ordinary nodes, which can be differentiated again. The rule of an operation
comes from its record: `jvp`; or the operation itself on the tangents of inputs in which it is linear; or its gradient
rule, transposed. A loop takes its tangents along (`forward_loops`), so that values and tangents come from one loop: that
is why the walk gives values, too.

A zero tangent contributes zero: behind a `select` the side that was not taken passes zeros on, and where an operation has
an infinite or undefined derivative there (`sqrt` at 0), the product is replaced by 0, as in reverse mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from charl import ops
from charl.errors import InternalError
from charl.grad import branches, custom, forward_loops
from charl.grad.reverse import vjp
from charl.graph.ir import Node, of_derivative, topological
from charl.graph.labels import named_derivative
from charl.ops import OPS
from charl.ops.record import Op, make


class Dual(NamedTuple):
    """A value, its tangent (None: zero), and whether the tangent came through a side that may not have been taken."""

    value: Node
    tangent: Node | None = None
    behind: bool = False


def jvp(
    outputs: Sequence[Node], inputs: Sequence[Node], tangents: Sequence[Node | None]
) -> list[Node | None]:
    """Tangents of `outputs`, given those of `inputs` (None: zero).

    None where no differentiable path leads to an output; integers and booleans have no tangent.
    """
    given = {x: Dual(x, t) for x, t in zip(inputs, tangents, strict=True)}
    return [d.tangent for d in pushed(outputs, given)]


def pushed(outputs: Sequence[Node], given: Mapping[Node, Dual]) -> list[Dual]:
    """Values and tangents of `outputs`, computed from what `given` has in place of some nodes."""
    for x, d in given.items():
        if d.tangent is not None and d.tangent.type != x.type:
            raise InternalError(
                "grad", f"a value of type {x.type} was given a tangent of type {d.tangent.type}"
            )
    new: dict[Node, Dual] = dict(given)
    several: dict[Node, list[Dual]] = {}  # results of loops and branches that take tangents along
    for node in topological(outputs, known=given):
        if node.op == "item" and node.inputs[0] in several:
            new[node] = several[node.inputs[0]][node.attrs["position"]]
            continue
        inputs = [new[x] for x in node.inputs]
        value = _again(node, [d.value for d in inputs])
        if all(d.tangent is None for d in inputs):
            new[node] = Dual(value)
            continue
        with of_derivative(node):
            if node.op == "custom":
                several[node] = custom.forth(node, inputs, vjp)
                new[node] = Dual(value)
            elif node.regions:
                forth = forward_loops.through if node.op == "loop" else branches.forth
                several[node] = forth(node, inputs, pushed)
                new[node] = Dual(value)
            else:
                new[node] = _through(value, inputs)
    return [new[y] for y in outputs]


def _again(node: Node, inputs: Sequence[Node]) -> Node:
    """The operation on the values that stand for its inputs now."""
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    return Node(node.op, tuple(inputs), node.attrs, node.type, node.regions, node.span, node.name)


def _through(node: Node, inputs: Sequence[Dual]) -> Dual:
    record = OPS[node.op]
    if not node.dtype.is_float or node.op == "stop_gradient":
        return Dual(node)
    tangents = [d.tangent if d.value.dtype.is_float else None for d in inputs]
    behind = any(d.behind for d in inputs)
    out = _masked(record, node, inputs, tangents) if behind else _tangent(record, node, tangents)
    if out is not None and out.type != node.type:
        raise InternalError("grad", f"forward mode of {node.op} gives {out.type} for {node.type}")
    named_derivative(node, out)
    return Dual(node, out, behind or record.branches)


def _masked(record: Op, node: Node, inputs: Sequence[Dual], tangents: Sequence[Node | None]) -> Node | None:
    """The tangent, each part of it 0 where the input's is 0 and the derivative is not finite."""
    unsafe = [
        record.singular is not None and d.behind and t is not None and record.singular(node, k)
        for k, (d, t) in enumerate(zip(inputs, tangents, strict=True))
    ]
    total = _tangent(record, node, [None if u else t for u, t in zip(unsafe, tangents, strict=True)])
    for k, t in enumerate(tangents):
        if unsafe[k] and t is not None:
            part = _tangent(record, node, [t if i == k else None for i in range(len(tangents))])
            total = _sum(total, ops.zero_safe(t, part) if part is not None else None)
    return total


def _sum(a: Node | None, b: Node | None) -> Node | None:
    return a if b is None else b if a is None else ops.add(a, b)


def _tangent(record: Op, node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """The tangent of a result from those of its inputs, by the rule that there is."""
    moving = [k for k, t in enumerate(tangents) if t is not None]
    if not moving:
        return None
    if record.jvp is not None:
        return record.jvp(node, tangents)
    groups = record.linear(node) if record.linear is not None else ()
    if all(any(k in g for g in groups) for k in moving):
        return _linear(node, groups, tangents)
    return _transposed(record, node, tangents)


def _linear(node: Node, groups: Sequence[Sequence[int]], tangents: Sequence[Node | None]) -> Node | None:
    total: Node | None = None
    for group in groups:
        if all(tangents[k] is None for k in group):
            continue
        inputs = [
            x if k not in group else tangents[k] or ops.zeros(x.type) for k, x in enumerate(node.inputs)
        ]
        total = _sum(total, make(node.op, *inputs, **node.attrs))
    return total


def _transposed(record: Op, node: Node, tangents: Sequence[Node | None]) -> Node | None:
    """Reverse mode is linear in its cotangent: its own reverse mode with respect to that is the Jacobian itself."""
    if record.vjp is None:
        raise InternalError("grad", f"operation {node.op} has no gradient rule")
    dummy = ops.make("reshape", ops.full(1, node.type), shape=node.shape)  # not 0: rules may look at zeros
    total: Node | None = None
    for part, t in zip(record.vjp(node, dummy), tangents, strict=True):
        if part is not None and t is not None:
            total = _sum(total, vjp([part], [dummy], [t])[0])
    return total
