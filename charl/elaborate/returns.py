"""`return` in a branch on a run-time value: what follows the branch becomes part of its other side.

Enters: the body of a function in which a statement `if` returns. Leaves: the function's value. Each side of such a branch is
followed by the rest of the body, unless it returned, and the two results are selected from. Only bodies that need it come here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from charl.dtypes import boolean
from charl.elaborate import branches, statements
from charl.elaborate import values as v
from charl.elaborate.calls import Returned
from charl.elaborate.scope import Scope
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

Rest = Callable[[Any], Any]  # the value of a block to the value of the function


def returns(e: Any) -> bool:
    """Whether a branch contains a `return` of the function it stands in."""
    if isinstance(e, ast.Closure):
        return False
    return isinstance(e, ast.Return) or any(returns(c) for c in ast.children(e))


def needs(body: Any) -> bool:
    """Whether the body has a statement `if` that returns."""
    if not isinstance(body, ast.Block):
        return False
    return any(_branch(s) is not None for s in body.statements) or _branch(body.value) is not None


def _branch(s: Any) -> Any:
    e = s.value if isinstance(s, ast.ExprStatement) else s
    return e if isinstance(e, ast.If) and returns(e) else None


def body_value(el: Elaborator, body: ast.Block, scope: Scope) -> Any:
    """The value of such a body."""
    return _block(el, body, scope, lambda value: value)


def _block(el: Elaborator, e: Any, outer: Scope, rest: Rest) -> Any:
    if isinstance(e, ast.If):
        return _if(el, e, outer, rest)
    return rest(None) if e is None else _from(el, e, 0, Scope(outer), rest)


def _from(el: Elaborator, e: ast.Block, start: int, scope: Scope, rest: Rest) -> Any:
    """The statements of a block from `start` on, then `rest`."""
    failed = False
    for k in range(start, len(e.statements)):
        branch = _branch(e.statements[k])
        if branch is not None:
            return _if(el, branch, scope, partial(_after, el, e, k + 1, scope, rest))
        failed = statements.attempted(el, e.statements[k], scope) or failed
    if _branch(e.value) is not None:
        return _if(el, e.value, scope, rest)
    if e.value is not None:
        return rest(el.evaluate(e.value, scope))
    return v.ERROR if failed else rest(None)


def _after(el: Elaborator, e: ast.Block, start: int, scope: Scope, rest: Rest, _: Any) -> Any:
    """What follows a statement, whose own value is not used."""
    return _from(el, e, start, scope, rest)


def _if(el: Elaborator, e: Any, scope: Scope, rest: Rest) -> Any:
    condition = el.condition(e.condition, scope)
    if isinstance(condition, v.Unknown):
        if el.checking:
            return rest(branches.check_both(el, e, condition, scope))
        condition = condition.build(boolean)
    if isinstance(condition, bool):
        return _block(el, e.then if condition else e.otherwise, scope, rest)
    names = dict(scope.names)

    def side(branch: Any) -> Any:
        scope.names = dict(names)  # what the rest declares in one side is not there in the other
        try:
            return _block(el, branch, scope, rest)
        except Returned as r:
            return r.value

    return branches.select(el, e, condition, side)
