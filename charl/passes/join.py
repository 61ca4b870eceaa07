"""Loops that do the same and leave different things become one.

Enters: a graph as differentiation leaves it: reverse mode asks a loop for more results by making it anew over the same body.
Leaves: the graph with one loop that has the results of all. Must run before bodies are rewritten, while their values are the same
objects. Never looks at what a loop computes.
"""

from __future__ import annotations

from collections.abc import Hashable

from charl.graph.ir import Graph, Node
from charl.ops.regions import item, over


def joined(graph: Graph) -> Graph:
    """The graph with equal loops joined; the same object where there are none. Bodies are left as they are."""
    order = graph.nodes()
    loops: dict[Hashable, list[Node]] = {}
    for n in order:
        if n.op == "loop":
            loops.setdefault(_key(n), []).append(n)
    if all(len(same) == 1 for same in loops.values()):
        return graph
    whole: dict[Node, tuple[Node, dict[Node, int]]] = {}
    new: dict[Node, Node] = {}
    for n in order:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        if n.op == "item" and n.inputs[0] in whole:
            of, at = whole[n.inputs[0]]
            k, carried = n.attrs["position"], n.attrs["position"] < n.inputs[0].attrs["carried"]
            new[n] = item(of, k if carried else at[n.inputs[0].regions[0].results[k]])
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n.op == "loop" and len(loops[_key(n)]) > 1:
            group = loops[_key(n)]
            if n is group[0]:
                made = _union(group, inputs)
                whole |= dict.fromkeys(group, made)
    return Graph(graph.name, graph.params, [new[r] for r in graph.results], graph.span)


def _key(n: Node) -> Hashable:
    (body,) = n.regions
    carried = n.attrs["carried"]
    return n.inputs, n.attrs["extent"], n.attrs["halts"], tuple(body.params), tuple(body.results[:carried])


def _union(group: list[Node], inputs: tuple[Node, ...]) -> tuple[Node, dict[Node, int]]:
    """A loop that yields what any of the group does, and where each yield stands."""
    first = group[0]
    carried = first.attrs["carried"]
    yields = list(dict.fromkeys(y for n in group for y in n.regions[0].results[carried:]))
    body = first.regions[0]
    graph = Graph(body.name, body.params, [*body.results[:carried], *yields], body.span)
    made = over(first.attrs["extent"], carried, graph, inputs, first.attrs["halts"], -1)
    made.span, made.name = first.span, first.name
    return made, {y: carried + k for k, y in enumerate(yields)}
