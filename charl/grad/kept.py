"""Which values of an iteration are kept for the loop that runs backwards over it.

Enters: what the derivative of an iteration reads of it. Leaves: the values from which all of that can be computed again, and
which take the least memory to keep: a minimum cut between what an iteration starts with and what its derivative reads (Ford
and Fulkerson, Flows in Networks, 1962; recomputation as in Griewank and Walther, Evaluating Derivatives, 2008, chapter 12).
What depends on nothing but the number of the iteration and on captured values is computed again. Products and inner loops cost
more than elementwise work to do twice: their results count for a fraction of their size.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from charl import dims
from charl.graph.ir import Node, TensorType, topological

_HEAVY = 16  # a result of one of these operations counts for 1/16 of its bytes
_HEAVY_OPERATIONS = frozenset(("contract", "window_contract", "cumsum", "item"))
_UNKNOWN = 64  # what a dimension variable counts for
_LIMIT = 4000  # values: beyond, the starts of the iterations are kept
_ENDLESS = 1 << 60


def kept(wanted: Iterable[Node], starts: Sequence[Node], index: Node) -> list[Node]:
    """The values to keep, in a fixed order, of a body whose carried parameters are `starts`."""
    targets = list(wanted)
    order = topological(targets)
    if len(order) > _LIMIT:
        return [n for n in order if n in set(starts)]
    counting = _dependent(order, [index])
    sources = {n for n in order if n in set(starts) or (n in counting and n.op in _HEAVY_OPERATIONS)}
    changing = _dependent(order, sources)
    nodes = [n for n in order if n in changing]
    return _Cut(nodes, sources, [t for t in targets if t in changing]).nodes()


def _dependent(order: Sequence[Node], on: Iterable[Node]) -> set[Node]:
    """The nodes that are computed from some of these."""
    out = set(on)
    for n in order:
        if any(x in out for x in n.inputs):
            out.add(n)
    return out


def _weight(n: Node) -> int:
    """What it costs to keep a value, in bytes."""
    if not isinstance(n.type, TensorType):
        return _ENDLESS
    size = dims.product(n.shape)
    if not isinstance(size, int):
        size = max(1, dims.evaluate(size, dict.fromkeys(dims.symbols(size), _UNKNOWN)))
    total = size * n.dtype.bytes
    return max(1, total // _HEAVY) if _heavy(n) else total + (n.op != "parameter")


def _heavy(n: Node, depth: int = 3) -> bool:
    """Whether a value is a costly result, or a sum of such."""
    if n.op == "add" and depth:
        return any(_heavy(x, depth - 1) for x in n.inputs)
    return n.op in _HEAVY_OPERATIONS


class _Cut:
    """Flow through values: an edge from each to itself with its weight, and endless ones to whoever reads it."""

    def __init__(self, nodes: Sequence[Node], starts: set[Node], targets: Sequence[Node]) -> None:
        self.order = nodes
        at = {n: i for i, n in enumerate(nodes)}
        self.source, self.sink = 2 * len(nodes), 2 * len(nodes) + 1
        self.edges: list[list[int]] = [[] for _ in range(2 * len(nodes) + 2)]
        self.to: list[int] = []
        self.room: list[int] = []
        for n, i in at.items():
            self._edge(2 * i, 2 * i + 1, _weight(n))
            if n in starts:
                self._edge(self.source, 2 * i, _ENDLESS)
            for x in dict.fromkeys(n.inputs):
                if x in at:
                    self._edge(2 * at[x] + 1, 2 * i, _ENDLESS)
        for t in dict.fromkeys(targets):
            self._edge(2 * at[t] + 1, self.sink, _ENDLESS)

    def _edge(self, a: int, b: int, room: int) -> None:
        self.edges[a].append(len(self.to))
        self.to.append(b)
        self.room.append(room)
        self.edges[b].append(len(self.to))
        self.to.append(a)
        self.room.append(0)

    def nodes(self) -> list[Node]:
        """The values on the border of what the flow reaches."""
        while path := self._path():
            least = min(self.room[e] for e in path)
            for e in path:
                self.room[e] -= least
                self.room[e ^ 1] += least
        reached = self._reached()
        return [n for i, n in enumerate(self.order) if 2 * i in reached and 2 * i + 1 not in reached]

    def _path(self) -> list[int]:
        """A shortest way from source to sink with room left, as edges."""
        came: dict[int, int] = {self.source: -1}
        queue = [self.source]
        for at in queue:
            if at == self.sink:
                break
            for e in self.edges[at]:
                if self.room[e] > 0 and self.to[e] not in came:
                    came[self.to[e]] = e
                    queue.append(self.to[e])
        if self.sink not in came:
            return []
        path, at = [], self.sink
        while came[at] >= 0:
            path.append(came[at])
            at = self.to[came[at] ^ 1]
        return path

    def _reached(self) -> set[int]:
        seen, queue = {self.source}, [self.source]
        for at in queue:
            for e in self.edges[at]:
                if self.room[e] > 0 and self.to[e] not in seen:
                    seen.add(self.to[e])
                    queue.append(self.to[e])
        return seen
