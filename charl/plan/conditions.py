"""Under which conditions a value is needed.

Enters: a graph. Leaves: for every value the scalar conditions, and how they turned out, under which alone its result is used: a
light branch computes both of its sides and chooses, and what the other side would have read is nobody's mistake.
"""

from __future__ import annotations

from charl.graph.ir import Graph, Node
from charl.ops.record import OPS
from charl.passes.values import VIEWS

Conditions = frozenset[tuple[Node, bool]]


def conditions(graph: Graph) -> dict[Node, Conditions]:
    """Value → what holds whenever it is needed. Of several uses only what they have in common is known."""
    out: dict[Node, Conditions] = {r: frozenset() for r in graph.results}
    for node in reversed(graph.nodes()):
        mine = out.setdefault(node, frozenset())
        chosen = _scalar(node.inputs[0]) if node.op in OPS and OPS[node.op].branches else None
        for k, x in enumerate(node.inputs):
            needed = mine | {(chosen, k == 1)} if chosen is not None and k else mine
            out[x] = out[x] & needed if x in out else needed
    return out


def _scalar(condition: Node) -> Node | None:
    """The one truth value that a condition repeats for every element."""
    while condition.shape and condition.inputs and condition.op in VIEWS:
        condition = condition.inputs[0]
    return None if condition.shape else condition
