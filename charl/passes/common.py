"""Common subexpressions: what is computed twice in the same way is computed once.

Enters and leaves: a graph. Values are equal where operation, inputs, attributes and type are; inputs of commutative
operations in any order; constants by their bits. Random bits are pure, so they take part. The engine of all passes does
this as it rebuilds; here it has nothing else to do.
"""

from __future__ import annotations

from charl.graph.ir import Graph
from charl.passes.rewriter import Rewriter


def share(graph: Graph) -> Graph:
    """`graph` without values that are computed twice."""
    return Rewriter("share", lambda node: None, share).run(graph)
