"""`for` and `while`. The only module that decides how a loop is elaborated.

Enters: a loop and its scope. Leaves: its value (what it yields, stacked) and places written. Element-wise loops over
runs, tuples, leaves and `for const` ranges unroll by definition; a loop over a range or an axis stays one (`repeats`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.dims import Dim
from charl.elaborate import access, indexing, operators, repeats, returns, stacks, statements
from charl.elaborate import values as v
from charl.elaborate.bounds import bounds
from charl.elaborate.early import NEVER
from charl.elaborate.scope import Part, Place, Scope, Temporary
from charl.errors import code, fail
from charl.graph.ir import Node, Size, at_span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

UNROLLED = code("E0220", "a loop is too long to be unrolled")
NOT_ITERABLE = code("E0221", "this cannot be iterated over")
UNEQUAL = code("E0222", "sequences of `zip` differ in length")
RUN_TIME = code("E0330", "the length of a loop is known at run time only")
LIMIT = 256


@dataclass
class Elements:
    """What a loop goes over: places (aliases where mutable), and whether yields stack to a tensor."""

    places: list[Any]
    stack: bool
    symbolic: bool = False


@dataclass
class Axis:
    """A range or the first axis of a tensor: how many elements, the one at a run-time index, the one at a known index; its place,
    where it is that of a stack which may be written."""

    extent: Size
    element: Callable[[Node], Any]
    known: Callable[[int], Any]
    written: Callable[[int | Node], Place] | None = None

    def place(self, i: int | Node) -> Place:
        """What a turn goes over."""
        if self.written is not None:
            return self.written(i)
        return Temporary(self.element(i) if isinstance(i, Node) else self.known(i))

    def unrolled(self, el: Elaborator, const: bool, e: Any) -> Elements:
        """The elements one by one; none yet where a body is checked for every number of them."""
        if not isinstance(self.extent, int):
            if el.checking and const:
                el.reuse.bind()
                return Elements([], True, symbolic=True)
            shown = v.describe_value(self.extent)
            raise fail(
                UNROLLED,
                f"this goes over {shown} elements, and must be known to be unrolled",
                e.span,
                help="fix the number, in the source or by `--dim`; or let it stay a loop: `for i in …`",
            )
        _limit(self.extent, const or el.host is not None, e)
        return Elements([self.place(i) for i in range(self.extent)], True)


@dataclass
class Counted:
    """A range whose bounds are known at run time only."""

    start: Node
    stop: Node


def for_expression(el: Elaborator, e: ast.For, scope: Scope) -> Any:
    """A `for`; its value is what it yields, stacked along a new first axis."""
    if isinstance(e.iterable, ast.Range):
        counted = _counted(el, e, scope)
        if counted is not None:
            return _up_to(el, e, counted, scope)
    _refuse_range(e.iterable)
    found = iterate(el, e.iterable, scope, e.const)
    if isinstance(found, Axis):
        if found.extent == 0 and not repeats.has_yield(e):
            return None  # no turn: indices into what is empty are none
        if el.host is None and not e.const:
            return repeats.bounded(el, e, found, scope)
        found = found.unrolled(el, e.const, e.iterable)
    return _unrolled(el, e, found, scope)


def _unrolled(el: Elaborator, e: ast.For, elements: Elements, scope: Scope) -> Any:
    if e.condition is not None:
        raise fail(
            UNROLLED,
            "`while` ends a loop over a range or an axis, and this one is unrolled",
            e.condition.span,
        )
    if el.host is not None and not e.const and isinstance(e.iterable, ast.Range):
        elements = Elements([Temporary(el.settle(p.get())) for p in elements.places], elements.stack)
    yields: list[Any] = []

    def turn(place: Any) -> None:
        inner = Scope(scope)
        statements.bind_pattern(el, e.pattern, place.get(), inner, e.iterable, place)
        el.evaluate(e.body, inner)

    for place in elements.places:
        with repeats.yielding(scope) as yielded:
            returns.where_going_on(el, e, scope, partial(turn, place))
        yields.append(yielded.value)
    return collect(el, yields, elements, e) if repeats.has_yield(e) else None


def collect(el: Elaborator, yields: list[Any], elements: Elements, e: ast.For) -> Any:
    """What was yielded: a tensor with a new first axis, or a tuple over runs and tuples."""
    if elements.symbolic:
        raise v.Silenced
    if NEVER in yields:
        raise v.Silenced  # what it yields failed, and was told
    if not elements.stack:
        return v.Tuple(tuple(yields))
    if not yields:
        raise fail(NOT_ITERABLE, "this loop yields nothing: it has no iterations", e.span)
    paths = [dict(v.leaves(statements.run_time(el, y, e.span))) for y in yields]

    def stack(path: str, node: Node) -> Node:
        parts = [ops.reshape(p[path], (1, *p[path].shape)) for p in paths]
        return ops.concatenate(parts, axis=0) if len(parts) > 1 else parts[0]

    with at_span(e.span):
        return v.stacked(v.rebuild(statements.run_time(el, yields[0], e.span), stack), (len(yields),))


def iterate(el: Elaborator, e: Any, scope: Scope, const: bool) -> Elements | Axis:
    """The elements of what stands after `in`."""
    if isinstance(e, ast.Range):
        return _range(el, e, scope, const)
    if isinstance(e, ast.Call) and isinstance(e.callee, ast.Name):
        callee = el.known(e.callee, scope)
        if isinstance(callee, v.Builtin) and callee.name == "zip":
            return _zip(el, e, scope, const)
        if isinstance(callee, v.Builtin) and callee.name == "leaves" and len(e.args) == 1:
            return _leaves(el, el.place(e.args[0].value, scope))
    place = el.place(e, scope)
    return _sequence(el, place, e, const)


def _sequence(el: Elaborator, place: Place, e: Any, const: bool) -> Elements | Axis:
    value = el.present(place.get(), e.span)
    if isinstance(value, (v.Tuple, v.Run)):
        places = [Part(place, str(i)) for i in range(len(value.items))]
        return Elements(places, False, isinstance(value, v.Run) and value.symbolic)
    if isinstance(value, Node) and value.rank:
        x = value
        return Axis(x.shape[0], lambda i: indexing.row(x, i), lambda i: indexing.row(x, i))
    if stacks.is_stack(value):
        row: Callable[[int | Node], Any] = partial(stacks.row, value)
        return Axis(value.type.lead[0], row, row, partial(stacks.Row, place) if place.mutable else None)
    raise fail(NOT_ITERABLE, f"{v.describe_value(value)} has no elements to go over", e.span)


def _counted(el: Elaborator, e: ast.For, scope: Scope) -> Counted | None:
    """The range of a `for`, where one of its bounds is a run-time integer."""
    assert isinstance(e.iterable, ast.Range)
    bounds = [(el.known(b, scope), b) for b in (e.iterable.start, e.iterable.stop)]
    if el.host is not None or in_main(el, scope):
        return None
    if not any(isinstance(x, Node) and not x.rank and x.dtype.is_integer for x, _ in bounds):
        return None
    if not all(isinstance(x, (int, Dim, Node)) and not isinstance(x, bool) for x, _ in bounds):
        return None
    for x, at in bounds:
        if isinstance(x, Node) and (e.const or repeats.has_yield(e)):
            wrong = (
                "cannot be unrolled"
                if e.const
                else "cannot yield: the shape of its value would depend on data"
            )
            raise fail(
                RUN_TIME,
                f"a loop up to {v.describe_value(x)} {wrong}",
                at.span,
                help=f"bound it by a size: `for i in 0..N while i < {at.span.text} {{ … }}`",
            )
    low, high = (operators.to_node(x, dtypes.i32, at.span) for x, at in bounds)
    return Counted(access.i32(low), access.i32(high))


def _refuse_range(e: ast.Expr) -> None:
    """`range(n)` with one number, as Python has it."""
    if (
        isinstance(e, ast.Call)
        and isinstance(e.callee, ast.Name)
        and e.callee.name == "range"
        and len(e.args) == 1
    ):
        raise fail(
            NOT_ITERABLE,
            "a loop over integers goes over `start..stop`",
            e.span,
            help=f"write `0..{e.args[0].span.text}`",
        )


def _up_to(el: Elaborator, e: ast.For, over: Counted, scope: Scope) -> None:
    """A loop up to a run-time integer. Where that is made of indices of loops around, it has a bound all the same."""
    count = ops.sub(over.stop, over.start)
    el.reuse.spoil()  # how the bound was made counts, not only its type
    found = bounds(count, el.indices)
    if found is None:
        repeats.counted(el, e, over, scope)
        return
    most = found[1]
    extent = max(most, 0) if isinstance(most, int) else most
    axis = Axis(
        extent, lambda i: ops.add(i, over.start), lambda i: ops.add(ops.constant(i, dtypes.i32), over.start)
    )
    repeats.bounded(el, e, axis, scope, lambda i: ops.lt(i, count))


def _range(el: Elaborator, e: ast.Range, scope: Scope, const: bool) -> Elements | Axis:
    start, stop = el.known(e.start, scope), el.known(e.stop, scope)
    if in_main(el, scope):  # its loops run: one pass tells what is wrong with the body
        return Elements([Temporary(ops.parameter("i", statements_scalar()))], True, symbolic=True)
    for x, at in ((start, e.start), (stop, e.stop)):
        if isinstance(x, bool) or not isinstance(x, (int, Dim)):
            if el.checking and not isinstance(x, (Node, float, str)) and x is not None:
                el.reuse.bind()
                index = ops.parameter("i", statements_scalar())
                return Elements([Temporary(index)], True, symbolic=True)
            shown = v.describe_value(x)
            raise fail(UNROLLED, f"a bound of a range is an integer, and this is {shown}", at.span)
    first = start

    def element(i: Node) -> Node:
        return i if first == 0 else ops.add(i, ops.size_value(first, dtypes.i32))

    def known(i: int) -> Any:
        return first + i if const else ops.constant(first + i, dtypes.i32)

    extent = stop - start
    return Axis(max(extent, 0) if isinstance(extent, int) else extent, element, known)


def in_main(el: Elaborator, scope: Scope) -> bool:
    """Whether this is the check of `fn main()`, where loops need no unrolling."""
    f = scope.function.function if scope.function is not None else None
    return el.checking and isinstance(f, v.Function) and f.name == "main" and f.owner is None


def statements_scalar() -> Any:
    """The type of a loop index."""
    from charl.graph.ir import TensorType

    return TensorType(dtypes.i32, ())


def _limit(n: int, const: bool, e: Any) -> None:
    if not const and n > LIMIT:
        raise fail(
            UNROLLED,
            f"a loop of {n} iterations would be unrolled; at most {LIMIT} are, until loops stay loops",
            e.span,
            help="`for const` unrolls any number, if that is what you want",
        )


def _zip(el: Elaborator, e: ast.Call, scope: Scope, const: bool) -> Elements | Axis:
    parts = [iterate(el, a.value, scope, const) for a in e.args]
    axes = [p for p in parts if isinstance(p, Axis)]
    if len(axes) == len(parts):
        if any(a.extent != axes[0].extent for a in axes):
            raise fail(
                UNEQUAL, f"the sequences have {', '.join(str(a.extent) for a in axes)} elements", e.span
            )
        return Axis(
            axes[0].extent,
            lambda i: v.Tuple(tuple(a.element(i) for a in axes)),
            lambda i: v.Tuple(tuple(a.known(i) for a in axes)),
            partial(_side_by_side, axes) if any(a.written for a in axes) else None,
        )
    found = [p.unrolled(el, const, e) if isinstance(p, Axis) else p for p in parts]
    if any(p.symbolic and not p.places for p in found):
        return Elements([], True, symbolic=True)
    sizes = {len(p.places) for p in found}
    if len(sizes) > 1:
        raise fail(
            UNEQUAL, f"the sequences have {', '.join(str(len(p.places)) for p in found)} elements", e.span
        )
    rows = [statements.Places(list(row)) for row in zip(*(p.places for p in found), strict=True)]
    return Elements(list(rows), all(p.stack for p in found), any(p.symbolic for p in found))


def _side_by_side(axes: list[Axis], i: int | Node) -> Place:
    return statements.Places([a.place(i) for a in axes])


def _leaves(el: Elaborator, place: Place) -> Elements:
    from charl.elaborate.scope import Leaf
    from charl.elaborate.trained import trained_leaves

    value = place.get()
    found = trained_leaves(value) if isinstance(value, v.Instance) else list(v.leaves(value))
    return Elements([Leaf(place, p) for p, _ in found], False)


def while_expression(el: Elaborator, e: ast.While, scope: Scope) -> Any:
    """A loop that goes on while its condition holds."""
    if el.host is None and not in_main(el, scope):
        return repeats.unbounded(el, e, scope)
    condition = el.condition(e.condition, scope)
    while el.host is not None and condition is True:
        el.evaluate(e.body, Scope(scope))
        condition = el.condition(e.condition, scope)
    if in_main(el, scope):
        el.evaluate(e.body, Scope(scope))
    return None
