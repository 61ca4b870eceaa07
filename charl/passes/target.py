"""What a graph leaves open for the kind of target is decided, and only one of two ways is kept.

Enters: an optimised graph. Leaves: the same, without a question. Sorting asks whether kernels run an invocation for each element:
a serial pass over an array is the fastest way where there is one thread, and the slowest where there are thousands.
"""

from __future__ import annotations

from collections.abc import Iterator

from charl import ops
from charl.dtypes import boolean
from charl.graph.ir import Graph, Node
from charl.passes import Pass, optimise

_QUESTION = "parallel"


def decided(graph: Graph, parallel: bool) -> Graph:
    """The graph for a target whose kernels are `parallel` or not; the same object where it asks nothing."""
    if not any(n.op == _QUESTION for n in _all(graph)):
        return graph
    answer = Pass(
        "target", "Answer what depends on the kind of target.", lambda: lambda n: _answer(n, parallel)
    )
    return optimise(_rewritten(graph, answer))


def _answer(node: Node, parallel: bool) -> Node | None:
    return ops.constant(parallel, boolean) if node.op == _QUESTION else None


def _rewritten(graph: Graph, answer: Pass) -> Graph:
    return answer.engine(lambda body: _rewritten(body, answer)).run(graph)


def _all(graph: Graph) -> Iterator[Node]:
    for n in graph.nodes():
        yield n
        for region in n.regions:
            yield from _all(region)
