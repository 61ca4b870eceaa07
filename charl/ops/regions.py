"""Loops and branches: operations that own graphs, and how they are made from Python.

Enters: an extent, initial values, and a function that builds one iteration; or a condition and a function for each side.
Leaves: a node of several results, taken apart by `item`. What an iteration computes from nothing that changes stays outside
and is captured; a side computes what was made for it and captures the rest. Never runs a body: the evaluator and the planner do.

    loop(extent; carried…, captured…)   body(index, carried…, captured…) -> next carried…, yields…
    results: carried after the last iteration, then each yield stacked along a new first axis

A loop without an extent goes on while its first carried value holds. With `halts`, iterations are without effect as soon
as the first carried value fails, so that a backend may stop there.

    branch(condition, captured…)   then(captured…) -> results,  otherwise(captured…) -> results

Only one side runs. Where both must be at hand (under a map over conditions), `selected` makes it a choice element by element.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from charl.dtypes import boolean, i32
from charl.errors import InternalError
from charl.graph import scalar
from charl.graph.ir import Attrs, Graph, Node, Size, TensorType, TupleType, now, topological
from charl.graph.labels import label
from charl.graph.scalar import Expr, Index
from charl.ops.common import require
from charl.ops.record import Op, make, register

__all__ = ["branch", "item", "loop"]


class Looped(NamedTuple):
    """What a loop leaves: carried values after it, and what it yields."""

    carried: list[Node]
    yields: list[Node]


def loop(
    extent: Size | None,
    initial: Sequence[Node],
    body: Callable[[Node, list[Node]], tuple[Sequence[Node], Sequence[Node]]],
    halts: bool = False,
) -> Looped:
    """`body(index, carried)` gives the next carried values and what an iteration yields; see the module's text.

    The values at the start of each iteration are kept as yields too, for reverse mode (unless there is no extent); what
    nobody asks for is removed by the passes.
    """
    index = counter()
    params = [parameter_like(x, f"carried{k}") for k, x in enumerate(initial)]
    after, yields = body(index, list(params))
    return assembled(extent, index, params, initial, after, yields, halts)


def assembled(
    extent: Size | None,
    index: Node,
    params: Sequence[Node],
    initial: Sequence[Node],
    after: Sequence[Node],
    yields: Sequence[Node],
    halts: bool = False,
) -> Looped:
    """The loop whose iteration has been built from `index` and `params`."""
    if [x.type for x in after] != [x.type for x in initial]:
        raise InternalError("loop", f"{[str(x.type) for x in initial]} become {[str(x.type) for x in after]}")
    kept = [] if extent is None else params
    graph, captured = closed([*after, *yields, *kept], [index, *params])
    count = len(params)
    saved = count + len(yields) if kept else -1
    node = over(extent, count, graph, [*initial, *captured], halts, saved)
    return Looped([item(node, k) for k in range(count)], [item(node, count + k) for k in range(len(yields))])


def counter() -> Node:
    """The parameter of a body that says which iteration it is."""
    return make("parameter", hint="index", name="index", dtype=i32, shape=())


def over(
    extent: Size | None, carried: int, body: Graph, inputs: Sequence[Node], halts: bool, saved: int
) -> Node:
    """The node of a loop over a finished body. `saved`: the result where the kept starts begin, -1 if none are."""
    stacked = [TensorType(r.dtype, (extent or 0, *r.shape)) for r in body.results[carried:]]
    types = (*(r.type for r in body.results[:carried]), *stacked)
    attrs = {"extent": extent, "carried": carried, "types": types, "halts": halts, "saved": saved}
    return Node("loop", tuple(inputs), attrs, TupleType(types), (body,))  # type: ignore[arg-type]


def item(node: Node, position: int) -> Node:
    """One result of a loop or a branch; it has the name of what it is inside."""
    out = make("item", node, position=position)
    out.name = node.regions[0].results[position].name
    carried = node.attrs.get("carried", 0)
    if out.name is None and position < carried:
        out.name = node.regions[0].params[1 + position].name
    return out


def parameter_like(like: Node, name: str) -> Node:
    """A parameter for values like `like`, named after it, else `name`."""
    name = like.name or name
    return make("parameter", hint=name, name=name, dtype=like.dtype, shape=like.shape)


# Values that no parameter enters: made again inside rather than captured.
_FREE = frozenset(("constant", "size_value", "iota", "broadcast"))


def closed(
    results: Sequence[Node], params: Sequence[Node], inner: Iterable[Node] = ()
) -> tuple[Graph, list[Node]]:
    """A graph with parameters for what its results read from outside, and what that is. `inner` nodes stay inside."""
    inside: set[Node] = {*params, *inner}
    free: set[Node] = set()
    for node in topological(results):
        if any(x in inside for x in node.inputs):
            inside.add(node)
        elif node.op in _FREE and all(x in free for x in node.inputs):
            free.add(node)
    captured: dict[Node, Node] = {}

    def capture(x: Node) -> None:
        if x not in inside and x not in free and x not in captured:
            captured[x] = parameter_like(x, label(x))

    for node in topological(results, known=params):
        if node in inside:
            for x in node.inputs:
                capture(x)
    for r in results:
        capture(r)
    new = substituted(results, captured)
    return Graph("body", [*params, *captured.values()], new), list(captured)


def substituted(
    results: Iterable[Node], table: Mapping[Node, Node], fresh: bool = False, after: int = -1
) -> list[Node]:
    """The results with nodes replaced; with `fresh`, every other node is made anew. Nodes made up to the moment `after`
    depend on none of them."""
    return rebuilt(results, dict(table), fresh, after)


def rebuilt(
    results: Iterable[Node], new: dict[Node, Node], fresh: bool = False, after: int = -1
) -> list[Node]:
    """The same, and `new` learns what stands for every node met: what several calls share is made once."""
    wanted = list(results)
    for node in topological(wanted, known=new, after=after):
        if node.op == "parameter":
            new[node] = node
            continue
        inputs = tuple([new.get(x, x) for x in node.inputs])
        same = not fresh and all(a is b for a, b in zip(inputs, node.inputs))
        new[node] = (
            node if same else Node(node.op, inputs, node.attrs, node.type, node.regions, node.span, node.name)
        )
    return [new.get(r, r) for r in wanted]


# ---------------------------------------------------------------- branches


class Side(NamedTuple):
    """What one side of a branch gives. Nodes born from `start` to `stop` were made for it and run only with it."""

    results: Sequence[Node]
    start: int
    stop: int


def branch(
    condition: Node, then: Callable[[], Sequence[Node]], otherwise: Callable[[], Sequence[Node]]
) -> list[Node]:
    """The results of `then` where the condition holds, else those of `otherwise`; what a function makes runs only then."""
    start = now()
    first = list(then())
    middle = now()
    second = list(otherwise())
    return chosen(condition, Side(first, start, middle), Side(second, middle, now()))


def chosen(condition: Node, then: Side, otherwise: Side) -> list[Node]:
    """The branch between two sides that have been built, one value for each of their results."""
    sides = (then, otherwise)
    types = tuple(r.type for r in then.results)
    if types != tuple(r.type for r in otherwise.results):
        raise InternalError(
            "branch", f"{list(map(str, types))} or {[str(r.type) for r in otherwise.results]}"
        )
    node = joined(condition, [(s.results, _made_for(s)) for s in sides])
    return [item(node, k) for k in range(len(types))]


def _made_for(side: Side) -> list[Node]:
    return [n for n in topological(side.results) if side.start < n.born < side.stop and n.op != "parameter"]


def joined(condition: Node, sides: Sequence[tuple[Sequence[Node], Sequence[Node]]]) -> Node:
    """The node of a branch, given the results of both sides and the nodes that stand inside; the others are captured."""
    cut = [closed(results, [], inner) for results, inner in sides]
    captured = list(dict.fromkeys(x for _, outside in cut for x in outside))
    graphs = []
    for name, (graph, outside) in zip(("then", "otherwise"), cut, strict=True):
        own = dict(zip(outside, graph.params, strict=True))
        params = [own.get(x) or parameter_like(x, label(x)) for x in captured]
        graphs.append(Graph(name, params, graph.results))
    types = tuple(r.type for r in graphs[0].results)
    return Node("branch", (condition, *captured), {"types": types}, TupleType(types), tuple(graphs))  # type: ignore[arg-type]


def with_results(node: Node, results: Sequence[Sequence[Node]]) -> Node:
    """A branch like this one with other results of its sides, which are made of the values of these."""
    types = tuple(r.type for r in results[0])
    graphs = tuple(
        Graph(g.name, g.params, list(rs), g.span) for g, rs in zip(node.regions, results, strict=True)
    )
    return Node("branch", node.inputs, {"types": types}, TupleType(types), graphs, node.span, node.name)  # type: ignore[arg-type]


def selected(node: Node) -> list[Node]:
    """The results of a branch with both sides evaluated, chosen element by element."""
    condition, *captured = node.inputs
    sides = [applied(side, captured) for side in node.regions]
    return [either(condition, x, y) for x, y in zip(*sides, strict=True)]


def either(condition: Node, x: Node, y: Node) -> Node:
    """`x` where the scalar condition holds, else `y`."""
    if x is y:
        return x
    spread = make("broadcast", condition, shape=x.shape, axes=()) if x.rank else condition
    return make("select", spread, x, y)


# ---------------------------------------------------------------- graphs as functions


def endless(results: Iterable[Node]) -> bool:
    """Whether a loop without a bound, which has no way back, is part of the results."""
    return any(
        (n.op == "loop" and n.attrs["extent"] is None) or any(endless(r.results) for r in n.regions)
        for n in topological(results)
    )


def applied(graph: Graph, arguments: Sequence[Node]) -> list[Node]:
    """The results of a graph for nodes in place of its parameters."""
    return substituted(graph.results, dict(zip(graph.params, arguments, strict=True)))


def check(node: Node) -> str | None:
    """What is wrong between a loop or branch and its graphs, if anything."""
    return {"loop": _check_loop, "branch": _check_branch}[node.op](node)


def _check_branch(node: Node) -> str | None:
    condition, *captured = node.inputs
    if condition.type != TensorType(boolean, ()):
        return f"the condition is {condition.type}"
    for side in node.regions:
        if [p.type for p in side.params] != [x.type for x in captured]:
            return f"`{side.name}` takes {[str(p.type) for p in side.params]}, not {[str(x.type) for x in captured]}"
        if tuple(r.type for r in side.results) != node.attrs["types"]:
            return f"`{side.name}` gives {[str(r.type) for r in side.results]}, not {list(map(str, node.attrs['types']))}"
    return None


def _check_loop(node: Node) -> str | None:
    (body,) = node.regions
    carried, types = node.attrs["carried"], node.attrs["types"]
    extent = node.attrs["extent"]
    wanted = [TensorType(i32, ()), *(x.type for x in node.inputs)]
    if [p.type for p in body.params] != wanted:
        return f"the body takes {[str(p.type) for p in body.params]}, not {list(map(str, wanted))}"
    made = [
        r.type if k < carried else TensorType(r.dtype, (extent or 0, *r.shape))
        for k, r in enumerate(body.results)
    ]
    if tuple(made) != tuple(types):
        return f"the body gives {list(map(str, made))}, not {list(map(str, types))}"
    if made[:carried] != [x.type for x in node.inputs[:carried]]:
        return "a carried value changes its type"
    if (extent is None or node.attrs["halts"]) and (not carried or made[0] != TensorType(boolean, ())):
        return "the first carried value is no condition"
    return None


def _infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    return TupleType(attrs["types"])  # type: ignore[return-value]


def _item_infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    whole: Any = types[0]
    require(isinstance(whole, TupleType), f"item: of {whole}, which is one value")
    require(0 <= attrs["position"] < len(whole.items), f"item: {attrs['position']} of {whole}")
    return whole.items[attrs["position"]]  # type: ignore[no-any-return]


def _item_ref(arrays: Sequence[Any], attrs: Attrs, shape: tuple[int, ...]) -> Any:
    return np.asarray(arrays[0][attrs["position"]])


def _never(*_: Any) -> Any:
    raise InternalError("regions", "a loop or branch is run by whoever evaluates its graph")


def _element(node: Node, index: Index) -> Expr:
    return scalar.read(node, index)


register(Op("loop", "A body over and over; see `charl.ops.regions`.", _infer, _never, _element))
register(Op("branch", "One of two graphs; see `charl.ops.regions`.", _infer, _never, _element))
register(Op("item", "One of several results.", _item_infer, _item_ref, _element))
