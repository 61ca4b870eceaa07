"""Structs and models: their types, and values of these types whose tensors are given.

Enters: declarations with arguments for their parameters. Leaves: instance types and instances. Knows what a
member is, nothing of what a layer computes; methods are in `methods.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from charl import dims, ops
from charl.dims import sym
from charl.elaborate import operators, skolems
from charl.elaborate import values as v
from charl.elaborate.mismatches import Mismatch, expected
from charl.elaborate.names import suggest_parameter
from charl.elaborate.numbers import DIFFERENT, INEXACT
from charl.elaborate.parameters import ARGUMENT, COUNT, MISSING, UNKNOWN_ARGUMENT, Argument, Call, fit
from charl.elaborate.scope import Scope
from charl.elaborate.types import NO_DEFAULT, NOT_A_SIZE, TYPE_ARGUMENTS, Alias, FunctionType, Matcher
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, TensorType
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

IMPOSSIBLE = code("E0409", "a model is instantiated with impossible sizes")
LAYER = code("E0407", "an entry of `layers` is neither a model nor a function")

ELEMENTS = "go over the elements: `p[i]`, `for one in p`, `vmap(|one| one(x))(p)`"

Leaf = Callable[[str, TensorType], Node]


# ---------------------------------------------------------------- types


def pair_parameters(d: v.Declaration, args: Any, span: Span) -> list[tuple[Any, Any]]:
    """Hyper-parameters of a declaration with their argument expressions (None: its default)."""
    named = {a.name.name: a.value for a in args if a.name is not None}
    positional = [a.value for a in args if a.name is None]
    names = [p.name.name for p in d.ast.params]
    for a in args:
        if a.name is not None and a.name.name not in names:
            raise fail(
                UNKNOWN_ARGUMENT,
                f"`{d.name}` has no parameter `{a.name}`",
                a.name.span,
                help=suggest_parameter(a.name.name, names),
            )
    out = []
    for p in d.ast.params:
        out.append(
            (p, named[p.name.name] if p.name.name in named else positional.pop(0) if positional else None)
        )
    if positional:
        raise fail(
            COUNT,
            f"`{d.name}` takes {len(names)} parameter{'s' if len(names) != 1 else ''}",
            positional[0].span,
        )
    return out


def instance_type(el: Elaborator, d: v.Declaration, t: ast.NamedType, matcher: Matcher) -> v.InstanceType:
    """`Dense(64, 10)`, `Adam<Net>`, or a bare `Net` with the signature's instance or its defaults."""
    if len(t.generics) != len(d.ast.generics):
        raise fail(
            TYPE_ARGUMENTS, f"`{d.name}` takes {len(d.ast.generics)} types, not {len(t.generics)}", t.span
        )
    generics = tuple(
        (g.name.name, matcher.resolve(x)) for g, x in zip(d.ast.generics, t.generics, strict=True)
    )
    if t.args is None and d.ast.params:
        if d.name not in matcher.open:
            matcher.open[d.name] = open_instance(el, d, generics, t.span)
        return matcher.open[d.name]
    given = [
        (p, Argument(el.known(a, matcher.scope), a.span) if a is not None else None)
        for p, a in pair_parameters(d, t.args or (), t.span)
    ]
    return with_arguments(el, d, generics, given, t.span)


def with_arguments(
    el: Elaborator,
    d: v.Declaration,
    generics: tuple[tuple[str, Any], ...],
    given: list[tuple[Any, Any]],
    span: Span,
) -> v.InstanceType:
    """The instance of a declaration with these hyper-parameters, converted and checked."""
    scope = Scope(d.scope)
    for n, x in generics:
        scope.bind(n, x)
    matcher = Matcher(el, scope)
    out = list(generics)
    for p, a in given:
        name = p.name.name
        override = el.overrides.get((d.name, name)) if a is None else None
        if override is not None:
            a = override
        elif a is None and p.default is not None:
            a = Argument(el.known(p.default, scope), p.default.span)
        elif a is None:
            raise fail(
                MISSING,
                f"`{d.name}` needs a value for `{name}`",
                span,
                labels=(Label(p.span, "this parameter"),),
            )
        value = a.value
        if p.type is not None:
            value = _hyper_parameter(el, matcher, d, p, a)
        scope.bind(name, value, p.span)
        out.append((name, value))
    return v.InstanceType(d, tuple(out), span=span)


