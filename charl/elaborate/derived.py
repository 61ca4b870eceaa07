"""Operators on functions: grad, value_and_grad, jvp, vjp, vmap, map.

Enters: a function value, options and the arguments of a call. Leaves: values whose nodes are the derivatives. The rules
of differentiation are those of the operations (`charl.grad`); here arguments become variables and results cotangents.
A call has the effects of one call of the function, and the gradient is at the entry values.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import ops
from charl.elaborate import instances, loops, mapping, operators
from charl.elaborate import values as v
from charl.elaborate.calls import apply as call_value
from charl.elaborate.numbers import REAL
from charl.elaborate.parameters import Argument, Call, pair, parameter_name
from charl.elaborate.scope import Temporary
from charl.errors import Label, code, fail
from charl.graph.ir import Node, TensorType, at_span
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

NOT_SCALAR = code("E0501", "what is differentiated is no float scalar")
WRT = code("E0502", "a derivative with respect to something that has none")
OPERATOR = code("E0503", "an operator on functions is used wrongly")


def apply(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """Call `grad(f)`, `vmap(f)`, …"""
    with at_span(call.span):
        return _APPLY[d.operator](el, d, call)


# ---------------------------------------------------------------- reverse mode


def _gradient(el: Elaborator, d: v.Derived, call: Call) -> Any:
    f = d.function
    chosen = _chosen(el, d, f, call)
    variables: list[dict[str, Node]] = []
    for a in chosen:
        variables.append(_make_variable(a, call.span))
    result = call_value(el, f, Call(call.arguments, call.span, call.scope, call.mode))
    _unwrap(call.arguments, variables)
    value = result.items[0] if isinstance(result, v.Tuple) and result.items else result
    if not isinstance(value, Node) or value.rank or not value.dtype.is_float:
        raise fail(
            NOT_SCALAR,
            f"the gradient is that of a float scalar, and `{_name(f)}` gives {v.describe_value(result)}",
            call.span,
            help="reduce it with `sum` or `mean`, or take a `jacobian`",
        )
    nodes = [n for table in variables for n in table.values()]
    from charl.grad import vjp

    cotangents = vjp([value], nodes, [ops.constant(1.0, value.dtype)])
    found = dict(zip(nodes, cotangents, strict=True))
    grads = [_collect(a, table, found) for a, table in zip(chosen, variables, strict=True)]
    gradient = grads[0] if _single(d) else v.Tuple(tuple(grads))
    if d.operator == "value_and_grad":
        return v.Tuple((result, gradient))
    if isinstance(result, v.Tuple):
        return v.Tuple((gradient, *result.items[1:]))
    return gradient


def _name(f: Any) -> str:
    return str(getattr(f, "name", "the function"))


def _single(d: v.Derived) -> bool:
    return not isinstance(d.options.get("wrt"), (v.Tuple, v.Run))


def _chosen(el: Elaborator, d: v.Derived, f: Any, call: Call) -> list[Argument]:
    """The arguments to differentiate with respect to."""
    wrt = d.options.get("wrt", 0)
    wanted = list(wrt.items) if isinstance(wrt, (v.Tuple, v.Run)) else [wrt]
    inner = f.function if isinstance(f, v.Method) else f
    if isinstance(inner, v.Function):
        pairs = [(parameter_name(p), a) for p, a in pair(el, inner, call)]
    else:
        pairs = [(a.name or "", a) for a in call.arguments]
    out = []
    for w in wanted:
        if isinstance(w, str):
            a = next((a for n, a in pairs if n == w), None)
        else:
            a = pairs[w][1] if isinstance(w, int) and 0 <= w < len(pairs) else None
        if a is None:
            names = ", ".join(f"`{n}`" for n, _ in pairs)
            raise fail(WRT, f"`{_name(f)}` has no argument {w!r}; its parameters are {names}", call.span)
        out.append(a)
    return out


def _make_variable(a: Argument, span: Span) -> dict[str, Node]:
    """Fresh nodes for the floating leaves of an argument, which the call then sees."""
    if v.is_compile_time_number(a.value):
        a.value = operators.to_node(a.value, REAL.get(), a.span)
    leaves = operators.trained_leaves(a.value)
    if not leaves:
        raise fail(
            WRT,
            f"{v.describe_value(a.value)} has no floating part to differentiate with respect to",
            a.span,
            labels=(Label(a.span, v.describe_value(a.value)),),
        )
    a.original = a.value  # type: ignore[attr-defined]
    fresh = {path: variable(n) for path, n in leaves}
    a.value = v.rebuild(a.value, lambda path, n: fresh.get(path, n))
    return fresh


def variable(n: Node) -> Node:
    """A node of the same value that is nothing else's input yet."""
    return ops.make("reshape", n, hint=n.name, shape=n.shape)


