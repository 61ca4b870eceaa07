"""Loops and branches that do the same and leave different things become one.

Enters: a graph as differentiation leaves it: reverse mode asks a loop or a branch for more results by making it anew over the
same bodies. Leaves: the graph with one that has the results of all. Must run before bodies are rewritten, while their values are
the same objects. Never looks at what a body computes.
"""

from __future__ import annotations

from collections.abc import Hashable

from charl.graph.ir import Graph, Node
from charl.ops.regions import item, over, with_results


def joined(graph: Graph) -> Graph:
    """The graph with equal loops and branches joined; the same object where there are none. Bodies are left as they are."""
    order = graph.nodes()
    alike: dict[Hashable, list[Node]] = {}
    for n in order:
        if n.regions:
            alike.setdefault(_key(n), []).append(n)
    if all(len(same) == 1 for same in alike.values()):
        return graph
    whole: dict[Node, tuple[Node, list[int]]] = {}
    new: dict[Node, Node] = {}
    for n in order:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        if n.op == "item" and n.inputs[0] in whole:
            of, at = whole[n.inputs[0]]
            new[n] = item(of, at[n.attrs["position"]])
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n.regions and len(alike[_key(n)]) > 1:
            group = alike[_key(n)]
            if n is group[0]:
                whole |= _union(group, inputs)
    return Graph(graph.name, graph.params, [new[r] for r in graph.results], graph.span)


def _key(n: Node) -> Hashable:
    params = tuple(tuple(r.params) for r in n.regions)
    if n.op == "branch":
        return n.op, n.inputs, params
    carried = tuple(n.regions[0].results[: n.attrs["carried"]])
    return n.op, n.inputs, params, carried, n.attrs["extent"], n.attrs["halts"]


def _union(group: list[Node], inputs: tuple[Node, ...]) -> dict[Node, tuple[Node, list[int]]]:
    """For each of the group the one that leaves what any of them does, and where each result stands there."""
    first = group[0]
    carried = first.attrs.get("carried", 0)
    results = {n: list(zip(*(r.results for r in n.regions), strict=True)) for n in group}
    beside = list(dict.fromkeys(row for n in group for row in results[n][carried:]))
    made = _with(first, [*results[first][:carried], *beside], inputs)
    at = {row: carried + k for k, row in enumerate(beside)}
    return {n: (made, [*range(carried), *(at[row] for row in results[n][carried:])]) for n in group}


def _with(first: Node, rows: list[tuple[Node, ...]], inputs: tuple[Node, ...]) -> Node:
    """The loop or branch with these results of its bodies."""
    if first.op == "branch":
        made = with_results(first, list(zip(*rows, strict=True)))
        return Node(made.op, inputs, made.attrs, made.type, made.regions, made.span, made.name)
    (body,) = first.regions
    graph = Graph(body.name, body.params, [r for (r,) in rows], body.span)
    made = over(first.attrs["extent"], first.attrs["carried"], graph, inputs, first.attrs["halts"], -1)
    made.span, made.name = first.span, first.name
    return made
