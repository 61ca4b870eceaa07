"""Indexed writes: `x[…] = v` and `x[…] += v`.

Enters: an assignment to an index of a mutable place. Leaves: a new value in that place. Elements outside are dropped, slices
that do not fit are shifted; with repeated indices `+=` adds all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charl import dtypes, ops
from charl.dims import Dim
from charl.elaborate import values as v
from charl.elaborate.scope import Scope
from charl.errors import CharlError, fail
from charl.graph.ir import Node, Size, at_span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

from charl.elaborate import operators
from charl.elaborate.indexing import INDEX_KIND, At, i32, plan, read
from charl.elaborate.operators import Operand


def write(el: Elaborator, s: ast.Assign, scope: Scope) -> None:
    """`x[items] = v` and `x[items] += v`."""
    from charl.elaborate.statements import require_mutable

    target = s.target
    assert isinstance(target, ast.Index)
    place = el.place(target.value, scope)
    require_mutable(place, target.value)
    x = place.get()
    if isinstance(x, v.ErrorValue):
        raise v.Silenced
    right = el.operand(s.value, scope)
    with at_span(s.span):
        at = plan(el, x, target, scope)
        if any(a.kind == "take" for a in at):
            place.set(el.settle(_scatter(el, x, at, right, s)))
            return
        value = right
        if s.op:
            value = Operand(
                operators.binary(el, s.op, Operand(read(el, x, at, target), target.span), right, s.span),
                s.value.span,
            )
        place.set(el.settle(_stored(el, x, at, value, s)))


def _stored(el: Elaborator, x: Node, at: list[At], right: Operand, s: ast.Assign) -> Node:
    """`x` with a window replaced; an element outside is dropped, a slice that does not fit is shifted."""
    used = [a for a in at if a.kind != "new"]
    if any(a.kind == "slice" and a.step != 1 for a in used):
        raise fail(INDEX_KIND, "a slice that is written has step 1", s.target.span)
    window = tuple(_extent(a, n) for a, n in zip(used, x.shape, strict=True))
    kept = tuple(w for w, a in zip(window, used, strict=True) if a.kind not in ("item", "dynamic"))
    value = _fitted(el, x, right, kept, s)
    update = ops.reshape(value, window)
    starts = []
    for a in used:
        if a.kind in ("dynamic", "dynamic_slice") and a.node is not None:
            starts.append(i32(a.node))
        else:
            start = a.start if a.kind in ("slice", "item") else 0
            starts.append(
                ops.size_value(start, dtypes.i32)
                if isinstance(start, Dim)
                else ops.constant(start, dtypes.i32)
            )
    new = ops.dynamic_update(x, update, starts)
    inside = _inside(used, x)
    if inside is not None:
        new = ops.select(operators.broadcast_to(inside, x.shape), new, x)
    return new


def _inside(used: list[At], x: Node) -> Node | None:
    """Whether every run-time element index is in range."""
    out: Node | None = None
    for a, n in zip(used, x.shape, strict=True):
        if a.kind == "dynamic" and a.node is not None:
            i = i32(a.node)
            low = ops.ge(i, ops.constant(0, dtypes.i32))
            test = ops.and_(low, ops.lt(i, ops.size_value(n, dtypes.i32)))
            out = test if out is None else ops.and_(out, test)
    return out


def _extent(a: At, n: Size) -> Size:
    if a.kind in ("item", "dynamic"):
        return 1
    return a.size if a.kind in ("slice", "dynamic_slice") else n


def _fitted(el: Elaborator, x: Node, right: Operand, shape: tuple[Size, ...], s: ast.Assign) -> Node:
    """The written value in the element type and shape of the window."""
    target = Operand(ops.zeros(type(x.type)(x.dtype, shape)), s.target.span)
    nodes = operators.same_dtype(el, [target, right], "an assignment", s.span)
    got = Operand(nodes[1], right.span)
    if operators.broadcast_shapes(el, target, got, "an assignment", s.span) != shape:
        raise CharlError(
            [operators._no_broadcast(target, got, "an assignment", s.span, *_ranks(shape, nodes[1]))]
        )
    return operators.broadcast_to(nodes[1], shape)


def _ranks(shape: tuple[Size, ...], n: Node) -> tuple[Size, Size]:
    return (shape[0] if shape else 1, n.shape[0] if n.shape else 1)


def _scatter(el: Elaborator, x: Node, at: list[At], right: Operand, s: ast.Assign) -> Node:
    """`x[i] += v` by an integer tensor on one dimension; out-of-range updates are dropped."""
    used = [a for a in at if a.kind != "new"]
    axes = [i for i, a in enumerate(used) if a.kind == "take"]
    if len(axes) != 1 or any(a.kind not in ("take", "all") for a in used):
        raise fail(
            INDEX_KIND, "an indexed write takes one integer tensor, other dimensions whole", s.target.span
        )
    if s.op not in ("+", "-"):
        raise fail(INDEX_KIND, "a write by an integer tensor is `+=` or `-=` for now", s.target.span)
    axis, idx = axes[0], used[axes[0]].node
    assert idx is not None
    shape = (*x.shape[:axis], *idx.shape, *x.shape[axis + 1 :])
    value = _fitted(el, x, right, shape, s)
    return ops.scatter_add(x, idx, ops.neg(value) if s.op == "-" else value, axis, 0, "drop")