def _hyper_parameter(el: Elaborator, matcher: Matcher, d: v.Declaration, p: Any, a: Argument) -> Any:
    try:
        value = fit(el, matcher, p.type, a.value, a.span)
        matcher.match(p.type, v.type_of(value))
        return value
    except Mismatch:
        shown = v.describe_value(a.value)
        raise fail(
            ARGUMENT,
            f"`{p.name}` of `{d.name}` must be {expected(matcher, p.type)}, and this is {shown}",
            a.span,
            labels=(Label(p.span, "declared here"),),
        ) from None


def open_instance(
    el: Elaborator, d: v.Declaration, generics: tuple[tuple[str, Any], ...], span: Span
) -> v.InstanceType:
    """A bare parametrised name: symbolic while a body is checked, its defaults in an export."""
    el.reuse.bind()
    if not el.checking or (el.exporting and all(p.default is not None for p in d.ast.params)):
        for p in d.ast.params:
            if p.default is None and (d.name, p.name.name) not in el.overrides:
                raise fail(
                    NO_DEFAULT,
                    f"`{d.name}` leaves `{p.name}` open, and it has no default",
                    span,
                    labels=(Label(p.span, "declared here"),),
                    help=f"give it: `{d.name}({p.name}: …)`, a default, or `--set {d.name}.{p.name}=…`",
                )
        return with_arguments(el, d, generics, [(p, None) for p in d.ast.params], span)
    el.reuse.spoil()  # its symbols are those of no argument
    scope = Scope(d.scope)
    args = [(p.name.name, skolems.symbolic(el, p, f"{d.name}.{p.name}", scope)) for p in d.ast.params]
    return v.InstanceType(d, (*generics, *args))


def instance_scope(t: v.InstanceType) -> Scope:
    """The scope of a declaration with its parameters bound."""
    scope = Scope(t.declaration.scope)
    for n, x in t.arguments:
        scope.bind(n, x)
    return scope


def grad_type(el: Elaborator, t: Any) -> Any:
    """`Grad<S>`: the floating leaves of S; of a model, its params; S itself where those are all."""
    if isinstance(t, v.OpaqueType):
        return t
    value = placeholder(el, t, lambda path, ty: ops.parameter(path, ty))
    return v.type_of(to_grad(value))


def to_grad(value: Any) -> Any:
    """The part of a value that `Grad` holds."""
    total = sum(1 for _ in v.leaves(value))
    if len(operators.trained_leaves(value)) == total:
        return value
    if isinstance(value, v.Instance):
        skipped = operators.state_members(value)
        members = {}
        for name, part in v.children(value):
            if name not in skipped and operators.trained_leaves(part):
                members[name] = to_grad(part)
        t = value.type
        return v.Instance(replace(t, part="grad"), members)
    if isinstance(value, v.Tuple):
        return v.Tuple(tuple(to_grad(x) for x in value.items if operators.trained_leaves(x)))
    if isinstance(value, v.Run):
        return v.Run(tuple(to_grad(x) for x in value.items), value.length)
    return None


# ---------------------------------------------------------------- values


def placeholder(el: Elaborator, t: Any, leaf: Leaf, path: str = "") -> Any:
    """A value of a type whose tensors are `leaf(path, type)`."""

    def below(name: str) -> str:
        return f"{path}.{name}" if path else name

    if isinstance(t, TensorType):
        return leaf(path, t)
    if isinstance(t, v.TupleType):
        return v.Tuple(tuple(placeholder(el, x, leaf, below(str(i))) for i, x in enumerate(t.items)))
    if isinstance(t, v.RunType):
        n = t.length if isinstance(t.length, int) else 1
        types = t.items if len(t.items) == n else t.items * n
        items = tuple(placeholder(el, x, leaf, below(str(i))) for i, x in zip(range(n), types, strict=False))
        return v.Run(items, t.length)
    if isinstance(t, v.OpaqueType):
        one = TensorType(t.leaf.dtype, (*t.lead, *t.leaf.shape))
        return v.Instance(t, {"leaf": leaf(below("leaf"), one)})
    if isinstance(t, v.InstanceType):
        if t.part == "grad":
            whole = replace(t, part="all")
            return to_grad(placeholder(el, whole, leaf, path))
        if t.lead:
            lead = t.lead

            def stacked(path: str, one: TensorType) -> Node:
                return leaf(path, TensorType(one.dtype, (*lead, *one.shape)))

            return v.stacked(placeholder(el, replace(t, lead=()), stacked, path), lead)
        return _members(el, t, leaf, below)
    if isinstance(t, FunctionType):
        return v.OpaqueFunction(path, t.ast, t.scope)
    if isinstance(t, v.Plain):
        return _plain(t, path)
    raise AssertionError(t)


