"""Which value takes over the buffer of another, so that nothing is copied only to be changed.

Enters: a graph whose results are apart, and which of them update a parameter. Leaves: takeovers, value → the value that it
overwrites. A carried value of a loop, one that a branch changes, and an indexed write (`dynamic_update`, `scatter_add`) write
where their operand lies, when nobody needs the operand any more. Says also which values share a buffer in the end. Never decides
the order; `order` refuses a takeover for which there is none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from charl.backends.capabilities import Capabilities
from charl.dims import product
from charl.graph.ir import Graph, Node
from charl.ops.record import OPS
from charl.plan.access import REGIONS, Facts, is_view


def carried(node: Node) -> list[tuple[int, int]]:
    """(result, input) of a loop or branch that are one buffer: it is given the input and left with the result."""
    if node.op == "loop":
        return [(k, k) for k in range(node.attrs["carried"])]
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for k, type_ in enumerate(node.attrs["types"]):
        for side in node.regions:
            origin = _origin(side.results[k])
            j = side.params.index(origin) if origin in side.params else -1
            if j >= 0 and j not in used and side.params[j].type == type_:
                pairs.append((k, 1 + j))
                used.add(j)
                break
    return pairs


def _origin(x: Node) -> Node | None:
    """The parameter that `x` is, or is made of by writing over it."""
    while x.op != "parameter":
        if x.op == "item":
            source = dict(carried(x.inputs[0])).get(x.attrs["position"])
            if source is None:
                return None
            x = x.inputs[0].inputs[source]
        elif x.op not in REGIONS and OPS[x.op].write is not None:
            x = x.inputs[0]
        else:
            return None
    return x


def fixed(graph: Graph) -> dict[Node, Node]:
    """Result of a region → the copy that it was given, which nothing else reads."""
    out: dict[Node, Node] = {}
    for n in graph.nodes():
        if n.op == "item":
            source = dict(carried(n.inputs[0])).get(n.attrs["position"])
            if source is not None:
                out[n] = n.inputs[0].inputs[source]
    return out


def candidates(graph: Graph, updates: Mapping[Node, Node], caps: Capabilities) -> dict[Node, Node]:
    """Takeovers that may be possible: an indexed write or the copy that a region is given → the value that it would overwrite."""
    order = graph.nodes()
    results, mutable = set(graph.results), set(updates.values())
    seen_by = _readers(order)
    out: dict[Node, Node] = {}
    takers: dict[Node, Node] = {}
    for n in order:
        for taker, taken in _wanted(n, caps):
            # Only what lies in a buffer anyway. What a kernel computes would have to be stored for it, by itself: the copy of
            # it, or the choice by index that a write is elsewhere, shares a kernel with what computes or reads it. A product's
            # kernel does not make such copies: it stores its result for them.
            kept = taken.op == "item" or taken in out or taken in mutable or _product(taken)
            if taken in results or not kept:
                continue
            owner = n if n.regions else taker
            if any(
                _depends(r, owner, order) for r in seen_by.get(taken, ()) if r is not owner and r is not taker
            ):
                continue
            if taken in takers:  # of several, the last may have it: the others come before
                del out[takers[taken]]
            takers[taken] = taker
            out[taker] = taken
    return out


def _product(x: Node) -> bool:
    """Whether operands of a value are read again for other elements of it."""
    return x.op not in REGIONS and x.op not in ("parameter", "constant") and Facts(x, lambda _: False).heavy


def _wanted(n: Node, caps: Capabilities) -> Iterator[tuple[Node, Node]]:
    if n.regions:
        pairs = carried(n)
        copies = [n.inputs[i] for _, i in pairs]
        sources = [c.inputs[0] for c in copies]
        for c in copies:
            source = c.inputs[0]
            if sources.count(source) == 1 and not any(_sees(x, source) for x in n.inputs if x not in copies):
                yield c, source
    elif n.op not in REGIONS and OPS[n.op].write is not None and (caps.scatter or OPS[n.op].distinct):
        base, update, *_ = n.inputs
        single = n.op == "dynamic_update" and product(update.shape) == 1
        if single or not any(_sees(x, base) for x in n.inputs[1:]):
            yield n, base


def _sees(x: Node, source: Node) -> bool:
    """Whether reading `x` may read the buffer of `source` through views."""
    if x is source:
        return True
    return (
        x.op not in REGIONS and x.op != "parameter" and is_view(x) and any(_sees(i, source) for i in x.inputs)
    )


def _readers(order: list[Node]) -> dict[Node, list[Node]]:
    """Who computes with each value, views looked through."""
    out: dict[Node, list[Node]] = {}
    for n in order:
        if n.op == "item":
            continue
        todo = list(n.inputs)
        while todo:
            x = todo.pop()
            out.setdefault(x, []).append(n)
            if x.op not in REGIONS and x.op != "parameter" and is_view(x):
                todo += x.inputs
    return out


def _depends(node: Node, on: Node, order: list[Node]) -> bool:
    """Whether `node` is computed from `on`."""
    seen: set[Node] = set()
    todo = [node]
    while todo:
        x = todo.pop()
        if x is on:
            return True
        if x not in seen:
            seen.add(x)
            todo += x.inputs
    return False


class Chains:
    """Values that lie in one buffer one after the other: `over` says which one each overwrites."""

    def __init__(self, over: Mapping[Node, Node]) -> None:
        self.over = over
        self.taker = {taken: value for value, taken in over.items()}

    def first(self, value: Node) -> Node:
        """The first value of the buffer of `value`."""
        while value in self.over:
            value = self.over[value]
        return value

    def last(self, value: Node) -> Node:
        """The last value of the buffer of `value`."""
        while value in self.taker:
            value = self.taker[value]
        return value

    def shared(self, graph: Graph, updates: Mapping[Node, Node]) -> dict[Node, Node]:
        """Each value of a shared buffer → the one that says where the buffer is."""
        results = set(graph.results)
        out: dict[Node, Node] = {}
        for start in self.taker:
            if start in self.over:
                continue
            chain = [start]
            while chain[-1] in self.taker:
                chain.append(self.taker[chain[-1]])
            last = chain[-1]
            settled = (
                updates.get(last, last) if last in results else start if start.op == "parameter" else last
            )
            out |= {n: settled for n in chain if n is not settled}
        return out
