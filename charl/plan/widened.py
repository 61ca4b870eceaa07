"""Contractions of half floats whose operands are read many times: converted once, before, and not at every use.

Enters: an optimised graph for a target that computes half floats in wider registers. Leaves: the same with conversions, which the
planner then stores as it does whatever a contraction reads again and again. Values are the same to the bit: a contraction
accumulates in the wider type and rounds at its end in any case. Never looks at sizes that are not known: a product of few rows
is bound by what it reads, and reads half as much unconverted.
"""

from __future__ import annotations

from dataclasses import replace

from charl import ops
from charl.backends.capabilities import Capabilities
from charl.dims import product
from charl.dtypes import accumulator
from charl.graph.ir import Graph, Node
from charl.ops.common import others
from charl.ops.record import make

# How often each element must be read for a copy in the wider type to cost less than it saves.
_OFTEN = 16


def widened(graph: Graph, caps: Capabilities) -> Graph:
    """The graph with those conversions. Bodies of loops and sides of branches are graphs of their own, and left as they are."""
    order = graph.nodes()
    if caps.grid or not any(map(_pays, order)):
        return graph
    new: dict[Node, Node] = {}
    for n in order:
        inputs = tuple(new[x] for x in n.inputs)
        if _pays(n):
            wide = accumulator(n.dtype)
            made = ops.cast(make("contract", *(ops.cast(x, wide) for x in inputs), **n.attrs), n.dtype)
            new[n] = Node(made.op, made.inputs, made.attrs, made.type, (), n.span, n.name)
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
    return replace(graph, params=[new[p] for p in graph.params], results=[new[r] for r in graph.results])


def _pays(node: Node) -> bool:
    """Whether a node is a contraction of half floats that reads each of its elements often."""
    if node.op != "contract" or not node.inputs[0].dtype.is_half:
        return False
    for side, x in enumerate(node.inputs):
        axes = others((*node.attrs["batch"][side], *node.attrs["sum"][side]), x.rank)
        free = product(x.shape[a] for a in axes)  # the other operand is read so often
        if not isinstance(free, int) or free < _OFTEN:
            return False
    return True
