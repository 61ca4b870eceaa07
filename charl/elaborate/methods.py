"""What stands behind the dot of a value or a type: methods, hyper-parameters, `x.T`, `Net.init`.

Enters: an instance, a tensor or a type, with a name. Leaves: a function bound to its receiver, or a value; and the scope
in which a method's body sees the members of its receiver. Never evaluates a body.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import values as v
from charl.elaborate.instances import instance_scope
from charl.elaborate.names import suggest
from charl.elaborate.scope import Part, Place, Scope
from charl.elaborate.types import (
    Alias,
    Matcher,
)
from charl.errors import code, fail
from charl.graph.ir import Node
from charl.source import Span
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

STATIC = code("E0406", "a type has no function of that name")


def bind_owner(el: Elaborator, scope: Scope, f: v.Function, receiver: Place | None) -> None:
    """Members and parameters of the receiver in the scope of a method."""
    if receiver is None:
        return
    value = receiver.get()
    if isinstance(value, v.Maybe):  # a layer under a condition, tested where it was named
        value = value.value
    outer = Scope(scope.parent, function=scope.function)
    for n, x in value.type.arguments:
        outer.bind(n, x)
    outer.bind("self", None, f.span, alias=receiver)
    d = value.type.declaration
    for m in d.ast.methods:
        own = function_of(d, m.name.name)
        if own is not None:
            outer.bind(m.name.name, v.Method(own, receiver), m.name.span)
    for n in value.members:
        outer.bind(n, None, _field_span(value.type.declaration, n), alias=Part(receiver, n))
    scope.parent = outer


def _field_span(d: v.Declaration, name: str) -> Span | None:
    return next((f.span for f in d.ast.fields if f.name.name == name), None)


def method(el: Elaborator, value: v.Instance, place: Place, name: str) -> v.Method | None:
    """A method of an instance, bound to its place."""
    if not isinstance(value.type, v.InstanceType) or not value.type.plain:
        return None
    f = function_of(value.type.declaration, name)
    if f is not None:
        return v.Method(f, place)
    if name == "forward" and getattr(value.type.declaration.ast, "layers", None) is not None:
        return v.Method(_layers_forward(value.type.declaration), place)
    return None


def function_of(d: v.Declaration, name: str) -> v.Function | None:
    """A method's function; one object per declaration and name."""
    functions = d.module.methods
    if (d, name) not in functions:
        found = next((m for m in d.ast.methods if m.name.name == name), None)
        functions[(d, name)] = None if found is None else make_function(found, d.scope, d.module, d)
    return functions[(d, name)]  # type: ignore[no-any-return]


def make_function(m: declarations.Function, scope: Scope, module: Any, owner: Any = None) -> v.Function:
    """A function value of a declaration."""
    return v.Function(
        m.name.name, m.params, m.returns, m.body, scope, module, m.generics, owner, m.name.span, m.where
    )


def _layers_forward(d: v.Declaration) -> v.Function:
    """`forward` of `layers`: its entries, one after the other."""
    functions = d.module.methods
    if (d, "forward") not in functions or functions[(d, "forward")] is None:
        layers = d.ast.layers
        x = ast.Name(layers.span, "x")
        chain: Any = x
        for i, e in enumerate(layers.entries):
            # The block moves the argument's place to the entry that takes it.
            chain = ast.Pipe(e.span, ast.Block(e.span, (), chain), ast.Name(e.span, str(i)))
        body = ast.Block(layers.span, (), chain)
        p = declarations.Param(layers.span, x, False, None, None)
        functions[(d, "forward")] = v.Function(
            "forward", (p,), None, body, d.scope, d.module, (), d, d.ast.name.span
        )
    return functions[(d, "forward")]  # type: ignore[no-any-return]


def member(el: Elaborator, value: Any, place: Place, e: ast.Member) -> Any:
    """What `value.name` means beyond members that hold values; None where it means nothing."""
    name = e.name.name
    if isinstance(value, v.Instance) and isinstance(value.type, v.InstanceType):
        found = method(el, value, place, name)
        if found is not None:
            return found
        return dict(value.type.arguments).get(name)
    if isinstance(value, Node):
        if name == "T" and value.rank >= 2:
            n = value.rank
            return ops.transpose(value, (*range(n - 2), n - 1, n - 2))
        if name == "shape":
            return v.Run(value.shape, value.rank)
        if name == "rank":
            return value.rank
        return None
    if isinstance(value, (v.Declaration, v.InstanceType, Alias)):
        return static(el, value, e)
    return None


def static(el: Elaborator, value: Any, e: ast.Member) -> Any:
    """`Net.init`, `Adam.init`: a function of a type."""
    t = value
    if isinstance(value, Alias):
        t = Matcher(el, value.scope).resolve(value.ast.type)
    d = t if isinstance(t, v.Declaration) else t.declaration
    f = function_of(d, e.name.name)
    if f is not None:
        return v.Function(
            f.name,
            f.params,
            f.result,
            f.body,
            f.scope if t is d else instance_scope(t),
            f.module,
            (*d.ast.generics, *f.generics),
            None,
            f.span,
            f.where,
        )
    if e.name.name == "init" and d.kind == "model":
        from charl.elaborate import initial

        return v.Builtin("init", lambda el_, call: initial.model_init(el_, t, call))
    names = [m.name.name for m in d.ast.methods]
    raise fail(
        STATIC, f"`{d.name}` has no function `{e.name}`", e.name.span, help=suggest(e.name.name, names)
    )
