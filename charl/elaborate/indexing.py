"""Indexing as NumPy has it: what every dimension of a tensor meets in an index expression.

Enters: index expressions. Leaves: plans, one `At` for each dimension, and what they read; items of tuples and runs.
Compile-time indices out of range are errors; run-time ones are the business of `access`, which reads and writes by a plan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import dims, dtypes, ops
from charl.dims import Dim
from charl.elaborate import access
from charl.elaborate import values as v
from charl.elaborate.access import At
from charl.elaborate.scope import Scope
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size, TensorType, at_span
from charl.source import Span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

RANGE = code("E0208", "an index is out of range")
TOO_MANY = code("E0223", "more indices than dimensions")
INDEX_KIND = code("E0224", "this cannot be an index")
SLICE_LENGTH = code("E0225", "the length of a slice is not known while transpiling")
NOT_INDEXABLE = code("E0226", "this has no elements to index")


def index_expression(el: Elaborator, e: ast.Index, scope: Scope) -> Any:
    """`x[items]`."""
    from charl.elaborate import stacks

    value = el.known(e.value, scope)
    if isinstance(value, (v.Tuple, v.Run)):
        return _index_aggregate(el, value, e, scope)
    if stacks.is_stack(value):
        return stacks.index(el, value, e, scope)
    if isinstance(value, str) and len(e.items) == 1:
        raise fail(NOT_INDEXABLE, "text has no elements to index", e.value.span)
    if not isinstance(value, Node):
        raise fail(NOT_INDEXABLE, f"{v.describe_value(value)} has no elements to index", e.value.span)
    with at_span(e.span):
        return read(el, value, plan(el, value, e, scope), e.span)


def _index_aggregate(el: Elaborator, value: Any, e: ast.Index, scope: Scope) -> Any:
    if len(e.items) != 1:
        raise fail(TOO_MANY, f"{v.describe_value(value)} takes one index", e.span)
    item = e.items[0]
    if isinstance(item, ast.Slice):
        start, stop = _bound(el, item.start, scope, 0), _bound(el, item.stop, scope, len(value.items))
        step = el.known(item.step, scope) if item.step is not None else 1
        if not all(isinstance(x, int) for x in (start, stop, step)):
            raise fail(INDEX_KIND, "bounds of a slice of a tuple or run are compile-time integers", item.span)
        items = value.items[start:stop:step]
        return v.Run(items, len(items)) if isinstance(value, v.Run) else v.Tuple(items)
    return value.items[item_position(el, value, item, scope)]


def item_position(el: Elaborator, value: Any, item: Any, scope: Scope) -> int:
    """A compile-time position in a tuple or run."""
    i = el.known(item, scope)
    if isinstance(i, bool) or not isinstance(i, int):
        shown = v.describe_value(i)
        if isinstance(value, v.Run) and value.symbolic and isinstance(i, Dim):
            return 0
        raise fail(INDEX_KIND, f"a tuple or run is indexed by a compile-time integer, not {shown}", item.span)
    n = len(value.items)
    if isinstance(value, v.Run) and value.symbolic:
        return 0
    if not -n <= i < n:
        raise fail(RANGE, f"index {i} is out of range for {n} elements", item.span)
    return i % n if n else 0


def _bound(el: Elaborator, e: Any, scope: Scope, default: Any) -> Any:
    if e is None:
        return default
    i = el.known(e, scope)
    if isinstance(i, bool) or not isinstance(i, (int, Dim, Node)):
        raise fail(INDEX_KIND, f"a bound of a slice is an integer, not {v.describe_value(i)}", e.span)
    if isinstance(i, Node) and (i.rank or not i.dtype.is_integer):
        raise fail(INDEX_KIND, f"a bound of a slice is an integer scalar, not {i.type}", e.span)
    return i


# ---------------------------------------------------------------- planning


def plan(el: Elaborator, x: Node, e: ast.Index, scope: Scope) -> list[At]:
    """What happens to every dimension, `...` filled in."""
    items = list(e.items)
    consuming = sum(1 for i in items if not isinstance(i, (ast.NoneValue, ast.Dots)))
    if consuming > x.rank:
        raise fail(
            TOO_MANY,
            f"{consuming} indices for {x.type}",
            e.span,
            labels=(Label(e.value.span, str(x.type)),),
        )
    dots = [i for i, item in enumerate(items) if isinstance(item, ast.Dots)]
    if len(dots) > 1:
        raise fail(INDEX_KIND, "`...` may stand once", items[dots[1]].span)
    missing = x.rank - consuming
    fill: list[Any] = [None] * missing if missing else [items[i] for i in dots]
    at = dots[0] if dots else len(items)
    items = [*items[:at], *fill, *items[at + len(dots) :]]
    out: list[At] = []
    axis = 0
    for item in items:
        if isinstance(item, ast.NoneValue):
            out.append(At("new", span=item.span))
            continue
        if isinstance(item, ast.Dots):
            out.append(At("between", span=item.span))
            continue
        n = x.shape[axis]
        axis += 1
        out.append(At("all", size=n) if item is None else _item(el, item, n, scope))
    return out


def _item(el: Elaborator, item: Any, n: Size, scope: Scope) -> At:
    if isinstance(item, ast.Slice):
        return _slice(el, item, n, scope)
    i = el.known(item, scope)
    if isinstance(i, Node):
        if not i.dtype.is_integer:
            hint = (
                "use `where`: the shape of a masked tensor would depend on data"
                if i.dtype.kind == "bool"
                else None
            )
            raise fail(INDEX_KIND, f"an index is an integer, not {i.type}", item.span, help=hint)
        return At("dynamic" if i.rank == 0 else "take", node=i, size=n, span=item.span)
    if isinstance(i, v.Run) and i.items and all(isinstance(k, int) for k in i.items):
        return At("take", node=_table(i, n, item), size=n, span=item.span)
    if i is None:
        return At("new", span=item.span)
    if isinstance(i, bool) or not isinstance(i, (int, Dim)):
        raise fail(INDEX_KIND, f"an index is an integer, not {v.describe_value(i)}", item.span)
    return At("item", _position(i, n, item), 1, span=item.span)


def _table(run: v.Run, n: Size, item: Any) -> Node:
    import numpy as np

    for i in run.items:
        _position(i, n, item)
    return ops.constant(np.array([i % n if isinstance(n, int) else i for i in run.items]), dtypes.i32)


def _position(i: Size, n: Size, item: Any) -> Size:
    """A compile-time index as a position; negative ones count from the end."""
    if isinstance(i, int) and i < 0:
        i = n + i
    inside = dims.nonnegative(i) and dims.nonnegative(n - 1 - i)
    if inside:
        return i
    if isinstance(i, int) and isinstance(n, int):
        raise fail(RANGE, f"index {item.span.text} is out of range for a dimension of {n}", item.span)
    if dims.nonnegative(i - n) or dims.nonnegative(-1 - i):
        raise fail(RANGE, f"index {item.span.text} is out of range for a dimension of {n}", item.span)
    raise fail(
        RANGE,
        f"index {i} may be out of range for a dimension of {n}",
        item.span,
        help="bound the dimension with `where`, or use a run-time index, which clamps",
    )


def _slice(el: Elaborator, s: ast.Slice, n: Size, scope: Scope) -> At:
    step = el.known(s.step, scope) if s.step is not None else 1
    if isinstance(step, bool) or not isinstance(step, int) or step == 0:
        raise fail(INDEX_KIND, "the step of a slice is a compile-time integer other than 0", s.span)
    start, stop = _bound(el, s.start, scope, None), _bound(el, s.stop, scope, None)
    if isinstance(start, Node) or isinstance(stop, Node):
        return _dynamic_slice(el, s, 0 if start is None else start, n, step, scope)
    if step < 0:
        return _backward(s, start, stop, n, -step)
    if start is None and stop is None:  # the whole axis, whose size needs no proof
        return At("slice", 0, dims.ceildiv(n, step), step, span=s.span)
    low, high = _clip(_from_end(start or 0, n), n), _clip(_from_end(n if stop is None else stop, n), n)
    return At("slice", low, dims.ceildiv(_length(high - low, s, n), step), step, span=s.span)


def _length(length: Size, s: ast.Slice, n: Size) -> Size:
    """A number of elements, which is proved to be none or more."""
    if dims.nonnegative(length):
        return length
    if isinstance(length, int):
        return 0
    raise fail(
        SLICE_LENGTH,
        f"the slice {s.span.text} of {n} may have a negative length",
        s.span,
        help="bound the dimension with `where`: the slice must fit for every value of it",
    )


def _from_end(i: Size, n: Size) -> Size:
    return n + i if isinstance(i, int) and i < 0 else i


def _clip(i: Size, n: Size) -> Size:
    """NumPy's clipping of compile-time bounds."""
    if isinstance(i, int) and isinstance(n, int):
        return min(max(i, 0), n)
    if dims.nonnegative(i - n):
        return n
    return i if dims.nonnegative(n - i) or not isinstance(i, int) else dims.minimum(i, n)


