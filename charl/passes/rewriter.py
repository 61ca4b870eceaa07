"""The one engine of all passes: rebuild a graph bottom-up, replacing values until no replacement applies.

Enters: a graph and a step (node with settled inputs → a replacement, or None). Leaves: a graph in which no step applies
and no two nodes compute the same thing in the same way. It visits every node once, however many results share it, and what
a replacement adds is settled in the same way; nothing restarts. It knows no operation, except which ones commute.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeAlias

from charl.errors import InternalError
from charl.graph.ir import Graph, Node, at_span

Step: TypeAlias = Callable[[Node], "Node | None"]

COMMUTATIVE = frozenset(("add", "mul", "min", "max", "eq", "ne", "and", "or", "bitand", "bitor", "bitxor"))


class Rewriter:
    """Keeps what has been settled, so that a second run over a graph costs only what has changed since."""

    def __init__(self, stage: str, step: Step, regions: Callable[[Graph], Graph], limit: int = 64) -> None:
        self.stage = stage
        self.step = step
        self.regions = regions
        self.limit = limit  # replacements of one node, one after the other
        self.settled: dict[Node, Node] = {}
        self.forward: dict[Node, Node] = {}
        self.table: dict[Any, Node] = {}
        self.numbers: dict[Node, int] = {}

    def run(self, graph: Graph) -> Graph:
        """The graph after all steps; the same object where nothing changes."""
        for p in graph.params:
            self._settle(p)
        results = [self._settle(r) for r in graph.results]
        if all(a is b for a, b in zip(results, graph.results, strict=True)):
            return graph
        return Graph(graph.name, graph.params, results, graph.span)

    def _settle(self, root: Node) -> Node:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in self.settled:
                stack.pop()
                continue
            ahead = self.forward.get(node)
            if ahead is not None:
                if ahead in self.settled:
                    self.settled[node] = self.settled[ahead]
                else:
                    stack.append(ahead)
                    self._check(stack)
                continue
            waiting = [i for i in reversed(node.inputs) if i not in self.settled]
            if waiting:
                stack += waiting
            else:
                self._visit(node)
        return self.settled[root]

    def _check(self, stack: list[Node]) -> None:
        tail = stack[-self.limit :]
        if len(tail) == self.limit and all(self.forward.get(a) is b for a, b in pairwise(tail)):
            raise InternalError(self.stage, f"the rewriting of {tail[0]!r} does not end")

    def _visit(self, node: Node) -> None:
        """Settle a node whose inputs are settled, or note what replaces it."""
        if node.op == "parameter":
            self._keep(node, node)
            return
        current = self._refreshed(node)
        key = self._key(current)
        known = self.table.get(key)
        if known is not None:
            if known.name is None:
                known.name = node.name  # a hint from the user's source survives the merging
            self.settled[node] = known
            return
        with at_span(current.span):
            new = self.step(current)
        if new is None or new is current:
            self.table[key] = current
            self._keep(node, current)
            return
        if new.type != current.type:
            raise InternalError(self.stage, f"{current!r} became {new!r}")
        if new.name is None and new not in self.settled:
            new.name = current.name
        self.forward[node] = new

    def _keep(self, node: Node, current: Node) -> None:
        self.settled[node] = self.settled[current] = current
        self.numbers[current] = len(self.numbers)

    def _refreshed(self, node: Node) -> Node:
        inputs = tuple(self.settled[i] for i in node.inputs)
        regions = tuple(self.regions(r) for r in node.regions)
        if all(a is b for a, b in zip(inputs, node.inputs)) and all(
            a is b for a, b in zip(regions, node.regions)
        ):
            return node
        return Node(node.op, inputs, node.attrs, node.type, regions, node.span, node.name)

    def _key(self, node: Node) -> Any:
        """Equal for nodes that compute the same bits. Regions are compared by identity."""
        inputs = tuple(self.numbers[i] for i in node.inputs)
        if node.op in COMMUTATIVE and inputs[0] > inputs[1]:
            inputs = (inputs[1], inputs[0])
        attrs = tuple((k, _bits(v)) for k, v in sorted(node.attrs.items()))
        return node.op, inputs, attrs, node.type, tuple(map(id, node.regions))


def _bits(value: Any) -> Any:
    """`value`, told apart where Python's equality does not: 0.0 from -0.0, 1 from True; NaN equal to itself."""
    return (type(value).__name__, repr(value)) if isinstance(value, (float, bool)) else value
