"""grad, value_and_grad, vjp and jvp.

Enters: a function, options and the arguments of a call. Leaves: values whose nodes are the derivatives. The rules of
differentiation are those of the operations (`charl.grad`); here arguments become variables and results cotangents.
A call has the effects of one call of the function, and the gradient is at the entry values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import operators
from charl.elaborate import values as v
from charl.elaborate.parameters import Argument, Call, parameter_name, tensor_of_run
from charl.elaborate.variables import OPERATOR, base, called, shown, single, wanted
from charl.errors import Label, code, fail
from charl.graph.ir import Node
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

NOT_SCALAR = code("E0501", "what is differentiated is no float scalar")
DIRECTION = code("E0512", "a tangent or cotangent is not of the type of what it belongs to")


# ---------------------------------------------------------------- reverse mode


def gradient(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`grad(f)(x)` and `value_and_grad(f)(x)`; what f returns beside its scalar is passed on."""
    from charl.grad import vjp

    variables, result = called(el, d, call)
    value = result.items[0] if isinstance(result, v.Tuple) and result.items else result
    if isinstance(value, v.ErrorValue):
        raise v.Silenced
    if not isinstance(value, Node) or value.rank or not value.dtype.is_float:
        raise fail(
            NOT_SCALAR,
            f"the gradient is that of a float scalar, and {shown(d.function)} gives {v.describe_value(result)}",
            call.span,
            help="reduce it with `sum` or `mean`, or take a `jacobian`",
        )
    nodes = [n for x in variables for n in x.nodes.values()]
    found = dict(zip(nodes, vjp([value], nodes, [ops.constant(1.0, value.dtype)]), strict=True))
    grads = [x.gradient(found) for x in variables]
    whole = grads[0] if single(d) else v.Tuple(tuple(grads))
    if d.operator == "value_and_grad":
        return v.Tuple((result, whole))
    if isinstance(result, v.Tuple):
        return v.Tuple((whole, *result.items[1:]))
    return whole


def pullback(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`vjp(f)(x)`: the value, and the function from its cotangent to that of x.

    Of several results the function takes the cotangents one by one or as the tuple; integers have none.
    """
    from charl.grad import vjp

    el.host, host = None, el.host  # in `main`, too, the graph is kept for the pullback
    try:
        variables, result = called(el, d, call)
    finally:
        el.host = host
    outputs = [n for _, n in v.leaves(result) if n.dtype.is_float]
    if not outputs:
        raise fail(
            NOT_SCALAR,
            f"{shown(d.function)} gives {v.describe_value(result)}, which has no cotangent",
            call.span,
        )

    def pull(el_: Elaborator, inner: Call) -> Any:
        cts = [n for a in inner.arguments for _, n in v.leaves(_number_as(a, outputs)) if n.dtype.is_float]
        if [n.type for n in cts] != [n.type for n in outputs]:
            given = ", ".join(v.describe_value(a.value) for a in inner.arguments) or "nothing"
            raise fail(
                DIRECTION,
                f"the cotangent is {given}, and the result of {shown(d.function)} is {v.describe_value(result)}",
                inner.span,
                labels=tuple(Label(a.span, v.describe_value(a.value)) for a in inner.arguments),
                help="a cotangent has the type of the result; several come one by one, or as the tuple",
            )
        nodes = [n for x in variables for n in x.nodes.values()]
        found = dict(zip(nodes, vjp(outputs, nodes, cts), strict=True))
        grads = [x.gradient(found) for x in variables]
        return grads[0] if single(d) else v.Tuple(tuple(grads))

    return v.Tuple((result, v.Builtin("pullback", pull)))


def _number_as(a: Argument, like: list[Node]) -> Any:
    """Compile-time numbers in the element type that they stand beside."""
    if v.is_compile_time_number(a.value):
        a.value = operators.to_node(a.value, like[0].dtype, a.span)
    elif v.is_table(a.value):
        a.value = tensor_of_run(a.value, like[0].dtype, a.span)
    return a.value


# ---------------------------------------------------------------- forward mode


def forward(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`jvp(f)(x, v)`: the value, and its derivative along v (one tangent for each leading argument, or those of `wrt`)."""
    from charl.grad import Dual, pushed

    arguments, tangents = _split(d, call)
    along = {**d.options} if "wrt" in d.options else {"wrt": v.Tuple(tuple(range(len(tangents))))}
    inner = v.Derived(d.operator, d.function, along)
    with el.journal.frame() as before:
        variables, result = called(el, inner, Call(arguments, call.span, call.scope, call.mode))
    if len(tangents) != len(variables):
        raise _form(call.span)
    given: dict[Node, Dual] = {}
    for x, t in zip(variables, tangents, strict=True):
        directions = dict(operators.trained_leaves(_number_as(t, list(x.nodes.values()))))
        if {p: n.type for p, n in directions.items()} != {p: n.type for p, n in x.nodes.items()}:
            raise _not_along(t, x.argument)
        given |= {n: Dual(n, directions[p]) for p, n in x.nodes.items()}
    written = {b: dict(v.leaves(b.value)) for b in before}
    outputs = dict(v.leaves(result))
    nodes = list(dict.fromkeys([*outputs.values(), *(n for t in written.values() for n in t.values())]))
    found = dict(zip(nodes, pushed(nodes, given), strict=True))
    for b in before:
        b.value = v.rebuild(b.value, lambda _, n: found[n].value)

    def tangent(path: str, node: Node) -> Node:
        t = found[node].tangent
        return t if t is not None else ops.zeros(node.type)

    return v.Tuple((v.rebuild(result, lambda _, n: found[n].value), v.rebuild(result, tangent)))


def _split(d: v.Derived, call: Call) -> tuple[list[Argument], list[Argument]]:
    """The arguments of f, and the tangents behind them."""
    inner = base(d.function)
    named = [a for a in call.arguments if a.name is not None]
    given = [a for a in call.arguments if a.name is None]
    if "wrt" in d.options:
        count = len(given) - len(wanted(d))
    elif isinstance(inner, v.Function):
        open_ = [p for p in inner.params if parameter_name(p) not in {a.name for a in named}]
        needed = sum(1 for p in open_ if getattr(p, "default", None) is None)
        count = len(open_) if len(given) > len(open_) else needed
    else:
        count = len(given) // 2
    if not 0 < len(given) - count <= count + len(named):
        raise _form(call.span)
    return given[:count] + named, given[count:]


def _form(span: Span) -> Exception:
    return fail(
        OPERATOR,
        "`jvp(f)` takes the arguments of f, then their tangents: `jvp(f)(x, v)`",
        span,
        help="tangents belong to the leading arguments, or to those that `wrt:` names",
    )


def _not_along(t: Argument, a: Argument) -> Exception:
    have, want = v.describe_value(t.value), v.describe_value(a.value)
    return fail(
        DIRECTION,
        f"the tangent is {have}, and what it belongs to is {want}",
        t.span,
        labels=(Label(t.span, have), Label(a.span, want)),
    )
