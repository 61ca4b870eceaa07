"""Stacks: structs and models of which every tensor has first axes, `Particle[N]`, `Block(d, heads)[depth]`.

Enters: type expressions, stacked values, index plans. Leaves: types with axes before those of their tensors
(`InstanceType.lead`), elements, and stacks of elements. The axes are those that `vmap` makes and goes over. Never calls a method.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from charl import dtypes, ops
from charl.elaborate import access, indexing
from charl.elaborate import values as v
from charl.elaborate.access import At
from charl.elaborate.scope import Binding, Place, Scope
from charl.errors import Label, code, fail
from charl.graph.ir import Node, Size, TensorType, at_span
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.types import Matcher

STACKED = (v.InstanceType, v.OpaqueType)  # types that have axes before those of their tensors

NOT_STACKED = code("E0280", "a type cannot be stacked")
WRITTEN = code("E0281", "what is written into a stack is no element of it")
MANY = code("E0282", "indices reach into the elements of a stack")


# ---------------------------------------------------------------- types


def base(matcher: Matcher, t: Any) -> Any:
    """The type of an element, where a type expression is a stack; else None."""
    if isinstance(t, ast.StackType):
        return t.base
    if isinstance(t, ast.TensorType) and t.element.name not in matcher.el.dtypes:
        found = matcher.lookup(t.element.name)
        if found is not None and not isinstance(found, dtypes.DType):
            return ast.NamedType(t.element.span, t.element, (), None)
    return None


def resolve(matcher: Matcher, t: Any, element: Any) -> Any:
    """The type that a stack stands for."""
    return _before(matcher.resolve(element), matcher.sizes(t.dims), t)


def _before(found: Any, sizes: tuple[Size, ...], t: Any) -> Any:
    if isinstance(found, STACKED):
        return replace(found, lead=(*sizes, *found.lead))
    if isinstance(found, TensorType):
        return TensorType(found.dtype, (*sizes, *found.shape))
    if isinstance(found, v.TupleType):
        return v.TupleType(tuple(_before(x, sizes, t) for x in found.items))
    raise fail(
        NOT_STACKED,
        f"{v.describe(found)} cannot be stacked",
        t.span,
        help="structs, models and tensors can: `Particle[N]`; a run of other things is `[T; n]`",
    )


def split(actual: Any, element: Callable[[], Any]) -> tuple[tuple[Size, ...], Any] | None:
    """The axes of a type before those of an element, and the type of one; `element()` is asked for that of anything but a
    struct or model."""
    if isinstance(actual, STACKED):
        return None if actual.lanes or actual.each else (actual.lead, replace(actual, lead=()))
    return _split(actual, element())


def _split(actual: Any, one: Any) -> tuple[tuple[Size, ...], Any] | None:
    if isinstance(actual, STACKED) and isinstance(one, STACKED):
        k = len(actual.lead) - len(one.lead)
        return (actual.lead[:k], replace(actual, lead=actual.lead[k:])) if k >= 0 else None
    if isinstance(actual, TensorType) and isinstance(one, TensorType):
        k = actual.rank - one.rank
        return (actual.shape[:k], TensorType(actual.dtype, actual.shape[k:])) if k >= 0 else None
    if (
        isinstance(actual, v.TupleType)
        and isinstance(one, v.TupleType)
        and len(actual.items) == len(one.items)
    ):
        parts = [_split(a, o) for a, o in zip(actual.items, one.items, strict=True)]
        found = [p for p in parts if p is not None]
        if found and len(found) == len(parts) and all(lead == found[0][0] for lead, _ in found):
            return found[0][0], v.TupleType(tuple(t for _, t in found))
    return None


# ---------------------------------------------------------------- values


def is_stack(value: Any) -> bool:
    """Whether a value is a stack."""
    return isinstance(value, v.Instance) and isinstance(value.type, STACKED) and bool(value.type.lead)


def row(value: v.Instance, i: int | Node) -> Any:
    """An element of the first axis."""
    return v.element(v.rebuild(value, lambda _, n: indexing.row(n, i)))


@dataclass
class Row:
    """An element of the first axis of a stack, as a place. What was read or written is what is read until the stack changes."""

    base: Place
    index: int | Node
    _known: tuple[Any, Any] | None = None  # the stack, and its element

    def get(self) -> Any:
        stack = self.base.get()
        if self._known is None or self._known[0] is not stack:
            self._known = stack, row(stack, self.index)
        return self._known[1]

    def set(self, value: Any) -> None:
        old, new = dict(v.leaves(self.get())), dict(v.leaves(value))
        at = self.index if isinstance(self.index, Node) else ops.constant(self.index, dtypes.i32)

        def written(path: str, x: Node) -> Node:
            if new[path] is old[path]:
                return x
            starts = [at, *(ops.constant(0, dtypes.i32) for _ in x.shape[1:])]
            return ops.dynamic_update(x, ops.reshape(new[path], (1, *x.shape[1:])), starts)

        if old != new:
            self.base.set(v.rebuild(self.base.get(), written))
            self._known = self.base.get(), value

    @property
    def mutable(self) -> bool:
        return self.base.mutable

    @property
    def root(self) -> Binding | None:
        return self.base.root


def together(parts: Sequence[Any]) -> Any:
    """Elements of one type stacked along a new first axis."""
    leaves = [dict(v.leaves(p)) for p in parts]

    def stack(path: str, node: Node) -> Node:
        rows = [ops.reshape(own[path], (1, *node.shape)) for own in leaves]
        return ops.concatenate(rows, axis=0) if len(rows) > 1 else rows[0]

    return v.stacked(v.rebuild(parts[0], stack), (len(parts),))


def index(el: Elaborator, value: v.Instance, e: ast.Index, scope: Scope) -> Any:
    """`p[items]`: of every tensor, along the axes of the stack."""
    return _elements(el, value, _plan(el, value, e, scope), e)


def _elements(el: Elaborator, value: v.Instance, at: list[At], e: ast.Index) -> Any:
    lead = value.type.lead
    kept = list(lead)

    def read(_: str, n: Node) -> Node:
        out = indexing.read(el, n, _whole(at, n, len(lead)), e.span)
        kept[:] = out.shape[: out.rank - n.rank + len(lead)]
        return out

    with at_span(e.span):
        return v.with_lead(v.rebuild(value, read), len(lead), tuple(kept))


def write(el: Elaborator, value: v.Instance, s: ast.Assign, scope: Scope) -> Any:
    """The stack after `p[items] = q` or `p[items] op= q`, which computes leaf by leaf as `p[items] op q` does."""
    from charl.elaborate import operators
    from charl.elaborate.operators import Operand
    from charl.elaborate.trained import trained_leaves
    from charl.elaborate.writing import written

    target = s.target
    assert isinstance(target, ast.Index)
    right = el.operand(s.value, scope)
    at = _plan(el, value, target, scope)
    adding = s.op in ("+", "-") and any(
        a.kind == "take" for a in at
    )  # an element named twice counts each time
    if s.op:
        old_part = Operand(_elements(el, value, at, target), target.span)
        with at_span(s.span):
            whole = operators.binary(el, s.op, old_part, right, s.span)
        if not adding:
            s, right = replace(s, op=""), Operand(whole, right.span)
    new = dict(v.leaves(right.value))
    old = dict(v.leaves(value))
    if not isinstance(right.value, v.Instance) or list(new) != list(old):
        raise fail(
            WRITTEN,
            f"`{target.span.text}` takes elements of {v.describe_value(value)}, "
            f"and this is {v.describe_value(right.value)}",
            s.value.span,
            labels=(Label(target.span, v.describe_value(value)),),
        )
    changed = {p for p, _ in trained_leaves(value)} if adding else old.keys()
    with at_span(s.span):

        def change(path: str, n: Node) -> Node:
            if path not in changed:
                return n
            stages = access.stages(el, n, _whole(at, n, len(value.type.lead)), target.span)
            return written(el, n, stages, Operand(new[path], right.span), s)

        return v.rebuild(value, change)


def _plan(el: Elaborator, value: v.Instance, e: ast.Index, scope: Scope) -> list[At]:
    """What happens to the axes of the stack."""
    lead = value.type.lead
    taken = sum(1 for i in e.items if not isinstance(i, (ast.NoneValue, ast.Dots)))
    if taken > len(lead):
        raise fail(
            MANY,
            f"{taken} indices for {v.describe_value(value)}, a stack of {len(lead)} axes",
            e.span,
            help="name the tensor that they belong to: `p.x[i, j]`",
        )
    return indexing.plan(el, ops.parameter("stack", TensorType(dtypes.i32, lead)), e, scope)


def _whole(at: list[At], n: Node, axes: int) -> list[At]:
    return [*at, *(At("all", size=s) for s in n.shape[axes:])]
