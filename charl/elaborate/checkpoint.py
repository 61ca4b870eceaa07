"""`checkpoint(f)`: what a call computes on the way is computed again for the gradient, instead of kept.

Enters: a function and the arguments of a call. Leaves: its results, whose gradient reads the arguments and computes the call anew
behind a barrier, so that no pass takes what was computed the first time. Streams replay: they are arguments, too.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import values as v
from charl.elaborate.calls import apply as call_value
from charl.elaborate.parameters import Call
from charl.elaborate.scope import Binding, Variable
from charl.graph.ir import Graph, Node
from charl.ops.regions import applied, closed, parameter_like

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator


def checkpoint_call(el: Elaborator, f: Any, call: Call) -> Any:
    """`checkpoint(f)(x)` is `f(x)`."""
    params: dict[Node, Node] = {}  # what the call sees, and what it stands for

    def seen(n: Node) -> Node:
        p = parameter_like(n, n.name or "argument")
        params[p] = n
        return p

    cells: list[tuple[Any, Binding]] = []
    arguments = []
    for a in call.arguments:
        value = v.rebuild(a.value, lambda _, n: seen(n))
        place = None
        if a.place is not None:
            cells.append((a.place, Binding(a.name or a.span.text, value, True, a.span)))
            place = Variable(cells[-1][1], el.journal)
        arguments.append(replace(a, value=value, place=place))
    with el.journal.frame() as before:
        result = call_value(el, f, Call(arguments, call.span, call.scope, call.mode))
    own = [c for _, c in cells]
    written = [b for b in before if b not in own]
    values = [result, *(c.value for c in own), *(b.value for b in written)]
    found = _again([n for x in values for _, n in v.leaves(x)], params)
    new = iter(found)
    values = [v.rebuild(x, lambda _, n: next(new)) for x in values]
    for (place, _), x in zip(cells, values[1:], strict=False):
        place.set(x)
    for b, x in zip(written, values[1 + len(cells) :], strict=True):
        b.value = x
    return values[0]


def _again(outputs: list[Node], params: dict[Node, Node]) -> list[Node]:
    """The outputs for the arguments themselves, with a gradient rule that computes them again."""
    graph, captured = closed(outputs, list(params))
    inputs = [*params.values(), *captured]
    return ops.custom(applied(graph, inputs), inputs, _Pull(graph), transparent=True)


class _Pull:
    """Reverse mode through the graph of a call, from its arguments on."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(
        self, arguments: list[Node], results: list[Node], cotangents: list[Node]
    ) -> list[Node | None]:
        from charl.grad import vjp

        held = [ops.barrier(a) for a in arguments]
        outputs = [y for y in applied(self.graph, held) if y.dtype.is_float]
        return vjp(outputs, held, cotangents)
