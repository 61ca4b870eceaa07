"""Operators on functions: grad, value_and_grad, jvp, vjp, jacobian, hessian, checkpoint, vmap, map.

Enters: a function value and options. Leaves: a function waiting for its arguments, and its call handed to the module that
knows the operator. Never looks at a graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl.elaborate import checkpoint, differentiation, jacobians, mapping, methods
from charl.elaborate import values as v
from charl.elaborate.parameters import Call
from charl.elaborate.scope import Temporary
from charl.elaborate.variables import OPERATOR
from charl.errors import fail
from charl.graph.ir import at_span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

_APPLY: dict[str, Any] = {
    "grad": differentiation.gradient,
    "value_and_grad": differentiation.gradient,
    "vjp": differentiation.pullback,
    "jvp": differentiation.forward,
    "jacobian": jacobians.jacobian,
    "hessian": jacobians.hessian,
    "checkpoint": lambda el, d, call: checkpoint.checkpoint_call(el, d.function, call),
    "map": lambda el, d, call: mapping.map_call(el, d.function, call),
    "vmap": lambda el, d, call: mapping.vmap_call(el, d.function, call),
}
_WITHOUT_WRT = ("map", "vmap", "checkpoint")


def apply(el: Elaborator, d: v.Derived, call: Call) -> Any:
    """Call `grad(f)`, `vmap(f)`, …"""
    with at_span(call.span):
        return _APPLY[d.operator](el, d, call)


def operator(name: str) -> v.Builtin:
    """The builtin that makes a derived function."""

    def call(el: Elaborator, c: Call) -> Any:
        if not c.arguments or not isinstance(c.arguments[0].value, (*v.FUNCTIONS, v.Instance)):
            shown = f", and this is {v.describe_value(c.arguments[0].value)}" if c.arguments else ""
            raise fail(
                OPERATOR,
                f"`{name}` takes a function{shown}",
                c.arguments[0].span if c.arguments else c.span,
                help=f"the arguments come behind it: `{name}(f)(x)`",
            )
        options = {}
        for a in c.arguments[1:]:
            if a.name != "wrt" or name in _WITHOUT_WRT:
                takes = "a function" if name in _WITHOUT_WRT else "a function and `wrt:`"
                raise fail(
                    OPERATOR,
                    f"`{name}` takes {takes}",
                    a.span,
                    help=f"the arguments come behind it: `{name}(f)(x)`",
                )
            options["wrt"] = a.value
        f = c.arguments[0].value
        if isinstance(f, v.Instance):
            f = methods.method(el, f, Temporary(f), "forward") or f
        return v.Derived(name, f, options)

    return v.Builtin(name, call)


OPERATORS = tuple(operator(name) for name in _APPLY)
