"""Blocks, bindings, assignments, branches and `match`.

Enters: statements and a scope. Leaves: the value of the block, names bound in the scope, places written. A statement
that fails is reported, its names get an error value, and the walk goes on behind it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl.elaborate import indexing, operators
from charl.elaborate import values as v
from charl.elaborate.mismatches import Mismatch, expected
from charl.elaborate.numbers import literal
from charl.elaborate.operators import Operand
from charl.elaborate.parameters import LibraryName, common_dtype, fit, named, tensor_of_run
from charl.elaborate.scope import Binding, Place, Scope, Temporary
from charl.elaborate.types import Matcher
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, at_span
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

PATTERN = code("E0214", "a pattern does not fit its value")
ANNOTATION = code("E0216", "a value does not fit its annotation")
IMMUTABLE = code("E0307", "an immutable name is assigned")
UNUSED = code("E0311", "the value of a statement is lost")
OF_EACH = code("E0294", "a loop or a `vmap` would give functions")
ASSERTION = code("E0315", "an assertion fails")


def attempted(el: Elaborator, s: Any, scope: Scope) -> bool:
    """A statement; whether it failed. In a body's own check a failure is reported and the walk goes on."""
    try:
        statement(el, s, scope)
    except (CharlError, v.Silenced) as error:
        if not el.checking or el.depth:
            raise
        if isinstance(error, CharlError):
            el.report(error)
        _bind_errors(s, scope)
        return True
    return False


def _bind_errors(s: Any, scope: Scope) -> None:
    if isinstance(s, ast.Let):
        for p in ast.walk(s.pattern):
            if isinstance(p, ast.NamePattern):
                scope.bind(p.name.name, v.ERROR, p.span, mutable=True)
    elif isinstance(s, ast.Assign):
        root = s.target
        while isinstance(root, (ast.Member, ast.Index)):
            root = root.value
        if isinstance(root, ast.Name):
            binding = scope.find(root.name)
            if binding is not None and binding.alias is None and binding.mutable:
                binding.value = v.ERROR


def statement(el: Elaborator, s: Any, scope: Scope) -> None:
    """One statement that is not the last of its block."""
    if isinstance(s, ast.Let):
        let(el, s, scope)
    elif isinstance(s, ast.Assign):
        assign(el, s, scope)
    elif isinstance(s, ast.ExprStatement):
        value = el.evaluate(s.value, scope)
        if value is not None and not isinstance(value, v.ErrorValue) and not _has_effect(s.value):
            raise fail(
                UNUSED,
                f"this gives {v.describe_value(value)}, and nothing uses it",
                s.value.span,
                help="bind it with `let`, or join it with the line it belongs to",
            )
    elif isinstance(s, ast.Yield):
        yielded = scope.function.yields[-1]
        value = el.known(s.value, scope)
        el.journal.note(yielded)
        yielded.value = value
    elif isinstance(s, ast.Return):
        from charl.elaborate import returns

        returns.leave(el, s, scope)
    else:
        _assert(el, s, scope)


def _has_effect(e: Any) -> bool:
    if isinstance(e, ast.Call):
        return any(a.mut for a in e.args) or isinstance(e.callee, ast.Member)
    return isinstance(e, (ast.If, ast.For, ast.While, ast.Match, ast.Block))


def _assert(el: Elaborator, s: ast.Assert, scope: Scope) -> None:
    from charl.elaborate import testing

    if scope.function is not None and scope.function.testing:
        testing.asserted(el, s, scope)
        return
    value = el.condition(s.condition, scope)
    if isinstance(value, Node):
        raise fail(
            testing.OUTSIDE,
            "this is known when the program runs, and only a `test` asserts then",
            s.condition.span,
            help="give it back as a result, or assert it in a `test`; sizes belong into a `where` clause",
        )
    if value is False:
        message = el.known(s.message, scope) if s.message is not None else s.condition.span.text
        raise fail(ASSERTION, f"assertion failed: {message}", s.condition.span)


