"""Calls: arguments to parameters, generics and dimensions from arguments, `mut` copied in and out, training mode.

Enters: call expressions, functions and arguments. Leaves: values, and new values in the places given as `mut`.
Every call of a Charl function is elaborated in place; sharing is found again by later levels. Never evaluates a
body with parameters whose types do not fit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import dtypes, ops
from charl.dtypes import DType
from charl.elaborate import operators
from charl.elaborate import values as v
from charl.elaborate.names import suggest
from charl.elaborate.operators import Operand
from charl.elaborate.scope import Mode, Part, Place, Scope
from charl.elaborate.types import Alias, Matcher, Mismatch, expected
from charl.errors import CharlError, Diagnostic, Label, code, fail
from charl.graph.ir import Node, TensorType, at_span
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

ARGUMENT = code("E0203", "an argument does not fit its parameter")
RESULT = code("E0204", "a result does not fit its declared type")
COUNT = code("E0303", "too many arguments")
UNKNOWN_ARGUMENT = code("E0304", "no parameter of that name")
MISSING = code("E0305", "a parameter has no argument")
NOT_CALLABLE = code("E0306", "what is called is no function")
MUT_MARK = code("E0308", "`mut` does not stand where it must, or stands where it must not")
RECURSION = code("E0314", "calls go too deep")
WHERE = code("E0607", "a `where` clause is violated")
MAX_DEPTH = 120


@dataclass
class Argument:
    """One argument of a call: its value, where it stands, its name, and its place if it is `mut`."""

    value: Any
    span: Span
    name: str | None = None
    place: Place | None = None
    marked: bool = False  # `mut` stands before it
    name_span: Span | None = None

    @property
    def operand(self) -> Operand:
        return Operand(self.value, self.span)


@dataclass
class Call:
    """A call on its way: arguments, its place, the scope it stands in, the mode it asks for."""

    arguments: list[Argument]
    span: Span
    scope: Scope
    mode: Mode | None = None  # from `rng: mut r`
    extra: dict[str, Argument] = field(default_factory=dict)  # used for parameters that nothing else fills


@dataclass
class Frame:
    """The function that is being elaborated."""

    function: Any
    mode: Mode | None = None
    yields: list[list[Any]] = field(default_factory=list)
    inside_branch: int = 0


class Returned(Exception):
    """`return` on its way to its function."""

    def __init__(self, value: Any, span: Span) -> None:
        super().__init__()
        self.value = value
        self.span = span


# ---------------------------------------------------------------- entry points


def call_expression(el: Elaborator, e: ast.Call, scope: Scope) -> Any:
    """`f(a, b: c, mut d)`, `x.f(a)`, `Model(…)`, `net(x)`."""
    callee, first = resolve_callee(el, e.callee, scope)
    call = Call(first + arguments(el, e.args, scope), e.span, scope)
    return apply(el, callee, call)


def resolve_callee(el: Elaborator, e: Any, scope: Scope) -> tuple[Any, list[Argument]]:
    """What is called, and the receiver where it becomes the first argument (`x.reshape(…)`)."""
    from charl.elaborate import instances

    if not isinstance(e, ast.Member):
        return _callable_place(el, e, scope), []
    place = el.place(e.value, scope)
    value = el.present(place.get(), e.value.span)
    if isinstance(value, (v.Instance, v.Tuple, v.Run)) and any(
        n == e.name.name for n, _ in v.children(value)
    ):
        return _callable_place(el, e, scope), []
    member = instances.member(el, value, place, e)
    if member is not None and (isinstance(member, v.FUNCTIONS) or not isinstance(value, Node)):
        return member, []
    receiver = Argument(value, e.value.span, None, place if place.mutable else None)
    function = _function_for(value, e.name.name, scope)
    if function is None:
        raise el.unknown_member(value, e)
    return function, [receiver]


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
    from charl.elaborate import instances

    method = instances.method(el, value, place, "forward")
    if method is None:
        raise fail(
            NOT_CALLABLE, f"{v.describe_value(value)} has no method `forward`, so it cannot be called", e.span
        )
    return method


def arguments(el: Elaborator, args: Any, scope: Scope) -> list[Argument]:
    """Arguments of a call expression, evaluated from left to right."""
    found = [el.attempt(lambda a=a: _argument(el, a, scope)) for a in args]
    if any(x is None for x in found):
        raise v.Silenced
    return [a for x in found for a in x]


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
    from charl.elaborate import derived, instances

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
            return callee.call(el, call)
    if isinstance(callee, v.Derived):
        return derived.apply(el, callee, call)
    if isinstance(callee, v.OpaqueFunction):
        return _call_opaque(el, callee, call)
    if isinstance(callee, (v.Declaration, Alias)):
        return instances.construct(el, callee, call)
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
    names = {p.name.name for p in m.function.params}
    explicit = [a for a in call.arguments if a.name == "rng" and "rng" not in names]
    if explicit:
        if explicit[0].place is None:
            raise fail(MUT_MARK, "`rng` moves on: write `rng: mut …`", explicit[0].span)
        call.arguments = [a for a in call.arguments if a is not explicit[0]]
        call.mode = Mode(True, explicit[0].place)
    elif call.mode is None:
        frame = call.scope.function
        call.mode = frame.mode if frame is not None and frame.mode is not None else Mode(False)
    return call_function(el, m.function, call, m.receiver)


def _call_opaque(el: Elaborator, f: v.OpaqueFunction, call: Call) -> Any:
    """A function known by type only: check the arguments, make a value of its result type."""
    from charl.elaborate import instances

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
            raise fail(RECURSION, f"`{f.name}` calls itself without end", call.span, help="use a loop")
        return _labelled(_call_function(el, f, call, receiver), f)
    except CharlError as e:
        raise _seen_from(e, f, call) from None
    finally:
        el.depth -= 1
        el.active.pop()


def _labelled(value: Any, f: v.Function) -> Any:
    """A result named after the layer of the library or the function that made it, for comments and emitted names."""
    if f.name == "closure":
        return value
    if f.owner is None or f.name != "forward":
        return named(value, f.name)
    layer = str(f.owner.name).lower()
    if f.module.is_library and isinstance(value, Node) and value.op != "parameter":
        value.name = layer
    return named(value, layer)


def _seen_from(e: CharlError, f: v.Function, call: Call) -> CharlError:
    """A mistake inside the library is shown at the user's call of it."""
    if f.module is None or not f.module.is_library:
        return e
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


