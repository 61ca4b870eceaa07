"""Batching of branches: one branch for all lanes, or a choice in every lane.

Enters: a branch, its inputs, some with an axis of lanes in front. Leaves: its results, each with or without that axis. Where all
lanes agree on the condition, one side runs; else both are evaluated and every lane takes its own.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl import ops
from charl.batch.loops import Lane, Mapped
from charl.graph.ir import Graph, Node, Size
from charl.ops.lanes import spread
from charl.ops.regions import branch


def through(
    node: Node, inputs: Sequence[Node], lanes: Sequence[bool], size: Size, mapped: Mapped
) -> list[Lane]:
    """The results of a branch in all lanes."""
    table = list(zip(inputs[1:], lanes[1:], strict=True))

    def side(graph: Graph) -> list[Lane]:
        return mapped(graph.results, dict(zip(graph.params, table, strict=True)), size)

    then, otherwise = node.regions
    flags = [lanes[0] or a or b for (_, a), (_, b) in zip(side(then), side(otherwise), strict=True)]

    def filled(graph: Graph) -> list[Node]:
        return [spread(x, size) if f and not m else x for (x, m), f in zip(side(graph), flags, strict=True)]

    if not lanes[0]:
        found = branch(inputs[0], lambda: filled(then), lambda: filled(otherwise))
        return list(zip(found, flags, strict=True))
    pairs = zip(filled(then), filled(otherwise), strict=True)
    return [(ops.select(ops.broadcast(inputs[0], x.shape, (0,)), x, y), True) for x, y in pairs]
