"""A graph and the bodies of its loops, each cut into groups and put in order.

Enters: a graph whose results are apart, and which of them overwrite a parameter. Leaves: a tree of levels, one for the graph
and one for each body, and which nodes share a place: a carried value is one buffer, given its start by a copy and updated
like a `mut` parameter. Never places buffers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dtypes import i32
from charl.graph.ir import Graph, Node, Size, topological
from charl.ops.record import OPS, make
from charl.ops.regions import item, substituted
from charl.ops.source import size_value
from charl.plan.fusion import Fusion, Group
from charl.plan.order import in_place_conflict, schedule


@dataclass(eq=False)
class Level:
    """One graph in groups. `inner`: the loops among them. `rows`: the index under which each yield is stored."""

    fusion: Fusion
    updates: dict[Node, Node]
    steps: list[list[Group]]
    inner: dict[Group, Loop] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)
    rows: dict[Node, str] = field(default_factory=dict)


@dataclass(eq=False)
class Loop:
    """A loop with its body. `same`: nodes of either side, and the node whose place each has."""

    index: str
    extent: Size | None
    condition: Node | None
    level: Level
    same: dict[Node, Node]


def copied(node: Node) -> Node:
    """A value of its own that equals `node`."""
    out = make("reshape", node, shape=node.shape, hint=node.name)
    return out if out is not node else Node("reshape", (node,), {"shape": node.shape}, node.type)


def build(
    graph: Graph,
    updates: dict[Node, Node],
    caps: Capabilities,
    taken: frozenset[str],
    ranges: Mapping[str, tuple[Size, Size]] | None = None,
    rows: Mapping[Node, str] | None = None,
) -> Level:
    """Cut `graph` into groups, and the bodies of its loops. Indices get names that are not `taken`."""
    apart: frozenset[Node] = frozenset()
    while True:
        fusion = Fusion(graph, caps, updates, apart)
        while cuts := fusion.overfull():
            fusion.cut(cuts)
        conflict = in_place_conflict(fusion, updates)
        if conflict is None:
            break
        graph, updates, copy = _moved(graph, updates, conflict)
        apart |= {copy}
    level = Level(fusion, updates, schedule(fusion, updates), {}, ranges or {}, dict(rows or {}))
    for step in level.steps:
        if step[0].members[0].op == "loop":
            level.inner[step[0]] = _loop(step[0], caps, taken, level.ranges)
    return level


def _moved(graph: Graph, updates: dict[Node, Node], value: Node) -> tuple[Graph, dict[Node, Node], Node]:
    """Compute `value` elsewhere and copy it over its parameter at the end."""
    copy = copied(value)
    results = [copy if r is value else r for r in graph.results]
    moved = {copy if v is value else v: p for v, p in updates.items()}
    return replace(graph, results=results), moved, copy


def prepared(graph: Graph) -> Graph:
    """The graph with a buffer of its own for each carried value: its start is a copy, and every result of a loop is taken."""
    order = graph.nodes()
    if not any(n.op == "loop" for n in order):
        return graph
    new: dict[Node, Node] = {}
    items: dict[Node, list[Node]] = {}
    for n in order:
        inputs = tuple(new[x] for x in n.inputs)
        if n.op == "item":
            new[n] = items[inputs[0]][n.attrs["position"]]
            continue
        if n.op == "loop":
            count = n.attrs["carried"]
            inputs = (*(copied(x) for x in inputs[:count]), *inputs[count:])
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n.op == "loop":
            items[new[n]] = [item(new[n], k) for k in range(len(n.attrs["types"]))]
    # What nobody reads must be reachable all the same: a carried value lives in the buffer of its result.
    return replace(graph, results=[new[r] for r in graph.results])


def _loop(
    group: Group, caps: Capabilities, taken: frozenset[str], ranges: Mapping[str, tuple[Size, Size]]
) -> Loop:
    node = group.members[0]
    (region,) = node.regions
    count, extent = node.attrs["carried"], node.attrs["extent"]
    name = next(n for n in _names() if n not in taken)
    items = {n.attrs["position"]: n for n in group.members[1:]}
    for k in range(len(node.attrs["types"])):
        if k not in items:
            items[k] = item(node, k)
            group.members.append(items[k])
            if k < count:
                group.stored.append(items[k])
    params = [make("parameter", hint=p.name, **p.attrs) for p in region.params[1:]]
    table = dict(zip(region.params, [size_value(dims.sym(name), i32), *params], strict=True))
    body = prepared(Graph(region.name, params, substituted(region.results, table, fresh=True)))
    graph, updates, yields = _separate(body, count)
    same = dict(zip(params, [*(items[k] for k in range(count)), *node.inputs[count:]], strict=True))
    same |= dict(zip(node.inputs[:count], (items[k] for k in range(count)), strict=True))
    stored = {n: k for n, k in yields.items() if items[k] in group.stored}
    dropped = [n for n in yields if n not in stored]
    graph = replace(graph, results=[r for r in graph.results if r not in dropped])
    same |= {n: items[k] for n, k in stored.items()}
    inside = {**ranges, name: (0, extent - 1)} if extent is not None else ranges
    early = node.attrs["halts"] and not stored  # what is yielded behind the end must be written
    tested = items[0] if extent is None or early else None
    level = build(graph, updates, caps, taken | {name}, inside, dict.fromkeys(stored, name))
    return Loop(name, extent, tested, level, same)


def _names() -> list[str]:
    return ["t", *(f"t{k}" for k in range(2, 1000))]


def _separate(body: Graph, count: int) -> tuple[Graph, dict[Node, Node], dict[Node, int]]:
    """Every result a node of its own: which update a carried parameter, and which are which yield."""
    uses: dict[Node, int] = {}
    for n in topological(body.results):
        for x in n.inputs:
            uses[x] = uses.get(x, 0) + 1
    results: list[Node] = []
    updates: dict[Node, Node] = {}
    yields: dict[Node, int] = {}
    for k, node in enumerate(body.results):
        if k < count and node is body.params[k]:
            continue
        copy = node.op in ("parameter", "constant", "item") or node in results
        if k >= count:  # stored at a row: nothing reads it there, and no kernel writes it piece by piece
            again = uses.get(node) or node in body.results[:count]
            copy = copy or bool(again) or OPS[node.op].write is not None
        node = copied(node) if copy else node
        results.append(node)
        if k < count:
            updates[node] = body.params[k]
        else:
            yields[node] = k
    return replace(body, results=results), updates, yields
