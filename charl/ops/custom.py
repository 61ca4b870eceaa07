"""Values with a gradient rule of their own.

Enters: results, the arguments that they were computed from, and a rule. Leaves: the same results, in a node that
differentiation asks for the rule instead of looking behind it. When a graph is complete the nodes have served, and `settled`
removes them: no pass, evaluator or backend meets one.

    custom(results…, arguments…; count, pull, transparent)
    pull(arguments, results, cotangents) -> a cotangent per argument (None: zero), linear in the cotangents

With `transparent`, only reverse mode asks: forward mode goes through what the results were computed by.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from charl.errors import InternalError
from charl.graph.ir import Attrs, Graph, Node, TensorType, TupleType, topological
from charl.graph.scalar import Expr, Index
from charl.ops.record import Op, make, register

__all__ = ["custom", "settled"]

Pull: TypeAlias = Callable[[list[Node], list[Node], list[Node]], "Sequence[Node | None]"]


def custom(
    results: Sequence[Node], arguments: Sequence[Node], pull: Pull, transparent: bool = False
) -> list[Node]:
    """The results, with `pull` as their gradient rule towards `arguments`."""
    types = TupleType(tuple(r.type for r in results))
    attrs = {"count": len(results), "pull": pull, "transparent": transparent}
    node = Node("custom", (*results, *arguments), attrs, types)  # type: ignore[arg-type]
    return [make("item", node, hint=r.name, position=k) for k, r in enumerate(results)]


def settled(results: Sequence[Node]) -> list[Node]:
    """The results without rules, inside loops too. What bodies share they share then, too: loops over it can be joined."""
    return _settled(results, {}, {})


def _settled(results: Sequence[Node], new: dict[Node, Node], graphs: dict[int, Graph]) -> list[Node]:
    """The same; `new` and `graphs` say what stands for what has been met before."""

    def region(g: Graph) -> Graph:
        if id(g) not in graphs:
            inner = _settled(g.results, new, graphs)
            same = all(a is b for a, b in zip(inner, g.results, strict=True))
            graphs[id(g)] = g if same else Graph(g.name, g.params, inner, g.span)
        return graphs[id(g)]

    for node in topological(results, known=new):
        if node.op == "item" and node.inputs[0].op == "custom":
            plain = new[node] = new[node.inputs[0].inputs[node.attrs["position"]]]
            plain.name = plain.name or node.name
            continue
        inputs = tuple(new[x] for x in node.inputs)
        regions = tuple(region(r) for r in node.regions)
        same = all(a is b for a, b in zip(inputs, node.inputs)) and regions == node.regions
        new[node] = (
            node if same else Node(node.op, inputs, node.attrs, node.type, regions, node.span, node.name)
        )
    return [new[r] for r in results]


def _infer(types: Sequence[TensorType], attrs: Attrs) -> TensorType:
    return TupleType(tuple(types[: attrs["count"]]))  # type: ignore[return-value]


def _never(*_: Any) -> Any:
    raise InternalError("custom", "a gradient rule outlived differentiation")


def _element(node: Node, index: Index) -> Expr:
    return _never()  # type: ignore[no-any-return]


register(
    Op(
        "custom",
        "Results with a gradient rule of their own; see `charl.ops.custom`.",
        _infer,
        _never,
        _element,
    )
)
