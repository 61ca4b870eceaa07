"""Blocks, bindings, assignments, branches and `match`.

Enters: statements and a scope. Leaves: the value of the block, names bound in the scope, places written. A statement
that fails is reported, its names get an error value, and the walk goes on behind it. A run-time branch elaborates both
sides from the same state and selects: no operation has an effect or traps, so this is what running one side means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import ops
from charl.dims import Dim
from charl.elaborate import indexing, operators
from charl.elaborate import values as v
from charl.elaborate.calls import MUT_MARK, Frame, Returned, fit, named
from charl.elaborate.operators import Operand
from charl.elaborate.scope import Binding, Place, Scope, Temporary
from charl.elaborate.types import Matcher, Mismatch, expected
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, at_span
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

BRANCHES = code("E0212", "the branches of an `if` differ")
PATTERN = code("E0214", "a pattern does not fit its value")
ANNOTATION = code("E0216", "a value does not fit its annotation")
IMMUTABLE = code("E0307", "an immutable name is assigned")
UNUSED = code("E0311", "the value of a statement is lost")
UNSUPPORTED_RETURN = code("E0219", "`return` stands in a run-time branch")
ASSERTION = code("E0315", "an assertion fails")
NO_MATCH = code("E0316", "no pattern matches")


def function_body(el: Elaborator, body: Any, scope: Scope) -> Any:
    """The value of a body, by its last expression or by `return`."""
    try:
        return el.evaluate(body, scope)
    except Returned as r:
        return r.value


def block(el: Elaborator, e: ast.Block, outer: Scope) -> Any:
    """The value of a block. Statements fail one by one; then the block has no value."""
    scope = Scope(outer)
    failed = False
    for s in e.statements:
        try:
            statement(el, s, scope)
        except CharlError as error:
            if not el.checking or el.depth:
                raise
            el.report(error)
            failed = True
            _bind_errors(s, scope)
        except v.Silenced:
            if not el.checking or el.depth:
                raise
            failed = True
            _bind_errors(s, scope)
    if e.value is None:
        return v.ERROR if failed else None
    return el.evaluate(e.value, scope)


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
            if binding is not None and binding.alias is None:
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
        frame: Frame = scope.function
        value = el.known(s.value, scope)
        frame.yields[-1].append(value)
    elif isinstance(s, ast.Return):
        value = el.known(s.value, scope) if s.value is not None else None
        if scope.function.inside_branch:
            raise fail(
                UNSUPPORTED_RETURN,
                "`return` in a branch on a run-time value is not supported yet",
                s.span,
                help="make the `if` an expression: both sides give a value",
            )
        raise Returned(value, s.span)
    else:
        _assert(el, s, scope)


def _has_effect(e: Any) -> bool:
    if isinstance(e, ast.Call):
        return any(a.mut for a in e.args) or isinstance(e.callee, ast.Member)
    return isinstance(e, (ast.If, ast.For, ast.While, ast.Match, ast.Block))


def _assert(el: Elaborator, s: ast.Assert, scope: Scope) -> None:
    value = el.condition(s.condition, scope)
    if value is False:
        message = el.known(s.message, scope) if s.message is not None else s.condition.span.text
        raise fail(ASSERTION, f"assertion failed: {message}", s.condition.span)


# ---------------------------------------------------------------- let


def let(el: Elaborator, s: ast.Let, scope: Scope) -> None:
    value = el.settle(el.known(s.value, scope))
    if s.type is not None:
        value = annotated(el, s.type, value, s.value.span, scope)
    elif isinstance(s.pattern, ast.NamePattern) and s.pattern.mut:
        value = el.settle(run_time(el, value, s.value.span))
    bind_pattern(el, s.pattern, value, scope, s.value)


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
    """`let mut` of a literal is an i32 or f32; a truth value a `bool[]`."""
    if isinstance(value, (bool, v.Unknown)) or v.is_compile_time_number(value):
        return operators.to_node(value, operators.default_dtype(value), span)
    return value


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
            scope.bind(p.name.name, named(value, p.name.name), p.span, mutable=p.mut)
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
    if isinstance(s.target, (ast.Tuple, ast.Array)) and not s.op:
        value = el.known(s.value, scope)
        if not isinstance(value, (v.Tuple, v.Run)) or len(value.items) != len(s.target.elements):
            raise fail(PATTERN, f"the value does not have {len(s.target.elements)} parts", s.value.span)
        for t, x in zip(s.target.elements, value.items, strict=True):
            store(el, t, x, s.value.span, scope)
        return
    if isinstance(s.target, ast.Index) and _is_tensor(el, s.target.value, scope):
        indexing.write(el, s, scope)
        return
    right = el.operand(s.value, scope)
    value = right.value
    if s.op:
        left = Operand(el.known(s.target, scope), s.target.span)
        with at_span(s.span):
            value = operators.binary(el, s.op, left, right, s.span)
    store(el, s.target, value, s.value.span, scope)


def _is_tensor(el: Elaborator, e: Any, scope: Scope) -> bool:
    return isinstance(el.place(e, scope).get(), Node)


def store(el: Elaborator, target: Any, value: Any, span: Span, scope: Scope) -> None:
    """Write a place; the type of a mutable place stays."""
    place = el.place(target, scope)
    require_mutable(place, target)
    old = place.get()
    if isinstance(old, v.ErrorValue):
        raise v.Silenced
    place.set(el.settle(same_type(old, value, target, span)))


def require_mutable(place: Place, target: Any) -> None:
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
        help=f"declare it `mut {root.name}`",
    )


def same_type(old: Any, value: Any, target: Any, span: Span) -> Any:
    """The value converted to the type that a place has."""
    if isinstance(old, Node) and not isinstance(value, Node):
        if isinstance(value, (bool, v.Unknown)) or v.is_compile_time_number(value):
            if old.rank == 0:
                return named(operators.to_node(value, old.dtype, span), old.name or "_")
    if isinstance(value, v.ErrorValue):
        raise v.Silenced
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
    return value


# ---------------------------------------------------------------- if


def if_expression(el: Elaborator, e: ast.If, scope: Scope) -> Any:
    condition = el.condition(e.condition, scope)
    if isinstance(condition, bool):
        if condition:
            return el.evaluate(e.then, scope)
        return el.evaluate(e.otherwise, scope) if e.otherwise is not None else None
    if isinstance(condition, v.Unknown):
        if el.checking:
            return _check_both(el, e, condition, scope)
        from charl.dtypes import boolean

        condition = condition.build(boolean)
    return _select(el, e, condition, scope)


def _sides(
    el: Elaborator, e: ast.If, scope: Scope, lenient: bool, condition: Any
) -> tuple[Any, Any, Any, Any]:
    """Values of both sides, and what each wrote."""
    frame = scope.function
    if frame is not None and not lenient:
        frame.inside_branch += 1
    try:
        with el.journal.frame() as first:
            if lenient:
                el.assumed.add(condition)
            then = _side(el, e.then, scope, lenient)
        after_then = {b: b.value for b in first}
        for b, old in first.items():
            b.value = old
        el.assumed.discard(condition)
        with el.journal.frame() as second:
            other = _side(el, e.otherwise, scope, lenient) if e.otherwise is not None else None
        after_other = {b: b.value for b in second}
        for b, old in second.items():
            b.value = old
    finally:
        el.assumed.discard(condition)
        if frame is not None and not lenient:
            frame.inside_branch -= 1
    return then, other, after_then, after_other


def _side(el: Elaborator, e: Any, scope: Scope, lenient: bool) -> Any:
    if not lenient:
        return el.evaluate(e, scope)
    try:
        return el.evaluate(e, scope)
    except CharlError as error:
        el.report(error)
    except v.Silenced:
        pass
    except Returned as r:
        return _Early(r.value)
    return v.ERROR


class _Early:
    """A side that returned."""

    def __init__(self, value: Any) -> None:
        self.value = value


def _check_both(el: Elaborator, e: ast.If, condition: Any, scope: Scope) -> Any:
    """A compile-time condition not known in the check for all instances: both sides must be right."""
    then, other, after_then, after_other = _sides(el, e, scope, True, condition)
    for b in {**after_then, **after_other}:
        x, y = after_then.get(b, b.value), after_other.get(b, b.value)
        el.journal.note(b)
        b.value = x if _alike(x, y) else v.ERROR
    if isinstance(then, _Early) and isinstance(other, _Early):
        raise Returned(then.value, e.span)
    if isinstance(then, _Early):
        return other
    if isinstance(other, _Early):
        return then
    return then if _alike(then, other) else v.ERROR


def _alike(x: Any, y: Any) -> bool:
    try:
        return bool(v.type_of(x) == v.type_of(y))
    except v.Silenced:
        return False


def _select(el: Elaborator, e: ast.If, condition: Node, scope: Scope) -> Any:
    """A run-time branch."""
    then, other, after_then, after_other = _sides(el, e, scope, False, None)
    order = list(dict.fromkeys([*after_then, *after_other]))
    for b in order:
        merged = merge(el, condition, after_then.get(b, b.value), after_other.get(b, b.value), e)
        el.journal.note(b)
        b.value = merged
    if e.otherwise is None:
        return None
    return merge(el, condition, then, other, e)


def merge(el: Elaborator, condition: Node, x: Any, y: Any, e: ast.If) -> Any:
    """`x` where the condition holds, else `y`, leaf by leaf."""
    if x is y or (
        not isinstance(x, Node) and not isinstance(y, Node) and not v.children(x) and el.same(x, y)
    ):
        return x
    x, y = _one_stage(x, y, e)
    if v.type_of(x) != v.type_of(y):
        raise fail(
            BRANCHES,
            f"the branches differ: {v.describe_value(x)} and {v.describe_value(y)}",
            e.span,
            labels=(
                Label(_end(e.then).span, v.describe_value(x)),
                Label(_end(e.otherwise or e.then).span, v.describe_value(y)),
            ),
        )
    others = dict(v.leaves(y))

    def choose(path: str, node: Node) -> Node:
        other = others[path]
        return (
            node if node is other else ops.select(operators.broadcast_to(condition, node.shape), node, other)
        )

    return v.rebuild(x, choose)


def _one_stage(x: Any, y: Any, e: Any) -> tuple[Any, Any]:
    if isinstance(x, Node) and not isinstance(y, Node) and not v.children(y) and y is not None:
        return x, operators.to_node(y, x.dtype, e.span)
    if isinstance(y, Node) and not isinstance(x, Node) and not v.children(x) and x is not None:
        return operators.to_node(x, y.dtype, e.span), y
    number = (int, float, Dim, v.Unknown)
    if isinstance(x, number) and isinstance(y, number):
        floats = isinstance(x, float) or isinstance(y, float)
        dtype = operators.default_dtype(0.5 if floats else x)
        return operators.to_node(x, dtype, e.span), operators.to_node(y, dtype, e.span)
    return x, y


def _end(e: Any) -> Any:
    while isinstance(e, ast.Block) and e.value is not None:
        e = e.value
    return e


# ---------------------------------------------------------------- match


def match_expression(el: Elaborator, e: ast.Match, scope: Scope) -> Any:
    """`match` on a compile-time value."""
    subject = el.known(e.subject, scope)
    if isinstance(subject, (Node, v.Unknown, Dim)):
        if not isinstance(subject, Node) and el.checking:
            for arm in e.arms:
                _side(el, arm.body, scope, True)
            return v.ERROR
        return _run_time_match(el, e, subject, scope)
    for arm in e.arms:
        if not arm.patterns or any(_matches(el, p, subject, scope) for p in arm.patterns):
            return el.evaluate(arm.body, scope)
    raise fail(NO_MATCH, f"no pattern matches {subject}", e.subject.span, help="add `_ => …`")


def _matches(el: Elaborator, p: Any, subject: Any, scope: Scope) -> bool:
    if isinstance(p, ast.Range):
        return bool(el.known(p.start, scope) <= subject < el.known(p.stop, scope))
    return el.same(el.known(p, scope), subject)


def _run_time_match(el: Elaborator, e: ast.Match, subject: Any, scope: Scope) -> Any:
    """`match` on a run-time integer: a chain of `if`."""
    arms = list(e.arms)
    if not arms or arms[-1].patterns:
        raise fail(NO_MATCH, "a `match` on a run-time value needs `_ => …`", e.span)
    chain: Any = _as_block(arms[-1].body)
    for arm in reversed(arms[:-1]):
        test: Any = None
        for p in arm.patterns:
            one = _test(e.subject, p)
            test = one if test is None else ast.Binary(p.span, "or", test, one, p.span)
        chain = ast.If(arm.span, test, _as_block(arm.body), chain)
    return el.evaluate(chain, scope)


def _test(subject: Any, p: Any) -> Any:
    if isinstance(p, ast.Range):
        low = ast.Binary(p.span, ">=", subject, p.start, p.span)
        return ast.Binary(p.span, "and", low, ast.Binary(p.span, "<", subject, p.stop, p.span), p.span)
    return ast.Binary(p.span, "==", subject, p, p.span)


def _as_block(e: Any) -> Any:
    return e if isinstance(e, (ast.Block, ast.If)) else ast.Block(e.span, (), e)


def for_expression(el: Elaborator, e: ast.For, scope: Scope) -> Any:
    from charl.elaborate import loops

    return loops.for_expression(el, e, scope)


def while_expression(el: Elaborator, e: ast.While, scope: Scope) -> Any:
    from charl.elaborate import loops

    return loops.while_expression(el, e, scope)


__all__ = ["MUT_MARK", "block", "function_body", "statement"]
