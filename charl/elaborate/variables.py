"""What a derivative is taken with respect to: which arguments of a call, as nodes of their own.

Enters: a function, the option `wrt` and the arguments of a call. Leaves: arguments whose floating leaves are fresh nodes, and
values in the form of their gradient. Never differentiates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import instances, operators
from charl.elaborate import values as v
from charl.elaborate.calls import apply as call_value
from charl.elaborate.numbers import REAL
from charl.elaborate.parameters import (
    Argument,
    Call,
    pair,
    parameter_name,
    tensor_of_run,
)
from charl.errors import Label, code, fail
from charl.graph.ir import Node

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

WRT = code("E0502", "a derivative with respect to something that has none")
OPERATOR = code("E0503", "an operator on functions is used wrongly")


@dataclass
class Variable:
    """An argument with fresh nodes in place of its floating leaves, by path."""

    argument: Argument
    nodes: dict[str, Node]

    def collect(self, leaf: Callable[[str, Node], Any]) -> Any:
        """`leaf(path, node)` for every leaf, in the form of `Grad` of the argument."""
        return v.rebuild(instances.to_grad(self.argument.value), lambda path, _: leaf(path, self.nodes[path]))

    def gradient(self, found: dict[Node, Node | None]) -> Any:
        """The cotangents of its leaves, zeros where there is none."""

        def leaf(path: str, node: Node) -> Node:
            g = found[node]
            return g if g is not None else ops.zeros(node.type)

        return self.collect(leaf)


def shown(f: Any) -> str:
    """The name of a function in a message."""
    f = base(f)
    return f"`{f.name}`" if getattr(f, "name", "closure") != "closure" else "the function"


def base(f: Any) -> Any:
    """The function whose parameters a derived one takes."""
    while isinstance(f, v.Method) or (isinstance(f, v.Derived) and f.operator != "jvp"):
        f = f.function
    return f


def single(d: v.Derived) -> bool:
    """Whether the derivative is with respect to one argument, not a list of them."""
    return not isinstance(d.options.get("wrt"), (v.Tuple, v.Run))


def called(el: Elaborator, d: v.Derived, call: Call) -> tuple[list[Variable], Any]:
    """The call of the function itself, once: what it is differentiated by, and its result."""
    variables = [_variable(a, call) for a in _chosen(el, d, call)]
    result = call_value(el, d.function, Call(call.arguments, call.span, call.scope, call.mode))
    _unwrap(call.arguments, variables)
    return variables, result


def wanted(d: v.Derived) -> list[Any]:
    """Positions and names of `wrt`; the first argument without one."""
    wrt = d.options.get("wrt", 0)
    return list(wrt.items) if isinstance(wrt, (v.Tuple, v.Run)) else [wrt]


def _chosen(el: Elaborator, d: v.Derived, call: Call) -> list[Argument]:
    """The arguments to differentiate with respect to."""
    inner = base(d.function)
    if isinstance(inner, v.Function):
        pairs = [(parameter_name(p), a) for p, a in pair(el, inner, call)]
    else:
        pairs = [(a.name or "", a) for a in call.arguments]
    out: list[Argument] = []
    for w in wanted(d):
        if isinstance(w, str):
            a = next((a for n, a in pairs if n == w), None)
        else:
            a = pairs[w][1] if isinstance(w, int) and 0 <= w < len(pairs) else None
        if a is None:
            names = ", ".join(f"`{n}`" for n, _ in pairs)
            name = f"`{w}`" if isinstance(w, str) else str(w)
            raise fail(
                WRT,
                f"{shown(inner)} has no argument {name}; its parameters are {names}",
                call.span,
                help="`wrt:` takes a position, counted from 0, a name in quotes, or several: `wrt: (0, 2)`",
            )
        if a in out:
            raise fail(WRT, f"`wrt:` names `{a.span.text}` twice", call.span)
        out.append(a)
    return out


def _variable(a: Argument, call: Call) -> Variable:
    if isinstance(a.value, v.ErrorValue):
        raise v.Silenced
    if v.is_compile_time_number(a.value):
        a.value = operators.to_node(a.value, REAL.get(), a.span)
    elif v.is_table(a.value):
        a.value = tensor_of_run(a.value, REAL.get(), a.span)
    leaves = operators.trained_leaves(a.value)
    if not leaves:
        text = v.describe_value(a.value)
        raise fail(
            WRT,
            f"{text} has no floating part to differentiate with respect to",
            a.span,
            labels=(Label(a.span, text),),
            help="`wrt:` chooses another argument; `x as f32` converts",
        )
    fresh = {path: ops.make("reshape", n, hint=n.name, shape=n.shape) for path, n in leaves}
    a.value = v.rebuild(a.value, lambda path, n: fresh.get(path, n))
    return Variable(a, fresh)


def _unwrap(arguments: Sequence[Argument], variables: Sequence[Variable]) -> None:
    """Unchanged `mut` arguments keep the node they came in with."""
    back = {n: n.inputs[0] for x in variables for n in x.nodes.values()}
    for a in arguments:
        if a.place is not None:
            a.place.set(v.rebuild(a.place.get(), lambda _, n: back.get(n, n)))
