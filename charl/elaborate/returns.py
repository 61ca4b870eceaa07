"""`return`: how a value leaves a function early, from branches and loops that run.

Enters: statements in which some runs of the program return. Leaves: the value of the function. A `return` that is certain
ends the walk (`Returned`). One that depends on run-time values is data: whether the function has been left, and with what,
are two variables of its frame, which branches choose and loops carry like any others. What follows in the blocks around runs
in the branch in which the function goes on. Where such a branch gives the function's value anyway, the value that left early
is that of its other side, and no variable remembers it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from charl.dims import KNOWN
from charl.elaborate import branches, statements
from charl.elaborate import values as v
from charl.elaborate.early import NEVER, Early, Returned
from charl.elaborate.parameters import Call, fit_result
from charl.elaborate.scope import Binding, Scope
from charl.elaborate.types import Matcher
from charl.errors import CharlError, Label, code, fail
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

DIFFER = code("E0290", "the values that a function returns differ")


def function_value(el: Elaborator, f: v.Function, scope: Scope, matcher: Matcher, call: Call) -> Any:
    """The value of a function whose parameters are bound, of its declared type."""
    early = scope.function.early
    if f.result is not None:
        early.fit = lambda value, span: fit_result(el, matcher, f, value, call, span)
    value = body_value(el, f.body, Scope(scope))
    return (
        value
        if f.result is None or isinstance(value, v.ErrorValue)
        else fit_result(el, matcher, f, value, call)
    )


def body_value(el: Elaborator, body: Any, scope: Scope) -> Any:
    """The value of a body, by its last expression or by `return`."""
    early: Early = scope.function.early
    early.last[id(body)] = body
    scope.function.running, known = True, KNOWN.get()
    try:
        value = el.evaluate(body, scope)
        return _going_on(el, body, scope, lambda: value, True) if early.pending else value
    except Returned as r:
        return r.value
    finally:
        KNOWN.set(known)  # what the body learned of sizes


def leave(el: Elaborator, s: ast.Return, scope: Scope) -> None:
    """A `return`. Raises Returned."""
    early: Early = scope.function.early
    value = el.known(s.value, scope) if s.value is not None else None
    span = s.value.span if s.value is not None else s.span
    if early.fit is not None:
        value = early.fit(value, span)
    early.left.append((span, value))
    raise Returned(value, s.span)


def is_last(e: Any, scope: Scope) -> bool:
    """Whether the value of an expression is that of its function."""
    return scope.function is not None and id(e) in scope.function.early.last


def hand_on(e: Any, to: Any, scope: Scope) -> None:
    """Where the value of `e` is that of the function, so are those of its parts `to`."""
    if is_last(e, scope):
        scope.function.early.last.update((id(x), x) for x in to if x is not None)


# ---------------------------------------------------------------- blocks


def block(el: Elaborator, e: ast.Block, outer: Scope) -> Any:
    """The value of a block. Statements fail one by one; then the block has no value."""
    hand_on(e, [e.value], outer)
    return _from(el, e, 0, Scope(outer), False)


def _from(el: Elaborator, e: ast.Block, start: int, scope: Scope, failed: bool) -> Any:
    """The statements of a block from `start` on, then its value."""
    early: Early | None = scope.function.early if scope.function is not None else None
    count, last = len(e.statements), is_last(e, scope)
    for k in range(start, count):
        attempt = partial(statements.attempted, el, e.statements[k], scope)
        failed = guarding_writes(el, e.statements[k], scope, attempt) or failed
        if early is not None and early.pending and (last or k + 1 < count or e.value is not None):
            return _going_on(el, e, scope, lambda: _from(el, e, k + 1, scope, failed), last)  # noqa: B023
    if e.value is None:
        return v.ERROR if failed else None
    return guarding_writes(el, e.value, scope, partial(el.evaluate, e.value, scope))


def _going_on(el: Elaborator, e: Any, scope: Scope, rest: Callable[[], Any], last: bool) -> Any:
    """What follows where the function may have been left: `rest` where it goes on, else what left."""
    early: Early = scope.function.early
    condition, names = early.done.value, dict(scope.names)

    def left() -> Any:
        if not last:
            _set(el, early.done, True)
            return NEVER
        value = early.value.value
        going_on(el, early)
        return value

    def goes_on() -> Any:
        going_on(el, early)
        try:
            value = rest()
            if not last or early.fit is None or isinstance(value, v.ErrorValue):
                return value
            return early.fit(value, branches.end_of(e).span)
        finally:
            scope.names = names  # what the rest declares is not there where it does not run

    return branches.choose(el, e, condition, (left, goes_on), scope, last)


def where_going_on(el: Elaborator, e: Any, scope: Scope, work: Callable[[], Any]) -> None:
    """`work` for its effects, in the branch in which the function has not been left."""
    if scope.function is not None and scope.function.early.pending:
        _going_on(el, e, scope, work, False)
    else:
        work()


def going_on(el: Elaborator, early: Early) -> None:
    """From here on, in this branch or turn of a loop, the function has not been left."""
    _set(el, early.done, False)


def left_with(el: Elaborator, early: Early, value: Any) -> None:
    """From here on, in this branch or turn of a loop, the function has been left with this value."""
    _set(el, early.done, True)
    _set(el, early.value, value)


def _set(el: Elaborator, b: Binding, value: Any) -> None:
    el.journal.note(b)
    b.value = value


# ---------------------------------------------------------------- writes behind a `return` in one statement


def guarding_writes(el: Elaborator, e: Any, scope: Scope, work: Callable[[], Any]) -> Any:
    """The value of `work`, a statement. What it writes after a part of it may have returned (`x = if c { return y } else { z }`)
    is undone there."""
    if scope.function is None:
        return work()
    early: Early = scope.function.early
    outer, early.since = early.since, None
    depth = el.journal.depth
    try:
        value = work()
        written: dict[Binding, Any] = early.since or {}
    finally:
        el.journal.close(depth)
        early.since = outer
    before = {b: old for b, old in written.items() if b not in early.variables}
    if before and early.pending:

        def undone() -> Any:
            for b, old in before.items():
                _set(el, b, old)

        branches.choose(el, e, early.done.value, (undone, lambda: None), scope, False)
    return value


def arose(el: Elaborator, early: Early) -> None:
    """A part of a statement may have returned."""
    if early.since is None:
        early.since = el.journal.open()


# ---------------------------------------------------------------- types


def differ(early: Early, value: Any, end: Any) -> CharlError:
    """The mistake of a function that returns values of several types; `end` gives `value` where no `return` differs."""
    (first, one), *others = early.left
    kind = v.type_of(one)
    at, other = next(((s, x) for s, x in others if v.type_of(x) != kind), (end, value))
    return fail(
        DIFFER,
        f"this function returns {shown(one)} in one place and {shown(other)} in another",
        first,
        labels=(Label(at, f"here {shown(other)}"),) if at != first else (),
        help="declare the type of the result, `fn f(…) -> T`: each value is then compared with it",
        primary=shown(one),
    )


def shown(value: Any) -> str:
    """The type of a value in a message."""
    return "nothing" if value is None else str(v.describe_value(value))