# ---------------------------------------------------------------- let


def let(el: Elaborator, s: ast.Let, scope: Scope) -> None:
    """`let pattern = value`."""
    value = el.settle(el.known(s.value, scope))
    if s.type is not None:
        value = annotated(el, s.type, value, s.value.span, scope)
    else:
        value = el.settle(_mutable(el, s.pattern, value, s.value.span))
    bind_pattern(el, s.pattern, value, scope, s.value)


def _mutable(el: Elaborator, p: Any, value: Any, span: Span) -> Any:
    """The value with those parts as run-time values that a pattern binds with `mut`."""
    if isinstance(p, ast.NamePattern):
        return run_time(el, value, span) if p.mut else value
    if not isinstance(value, (v.Tuple, v.Run)) or len(value.items) != len(p.elements):
        return value
    items = tuple(_mutable(el, q, x, span) for q, x in zip(p.elements, value.items, strict=True))
    return v.Tuple(items) if isinstance(value, v.Tuple) else v.Run(items, value.length)


def annotated(el: Elaborator, t: Any, value: Any, span: Span, scope: Scope) -> Any:
    """A value converted to and checked against an annotation."""
    matcher = Matcher(el, scope)
    try:
        value = fit(el, matcher, t, value, span)
        if isinstance(value, Node) and isinstance(t, (ast.TensorType, ast.NamedType)):
            matcher.resolve(t)
        matcher.match(t, v.type_of(value))
        return value
    except Mismatch as m:
        shown = v.describe_value(value)
        raise fail(
            ANNOTATION,
            f"the annotation says {expected(matcher, t)}, and the value is {shown}",
            span,
            labels=(Label(t.span, "annotated here"),),
            notes=(m.reason,) if m.reason else (),
        ) from None


def run_time(el: Elaborator, value: Any, span: Span) -> Any:
    """`let mut` of a literal is an i32 or f32, of an array of them a tensor; a truth value is a `bool[]`."""
    if isinstance(value, v.Tuple):
        return v.Tuple(tuple(run_time(el, x, span) for x in value.items))
    if v.is_table(value):
        return tensor_of_run(value, common_dtype(value), span)
    if isinstance(value, (bool, v.Unknown)) or v.is_compile_time_number(value):
        return literal(operators.to_node(value, operators.default_dtype(value), span), span)
    return value


def of_each(el: Elaborator, value: Any, span: Span) -> Any:
    """What each turn of a loop or each lane gives, as run-time values: what a function captures ends with it."""
    found = [value]
    while found:
        x = found.pop()
        if isinstance(x, v.FUNCTIONS):
            raise fail(
                OF_EACH,
                f"each element would be {v.describe_value(x)}, and functions do not stack",
                span,
                help="call it inside, and give what it gives",
            )
        found += [] if isinstance(x, v.Instance) else [part for _, part in v.children(x)]
    return run_time(el, value, span)


def bind_pattern(
    el: Elaborator, p: Any, value: Any, scope: Scope, e: Any, place: Place | None = None
) -> None:
    """Bind the names of a pattern; over a mutable place they stand for its parts."""
    if isinstance(p, ast.NamePattern):
        if p.name.name == "_":
            return
        if place is not None and place.mutable:
            scope.bind(p.name.name, None, p.span, alias=place)
        else:
            inside = bool(el.active) and el.active[-1].module is not None and el.active[-1].module.is_library
            given = value if inside else named(value, p.name.name, over=LibraryName)
            scope.bind(p.name.name, given, p.span, mutable=p.mut)
        return
    value = value if not isinstance(value, Node) else indexing.rows(el, value, p.span)
    if not isinstance(value, (v.Tuple, v.Run)) or len(value.items) != len(p.elements):
        raise fail(
            PATTERN,
            f"the pattern has {len(p.elements)} parts, and the value is {v.describe_value(value)}",
            p.span,
            labels=(Label(e.span, v.describe_value(value)),) if e is not None else (),
        )
    from charl.elaborate.scope import Part

    for i, (q, x) in enumerate(zip(p.elements, value.items, strict=True)):
        if isinstance(place, Places):
            below: Place | None = place.parts[i]
        else:
            below = Part(place, str(i)) if place is not None else None
        bind_pattern(el, q, x, scope, e, below)