def _call_function(el: Elaborator, f: v.Function, call: Call, receiver: Place | None) -> Any:
    from charl.elaborate import instances, statements

    scope = Scope(f.scope, function=Frame(f, call.mode))
    scope.function.mode = call.mode if f.owner is not None else None
    if f.name == "closure" and f.owner is None and f.scope.function is not None:
        scope.function.mode = f.scope.function.mode
    if f.owner is not None:
        instances.bind_owner(el, scope, f, receiver)
    matcher = signature(el, f, scope)
    pairs = pair(el, f, call)
    bind_parameters(el, f, scope, matcher, pairs, call)
    check_where(el, f, scope, call.span)
    if el.checking and f in el.active[:-1]:
        value = _declared_result(el, matcher, f)
    else:
        value = statements.function_body(el, f.body, Scope(scope))
        if f.result is not None:
            value = fit_result(el, matcher, f, value, call)
    for p, a in pairs:
        if a is not None and is_mut(p):
            assert a.place is not None
            a.place.set(scope.names[parameter_name(p)].value)
    return value


def _declared_result(el: Elaborator, matcher: Matcher, f: v.Function) -> Any:
    """What a function gives inside its own check: anything of its declared type."""
    from charl.elaborate import instances

    if f.result is None:
        raise v.Silenced
    return instances.placeholder(el, matcher.resolve(f.result), lambda path, t: ops.parameter(f.name, t))


def signature(el: Elaborator, f: v.Function, scope: Scope) -> Matcher:
    """A matcher for the parameters of `f` that binds into `scope`."""
    for g in f.generics:
        if g.bound is not None:
            scope.bind(g.name.name + ":", g.bound.name)
    free = {g.name.name for g in f.generics}
    if f.owner is not None:
        free |= {g.name.name for g in f.owner.ast.generics}
    return Matcher(el, scope, frozenset(free))


def parameter_name(p: Any) -> str:
    if isinstance(p, ast.Param):
        return p.name.name
    return p.pattern.name.name if isinstance(p.pattern, ast.NamePattern) else ""


def is_mut(p: Any) -> bool:
    if isinstance(p, ast.Param):
        return p.mut
    return isinstance(p.pattern, ast.NamePattern) and p.pattern.mut


