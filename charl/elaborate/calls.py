"""Calls: arguments to parameters, generics and dimensions from arguments, `mut` copied in and out, training mode.

Enters: call expressions, functions and arguments. Leaves: values, and new values in the places given as `mut`.
Every call of a Charl function is elaborated in place; sharing is found again by later levels. Never evaluates a
body with parameters whose types do not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.elaborate import clauses, instances, methods
from charl.elaborate import values as v
from charl.elaborate.numbers import LITERALS, literal
from charl.elaborate.parameters import (
    COUNT,
    MUT_MARK,
    TWICE,
    Argument,
    Call,
    Frame,
    LibraryName,
    bind_parameters,
    is_mut,
    match_argument,
    named,
    pair,
    parameter_name,
    signature,
)
from charl.elaborate.scope import Mode, Place, Scope, Variable
from charl.elaborate.types import Alias, Matcher
from charl.errors import CharlError, Diagnostic, Label, code, fail
from charl.graph.ir import Node, at_span, in_library, in_program
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

NOT_CALLABLE = code("E0306", "what is called is no function")
RECURSION = code("E0314", "calls go too deep")
MAX_DEPTH = 120
HERE = "in this call"


# ---------------------------------------------------------------- entry points


def call_expression(el: Elaborator, e: ast.Call, scope: Scope) -> Any:
    """`f(a, b: c, mut d)`, `x.f(a)`, `Model(…)`, `net(x)`."""
    callee, first = resolve_callee(el, e.callee, scope)
    call = Call(first + arguments(el, e.args, scope), e.span, scope)
    return apply(el, callee, call)


def resolve_callee(el: Elaborator, e: Any, scope: Scope) -> tuple[Any, list[Argument]]:
    """What is called, and the receiver where it becomes the first argument (`x.reshape(…)`)."""
    if not isinstance(e, ast.Member):
        return _callable_place(el, e, scope), []
    place = el.place(e.value, scope)
    value = el.present(place.get(), e.value.span)
    if _has_part(value, e.name.name):
        return _callable_place(el, e, scope), []
    member = methods.member(el, value, place, e)
    if member is not None and (isinstance(member, v.FUNCTIONS) or not isinstance(value, Node)):
        return member, []
    receiver = Argument(value, e.value.span, None, place if place.mutable else None)
    function = _function_for(value, e.name.name, scope)
    if function is None:
        raise el.unknown_member(value, e)
    return function, [receiver]


def _has_part(value: Any, name: str) -> bool:
    if isinstance(value, v.Instance):
        return name in value.members
    return isinstance(value, (v.Tuple, v.Run)) and name.isdigit() and int(name) < len(value.items)


def _function_for(value: Any, name: str, scope: Scope) -> Any:
    """A free function called as a method: those of the module of x's type first, then those in scope."""
    if isinstance(value, v.Instance) and isinstance(value.type, v.InstanceType):
        found = value.type.declaration.scope.find(name)
        if found is not None and isinstance(found.value, v.FUNCTIONS):
            return found.value
    binding = scope.find(name)
    if binding is not None and isinstance(binding.value, v.FUNCTIONS):
        return binding.value
    return None


def _callable_place(el: Elaborator, e: Any, scope: Scope) -> Any:
    """A callee; instances are called through their place, so that state may be written."""
    value = el.known(e, scope)
    if isinstance(value, v.Instance):
        return _forward(el, value, el.place(e, scope), e)
    return value


def _forward(el: Elaborator, value: v.Instance, place: Place, e: Any) -> Any:
    method = methods.method(el, value, place, "forward")
    if method is None:
        raise fail(
            NOT_CALLABLE,
            f"{v.describe_value(value)} has no method `forward`, so it cannot be called",
            e.span,
            help=instances.ELEMENTS if getattr(value.type, "lead", ()) else None,
        )
    return method


def arguments(el: Elaborator, args: Any, scope: Scope) -> list[Argument]:
    """Arguments of a call expression, evaluated from left to right."""
    out: list[Argument] = []
    failed = False
    for a in args:
        found = el.attempt(partial(_argument, el, a, scope))
        failed = failed or found is None
        out += found or []
    if failed:
        raise v.Silenced
    _check_distinct(out)
    return out


