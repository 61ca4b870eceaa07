"""Batching of graphs: what is computed for one lane, computed for all of them.

Enters: nodes of a graph, and for some of those they are computed from the values with one axis of lanes in front. Leaves:
ordinary nodes. What depends on no lane stays as it is, and is computed once. The rules are those of the operations; an
operation without one is done lane by lane, in a loop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from charl.batch import branches, loops
from charl.errors import InternalError
from charl.grad import custom
from charl.grad.loops import row
from charl.graph.ir import Node, Size, TensorType, at_span, topological
from charl.ops import OPS
from charl.ops.lanes import spread
from charl.ops.regions import loop

Lane: TypeAlias = tuple[Node, bool]  # a value, and whether it has the axis of lanes


def batched(outputs: Sequence[Node], table: Mapping[Node, Node], size: Size) -> list[Node]:
    """`outputs` in `size` lanes, given those of what stands in `table`; what is the same in every lane is repeated."""
    found = mapped(outputs, {k: (x, True) for k, x in table.items()}, size)
    return [x if m else spread(x, size) for x, m in found]


def mapped(outputs: Sequence[Node], table: Mapping[Node, Lane], size: Size) -> list[Lane]:
    """As `batched`, saying of each value whether it has lanes. `table` may replace values by others without lanes."""
    new: dict[Node, Lane] = dict(table)
    several: dict[Node, list[Lane] | None] = {}  # results of loops and branches
    for node in topological(outputs, known=table):
        if node.op == "item" and several[node.inputs[0]] is not None:
            new[node] = several[node.inputs[0]][node.attrs["position"]]  # type: ignore[index]
            continue
        given = [new[x] for x in node.inputs]
        inputs, lanes = [x for x, _ in given], [m for _, m in given]
        if not any(lanes):
            new[node] = _same(node, inputs), False
            several[node] = None
            continue
        with at_span(node.span):
            if node.op == "custom":
                spread_ = [x if m else spread(x, size) for x, m in given]
                several[node] = [(y, True) for y in custom.in_lanes(node, spread_, size, batched)]
                new[node] = node, True
            elif node.regions:
                through = loops.through if node.op == "loop" else branches.through
                several[node] = through(node, inputs, lanes, size, mapped)
                new[node] = node, True
            else:
                new[node] = _through(node, inputs, lanes, size), True
    return [new[y] for y in outputs]


def _same(node: Node, inputs: Sequence[Node]) -> Node:
    """The operation once for all lanes."""
    if all(a is b for a, b in zip(inputs, node.inputs, strict=True)):
        return node
    return Node(node.op, tuple(inputs), node.attrs, node.type, node.regions, node.span, node.name)


def _through(node: Node, inputs: Sequence[Node], lanes: Sequence[bool], size: Size) -> Node:
    rule = OPS[node.op].batch or _one_by_one
    out = rule(node, inputs, lanes, size)
    wanted = TensorType(node.dtype, (size, *node.shape))
    if out.type != wanted:
        raise InternalError("batch", f"the rule of {node.op} gives {out.type}, not {wanted}")
    if out.name is None and out.inputs:
        out.name = node.name
    return out


def _one_by_one(node: Node, inputs: Sequence[Node], lanes: Sequence[bool], size: Size) -> Node:
    """The operation in a loop over the lanes."""

    def body(t: Node, state: list[Node]) -> tuple[list[Node], list[Node]]:
        own = tuple(row(x, t) if m else x for x, m in zip(inputs, lanes, strict=True))
        return [], [Node(node.op, own, node.attrs, node.type, node.regions, node.span, node.name)]

    return loop(size, [], body).yields[0]