def pair(el: Elaborator, f: v.Function, call: Call) -> list[tuple[Any, Argument | None]]:
    """Parameters with their arguments (None: its default)."""
    named = {a.name: a for a in call.arguments if a.name is not None}
    positional = [a for a in call.arguments if a.name is None]
    names = [parameter_name(p) for p in f.params]
    for name, a in named.items():
        if name not in names:
            raise fail(
                UNKNOWN_ARGUMENT,
                f"`{f.name}` has no parameter `{name}`",
                a.name_span or a.span,
                help=suggest(name or "", names),
            )
    out: list[tuple[Any, Argument | None]] = []
    for p, name in zip(f.params, names, strict=True):
        if name in named:
            argument: Argument | None = named[name]
        elif call.extra and name in call.extra:
            argument = call.extra[name]
        else:
            argument = positional.pop(0) if positional else None
        _check_mark(f, p, argument)
        if argument is None and getattr(p, "default", None) is None:
            raise _missing(f, p, call)
        out.append((p, argument))
    if positional:
        raise fail(
            COUNT,
            f"`{f.name}` takes {len(f.params)} argument{'s' if len(f.params) != 1 else ''}, and this is one more",
            positional[0].span,
            labels=(Label(f.span, "declared here"),) if f.span else (),
        )
    return out


def _missing(f: v.Function, p: Any, call: Call) -> CharlError:
    return fail(
        MISSING,
        f"`{f.name}` needs an argument for `{parameter_name(p)}`",
        call.span,
        labels=(Label(p.span, "this parameter"),),
    )


def _check_mark(f: v.Function, p: Any, a: Argument | None) -> None:
    if a is None:
        return
    if is_mut(p) and a.place is None:
        raise fail(
            MUT_MARK,
            f"`{parameter_name(p)}` of `{f.name}` is changed: the argument needs `mut`",
            a.span,
            labels=(Label(p.span, "declared `mut` here"),),
            help=f"write `mut {a.span.text}`",
        )
    if not is_mut(p) and a.marked:
        raise fail(
            MUT_MARK,
            f"`{parameter_name(p)}` of `{f.name}` is not changed: the argument takes no `mut`",
            a.span,
            labels=(Label(p.span, "declared here"),),
        )


def bind_parameters(
    el: Elaborator, f: v.Function, scope: Scope, matcher: Matcher, pairs: list[tuple[Any, Any]], call: Call
) -> None:
    """Match every argument against its parameter's type and bind the names. Numbers wait for the tensors."""

    def late(item: tuple[Any, Any]) -> bool:
        a = item[1]
        return a is not None and not isinstance(a.value, Node) and v.is_compile_time_number(a.value)

    try:
        for p, a in [*[x for x in pairs if not late(x)], *[x for x in pairs if late(x)]]:
            if a is not None:
                _bind_parameter(el, f, scope, matcher, p, a)
        for p, a in pairs:
            if a is None:
                default = Argument(el.known(p.default, scope), p.default.span)
                _bind_parameter(el, f, scope, matcher, p, default)
        matcher.finish()
    except Mismatch as m:
        where = next(
            (a.span for p, a in pairs if a is not None and p.type is not None and _inside(m.at, p.type)),
            call.span,
        )
        raise fail(
            ARGUMENT,
            f"the arguments of `{f.name}` do not fit each other: {m.reason}",
            where,
            labels=(Label(m.at.span, "declared here"),),
        ) from None


def _inside(inner: Any, outer: Any) -> bool:
    return bool(outer.span.start <= inner.span.start and inner.span.end <= outer.span.end)


def _bind_parameter(
    el: Elaborator, f: v.Function, scope: Scope, matcher: Matcher, p: Any, a: Argument
) -> None:
    from charl.elaborate import statements

    name = parameter_name(p)
    value = a.value
    if p.type is not None:
        value = match_argument(el, matcher, f.name, name, p.type, a, p.span)
    if isinstance(p, ast.ClosureParam) and not isinstance(p.pattern, ast.NamePattern):
        statements.bind_pattern(el, p.pattern, value, scope, None)
    else:
        library = f.module is not None and f.module.is_library
        scope.bind(name, value if library else named(value, name), p.span, mutable=is_mut(p))


def named(value: Any, name: str) -> Any:
    """A name hint for a node that has none yet."""
    if isinstance(value, Node) and value.name is None and not name.startswith("_"):
        value.name = name
    return value


def match_argument(
    el: Elaborator, matcher: Matcher, function: str, name: str, t: Any, a: Argument, declared: Span
) -> Any:
    """The argument converted and matched; the error names parameter, function and both types."""
    try:
        value = fit(el, matcher, t, a.value, a.span)
        matcher.match(t, v.type_of(value))
        return value
    except Mismatch as m:
        shown = v.describe_value(a.value)
        raise fail(
            ARGUMENT,
            f"`{name}` of `{function}` must be {expected(matcher, t)}, and this is {shown}",
            a.span,
            labels=(Label(declared, "declared here"),),
            notes=(m.reason,) if m.reason else (),
            primary=shown,
        ) from None