def _unwrap(arguments: list[Argument], variables: list[dict[str, Node]]) -> None:
    """Unchanged `mut` arguments keep the node they came in with."""
    back = {n: n.inputs[0] for table in variables for n in table.values()}
    for a in arguments:
        if a.place is not None:
            a.place.set(v.rebuild(a.place.get(), lambda _, n: back.get(n, n)))


def _collect(a: Argument, table: dict[str, Node], found: dict[Node, Node | None]) -> Any:
    """The gradient with respect to one argument, in the form of `Grad` of it."""
    part = instances.to_grad(a.value)

    def leaf(path: str, node: Node) -> Node:
        g = found[table[path]]
        return g if g is not None else ops.zeros(node.type)

    return v.rebuild(part, leaf)


# ---------------------------------------------------------------- vjp and jvp


def _pullback(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`vjp(f)(x)`: the value, and the function from its cotangent to that of x."""
    chosen = _chosen(el, d, d.function, call)
    variables = [_make_variable(a, call.span) for a in chosen]
    result = call_value(el, d.function, Call(call.arguments, call.span, call.scope, call.mode))
    outputs = [n for _, n in v.leaves(result)]

    def pull(el_: Elaborator, inner: Call) -> Any:
        from charl.grad import vjp

        cts = [n for a in inner.arguments for _, n in v.leaves(a.value)]
        if [n.type for n in cts] != [n.type for n in outputs]:
            raise fail(
                OPERATOR, f"a cotangent has the type of the result, {v.describe_value(result)}", inner.span
            )
        nodes = [n for table in variables for n in table.values()]
        found = dict(zip(nodes, vjp(outputs, nodes, list(cts)), strict=True))
        grads = [_collect(a, t, found) for a, t in zip(chosen, variables, strict=True)]
        return grads[0] if _single(d) else v.Tuple(tuple(grads))

    return v.Tuple((result, v.Builtin("pullback", pull)))


def _forward(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`jvp(f)(x, v)`: the value, and its derivative along v (one tangent for each leading argument)."""
    inner = d.function.function if isinstance(d.function, v.Method) else d.function
    count = len(inner.params) if isinstance(inner, v.Function) else len(call.arguments) // 2
    arguments, tangents = call.arguments[:count], call.arguments[count:]
    if not tangents or len(tangents) > len(arguments):
        raise fail(OPERATOR, "`jvp(f)` takes the arguments of f, then tangents: `jvp(f)(x, v)`", call.span)
    primal, tangent = [], []
    for a, t in zip(arguments, tangents, strict=False):
        table = _make_variable(a, call.span)
        given = dict(operators.trained_leaves(t.value))
        if given.keys() != table.keys() or any(given[p].type != n.type for p, n in table.items()):
            raise fail(
                OPERATOR,
                f"the tangent is {v.describe_value(t.value)}, not {v.describe_value(a.value)}",
                t.span,
            )
        primal += list(table.values())
        tangent += [given[p] for p in table]
    result = call_value(el, d.function, Call(arguments, call.span, call.scope, call.mode))
    outputs = dict(v.leaves(result))
    from charl.grad import jvp

    found = dict(zip(outputs, jvp(list(outputs.values()), primal, list(tangent)), strict=True))

    def leaf(path: str, node: Node) -> Node:
        t = found[path]
        return t if t is not None else ops.zeros(node.type)

    return v.Tuple((result, v.rebuild(result, leaf)))


def _jacobian(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`jacobian(f)(x)`: the derivative of every element of the result, along leading axes of the result's shape."""
    (a,) = _chosen(el, d, d.function, call)
    table = _make_variable(a, call.span)
    result = call_value(el, d.function, Call(call.arguments, call.span, call.scope, call.mode))
    _unwrap(call.arguments, [table])
    shown = v.describe_value(result)
    if not isinstance(result, Node) or not result.dtype.is_float:
        raise fail(OPERATOR, f"`jacobian` takes a function to one tensor, and this gives {shown}", call.span)
    if any(not isinstance(n, int) for n in result.shape):
        if not el.checking:
            raise fail(
                OPERATOR, f"`jacobian` of {shown}: the size must be known while transpiling", call.span
            )
        return _stacked(a, table, {n: None for n in table.values()}, result)
    from charl.grad import vjp

    count = prod(n for n in result.shape if isinstance(n, int))
    if count > loops.LIMIT:
        raise fail(
            OPERATOR, f"`jacobian` of {shown} would be unrolled; at most {loops.LIMIT} rows are", call.span
        )
    rows = []
    for i in range(count):
        hot = ops.constant(np.eye(count)[i].reshape(result.shape), result.dtype)
        found = dict(zip(table.values(), vjp([result], list(table.values()), [hot]), strict=True))
        rows.append(dict(v.leaves(_collect(a, table, found))))

    def stack(path: str, node: Node) -> Node:
        parts = [ops.reshape(row[path], (1, *node.shape)) for row in rows]
        return ops.reshape(ops.concatenate(parts, axis=0), (*result.shape, *node.shape))

    return v.rebuild(instances.to_grad(a.value), stack)


def _stacked(a: Argument, table: dict[str, Node], found: dict[Node, Node | None], result: Node) -> Any:
    """Something of a Jacobian's type, for the check of a body."""
    return v.rebuild(
        _collect(a, table, found), lambda _, n: ops.zeros(TensorType(n.dtype, (*result.shape, *n.shape)))
    )


def _hessian(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """`hessian(f)(x)` is `jacobian(grad(f))(x)`."""
    inner = v.Derived("grad", d.function, d.options)
    return _jacobian(el, v.Derived("jacobian", inner, {}), call)


_APPLY: dict[str, Any] = {
    "grad": _gradient,
    "value_and_grad": _gradient,
    "vjp": _pullback,
    "jvp": _forward,
    "jacobian": _jacobian,
    "hessian": _hessian,
    "map": lambda el, d, call: mapping.map_call(el, d.function, call),
    "vmap": lambda el, d, call: mapping.vmap_call(el, d.function, call),
}


def operator(name: str) -> v.Builtin:
    """The builtin that makes a derived function."""

    def call(el: Elaborator, c: Call) -> Any:
        if not c.arguments or not isinstance(c.arguments[0].value, (*v.FUNCTIONS, v.Instance)):
            raise fail(OPERATOR, f"`{name}` takes a function", c.span)
        options = {}
        for a in c.arguments[1:]:
            if a.name != "wrt" or name in ("map", "vmap"):
                raise fail(
                    OPERATOR, f"`{name}` takes a function" + (" and `wrt:`" if "grad" in name else ""), a.span
                )
            options["wrt"] = a.value
        f = c.arguments[0].value
        return v.Derived(
            name,
            instances.method(el, f, Temporary(f), "forward") if isinstance(f, v.Instance) else f,
            options,
        )

    return v.Builtin(name, call)


OPERATORS = tuple(operator(name) for name in _APPLY)
