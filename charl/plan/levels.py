"""A graph, the bodies of its loops and the sides of its branches, each cut into groups and put in order.

Enters: a graph whose results are apart, and which of them overwrite a parameter. Leaves: a tree of levels, one for the graph
and one for each body and side, and which nodes share a place: a carried value is one buffer, which is given its start (by a
copy, unless it takes over what it starts with: see `ties`) and updated like a `mut` parameter. Never places buffers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dtypes import i32
from charl.graph.ir import Graph, Node, Size, topological
from charl.graph.labels import label
from charl.ops.record import OPS, make
from charl.ops.regions import item, substituted
from charl.ops.source import size_value
from charl.plan.counted import counted
from charl.plan.fusion import Fusion, Group
from charl.plan.order import in_place_conflicts, schedule
from charl.plan.ties import Chains, candidates, carried, fixed
from charl.plan.widened import widened


@dataclass(eq=False)
class Level:
    """One graph in groups. `inner`: the loops and branches among them. `rows`: the row in which each yield is stored.

    `same`: nodes, and the node whose place each has.
    """

    fusion: Fusion
    updates: dict[Node, Node]
    steps: list[list[Group]]
    same: dict[Node, Node]
    inner: dict[Group, Loop | Branch] = field(default_factory=dict)
    ranges: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)
    rows: dict[Node, Size] = field(default_factory=dict)


@dataclass(eq=False)
class Loop:
    """A loop with its body. `same`: nodes of either side, and the node whose place each has."""

    index: str
    extent: Size | None
    condition: Node | None
    level: Level
    same: dict[Node, Node]
    carried: tuple[Node, ...]  # what it is given and changes

    @property
    def levels(self) -> tuple[Level, ...]:
        """The levels inside."""
        return (self.level,)


@dataclass(eq=False)
class Branch:
    """A branch with its sides: the one where the condition holds, and the other. `same`: as of a loop."""

    condition: Node
    levels: tuple[Level, ...]
    same: dict[Node, Node]
    carried: tuple[Node, ...]


def copied(node: Node, name: str | None = None) -> Node:
    """A value of its own that equals `node`."""
    name = name or label(node)
    return Node("reshape", (node,), {"shape": node.shape}, node.type, (), node.span, name)


def _called(node: Node, position: int) -> str | None:
    """The name that input `position` of a loop or branch has inside."""
    offset = 1 if node.op == "loop" else -1  # a body takes its index first, a branch its condition
    return node.regions[0].params[position + offset].name


def build(
    graph: Graph,
    updates: dict[Node, Node],
    caps: Capabilities,
    taken_names: frozenset[str],
    ranges: Mapping[str, tuple[Size, Size]] | None = None,
    rows: Mapping[Node, Size] | None = None,
) -> Level:
    """Cut `graph` into groups, and the bodies and sides in it. Indices get names that are not taken."""
    apart: frozenset[Node] = frozenset()
    given, taken = fixed(graph), candidates(graph, updates, caps)
    while True:
        fusion = Fusion(graph, caps, updates, apart, taken)
        while cuts := fusion.overfull():
            fusion.cut(cuts)
        chains = Chains({**given, **taken})
        conflicts = in_place_conflicts(fusion, updates, chains)
        if not conflicts:
            break
        for conflict in conflicts:
            if conflict in taken:
                del taken[conflict]
                continue
            graph, updates, copy = _moved(graph, updates, conflict)
            apart |= {copy}
    same = chains.shared(graph, updates)
    level = Level(
        fusion, updates, schedule(fusion, updates, chains), same, {}, ranges or {}, dict(rows or {})
    )
    outer = ((g, n) for g in fusion.groups.values() for n in g.reads if n in level.rows)
    assert all(fusion.group_of[n] is g for g, n in outer), "a kernel reads what another stores at a row"
    for step in level.steps:
        node = step[0].members[0]
        if node.op == "loop":
            level.inner[step[0]] = _loop(step[0], caps, taken_names, level.ranges)
        elif node.op == "branch":
            level.inner[step[0]] = _branch(step[0], caps, taken_names, level.ranges)
    return level


def _moved(graph: Graph, updates: dict[Node, Node], value: Node) -> tuple[Graph, dict[Node, Node], Node]:
    """Compute `value` elsewhere and copy it over its parameter at the end."""
    copy = copied(value)
    results = [copy if r is value else r for r in graph.results]
    moved = {copy if v is value else v: p for v, p in updates.items()}
    return replace(graph, results=results), moved, copy


def prepared(graph: Graph) -> Graph:
    """The graph with a buffer of its own for each carried value: its start is a copy, and every result is taken.

    Barriers have served, and are looked through. What a loop leaves and all read back to front is left so ("flipped").
    """
    order = graph.nodes()
    if not any(n.regions or n.op == "barrier" for n in order):
        return graph
    new: dict[Node, Node] = {}
    items: dict[Node, list[Node]] = {}
    flipped = _read_backwards(graph, order)
    for n in order:
        inputs = tuple(new[x] for x in n.inputs)
        if n.op == "barrier" or (n.op == "reverse" and n.inputs[0] in flipped):
            new[n] = inputs[0]
            continue
        if n.op == "item":
            new[n] = items[inputs[0]][n.attrs["position"]]
            continue
        if n.regions:
            starts = {i for _, i in carried(n)}
            inputs = tuple(copied(x, _called(n, i)) if i in starts else x for i, x in enumerate(inputs))
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        back = tuple(x.attrs["position"] for x in flipped if x.inputs[0] is n)
        attrs = {**n.attrs, "flipped": back} if back else n.attrs
        new[n] = n if same and not back else Node(n.op, inputs, attrs, n.type, n.regions, n.span, n.name)
        if n.regions:
            items[new[n]] = [item(new[n], k) for k in range(len(n.attrs["types"]))]
    # What nobody reads must be reachable all the same: a carried value lives in the buffer of its result.
    return replace(graph, results=[new[r] for r in graph.results])


def _read_backwards(graph: Graph, order: list[Node]) -> list[Node]:
    """What loops leave, row by row, that is read with its first axis reversed and not otherwise."""
    readers: dict[Node, list[Node]] = {n: [] for n in order if n.op == "item"}
    for n in order:
        for x in n.inputs:
            if x in readers:
                readers[x].append(n)
    return [
        n
        for n, users in readers.items()
        if n.inputs[0].op == "loop"
        and n.attrs["position"] >= n.inputs[0].attrs["carried"]
        and users
        and n not in graph.results
        and all(u.op == "reverse" and u.attrs["axes"] == (0,) for u in users)
    ]


def _loop(
    group: Group, caps: Capabilities, taken: frozenset[str], ranges: Mapping[str, tuple[Size, Size]]
) -> Loop:
    node = group.members[0]
    (region,) = node.regions
    count, extent = node.attrs["carried"], node.attrs["extent"]
    name = node.attrs.get("index") or next(n for n in _names() if n not in taken)
    items, same = _items(group)
    params = [make("parameter", hint=p.name, **p.attrs) for p in region.params[1:]]
    table = dict(zip(region.params, [size_value(dims.sym(name), i32), *params], strict=True))
    body = prepared(widened(Graph(region.name, params, substituted(region.results, table, fresh=True)), caps))
    inside = {**ranges, name: (0, extent - 1)} if extent is not None else ranges
    body = body if caps.grid else counted(body, params[count:], inside)
    graph, updates, yields = _separate(body, count)
    same |= zip(params, node.inputs, strict=True)
    stored = {n: k for n, k in yields.items() if items[k] in group.stored}
    dropped = [n for n in yields if n not in stored]
    graph = replace(graph, results=[r for r in graph.results if r not in dropped])
    same |= {n: items[k] for n, k in stored.items()}
    early = node.attrs["halts"] and not stored  # what is yielded behind the end must be written
    tested = items[0] if extent is None or early else None
    turn = dims.sym(name)
    flipped = node.attrs.get("flipped", ())
    rows = {n: extent - 1 - turn if k in flipped else turn for n, k in stored.items()}
    level = build(graph, updates, caps, taken | {name}, inside, rows)
    return Loop(name, extent, tested, level, same, tuple(node.inputs[:count]))


def _branch(
    group: Group, caps: Capabilities, taken: frozenset[str], ranges: Mapping[str, tuple[Size, Size]]
) -> Branch:
    node = group.members[0]
    items, same = _items(group)
    pairs = dict(carried(node))
    levels = []
    for region in node.regions:
        params = [make("parameter", hint=p.name, **p.attrs) for p in region.params]
        same |= dict(zip(params, node.inputs[1:], strict=True))
        table = dict(zip(region.params, params, strict=True))
        side = Graph(region.name, params, substituted(region.results, table, fresh=True))
        side = prepared(widened(side, caps))
        results: list[Node] = []
        updates: dict[Node, Node] = {}
        for k, value in enumerate(side.results):
            own = params[pairs[k] - 1] if k in pairs else None
            if value is own or items[k] not in group.stored:
                continue
            if (
                value.op in ("parameter", "constant")
                or value in results
                or (value.op == "item" and own is None)
            ):
                value = copied(value)
            results.append(value)
            if own is not None:
                updates[value] = own
            else:
                same[value] = items[k]
        levels.append(build(replace(side, results=results), updates, caps, taken, ranges))
    return Branch(node.inputs[0], tuple(levels), same, tuple(node.inputs[i] for i in pairs.values()))


def _items(group: Group) -> tuple[dict[int, Node], dict[Node, Node]]:
    """The results of a loop or branch by position; those that nobody reads are made, and lie where their start does."""
    node = group.members[0]
    items = {n.attrs["position"]: n for n in group.members[1:]}
    starts = dict(carried(node))
    same: dict[Node, Node] = {}
    for k in range(len(node.attrs["types"])):
        if k not in items:
            items[k] = item(node, k)
            group.members.append(items[k])
            if k in starts:
                group.stored.append(items[k])
                same[items[k]] = node.inputs[starts[k]]
    return items, same


def _names() -> list[str]:
    return ["t", *(f"t{k}" for k in range(2, 1000))]


def _separate(body: Graph, count: int) -> tuple[Graph, dict[Node, Node], dict[Node, int]]:
    """Every result a node of its own: which update a carried parameter, and which are which yield."""
    uses = Counter(body.results)
    for n in topological(body.results):
        uses.update(n.inputs)
    results: list[Node] = []
    updates: dict[Node, Node] = {}
    yields: dict[Node, int] = {}
    for k, node in enumerate(body.results):
        if k < count and node is body.params[k]:
            continue
        copy = node.op in ("parameter", "constant") or node in results
        if k >= count:  # stored at a row: nothing reads it there, and no kernel writes it piece by piece
            copy = copy or uses[node] > 1 or node.op == "item" or OPS[node.op].write is not None
        node = copied(node) if copy else node
        results.append(node)
        if k < count:
            updates[node] = body.params[k]
        else:
            yields[node] = k
    return replace(body, results=results), updates, yields