def fit(el: Elaborator, matcher: Matcher, t: Any, value: Any, span: Span) -> Any:
    """Compile-time numbers become run-time where a declared type asks for it; arrays of scalars become tensors."""
    if isinstance(value, v.ErrorValue):
        raise v.Silenced
    if isinstance(t, ast.TupleType) and isinstance(value, v.Tuple) and len(t.elements) == len(value.items):
        return v.Tuple(
            tuple(fit(el, matcher, e, x, span) for e, x in zip(t.elements, value.items, strict=True))
        )
    if isinstance(t, ast.RunType) and isinstance(value, v.Run):
        return v.Run(tuple(fit(el, matcher, t.element, x, span) for x in value.items), value.length)
    if isinstance(t, ast.NamedType) and t.name.name == "float" and isinstance(value, int):
        return float(value) if not isinstance(value, bool) else value
    dtype = scalar_dtype(matcher, t)
    if dtype is None:
        return value
    if isinstance(value, v.Run) and isinstance(t, ast.TensorType) and t.dims:
        return tensor_of_run(el, value, dtype, span)
    if isinstance(value, (bool, v.Unknown)) or (
        v.is_compile_time_number(value) and not isinstance(value, Node)
    ):
        if isinstance(t, ast.TensorType) and t.dims and any(not isinstance(d, ast.Pack) for d in t.dims):
            return value
        return operators.to_node(value, dtype, span)
    return value


def scalar_dtype(matcher: Matcher, t: Any) -> DType | None:
    """The element type of a tensor type; of an unbound `E`, that of a literal."""
    name = (
        t.element.name
        if isinstance(t, ast.TensorType)
        else t.name.name if isinstance(t, ast.NamedType) else None
    )
    if name is None or (name == "bool" and isinstance(t, ast.NamedType)):
        return None
    if name in matcher.el.dtypes:
        return matcher.el.dtypes[name]
    found = matcher.lookup(name)
    if isinstance(found, DType):
        return found
    if found is None and name in matcher.parameters and matcher.el.bound_of(matcher.scope, name) is not None:
        return dtypes.f32
    return None


def tensor_of_run(el: Elaborator, run: v.Run, dtype: DType, span: Span) -> Any:
    """An array literal of numbers, or of tensors of one shape, as one tensor."""
    if run.symbolic or not run.items:
        return run
    items = [tensor_of_run(el, x, dtype, span) if isinstance(x, v.Run) else x for x in run.items]
    if all(isinstance(x, (int, float)) for x in items):
        nodes = [operators.to_node(x, dtype, span) for x in items]
        return ops.constant(np.array([n.attrs["value"] for n in nodes]).reshape(len(items)), dtype)
    nodes = [operators.to_node(x, dtype, span) if not isinstance(x, Node) else x for x in items]
    if any(n.type != nodes[0].type for n in nodes):
        return run
    return ops.concatenate([ops.reshape(n, (1, *n.shape)) for n in nodes], axis=0)


def check_where(el: Elaborator, f: v.Function, scope: Scope, span: Span) -> None:
    for clause in f.where:
        value = el.condition(clause, scope)
        if value is False:
            raise fail(
                WHERE,
                f"`{f.name}` requires {clause.span.text}",
                span,
                labels=(Label(clause.span, "required here"),),
            )


def fit_result(el: Elaborator, matcher: Matcher, f: v.Function, value: Any, call: Call) -> Any:
    """The result against the declared type."""
    where = result_span(f)
    try:
        if isinstance(f.result, ast.TupleType) and not f.result.elements:
            return None
        value = fit(el, matcher, f.result, value, where)
        matcher.match(f.result, v.type_of(value))
        matcher.finish()
        return value
    except Mismatch as m:
        shown = v.describe_value(value) if value is not None else "nothing"
        raise fail(
            RESULT,
            f"`{f.name}` declares {expected(matcher, f.result)} and gives {shown}",
            where,
            labels=(Label(f.result.span, "declared here"),),
            notes=(m.reason,) if m.reason else (),
            primary=shown,
        ) from None


def result_span(f: v.Function) -> Span:
    """The last expression of a body."""
    body = f.body
    while isinstance(body, ast.Block) and body.value is not None:
        body = body.value
    return body.span  # type: ignore[no-any-return]


def part_place(place: Place, name: str) -> Place:
    """A part of a place."""
    return Part(place, name)


def scalar_type(dtype: DType) -> TensorType:
    return TensorType(dtype, ())