def _plain(t: v.Plain, path: str) -> Any:
    if t.name == "int":
        return sym(path)
    if t.name in ("float", "bool"):
        return skolems.unknown(t.name, path)
    if t.name == "function":
        return v.OpaqueFunction(path, None, None)
    raise v.Silenced


def _members(el: Elaborator, t: v.InstanceType, leaf: Leaf, below: Callable[[str], str]) -> v.Instance:
    d = t.declaration
    with el.nested(d.name, d.ast.name.span):
        try:
            return _member_values(el, t, leaf, below)
        except CharlError as e:
            raise _impossible(e, t) from None


def _impossible(e: CharlError, t: v.InstanceType) -> CharlError:
    """A size of a member that these hyper-parameters do not allow, shown where they are given."""
    first, *_ = e.diagnostics
    if t.span is None or first.span is None or first.code not in (INEXACT, NOT_A_SIZE):
        return e
    sizes = ", ".join(f"{n} = {x}" for n, x in t.arguments if isinstance(x, (int, float)))
    return fail(
        IMPOSSIBLE,
        f"`{t}` has an impossible size: {first.message}",
        t.span,
        labels=(Label(first.span, f"with {sizes}"),),
        help="choose sizes for which every member has one",
    )


def _member_values(el: Elaborator, t: v.InstanceType, leaf: Leaf, below: Callable[[str], str]) -> v.Instance:
    members: dict[str, Any] = {}
    for name, entry, condition in _member_types(el, t):
        if condition is False:
            members[name] = v.Absent(name)
            continue
        value = entry if isinstance(entry, v.FUNCTIONS) else placeholder(el, entry, leaf, below(name))
        members[name] = value if condition is True else v.Maybe(name, value, condition)
    return v.Instance(t, members)


def _member_types(el: Elaborator, t: v.InstanceType) -> list[tuple[str, Any, Any]]:
    """Name, type (of an entry of `layers` perhaps a function) and condition of every member.

    Kept for the next time, unless it holds only where the walk is: what is known of sizes and conditions here, what is told.
    """
    if not dims.KNOWN.get() and not el.assumed and not DIFFERENT.get() and el.host is None:
        found = el.member_types.get(t)
        if found is not None:
            return found
        before = (el.reuse.spoiled, el.reuse.bound, len(el.obligations))
        found = _resolved_members(el, t)
        if before == (el.reuse.spoiled, el.reuse.bound, len(el.obligations)):
            el.member_types[t] = found
        return found
    return _resolved_members(el, t)


def _resolved_members(el: Elaborator, t: v.InstanceType) -> list[tuple[str, Any, Any]]:
    scope = instance_scope(t)
    out: list[tuple[str, Any, Any]] = []
    for f in t.declaration.ast.fields:
        condition = el.condition(f.condition, scope) if f.condition is not None else True
        resolved = Matcher(el, scope).resolve(f.type) if condition is not False else None
        out.append((f.name.name, resolved, condition))
    return out + [(name, entry, True) for name, entry in layer_entries(el, t)]


def layer_entries(el: Elaborator, t: v.InstanceType) -> list[tuple[str, Any]]:
    """Entries of `layers`: the n-th is the field named n; a model's type, or a function."""
    layers = getattr(t.declaration.ast, "layers", None)
    if layers is None:
        return []
    from charl.elaborate.construction import construct

    scope = instance_scope(t)
    out = []
    for i, e in enumerate(layers.entries):
        value = el.known(e, scope)
        if isinstance(value, v.Declaration):
            value = construct(el, value, Call([], e.span, scope))
        elif isinstance(value, Alias):
            value = Matcher(el, scope).resolve(ast.NamedType(e.span, e, (), None))
        if not isinstance(value, (v.InstanceType, *v.FUNCTIONS)):
            raise fail(
                LAYER, f"an entry of `layers` is a model or a function, not {v.describe_value(value)}", e.span
            )
        out.append((str(i), value))
    return out