def _backward(s: ast.Slice, start: Any, stop: Any, n: Size, step: int) -> At:
    """`start:stop:-step`: the elements stand from `first`, the last one read, to `start`."""
    if start is None:
        first, length = dims.mod(n - 1, step), dims.ceildiv(n, step)
        if stop is None:
            return At("slice", first, length, -step, span=s.span)
        start = n - 1
    start = _clip(_from_end(start, n) + 1, n) - 1
    end: Size = -1 if stop is None else _clip(_from_end(stop, n) + 1, n) - 1
    length = dims.ceildiv(_length(start - end, s, n), step)
    return At("slice", 0 if length == 0 else start - (length - 1) * step, length, -step, span=s.span)


def _dynamic_slice(el: Elaborator, s: ast.Slice, start: Any, n: Size, step: int, scope: Scope) -> At:
    length = slice_length(el, s, scope, n)
    if length is None:
        raise fail(
            SLICE_LENGTH,
            f"the length of `{s.span.text}` depends on a run-time value",
            s.span,
            help="write both bounds over the same value: `t:t+4`",
        )
    if step < 0:
        raise fail(
            INDEX_KIND, "a slice from a run-time position goes forward", s.span, help="turn it: `[::-1]`"
        )
    node = start if isinstance(start, Node) else ops.size_value(start, dtypes.i32)
    return At("dynamic_slice", size=_length(length, s, n), step=step, node=node, span=s.span)


