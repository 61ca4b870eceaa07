"""What a loop need not carry, keep or be given, and what a branch need not.

Enters: a graph with loops and branches. Leaves: the same results from loops without what nobody asks for: yields that are
not read, carried values that reach nothing but themselves, carried values that never change (they are captured), captured
values that are not read. A loop of one iteration is that one. Constants and views of captured values move inside, where they
cost nothing; indices that are the counter of the loop are known to lie within what is as long. Never looks at what else a loop
computes; branches are judged in `branches`.
"""

from __future__ import annotations

from charl import ops
from charl.dims import nonnegative
from charl.dtypes import i32
from charl.graph.ir import Graph, Node, Size, topological
from charl.ops.regions import closed, item, over, substituted
from charl.passes import branches
from charl.passes.values import VIEWS, inside, splat


def prune(graph: Graph) -> Graph:
    """The graph with smaller loops and branches; the same object where nothing changes. Bodies have been treated before."""
    order = graph.nodes()
    used: dict[Node, set[int]] = {n: set() for n in order if n.regions}
    if not used:
        return graph
    for n in order:
        if n.op == "item":
            used[n.inputs[0]].add(n.attrs["position"])
    new: dict[Node, Node] = {}
    moved: dict[Node, dict[int, Node]] = {}
    for n in order:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        if n.op == "item":
            new[n] = moved[n.inputs[0]].get(n.attrs["position"], n)
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs))
        node = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n.regions:
            node = _counted(node) if n.op == "loop" else node
            smaller = (_smaller if n.op == "loop" else branches.smaller)(node, used[n])
            changed = smaller is not None or node is not n
            moved[n] = smaller or ({k: item(node, k) for k in used[n]} if changed else {})
            if not changed:
                new[n] = n
            continue
        new[n] = node
    results = [new[r] for r in graph.results]
    if all(a is b for a, b in zip(results, graph.results)):
        return graph
    return Graph(graph.name, graph.params, results, graph.span)


def counted(index: Node, start: Node, extent: Size | None) -> int:
    """1 where `start` is the counter `index` of a loop, -1 where it counts down from `extent - 1`; else 0."""
    if start is index:
        return 1
    if extent is None or start.op != "sub" or start.inputs[1] is not index:
        return 0
    last = start.inputs[0]
    if last.op == "size_value":
        return -1 if last.attrs["size"] == extent - 1 else 0
    return -1 if isinstance(extent, int) and splat(last) == extent - 1 else 0


def _counted(node: Node) -> Node:
    """The loop, its counter known to lie within what is as long as the loop."""
    (body,), extent = node.regions, node.attrs["extent"]
    if extent is None:
        return node
    known = {
        n: n.inputs[0]
        for n in body.nodes()
        if n.op == "index_within"
        and counted(body.params[0], n.inputs[0], extent)
        and nonnegative(n.attrs["extent"] - n.attrs["size"] + 1 - extent)
    }
    if not known:
        return node
    region = Graph(body.name, body.params, substituted(body.results, known), body.span)
    return Node("loop", node.inputs, node.attrs, node.type, (region,), node.span, node.name)


def _smaller(node: Node, used: set[int]) -> dict[int, Node] | None:
    """What replaces the used results of a loop, or None where it stays."""
    if node.attrs["extent"] in (0, 1):
        return _run(node, used)
    (body,) = node.regions
    count = node.attrs["carried"]
    index, carried, captured = body.params[0], body.params[1 : 1 + count], body.params[1 + count :]
    fixed = [k for k in range(count) if body.results[k] is carried[k]]
    tested = node.attrs["extent"] is None or node.attrs["halts"]
    fixed = [k for k in fixed if not (tested and k == 0)]
    live = _live(node, used, fixed)
    yields = [k for k in range(count, len(body.results)) if k in used]
    keep = [k for k in range(count) if k in live]
    outside = dict(zip(captured, node.inputs[count:], strict=True))
    outside |= {carried[k]: node.inputs[k] for k in fixed}
    wanted = [body.results[k] for k in (*keep, *yields)]
    read = [p for p in topological(wanted) if p in outside]
    sunk = [p for p in read if outside[p].op in VIEWS]
    whole = len(keep) == count and len(yields) == len(body.results) - count and not fixed
    distinct = len(set(outside.values())) == len(captured)
    if whole and not sunk and len(read) == len(captured) and distinct:
        return None
    made: list[Node] = []
    table = {p: inside(outside[p], made) for p in read}
    results = substituted(wanted, table)
    graph, inputs = closed(results, [index, *(carried[k] for k in keep)], made)
    initial = [node.inputs[k] for k in keep]
    saved = _saved(node, keep, yields)
    loop = over(
        node.attrs["extent"],
        len(keep),
        graph,
        [*initial, *inputs],
        node.attrs["halts"],
        saved,
    )
    loop.span, loop.name = node.span, node.name
    out = {k: item(loop, i) for i, k in enumerate((*keep, *yields)) if k in used}
    return out | {k: node.inputs[k] for k in fixed if k in used}


def _run(node: Node, used: set[int]) -> dict[int, Node]:
    """The used results of a loop of no iteration, or of one: what it was given, or what its body makes of that."""
    (body,) = node.regions
    count = node.attrs["carried"]
    if node.attrs["extent"] == 0:
        types = node.attrs["types"]
        return {k: node.inputs[k] if k < count else ops.zeros(types[k]) for k in used}
    table = dict(zip(body.params, (ops.constant(0, i32), *node.inputs), strict=True))
    after = substituted([body.results[k] for k in sorted(used)], table)
    return {
        k: x if k < count else ops.reshape(x, (1, *x.shape)) for k, x in zip(sorted(used), after, strict=True)
    }


def _saved(node: Node, keep: list[int], yields: list[int]) -> int:
    """Where the kept starts begin, if they are all still there."""
    first = node.attrs["saved"]
    if first < 0 or not keep or any(first + k not in yields for k in keep):
        return -1
    at = yields.index(first + keep[0])
    rows = yields[at : at + len(keep)]
    return len(keep) + at if rows == [first + k for k in keep] else -1


def _live(node: Node, used: set[int], fixed: list[int]) -> set[int]:
    """Carried values that somebody needs, directly or through another."""
    (body,) = node.regions
    count = node.attrs["carried"]
    position = {p: k for k, p in enumerate(body.params[1 : 1 + count])}
    live: set[int] = set()
    todo = set(used)
    if node.attrs["extent"] is None or node.attrs["halts"]:
        todo.add(0)
    while todo:
        k = todo.pop()
        if k in fixed or k in live:
            continue
        if k < count:
            live.add(k)
        reached = {position[p] for p in topological([body.results[k]]) if p in position}
        todo |= reached - live - set(fixed)
    return live
