"""Arguments to parameters: pairing, conversion, dimensions and generics bound, results checked.

Enters: a function, a call with evaluated arguments, and the scope of the function's signature. Leaves: names bound in that
scope. Compile-time numbers become run-time where a declared type asks for it; nothing else converts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import dtypes, ops
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.elaborate.early import Early
from charl.elaborate.mismatches import Mismatch, expected
from charl.elaborate.names import suggest_parameter
from charl.elaborate.scope import Binding, Mode, Place, Scope
from charl.elaborate.types import Matcher
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node
from charl.source import Span
from charl.syntax import ast, declarations

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

from charl.elaborate import operators
from charl.elaborate.numbers import REAL, literal
from charl.elaborate.operators import Operand

ARGUMENT = code("E0203", "an argument does not fit its parameter")


RESULT = code("E0204", "a result does not fit its declared type")


COUNT = code("E0303", "too many arguments")


TWICE = code("E0318", "an argument is given twice")


UNKNOWN_ARGUMENT = code("E0304", "no parameter of that name")


MISSING = code("E0305", "a parameter has no argument")


MUT_MARK = code("E0308", "`mut` does not stand where it must, or stands where it must not")


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
    yields: list[Binding] = field(default_factory=list)  # what the loops under way yield, the innermost last
    early: Early = field(default_factory=Early)
    testing: bool = False  # the body of a test
    running: bool = False  # its body is being elaborated, not its signature


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
    """The name of a parameter of a function or closure; empty for a pattern of several."""
    if isinstance(p, declarations.Param):
        return p.name.name
    return p.pattern.name.name if isinstance(p.pattern, ast.NamePattern) else ""


def is_mut(p: Any) -> bool:
    """Whether a parameter is in-out."""
    if isinstance(p, declarations.Param):
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
                help=suggest_parameter(name or "", names),
            )
    out: list[tuple[Any, Argument | None]] = []
    count = 0 if call.extra else len(positional)
    for i, (p, name) in enumerate(zip(f.params, names, strict=True)):
        if name in named:
            if i < count:
                raise _twice(name, named[name], positional[0])
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


def _twice(name: str, a: Argument, first: Argument) -> CharlError:
    return fail(
        TWICE,
        f"`{name}` is given twice: by its place, and by its name",
        a.name_span or a.span,
        labels=(Label(first.span, "given by its place"),),
    )


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


class LibraryName(str):
    """A name that the library gave to a value: a `let` of the user's replaces it."""

    __slots__ = ()


def named(value: Any, name: str, over: type[str] | None = None) -> Any:
    """A name hint for a node that has none yet, or one of the kind `over`."""
    if not isinstance(value, Node) or name.startswith("_"):
        return value
    if value.name is None or (over is not None and isinstance(value.name, over)):
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
        return tensor_of_run(value, dtype, span)
    if isinstance(value, (bool, v.Unknown)) or (
        v.is_compile_time_number(value) and not isinstance(value, Node)
    ):
        if isinstance(t, ast.TensorType) and t.dims and any(not isinstance(d, ast.Pack) for d in t.dims):
            return value
        return literal(operators.to_node(value, dtype, span), span)
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
        return REAL.get()
    return None


def tensor_of_run(run: v.Run, dtype: DType, span: Span) -> Any:
    """An array literal of numbers, or of tensors of one shape, as one tensor."""
    if run.symbolic or not run.items:
        return run
    items = [tensor_of_run(x, dtype, span) if isinstance(x, v.Run) else x for x in run.items]
    if all(isinstance(x, (int, float)) for x in items):
        nodes = [operators.to_node(x, dtype, span) for x in items]
        table = np.array([n.attrs["value"] for n in nodes]).reshape(len(items))
        return literal(ops.constant(table, dtype), span)
    nodes = [operators.to_node(x, dtype, span) if not isinstance(x, Node) else x for x in items]
    if any(n.type != nodes[0].type for n in nodes):
        return run
    return ops.concatenate([ops.reshape(n, (1, *n.shape)) for n in nodes], axis=0)


def common_dtype(run: v.Run) -> DType:
    """The element type of an array literal, nested or not: that of its tensors, else of its numbers."""
    items = list(run.items)
    for x in items:  # grows while it is gone through
        if isinstance(x, v.Run):
            items += x.items
    for x in items:
        if isinstance(x, Node):
            return x.dtype
    if any(isinstance(x, bool) for x in items):
        return dtypes.boolean
    return REAL.get() if any(isinstance(x, float) for x in items) else dtypes.i32


def fit_result(
    el: Elaborator, matcher: Matcher, f: v.Function, value: Any, call: Call, where: Span | None = None
) -> Any:
    """The result, which stands at `where` (else at the end of the body), against the declared type."""
    where = where or result_span(f)
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
