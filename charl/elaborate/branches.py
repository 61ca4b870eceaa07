"""`if` and `match`.

Enters: a branch and its scope. Leaves: its value, places written. A compile-time condition prunes; one that is symbolic in the
check for all instances has both sides checked; a run-time one elaborates both sides from the same state and selects: no
operation has an effect or traps, so this is what running one side means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.dims import KNOWN, Dim
from charl.elaborate import values as v
from charl.elaborate.early import NEVER, Never, Returned
from charl.elaborate.scope import Binding, Scope
from charl.elaborate.statements import PATTERN
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, at_span, now
from charl.ops.regions import Side, chosen
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.parameters import Call

from charl.elaborate import facts, operators, returns
from charl.elaborate.numbers import compare_sizes

BRANCHES = code("E0212", "the branches of an `if` differ")


COMPILE_TIME = code("E0292", "a run-time condition chooses between values known while compiling")
NO_MATCH = code("E0316", "no pattern matches")


def if_expression(el: Elaborator, e: ast.If, scope: Scope) -> Any:
    """The value of an `if`."""
    returns.hand_on(e, (e.then, e.otherwise), scope)
    condition = el.condition(e.condition, scope)
    if isinstance(condition, bool):
        if condition:
            return el.evaluate(e.then, scope)
        return el.evaluate(e.otherwise, scope) if e.otherwise is not None else None
    if isinstance(condition, v.Unknown):
        el.reuse.bind()
        if el.checking:
            return check_both(el, e, condition, scope)
        from charl.dtypes import boolean

        condition = condition.build(boolean)
    sides = [partial(_value, el, side, scope) for side in (e.then, e.otherwise)]
    return choose(el, e, condition, (sides[0], sides[1]), scope, returns.is_last(e, scope))


def _value(el: Elaborator, side: Any, scope: Scope) -> Any:
    return None if side is None else el.evaluate(side, scope)


@dataclass
class _Taken:
    """One side: its value, what it wrote, and when its nodes were made."""

    value: Any
    after: dict[Binding, Any]
    start: int
    stop: int


def _sides(el: Elaborator, sides: Sequence[Callable[[], Any]]) -> tuple[_Taken, _Taken]:
    """Both sides from the same state. Leaves the state as it was."""
    out: list[_Taken] = []
    for side in sides:
        start, known = now(), KNOWN.get()
        with el.journal.frame() as before:
            value = side()
        KNOWN.set(known)
        out.append(_Taken(value, {b: b.value for b in before}, start, now()))
        for b, old in before.items():
            b.value = old
    return out[0], out[1]


def _lenient(el: Elaborator, e: Any, scope: Scope) -> Any:
    """A side whose failures are told and forgotten."""
    if e is None:
        return None
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


def check_both(el: Elaborator, e: ast.If, condition: Any, scope: Scope) -> Any:
    """A compile-time condition not known in the check for all instances: both sides must be right."""

    el.worlds.split(condition)

    def assuming(truth: bool, side: Any) -> Any:
        with facts.assumed(el, condition, truth):
            return _lenient(el, side, scope)

    first, second = _sides(el, (lambda: assuming(True, e.then), lambda: assuming(False, e.otherwise)))
    then, other = first.value, second.value
    own = scope.function.early.variables if scope.function is not None else ()
    for b in {**first.after, **second.after}:
        x, y = first.after.get(b, b.value), second.after.get(b, b.value)
        el.journal.note(b)
        if b in own:  # either side may be the one: where it may return, it may
            b.value = y if y is not b.value else x
        else:
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


def choose(
    el: Elaborator,
    e: Any,
    condition: Node,
    sides: tuple[Callable[[], Any], Callable[[], Any]],
    scope: Scope,
    last: bool,
) -> Any:
    """A run-time branch between what two functions elaborate: one side runs.

    `last`: its value is that of the function, so that a side which returns just gives its value.
    """
    early: Any = scope.function.early if scope.function is not None else None

    def taken(side: Callable[[], Any]) -> Any:
        try:
            return side()
        except Returned as r:
            if last:
                return r.value
            returns.left_with(el, early, r.value)
            return NEVER

    first, second = _sides(el, [partial(taken, side) for side in sides])
    places = list(dict.fromkeys([*first.after, *second.after]))
    values = [(first.after.get(b, b.value), second.after.get(b, b.value)) for b in places]
    pairs = [_alike_or_fail(el, x, y, e, early) for x, y in (*values, (first.value, second.value))]
    pairs = [_both(x, y, first.start) for x, y in pairs]
    leaves = [(x, y) for a, b in pairs for x, y in _differing(a, b)]
    found: dict[tuple[Node, Node], Node] = {}
    with at_span(e.span):
        if leaves:
            leaves = list(dict.fromkeys(leaves))
            then, otherwise = zip(*leaves, strict=True)
            results = chosen(
                condition,
                Side(then, first.start, first.stop),
                Side(otherwise, second.start, second.stop),
            )
            found = dict(zip(leaves, results, strict=True))
        merged = [_merged(condition, a, b, found) for a, b in pairs]
    for b, value in zip(places, merged[:-1], strict=True):
        el.journal.note(b)
        b.value = value
    if early is not None and early.done in places:
        if early.done.value is True:
            raise Returned(early.value.value, e.span)
        if early.pending:
            returns.arose(el, early)
    return merged[-1]


def call_chosen(el: Elaborator, f: v.Chosen, call: Call) -> Any:
    """A call of the function that a run-time condition chooses: one of both runs."""
    from charl.elaborate.calls import apply

    here = ast.Block(call.span, (), None)  # messages point at the call
    e = ast.If(call.span, here, here, here)
    sides = (partial(apply, el, f.then, call), partial(apply, el, f.otherwise, call))
    return choose(el, e, f.condition, sides, call.scope, False)


def _alike_or_fail(el: Elaborator, x: Any, y: Any, e: Any, early: Any) -> tuple[Any, Any]:
    """Both values in the form that they can be chosen from; the same object where there is nothing to choose."""
    if x is y or (
        not isinstance(x, Node) and not isinstance(y, Node) and not v.children(x) and el.same(x, y)
    ):
        return x, x
    if any(isinstance(z, (Never, v.ErrorValue)) for z in (x, y)) or (
        isinstance(x, bool) and isinstance(y, bool)
    ):
        return x, y
    x, y = _one_stage(x, y, e)
    if v.type_of(x) != v.type_of(y):
        if early is not None and early.left:
            raise returns.differ(early, y, end_of(e).span)
        raise fail(
            BRANCHES,
            f"the branches differ: {v.describe_value(x)} and {v.describe_value(y)}",
            e.span,
            labels=(
                Label(end_of(e.then).span, v.describe_value(x)),
                Label(end_of(e.otherwise or e.then).span, v.describe_value(y)),
            ),
        )
    _refuse_compile_time(el, x, y, e)
    return x, y


def _refuse_compile_time(el: Elaborator, x: Any, y: Any, e: Any) -> None:
    """A run-time condition cannot choose between texts and whatever else leaves no trace; functions are chosen where they are
    called."""
    if x is y or isinstance(x, Node) or _functions(x, y):
        return
    parts, others = v.children(x), v.children(y)
    if not parts and not others and not el.same(x, y):
        raise fail(
            COMPILE_TIME,
            f"a condition known when the program runs would choose between {v.describe_value(x)} and {v.describe_value(y)}",
            end_of(e).span if isinstance(e, ast.Block) else e.span,
            help="texts and the like leave no trace in the program that runs: choose between run-time values",
        )
    for (_, a), (_, b) in zip(parts, others, strict=False):
        _refuse_compile_time(el, a, b, e)


def _both(x: Any, y: Any, start: int) -> tuple[Any, Any]:
    """Where one side has no value, for it has returned: that of the other, zeros in place of what is computed there."""
    if isinstance(x, v.ErrorValue) or isinstance(y, v.ErrorValue):
        return v.ERROR, v.ERROR

    def zeros(_: str, n: Node) -> Node:
        return n if n.born < start or n.op == "constant" else ops.zeros(n.type)

    if isinstance(x, Never):
        return (y, y) if y is x else (v.rebuild(y, zeros), y)
    return (x, v.rebuild(x, zeros)) if isinstance(y, Never) else (x, y)


def _differing(x: Any, y: Any) -> list[tuple[Node, Node]]:
    if x is y:
        return []
    others = dict(v.leaves(y))
    return [(node, others[path]) for path, node in v.leaves(x) if node is not others[path]]


def _merged(condition: Node, x: Any, y: Any, found: Mapping[tuple[Node, Node], Node]) -> Any:
    if x is y:
        return x
    if isinstance(x, bool):
        return condition if x else ops.not_(condition)
    if _functions(x, y):
        return v.Chosen(condition, x, y)
    if isinstance(x, v.Tuple):
        return v.Tuple(tuple(_merged(condition, a, b, found) for a, b in zip(x.items, y.items, strict=True)))
    others = dict(v.leaves(y))
    return v.rebuild(x, lambda path, node: found.get((node, others[path]), node))


def _functions(x: Any, y: Any) -> bool:
    return isinstance(x, v.FUNCTIONS) and isinstance(y, v.FUNCTIONS)


def _one_stage(x: Any, y: Any, e: Any) -> tuple[Any, Any]:
    """Numbers in the type of what stands in their place on the other side; two numbers as run-time scalars."""
    number = (int, float, Dim, v.Unknown)
    if isinstance(x, v.Tuple) and isinstance(y, v.Tuple) and len(x.items) == len(y.items):
        items = [_one_stage(a, b, e) for a, b in zip(x.items, y.items, strict=True)]
        return v.Tuple(tuple(a for a, _ in items)), v.Tuple(tuple(b for _, b in items))
    if isinstance(x, Node) and isinstance(y, number):
        return x, operators.to_node(y, x.dtype, e.span)
    if isinstance(y, Node) and isinstance(x, number):
        return operators.to_node(x, y.dtype, e.span), y
    if isinstance(x, number) and isinstance(y, number):
        floats = isinstance(x, float) or isinstance(y, float)
        dtype = operators.default_dtype(0.5 if floats else x)
        return operators.to_node(x, dtype, e.span), operators.to_node(y, dtype, e.span)
    return x, y


def end_of(e: Any) -> Any:
    """The expression that gives the value of a block."""
    while isinstance(e, ast.Block) and e.value is not None:
        e = e.value
    return e


def match_expression(el: Elaborator, e: ast.Match, scope: Scope) -> Any:
    """`match` on a compile-time value."""
    returns.hand_on(e, [arm.body for arm in e.arms], scope)
    subject = el.known(e.subject, scope)
    if isinstance(subject, (Node, v.Unknown, Dim)):
        el.reuse.bind()
        if not isinstance(subject, Node) and el.checking:
            return _symbolic_match(el, e, subject, scope)
        return _run_time_match(el, e, subject, scope)
    for arm in e.arms:
        if not arm.patterns or any(_matches(el, p, subject, scope) for p in arm.patterns):
            return el.evaluate(arm.body, scope)
    raise fail(NO_MATCH, f"no pattern matches {subject}", e.subject.span, help="add `_ => …`")


def _symbolic_match(el: Elaborator, e: ast.Match, subject: Any, scope: Scope) -> Any:
    """`match` on a number that is symbolic in the check for all instances: every arm that some instance takes is checked."""
    for arm in e.arms:
        for p in arm.patterns:
            if isinstance(subject, Dim) and not isinstance(p, ast.Range):
                value = el.known(p, scope)
                same = compare_sizes("==", subject, value) if isinstance(value, (int, Dim)) else False
                if same is True:
                    return el.evaluate(arm.body, scope)
                el.worlds.split(same)
                if same is False:
                    continue
            _lenient(el, arm.body, scope)
        if not arm.patterns:
            value = _lenient(el, arm.body, scope)
            return value.value if isinstance(value, _Early) else value if len(e.arms) == 1 else v.ERROR
    return v.ERROR


def _matches(el: Elaborator, p: Any, subject: Any, scope: Scope) -> bool:
    if isinstance(p, ast.Range):
        low, high = el.known(p.start, scope), el.known(p.stop, scope)
        if not all(isinstance(x, (int, float)) for x in (low, subject, high)):
            raise fail(PATTERN, "a range of a `match` is of compile-time numbers", p.span)
        return bool(low <= subject < high)
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
    returns.hand_on(e, [chain], scope)
    return el.evaluate(chain, scope)


def _test(subject: Any, p: Any) -> Any:
    if isinstance(p, ast.Range):
        low = ast.Binary(p.span, ">=", subject, p.start, p.span)
        return ast.Binary(p.span, "and", low, ast.Binary(p.span, "<", subject, p.stop, p.span), p.span)
    return ast.Binary(p.span, "==", subject, p, p.span)


def _as_block(e: Any) -> Any:
    return e if isinstance(e, (ast.Block, ast.If)) else ast.Block(e.span, (), e)