def _check_distinct(given: list[Argument]) -> None:
    """No parameter is named twice, and no place is lent twice at once."""
    for i, b in enumerate(given):
        for a in given[:i]:
            if b.name is not None and a.name == b.name:
                raise fail(
                    TWICE,
                    f"`{b.name}` is given twice",
                    b.name_span or b.span,
                    labels=(Label(a.name_span or a.span, "given here first"),),
                )
            if a.place is not None and b.place is not None and _overlap(a.span.text, b.span.text):
                raise fail(
                    MUT_MARK,
                    f"`{b.span.text}` is lent as `mut` twice in one call",
                    b.span,
                    labels=(Label(a.span, "lent here first"),),
                    help="give a copy: `let mut other = …`",
                )


def _overlap(a: str, b: str) -> bool:
    """Whether one place is the other or a member of it."""
    short, long = sorted((a, b), key=len)
    return long.startswith(short) and long[len(short) : len(short) + 1] in ("", ".", "[")


def _argument(el: Elaborator, a: ast.Arg, scope: Scope) -> list[Argument]:
    name, name_span = (a.name.name, a.name.span) if a.name is not None else (None, None)
    if isinstance(a.value, ast.Pack):
        return [Argument(x, a.span) for x in el.pack(a.value, scope)]
    if not a.mut:
        return [Argument(el.known(a.value, scope), a.value.span, name, name_span=name_span)]
    place = el.place(a.value, scope)
    if not place.mutable:
        raise _not_mutable(a, place)
    value = el.present(place.get(), a.value.span)
    return [Argument(value, a.value.span, name, place, True, name_span)]


def _not_mutable(a: ast.Arg, place: Place) -> CharlError:
    root = place.root
    if root is None:
        return fail(MUT_MARK, "`mut` needs a variable, a member or an item of one", a.value.span)
    labels = (Label(root.span, "declared here"),) if root.span is not None else ()
    hint = f"declare it mutable: `let mut {root.name} = …`, or `mut {root.name}` as a parameter"
    return fail(MUT_MARK, f"`{root.name}` is not mutable", a.value.span, labels=labels, help=hint)


def pipe(el: Elaborator, e: ast.Pipe, scope: Scope) -> Any:
    """`x |> f` is `f(x)`."""
    value = el.known(e.value, scope)
    function = _callable_place(el, e.function, scope)
    return apply(el, function, Call([Argument(value, e.value.span)], e.span, scope))


def closure(el: Elaborator, e: ast.Closure, scope: Scope) -> v.Function:
    """A closure captures values when it is made."""
    captured = Scope(_captured(scope), function=scope.function)
    params = tuple(e.params)
    return v.Function("closure", params, None, e.body, captured, None, span=e.span)


def _captured(scope: Scope) -> Scope:
    """A copy of the local scopes, so that later writes do not reach the closure."""
    from charl.elaborate.scope import Binding

    if scope.parent is None or scope.function is None:
        return scope
    parent = _captured(scope.parent)
    names = {}
    for name, b in scope.names.items():
        value = b.value if b.alias is None else b.alias.get()
        names[name] = Binding(b.name, value, False, b.span)
    return Scope(parent, names, scope.function)


# ---------------------------------------------------------------- applying