def slice_length(el: Elaborator, s: ast.Slice, scope: Scope, n: Size) -> Size | None:
    """stop - start with run-time scalars as symbols; None where they do not cancel."""
    low = symbolic(el, s.start, scope) if s.start is not None else 0
    high = symbolic(el, s.stop, scope) if s.stop is not None else n
    if low is None or high is None:
        return None
    length = high - low
    return None if any(name.startswith("@") for name in dims.symbols(length)) else length


def symbolic(el: Elaborator, e: Any, scope: Scope) -> Size | None:
    """An integer expression as a polynomial in which run-time scalars are symbols."""
    if isinstance(e, ast.Binary) and e.op in ("+", "-", "*"):
        a, b = symbolic(el, e.left, scope), symbolic(el, e.right, scope)
        if a is None or b is None:
            return None
        return a + b if e.op == "+" else a - b if e.op == "-" else a * b
    value = el.known(e, scope)
    if isinstance(value, Node):
        return dims.sym("@" + e.span.text)
    return value if isinstance(value, (int, Dim)) and not isinstance(value, bool) else None


# ---------------------------------------------------------------- reading


def read(el: Elaborator, x: Node, at: list[At], e: Any) -> Node:
    """Apply a plan to a tensor."""
    for stage in access.stages(el, x, at, e):
        x = stage.read(x)
    return el.mark_inserted(x) if any(a.kind == "new" for a in at) else x


def row(x: Node, i: int | Node) -> Node:
    """x[i] along the first axis; zeros where it has none, as a loop that never turns asks for."""
    rest = x.shape[1:]
    if x.shape[0] == 0:
        return ops.zeros(TensorType(x.dtype, rest))
    if isinstance(i, Node):
        zeros = (ops.constant(0, dtypes.i32) for _ in rest)
        return ops.reshape(ops.dynamic_slice(x, [i, *zeros], (1, *rest)), rest)
    cut = ops.slice_(x, (i, *(0 for _ in rest)), (1, *rest), (1,) * x.rank)
    return ops.reshape(cut, rest)


def rows(el: Elaborator, x: Node, span: Span) -> Any:
    """A tensor taken apart along its first axis, where that has a known size."""
    if x.rank and isinstance(x.shape[0], int):
        return v.Tuple(tuple(row(x, i) for i in range(x.shape[0])))
    return x
