"""Making structs and models: `Cache(k: …, v: …)`, `Dense(64, 10)`.

Enters: a declaration and the arguments of a call. Leaves: an instance made of its members, its parameters inferred where they
stand bare; of a model, the type with its hyper-parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl.elaborate import values as v
from charl.elaborate.mismatches import Mismatch, expected
from charl.elaborate.names import suggest, suggest_parameter
from charl.elaborate.parameters import COUNT, UNKNOWN_ARGUMENT, Argument, Call, fit
from charl.elaborate.scope import Scope
from charl.elaborate.types import TYPE_ARGUMENTS, Alias, Matcher
from charl.errors import Label, code, fail

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

from charl.elaborate.instances import instance_scope, with_arguments

FIELD = code("E0405", "a struct is not made of its members")


def construct(el: Elaborator, d: Any, call: Call) -> Any:
    """`Dense(64, 10)` is a model's type; `Cache(k: …, v: …)` a struct made of its members."""
    if isinstance(d, Alias):
        t = Matcher(el, d.scope).resolve(d.ast.type)
        with el.nested(d.name, d.ast.name.span):
            return _from_members(el, t.declaration, call, t)
    if d.kind == "struct":
        with el.nested(d.name, d.ast.name.span):
            return _from_members(el, d, call, None)
    named = {a.name: a for a in call.arguments if a.name is not None}
    positional = [a for a in call.arguments if a.name is None]
    names = [p.name.name for p in d.ast.params]
    for name, a in named.items():
        if name not in names:
            raise fail(
                UNKNOWN_ARGUMENT,
                f"`{d.name}` has no parameter `{name}`",
                a.name_span or a.span,
                help=suggest_parameter(name or "", names),
            )
    given = [
        (p, named[p.name.name] if p.name.name in named else positional.pop(0) if positional else None)
        for p in d.ast.params
    ]
    if positional:
        raise fail(
            COUNT,
            f"`{d.name}` takes {len(names)} parameter{'s' if len(names) != 1 else ''}",
            positional[0].span,
        )
    return with_arguments(el, d, (), given, call.span)


def _from_members(el: Elaborator, d: v.Declaration, call: Call, known: v.InstanceType | None) -> v.Instance:
    given = {a.name: a for a in call.arguments}
    fields = [f.name.name for f in d.ast.fields]
    for a in call.arguments:
        if a.name not in fields:
            shown = f"no member `{a.name}`" if a.name else "members, and they are given by name"
            raise fail(
                FIELD, f"`{d.name}` has {shown}", a.name_span or a.span, help=suggest(a.name or "", fields)
            )
    scope = instance_scope(known) if known is not None else Scope(d.scope)
    names = [g.name.name for g in d.ast.generics] + [p.name.name for p in d.ast.params]
    matcher = Matcher(el, scope, frozenset(g.name.name for g in d.ast.generics))
    for n in names:
        outer = call.scope.find(n) if _inside(call.scope, d) else None
        if known is None and outer is not None:
            scope.bind(n, outer.value)
    members: dict[str, Any] = {}
    for f in d.ast.fields:
        found = given.get(f.name.name)
        if found is None and f.default is None:
            raise fail(
                FIELD,
                f"`{d.name}` needs its member `{f.name}`",
                call.span,
                labels=(Label(f.span, "this one"),),
            )
        found = found or Argument(el.known(f.default, scope), f.default.span)
        members[f.name.name] = _member_value(el, matcher, d, f, found)
    matcher.finish()
    if known is not None:
        return v.Instance(known, members)
    arguments = tuple((n, _inferred(matcher, d, n, call)) for n in names)
    return v.Instance(v.InstanceType(d, arguments), members)


def _inside(scope: Scope, d: v.Declaration) -> bool:
    """Whether a scope is that of a method of `d`."""
    f = getattr(scope.function, "function", None)
    return f is not None and f.module is d.module and any(m.name.span == f.span for m in d.ast.methods)


def _member_value(el: Elaborator, matcher: Matcher, d: v.Declaration, f: Any, a: Argument) -> Any:
    try:
        value = fit(el, matcher, f.type, a.value, a.span)
        matcher.match(f.type, v.type_of(value))
        return value
    except Mismatch:
        raise fail(
            FIELD,
            f"`{f.name}` of `{d.name}` is {expected(matcher, f.type)}, and this is {v.describe_value(a.value)}",
            a.span,
            labels=(Label(f.span, "declared here"),),
        ) from None


def _inferred(matcher: Matcher, d: v.Declaration, name: str, call: Call) -> Any:
    value = matcher.lookup(name)
    if value is None:
        raise fail(
            TYPE_ARGUMENTS,
            f"nothing determines `{name}` of `{d.name}`",
            call.span,
            help="it must stand bare in the type of a member",
        )
    return value