class Places:
    """Several places side by side (`zip` of places), taken apart by a pattern."""

    mutable = False
    root = None

    def __init__(self, parts: list[Any]) -> None:
        self.parts = parts

    def get(self) -> Any:
        return v.Tuple(tuple(p.get() for p in self.parts))

    def set(self, value: Any) -> None:
        raise AssertionError("places side by side are written one by one")


# ---------------------------------------------------------------- assignment


def assign(el: Elaborator, s: ast.Assign, scope: Scope) -> None:
    """`place = value`, `place op= value`, `(a, b) = value`."""
    if isinstance(s.target, (ast.Tuple, ast.Array)) and not s.op:
        value = el.known(s.value, scope)
        if not isinstance(value, (v.Tuple, v.Run)) or len(value.items) != len(s.target.elements):
            raise fail(PATTERN, f"the value does not have {len(s.target.elements)} parts", s.value.span)
        for t, x in zip(s.target.elements, value.items, strict=True):
            store(el, t, x, s.value.span, scope)
        return
    if isinstance(s.target, ast.Index) and _is_tensor(el, s.target.value, scope):
        from charl.elaborate import writing

        writing.write(el, s, scope)
        return
    right = el.operand(s.value, scope)
    value = right.value
    if s.op:
        left = Operand(el.known(s.target, scope), s.target.span)
        with at_span(s.span):
            value = operators.binary(el, s.op, left, right, s.span)
    store(el, s.target, value, s.value.span, scope)


def _is_tensor(el: Elaborator, e: Any, scope: Scope) -> bool:
    from charl.elaborate import stacks

    value = el.place(e, scope).get()
    return isinstance(value, Node) or stacks.is_stack(value)


def store(el: Elaborator, target: Any, value: Any, span: Span, scope: Scope) -> None:
    """Write a place; the type of a mutable place stays."""
    place = el.place(target, scope)
    require_mutable(place, target)
    old = place.get()
    if isinstance(old, v.ErrorValue):
        raise v.Silenced
    place.set(el.settle(same_type(el, old, value, target, span)))


def require_mutable(place: Place, target: Any) -> None:
    """Refuses a place that cannot be written."""
    if place.mutable:
        return
    root: Binding | None = place.root
    if root is None or isinstance(place, Temporary):
        raise fail(IMMUTABLE, "this is not a place that can be written", target.span)
    labels = (Label(root.span, "declared here"),) if root.span is not None else ()
    raise fail(
        IMMUTABLE,
        f"`{root.name}` is not mutable",
        target.span,
        labels=labels,
        help=f"declare it mutable: `let mut {root.name} = …`, or `mut {root.name}` as a parameter",
    )


def same_type(el: Elaborator, old: Any, value: Any, target: Any, span: Span) -> Any:
    """The value converted to the type that a place has."""
    if isinstance(value, v.ErrorValue):
        raise v.Silenced
    number = isinstance(value, (bool, v.Unknown)) or v.is_compile_time_number(value)
    if number and isinstance(old, Node) and old.rank == 0:
        return named(operators.to_node(value, old.dtype, span), old.name or "_")
    if v.is_table(value) and isinstance(old, Node) and old.rank:
        value = tensor_of_run(value, old.dtype, span)
    if v.type_of(old) != v.type_of(value):
        raise fail(
            ANNOTATION,
            f"`{target.span.text}` is {v.describe_value(old)}, and the value is {v.describe_value(value)}",
            span,
            labels=(Label(target.span, v.describe_value(old)),),
            help="the type of a place does not change",
        )
    if isinstance(value, Node) and value.name is None and isinstance(old, Node):
        value.name = old.name
        el.reuse.after[value] = old
    return value