def apply(el: Elaborator, callee: Any, call: Call) -> Any:
    """Call any callable value."""
    from charl.elaborate import branches, construction, derived

    if el.host is not None and el.host.takes(callee):
        return el.host.call(el, callee, call)
    if isinstance(callee, v.Instance):
        from charl.elaborate.scope import Temporary

        callee = _forward(el, callee, Temporary(callee), _Spanned(call.span))
    if isinstance(callee, v.Method):
        return _call_method(el, callee, call)
    if isinstance(callee, v.Function):
        return call_function(el, callee, call)
    if isinstance(callee, v.Builtin):
        with at_span(call.span):
            made = callee.call(el, call)
        if LITERALS.get() is None or any(True for a in call.arguments for _ in v.leaves(a.value)):
            return made
        return v.rebuild(made, lambda _, n: literal(n, call.span))
    if isinstance(callee, v.Derived):
        return derived.apply(el, callee, call)
    if isinstance(callee, v.OpaqueFunction):
        return _call_opaque(el, callee, call)
    if isinstance(callee, v.Chosen):
        return branches.call_chosen(el, callee, call)
    if isinstance(callee, (v.Declaration, Alias)):
        return construction.construct(el, callee, call)
    if isinstance(callee, v.InstanceType):
        raise fail(
            NOT_CALLABLE,
            f"`{callee}` is a type, and only a value of it can be called",
            call.span,
            help=f"make one with `{callee}.init(mut rng)`, or take one as a parameter: `net: {callee}`",
        )
    raise fail(
        NOT_CALLABLE,
        f"{v.describe_value(callee)} cannot be called",
        call.span,
        labels=(Label(call.span, ""),),
    )


@dataclass(frozen=True)
class _Spanned:
    span: Span


def _call_method(el: Elaborator, m: v.Method, call: Call) -> Any:
    """A method: training mode from `rng: mut r`, else from the method it is called in."""
    from charl.elaborate import initial

    names = {p.name.name for p in m.function.params}
    explicit = [a for a in call.arguments if a.name == "rng" and "rng" not in names]
    if explicit:
        initial.stream(explicit[0], "rng: mut r")
        call.arguments = [a for a in call.arguments if a is not explicit[0]]
        call.mode = Mode(True, explicit[0].place)
    elif call.mode is None:
        frame = call.scope.function
        call.mode = frame.mode if frame is not None and frame.mode is not None else Mode(False)
    return call_function(el, m.function, call, m.receiver)


def _call_opaque(el: Elaborator, f: v.OpaqueFunction, call: Call) -> Any:
    """A function known by type only: check the arguments, make a value of its result type."""
    t = f.type
    if t is None or not isinstance(t, ast.FnType):
        if len(call.arguments) == 1:
            return call.arguments[0].value
        raise v.Silenced
    matcher = Matcher(el, Scope(f.scope))
    if len(call.arguments) != len(t.params):
        raise fail(COUNT, f"`{f.name}` takes {len(t.params)} arguments, not {len(call.arguments)}", call.span)
    for p, a in zip(t.params, call.arguments, strict=True):
        match_argument(el, matcher, f.name, f.name, p.type, a, p.type.span)
    matcher.finish()
    if t.returns is None:
        return None
    result = matcher.resolve(t.returns)
    return instances.placeholder(el, result, lambda path, ty: ops.parameter(f"{f.name}()", ty))


def call_function(el: Elaborator, f: v.Function, call: Call, receiver: Place | None = None) -> Any:
    """Elaborate a function of the source for these arguments."""
    el.depth += 1
    el.active.append(f)
    try:
        if el.depth > MAX_DEPTH:
            raise fail(
                RECURSION,
                f"`{f.name}` calls itself without end",
                call.span,
                help="calls are expanded while transpiling, so only a condition known then ends them: use a loop",
            )
        library = f.module is not None and f.module.is_library
        with in_library(call.span) if library else in_program():
            value = el.reuse.call(f, call, receiver, partial(_call_function, el, f, call, receiver))
            handed_on = any(a.value is value for a in call.arguments)
            return value if handed_on else _labelled(el, value, f)
    except CharlError as e:
        raise _seen_from(e, f, call) from None
    finally:
        el.depth -= 1
        el.active.pop()


def _labelled(el: Elaborator, value: Any, f: v.Function) -> Any:
    """A result named after the layer of the library or the function that made it, for comments and emitted names."""
    if f.name == "closure":
        return value
    kind = LibraryName if f.module is not None and f.module.is_library else str
    if f.owner is None or f.name != "forward":
        of = next((g.name for g, rule in el.rules.items() if rule is f), None)
        return named(
            value, kind(f.name if of is None else f"d_{of}"), over=LibraryName if kind is str else None
        )
    layer = kind(str(f.owner.name).lower())
    if f.module.is_library and isinstance(value, Node) and value.op != "parameter":
        value.name = layer
    return named(value, layer)


