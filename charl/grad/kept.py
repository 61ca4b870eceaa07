"""Which values of an iteration, or of a side of a branch, are kept for the derivative that comes later.

Enters: what the derivative reads. Leaves: the values from which all of that can be computed again, and
which take the least memory to keep: a minimum cut between what an iteration starts with and what its derivative reads (Ford
and Fulkerson, Flows in Networks, 1962; recomputation as in Griewank and Walther, Evaluating Derivatives, 2008, chapter 12).
Elementwise work and views are computed again, and what depends on nothing but the number of the iteration and on captured values.
A product never is, unless its result is much larger than what it is made of; an inner loop is only where keeping what it went
through takes very much more memory than keeping what it started with. What a checkpoint computes again is never kept.
Of cuts that take the same memory the last one counts, which leaves the least to compute again: the gates of a recurrent step, not
what they are made of.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from charl import dims
from charl.graph.ir import Graph, Node, TensorType, topological

_LOOPED = 256  # the results of an inner loop count for this fraction of their bytes
_PRODUCTS = frozenset(("contract", "window_contract", "cumsum"))
_LARGER = 8  # a product with so many times the elements of its operands is rather computed again
_UNKNOWN = 64  # what a dimension variable counts for
_LIMIT = 4000  # values: beyond, the starts of the iterations are kept
_ENDLESS = 1 << 60


def kept(wanted: Iterable[Node], starts: Sequence[Node], index: Node) -> list[Node]:
    """The values to keep, in a fixed order, of a body whose carried parameters are `starts`."""
    order = topological(wanted)
    if len(order) > _LIMIT:
        return [n for n in order if n in set(starts)]
    return _cut(list(wanted), order, [index, *starts], lambda n, varying: n in starts or _product(n, varying))


def kept_of_side(wanted: Iterable[Node], params: Sequence[Node]) -> list[Node]:
    """The values to keep, in a fixed order, of a side of a branch: what it captured is there anyway.

    So this is what its products and inner loops left, or what was made of that.
    """
    order = topological(wanted)
    if len(order) > _LIMIT:
        return []
    return _cut(list(wanted), order, params, lambda n, varying: _product(n, varying) or _of_loop(n))


def _cut(
    targets: list[Node],
    order: Sequence[Node],
    given: Sequence[Node],
    source: Callable[[Node, set[Node]], bool],
) -> list[Node]:
    """The least to keep, so that no way leads from a source among what depends on `given` to a target around it."""
    again = _dependent(
        order, [n for n in order if n.op == "barrier"]
    )  # a checkpoint wants these computed twice
    varying = _dependent(order, given) - again
    sources = {n for n in order if n in varying and source(n, varying)}
    changing = _dependent(order, sources)
    weights = {n: _ENDLESS if n in again else _weight(n) for n in order if n in changing}
    return _Cut(weights, sources, [t for t in targets if t in changing]).nodes()


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
    total = _size(n) * n.dtype.bytes
    return max(1, total // _LOOPED) if _of_loop(n) else total


def _of_loop(n: Node) -> bool:
    return n.op == "item" and n.inputs[0].op == "loop"


def _size(n: Node) -> int:
    """Elements, dimension variables counted as if they were some number."""
    size = dims.product(n.shape)
    if isinstance(size, int):
        return size
    return max(1, dims.evaluate(size, dict.fromkeys(dims.symbols(size), _UNKNOWN)))


def _product(n: Node, varying: set[Node]) -> bool:
    """Whether a value is costly to compute again, and not much larger than what changes in it."""
    if n.op == "item" and n.inputs[0].op == "branch":
        branch = n.inputs[0]
        costly = branch in varying and any(map(_has_product, branch.regions))
        operands = branch.inputs
    else:
        costly, operands = n.op in _PRODUCTS, n.inputs
    return costly and _size(n) <= _LARGER * sum(_size(x) for x in operands if x in varying)


def _has_product(graph: Graph) -> bool:
    """Whether a side of a branch is costly to run again."""
    return any(
        n.op in _PRODUCTS or n.op == "loop" or any(map(_has_product, n.regions)) for n in graph.nodes()
    )


class _Cut:
    """Flow through values: an edge from each to itself with its weight, and endless ones to whoever reads it."""

    def __init__(self, weights: Mapping[Node, int], starts: set[Node], targets: Sequence[Node]) -> None:
        self.order = list(weights)
        at = {n: i for i, n in enumerate(self.order)}
        self.source, self.sink = 2 * len(at), 2 * len(at) + 1
        self.edges: list[list[int]] = [[] for _ in range(2 * len(at) + 2)]
        self.to: list[int] = []
        self.room: list[int] = []
        for n, i in at.items():
            self._edge(2 * i, 2 * i + 1, weights[n])
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
        """The values on the border of what still flows to the sink."""
        while path := self._path():
            least = min(self.room[e] for e in path)
            for e in path:
                self.room[e] -= least
                self.room[e ^ 1] += least
        behind = self._behind()
        return [n for i, n in enumerate(self.order) if 2 * i not in behind and 2 * i + 1 in behind]

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

    def _behind(self) -> set[int]:
        """From where more could flow to the sink."""
        seen, queue = {self.sink}, [self.sink]
        for at in queue:
            for e in self.edges[at]:
                if self.room[e ^ 1] > 0 and self.to[e] not in seen:
                    seen.add(self.to[e])
                    queue.append(self.to[e])
        return seen
