"""Contractions of half floats in the type in which they accumulate.

Enters: an optimised graph for a target that computes half floats in wider registers. Leaves: the same with conversions around
each contraction, which is then planned as any other. Values are the same to the bit: it accumulates in the wider type and
rounds at its end in any case. Which conversions are stored, since elements are read often, and which are part of every load,
`charl.plan.expansion` says by `seldom`.
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
    if caps.grid or not any(_half(n) for n in order):
        return graph
    new: dict[Node, Node] = {}
    for n in order:
        inputs = tuple(new[x] for x in n.inputs)
        if _half(n):
            wide = accumulator(n.dtype)
            made = ops.cast(make("contract", *(ops.cast(x, wide) for x in inputs), **n.attrs), n.dtype)
            new[n] = Node(made.op, made.inputs, made.attrs, made.type, (), n.span, n.name)
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
    return replace(graph, params=[new[p] for p in graph.params], results=[new[r] for r in graph.results])


def _half(node: Node) -> bool:
    return node.op == "contract" and node.inputs[0].dtype.is_half


def loads_convert(node: Node, caps: Capabilities) -> bool:
    """Whether a node is a conversion that loads of its operand do by themselves."""
    if node.op != "cast" or node.inputs[0].dtype.name not in caps.stored:
        return False
    return node.dtype == accumulator(node.inputs[0].dtype)


def seldom(node: Node, side: int, caps: Capabilities) -> bool:
    """Whether a contraction reads the elements of an operand so seldom, as far as is known, that a converted copy does not pay.

    A product of few rows is bound by what it reads, and reads less unconverted.
    """
    if node.op != "contract":
        return False
    other = node.inputs[1 - side]
    axes = others((*node.attrs["batch"][1 - side], *node.attrs["sum"][1 - side]), other.rank)
    times = product(other.shape[a] for a in axes)
    return caps.grid or not isinstance(times, int) or times < _OFTEN