def _called_here(d: Diagnostic, call: Call) -> Diagnostic:
    """A mistake that shows only for certain arguments also points at the call that gave them."""
    said = any(label.text == HERE for label in d.labels)
    if said or d.span is None or (d.span.start >= call.span.start and d.span.end <= call.span.end):
        return d
    return replace(d, labels=(*d.labels, Label(call.span, HERE)))


def _seen_from(e: CharlError, f: v.Function, call: Call) -> CharlError:
    """A mistake inside the library is shown at the user's call of it."""
    if f.module is None or not f.module.is_library:
        return CharlError([_called_here(d, call) for d in e.diagnostics])
    caller = call.span.source
    out = []
    for d in e.diagnostics:
        if d.span is None or d.span.source is caller or d.span.source is not f.module.source:
            out.append(d)
            continue
        note = f"in `{f.name}` of the library at {d.span}: `{d.span.text.strip()[:60]}`"
        out.append(
            Diagnostic(d.code, d.message, call.span, (), (*d.notes, note), d.help, d.severity, d.primary)
        )
    return CharlError(out)


def _call_function(
    el: Elaborator, f: v.Function, call: Call, receiver: Place | None
) -> tuple[Any, list[tuple[Any, Argument | None]]]:
    """The value of a call, and its parameters with their arguments."""
    scope = Scope(f.scope, function=Frame(f, call.mode))
    scope.function.mode = call.mode if f.owner is not None else None
    if f.name == "closure" and f.owner is None and f.scope.function is not None:
        scope.function.mode = f.scope.function.mode
        scope.function.testing = f.scope.function.testing
    if f.owner is not None:
        methods.bind_owner(el, scope, f, receiver)
    matcher = signature(el, f, scope)
    pairs = pair(el, f, call)
    bind_parameters(el, f, scope, matcher, pairs, call)
    with clauses.relied_on(el, f, scope, call.span):
        return _elaborated(el, f, scope, matcher, pairs, call, receiver), pairs


def _elaborated(
    el: Elaborator,
    f: v.Function,
    scope: Scope,
    matcher: Matcher,
    pairs: list[tuple[Any, Argument | None]],
    call: Call,
    receiver: Place | None,
) -> Any:
    """The value of a function whose parameters are bound, and what it leaves in its `mut` arguments."""
    from charl.elaborate import returns

    rule = el.rules.get(f)
    held: list[Place] = [] if receiver is None else [receiver]
    if rule is not None:
        held += [Variable(scope.names[parameter_name(p)], el.journal) for p in f.params]
    entered = [p.get() for p in held] if rule is not None else []
    if el.checking and f in el.active[:-1]:
        el.reuse.spoil()
        value = _declared_result(el, matcher, f)
    else:
        value = returns.function_value(el, f, scope, matcher, call)
    if rule is not None:
        value = _ruled(el, f, rule, entered, held, value, call)
    for p, a in pairs:
        if a is not None and is_mut(p):
            assert a.place is not None
            a.place.set(scope.names[parameter_name(p)].value)
    return value


def _ruled(
    el: Elaborator,
    f: v.Function,
    rule: v.Function,
    entered: list[Any],
    held: list[Place],
    value: Any,
    call: Call,
) -> Any:
    """The value of a call that asks a rule for its gradient, which covers what the call left in its `mut` arguments."""
    from charl.elaborate import custom

    places = custom.written(f, entered, [p.get() for p in held])
    after = [held[k].get() for k in places]
    out = custom.ruled(el, f, rule, entered, custom.together(value, after), call)
    parts = list(out.items) if len(after) + (value is not None) != 1 else [out]
    for k in reversed(places):
        held[k].set(parts.pop())
    return parts[0] if parts else None


def _declared_result(el: Elaborator, matcher: Matcher, f: v.Function) -> Any:
    """What a function gives inside its own check: anything of its declared type."""
    if f.result is None:
        raise v.Silenced
    return instances.placeholder(el, matcher.resolve(f.result), lambda path, t: ops.parameter(f.name, t))
