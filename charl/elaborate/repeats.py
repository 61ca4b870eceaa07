"""Loops that stay loops: `for` over ranges and axes, bounded by `while` or not, and plain `while`.

Enters: a loop, what it goes over and its scope. Leaves: the places it writes after it, and what it yields, stacked. The body
is elaborated over parameters in place of what it writes; which places those are is found by looking for them and, where
the body writes others (through methods, streams, aliases), by elaborating it again with those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from charl import ops
from charl.dims import KNOWN
from charl.dtypes import boolean, i32
from charl.elaborate import operators, returns, statements
from charl.elaborate import values as v
from charl.elaborate.early import NEVER, Early, Returned
from charl.elaborate.scope import Binding, Scope, Temporary
from charl.errors import CharlError, Label, code, fail
from charl.graph.ir import Node, Size, TensorType, at_span, now
from charl.ops.regions import Side, assembled, chosen, counter, parameter_like
from charl.syntax import ast

if TYPE_CHECKING:
    from collections.abc import Iterator

    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.loops import Axis, Counted


NOTHING_YIELDED = code("E0291", "a loop returns before it yields")
CHANGES = code("E0322", "a compile-time value changes in a loop that runs")


@dataclass
class _Turn:
    """One elaboration of a body: its parameters, and what it leaves."""

    index: Node
    params: dict[Binding, dict[str, Node]]
    after: dict[Binding, Any] = field(default_factory=dict)
    yielded: Any = NEVER
    condition: Any = None
    returns: bool = False  # every iteration returns
    endless: bool = False  # its condition always holds
    start: int = 0  # what was made from here on was made for the body, and not for the condition


def bounded(
    el: Elaborator, e: ast.For, axis: Axis, scope: Scope, goes_on: Callable[[Node], Node] | None = None
) -> Any:
    """`for`, perhaps with `while`, over a range or an axis; `goes_on` tells from an index whether there is such a turn."""

    def body(turn: _Turn) -> None:
        inner = Scope(scope)
        el.indices[turn.index] = (0, axis.extent - 1)
        place = axis.place(turn.index)
        statements.bind_pattern(el, e.pattern, place.get(), inner, e.iterable, place)
        if goes_on is not None:
            turn.condition = goes_on(turn.index)
        if e.condition is not None:
            wanted = _truth(el.condition(e.condition, inner), e.condition)
            turn.condition = wanted if turn.condition is None else ops.and_(turn.condition, wanted)
        turn.start = now()
        _body(el, e, inner, turn)

    with at_span(e.span):
        turn = _settled(el, e, scope, body)
        value = None
        if has_yield(e):
            if turn.yielded is NEVER:
                raise _never_yields(e) if turn.returns else v.Silenced()  # what failed was told
            value = statements.of_each(el, turn.yielded, e.span)
        return _finish(el, scope, turn, axis.extent, value)


def has_yield(e: ast.For) -> bool:
    """Whether a loop is a value."""
    return any(isinstance(s, ast.Yield) for s in e.body.statements)


@contextmanager
def yielding(scope: Scope) -> Iterator[Binding]:
    """What one turn of a loop yields."""
    yielded = Binding("yield", NEVER)
    frame = scope.function
    if frame is not None:
        frame.yields.append(yielded)
    try:
        yield yielded
    finally:
        if frame is not None:
            frame.yields.pop()


def _body(el: Elaborator, e: Any, inner: Scope, turn: _Turn) -> None:
    """The body of a turn, which begins in a function that has not been left."""
    if inner.function is None:
        el.evaluate(e.body, inner)
        return
    early: Early = inner.function.early
    if early.done in turn.params:
        returns.going_on(el, early)
    try:
        el.evaluate(e.body, inner)
    except Returned as r:
        returns.left_with(el, early, r.value)
        turn.returns = True


def _never_yields(e: ast.For) -> CharlError:
    place = next(s for s in e.body.statements if isinstance(s, ast.Yield))
    return fail(
        NOTHING_YIELDED,
        "every turn of this loop returns before it yields, so that the loop has no value",
        place.span,
        help="return under a condition, or give back the value without a loop",
    )


def unbounded(el: Elaborator, e: ast.While, scope: Scope) -> Any:
    """`while`: the condition is looked at before the first iteration and behind each."""
    first = el.condition(e.condition, scope)
    if first is False:
        return None

    def body(turn: _Turn) -> None:
        _body(el, e, Scope(scope), turn)
        condition = el.condition(e.condition, scope)
        turn.endless = condition is True
        turn.condition = _truth(condition, e.condition)

    with at_span(e.span):
        turn = _settled(el, e, scope, body)
        places, params, initial, after = _carried(turn)
        go = parameter_like(turn.condition, "go")
        start = _truth(first, e.condition)
        on = _not_left(turn, scope, places, after, turn.condition)
        done = assembled(None, turn.index, [go, *params], [start, *initial], [on, *after], [])
        _write(el, scope, turn, places, done.carried[1:])
    if first is True and turn.endless and _may_return(turn, scope):  # nothing but a return ends it
        raise Returned(scope.function.early.value.value, e.span)
    return None


def counted(el: Elaborator, e: ast.For, over: Counted, scope: Scope) -> None:
    """`for`, perhaps with `while`, over a range whose length is known at run time only."""
    at = ops.parameter(
        "i", over.start.type
    )  # carried: a loop without an extent does not count its iterations

    def body(turn: _Turn) -> None:
        inner = Scope(scope)
        statements.bind_pattern(el, e.pattern, at, inner, e.iterable, Temporary(at))
        if e.condition is not None:
            turn.condition = _truth(el.condition(e.condition, inner), e.condition)
        turn.start = now()
        _body(el, e, inner, turn)

    with at_span(e.span):
        turn = _settled(el, e, scope, body)
        places, params, initial, after = _carried(turn)
        following = ops.add(at, ops.constant(1, i32))
        on = ops.lt(following, over.stop)
        if turn.condition is not None:
            after = _while(turn.condition, turn, after, params)
            on = ops.and_(on, turn.condition)
        on = _not_left(turn, scope, places, after, on)
        go = ops.parameter("go", on.type)
        starts = [ops.lt(over.start, over.stop), over.start, *initial]
        done = assembled(None, turn.index, [go, at, *params], starts, [on, following, *after], [])
        _write(el, scope, turn, places, done.carried[2:])


def _while(on: Node, turn: _Turn, after: Sequence[Node], otherwise: Sequence[Node]) -> list[Node]:
    """What an iteration leaves where the condition at its start holds, else `otherwise`."""
    moment = now()
    return chosen(on, Side(after, turn.start, moment), Side(otherwise, moment, moment))


def _truth(value: Any, e: Any) -> Node:
    return value if isinstance(value, Node) else operators.to_node(value, boolean, e.span)


# ---------------------------------------------------------------- which places a body writes


def _settled(el: Elaborator, e: Any, scope: Scope, body: Callable[[_Turn], None]) -> _Turn:
    """The elaboration of a body in which every place that it writes stands for a parameter."""
    places = _written(el, e, scope)
    while True:
        turn, more = _turn(el, e, scope, body, places)
        if not more:
            _refuse_compile_time(turn, e)
            return turn
        if scope.function is not None:
            _before_it_returns(el, e, scope.function.early, more)
        places += list(more)


def _before_it_returns(el: Elaborator, e: Any, early: Early, more: Mapping[Binding, Any]) -> None:
    """A loop that may return carries whether it has, and a value of the type that it returns."""
    if early.done in more and early.done.value is False:
        el.journal.note(early.done)
        early.done.value = ops.constant(False, boolean)
    if early.value in more and early.value.value is NEVER:
        value = statements.run_time(el, more[early.value], e.span)
        el.journal.note(early.value)
        early.value.value = v.rebuild(value, lambda _, n: ops.zeros(n.type))


def _refuse_compile_time(turn: _Turn, e: Any) -> None:
    """What is known while compiling cannot change from one iteration of a loop that runs to the next."""
    for b, value in turn.after.items():
        before, after = _known(b.value), _known(value)
        if before != after and not isinstance(value, v.ErrorValue):
            raise fail(
                CHANGES,
                f"`{b.name}` is known while compiling, and an iteration changes it",
                e.span,
                labels=(Label(b.span, "bound here"),) if b.span is not None else (),
                help="make it a run-time value (`let mut n = 0` is an i32), or unroll the loop: `for const`",
            )


def _known(value: Any) -> Any:
    """The compile-time parts of a value."""
    if isinstance(value, Node):
        return None
    if isinstance(value, v.FUNCTIONS):  # the same one, not an equal one: it may capture what is gone
        return value
    parts = [(n, _known(x)) for n, x in v.children(value)]
    return parts if parts else value if isinstance(value, (bool, int, float, str)) else None


def _written(el: Elaborator, e: Any, scope: Scope) -> list[Binding]:
    """Variables around the loop that the text of its body assigns or passes as `mut`."""
    found: dict[Binding, None] = {}
    for s in ast.walk(e.body):
        targets: list[Any] = []
        if isinstance(s, ast.Assign):
            targets = list(s.target.elements) if isinstance(s.target, (ast.Tuple, ast.Array)) else [s.target]
        elif isinstance(s, ast.Arg) and s.mut:
            targets = [s.value]
        for root in targets:
            while isinstance(root, (ast.Member, ast.Index)):
                root = root.value
            binding = scope.find(root.name) if isinstance(root, ast.Name) else None
            if binding is not None and binding.alias is not None:
                binding = binding.alias.root
            if binding is not None and binding.mutable:
                found[binding] = None
    return list(found)


def _turn(
    el: Elaborator, e: Any, scope: Scope, body: Callable[[_Turn], None], places: list[Binding]
) -> tuple[_Turn, dict[Binding, Any]]:
    """One elaboration with parameters for `places`, and what it writes besides. Leaves the state as it was."""
    turn = _Turn(counter(), {})
    before, known = {b: b.value for b in places}, KNOWN.get()
    for b in places:
        el.journal.note(b)  # who looks from outside is told the value from before the loop, not a parameter
    with el.journal.frame() as journal:
        for b in places:
            table: dict[str, Node] = {}

            def fresh(path: str, node: Node, b: Binding = b, table: dict[str, Node] = table) -> Node:
                name = f"{b.name}.{path}" if path else b.name
                table[path] = ops.parameter(name, node.type)
                return table[path]

            b.value = v.rebuild(b.value, fresh)
            turn.params[b] = table
        try:
            with yielding(scope) as yielded:
                body(turn)
            turn.yielded = yielded.value
            turn.after = {b: _left(el, b, turn, scope, e) for b in places}
        finally:
            KNOWN.set(known)
            changed = dict(journal)
            found = {b: b.value for b in changed if b not in before}
            for b, old in {**changed, **before}.items():
                b.value = old
    return turn, found


def _left(el: Elaborator, b: Binding, turn: _Turn, scope: Scope, e: Any) -> Any:
    """What an iteration leaves in a variable; what it returns is a run-time value of one type."""
    early: Early | None = scope.function.early if scope.function is not None else None
    if early is None or b not in early.variables or isinstance(b.value, v.ErrorValue):
        return b.value
    value = statements.run_time(el, b.value, e.span)
    example = v.rebuild(value, lambda path, n: turn.params[b].get(path, n))
    if value is not None and v.type_of(value) != v.type_of(example):
        raise returns.differ(early, value, early.left[-1][0])
    return value


# ---------------------------------------------------------------- from one iteration to the loop


def _carried(turn: _Turn) -> tuple[list[tuple[Binding, str]], list[Node], list[Node], list[Node]]:
    """Places, parameters, values before and values after of the leaves that an iteration may change."""
    places, params, initial, after = [], [], [], []
    for b, table in turn.params.items():
        if isinstance(turn.after[b], v.ErrorValue) or isinstance(b.value, v.ErrorValue):
            continue
        old, new = dict(v.leaves(b.value)), dict(v.leaves(turn.after[b]))
        for path, param in table.items():
            if new[path].type != param.type:
                continue
            places.append((b, path))
            params.append(param)
            initial.append(old[path])
            after.append(new[path])
    return places, params, initial, after


def _finish(el: Elaborator, scope: Scope, turn: _Turn, extent: Size, value: Any) -> Any:
    """The loop of a `for`; its value."""
    places, params, initial, after = _carried(turn)
    rows = [n for _, n in v.leaves(value)] if value is not None else []
    if turn.condition is None and not _may_return(turn, scope):
        done = assembled(extent, turn.index, params, initial, after, rows)
        carried = done.carried
    else:
        go = ops.parameter("go", TensorType(boolean, ()))
        on, otherwise = go, [*params, *(ops.zeros(x.type) for x in rows)]
        if turn.condition is not None:
            on = ops.and_(go, turn.condition)
            made = _while(on, turn, [*after, *rows], otherwise)
            goes_on = _not_left(turn, scope, places, made, on)
        else:  # the loop goes on until it returns: no need to carry both
            k = [b for b, _ in places].index(scope.function.early.done)
            otherwise[k] = ops.not_(go)
            made = _while(on, turn, [*after, *rows], otherwise)
            goes_on = ops.not_(made[k])
        after, rows = made[: len(after)], made[len(after) :]
        start = ops.constant(True, boolean)
        done = assembled(
            extent, turn.index, [go, *params], [start, *initial], [goes_on, *after], rows, halts=True
        )
        carried = done.carried[1:]
        if turn.condition is None:
            carried[k] = ops.not_(done.carried[0])
    _write(el, scope, turn, places, carried)
    if value is None:
        return None
    stacked = dict(zip((path for path, _ in v.leaves(value)), done.yields, strict=True))
    return v.stacked(v.rebuild(value, lambda path, _: stacked[path]), (extent,))


def _may_return(turn: _Turn, scope: Scope) -> bool:
    return scope.function is not None and scope.function.early.done in turn.params


def _not_left(
    turn: _Turn, scope: Scope, places: Sequence[tuple[Binding, str]], after: Sequence[Node], on: Node
) -> Node:
    """Whether the loop goes on: `on`, and no iteration has returned."""
    if not _may_return(turn, scope):
        return on
    left = after[[b for b, _ in places].index(scope.function.early.done)]
    return ops.and_(on, ops.not_(left))


def _write(
    el: Elaborator, scope: Scope, turn: _Turn, places: list[tuple[Binding, str]], values: list[Node]
) -> None:
    """The places hold what the last iteration left; a place that an iteration leaves alone keeps its value."""
    new: dict[Binding, dict[str, Node]] = {}
    for (b, path), value in zip(places, values, strict=True):
        new.setdefault(b, {})[path] = value
    for b in turn.params:
        if isinstance(turn.after[b], v.ErrorValue):
            el.journal.note(b)
            b.value = v.ERROR
            continue
        final = dict(v.leaves(turn.after[b]))
        table = new.get(b, {})

        def leaf(path: str, node: Node, b: Binding = b) -> Node:
            same = final[path] is turn.params[b][path]  # noqa: B023
            return node if same else table[path]  # noqa: B023

        value = v.rebuild(b.value, leaf)
        if any(final[p] is not q for p, q in turn.params[b].items()):
            el.journal.note(b)
            b.value = value
    if _may_return(turn, scope):
        returns.arose(el, scope.function.early)
