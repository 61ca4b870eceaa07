"""Reading and writing by an index, in stages that undo each other: windows, strides, gathers, shapes.

Enters: a tensor and a plan, one `At` for each of its dimensions (`indexing`). Leaves: stages, each of which reads a part of a
tensor and puts a new part in its place. Run-time indices do not wrap: reads of an element clamp, writes of an element
outside are dropped, slices that do not fit are shifted, read or written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from charl import dims, dtypes, ops
from charl.dims import Dim
from charl.elaborate import operators
from charl.elaborate.operators import Operand
from charl.graph.ir import Node, Shape, Size, TensorType
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator


@dataclass
class At:
    """One dimension of the operand under an index."""

    kind: str  # "all", "slice", "item", "dynamic", "dynamic_slice", "take"; no dimension: "new", "between"
    start: Size = 0
    size: Size | None = None
    step: int = 1
    node: Node | None = None
    span: Span | None = None


class Stage(Protocol):
    """A part of a tensor."""

    def read(self, x: Node) -> Node:
        """The part."""
        ...

    def write(self, x: Node, part: Node) -> Node:
        """`x` with another part."""
        ...


def stages(el: Elaborator, x: Node, at: Sequence[At], span: Span) -> list[Stage]:
    """What an index does to `x`, one stage after the other."""
    fancy = any(a.kind == "take" for a in at)
    used = [a for a in at if a.kind not in ("new", "between")]
    chosen = [k for k, a in enumerate(used) if a.kind == "take" or (fancy and a.kind in ("item", "dynamic"))]
    out: list[Stage] = []
    window = Window.of(used, x, frozenset(chosen))
    shape = x.shape
    if window is not None:
        out.append(window)
        shape = window.sizes
    strides = Strides.of(used, shape)
    if strides is not None:
        out.append(strides)
        shape = strides.sizes
    indices: Shape = ()
    if fancy:
        indices = _common(el, [_index(used[k]) for k in chosen], span)
        gather = Gather(tuple(chosen), tuple(_index(used[k]) for k in chosen), indices, _front(at))
        out.append(gather)
    final = _final(at, shape, indices, fancy)
    kept = [n for k, n in enumerate(shape) if k not in chosen]
    where = 0 if not chosen or _front(at) else chosen[0]
    before = (*kept[:where], *indices, *kept[where:])
    if final != before:
        out.append(Form(before, final))
    return out


def _front(at: Sequence[At]) -> bool:
    """Whether NumPy puts the dimensions of the indices first: something stands between the indices."""
    places = [k for k, a in enumerate(at) if a.kind in ("take", "item", "dynamic")]
    return places[-1] - places[0] >= len(places)


def _final(at: Sequence[At], shape: Shape, indices: Shape, fancy: bool) -> Shape:
    """The shape of what an index gives."""
    out: list[Size] = []
    taken = fancy and _front(at)
    if taken:
        out.extend(indices)
    k = 0
    for a in at:
        if a.kind == "between":  # `...` of no dimension, which separates indices all the same
            continue
        if a.kind == "new":
            out.append(1)
            continue
        if a.kind in ("take", "item", "dynamic"):
            if fancy and not taken:
                taken = True
                out.extend(indices)
        else:
            out.append(shape[k])
        k += 1
    return tuple(out)


def i32(n: Node) -> Node:
    """An index in the type of indices."""
    return n if n.dtype == dtypes.i32 else ops.cast(n, dtypes.i32)


def number(n: Size) -> Node:
    """A size as an index."""
    return ops.size_value(n, dtypes.i32) if isinstance(n, Dim) else ops.constant(n, dtypes.i32)


def _index(a: At) -> Node:
    return number(a.start) if a.node is None else a.node


def _common(el: Elaborator, nodes: list[Node], span: Span) -> Shape:
    """The common shape of several indices."""
    shape: Shape = ()
    for n in nodes:
        other = Operand(ops.zeros(TensorType(n.dtype, shape)), span)
        shape = operators.broadcast_shapes(el, other, Operand(n, span), "an index", span)
    return shape


# ---------------------------------------------------------------- stages


@dataclass(frozen=True)
class Form:
    """The same elements under another shape."""

    before: Shape
    after: Shape

    def read(self, x: Node) -> Node:
        return ops.reshape(x, self.after)

    def write(self, x: Node, part: Node) -> Node:
        return ops.reshape(part, self.before)


@dataclass(frozen=True)
class Window:
    """A range of every dimension, from places known at run time or before. `items` are single elements."""

    starts: tuple[Node | Size, ...]
    sizes: Shape
    items: frozenset[int]

    @classmethod
    def of(cls, used: Sequence[At], x: Node, chosen: frozenset[int]) -> Window | None:
        """The window of a plan; None where it is the whole."""
        starts: list[Node | Size] = []
        sizes: list[Size] = []
        items = set()
        for k, (a, n) in enumerate(zip(used, x.shape, strict=True)):
            if k in chosen or a.kind == "all" or (a.kind == "slice" and a.step != 1):
                start, size = 0, n
            elif a.kind in ("dynamic", "dynamic_slice"):
                assert a.node is not None
                start, size = a.node, 1 if a.kind == "dynamic" else a.size  # type: ignore[assignment]
                if a.kind == "dynamic":
                    items.add(k)
            else:
                start, size = a.start, a.size  # type: ignore[assignment]
            starts.append(start)
            sizes.append(size)
        moving = any(isinstance(s, Node) for s in starts)
        if tuple(sizes) == x.shape and not moving:
            return None
        return cls(tuple(starts), tuple(sizes), frozenset(items))

    def _nodes(self) -> list[Node]:
        return [i32(s) if isinstance(s, Node) else number(s) for s in self.starts]

    def read(self, x: Node) -> Node:
        still = [0 if isinstance(s, Node) else s for s in self.starts]
        sizes = [
            n if isinstance(s, Node) else m for s, m, n in zip(self.starts, self.sizes, x.shape, strict=True)
        ]
        x = ops.slice_(x, still, sizes)
        if not any(isinstance(s, Node) for s in self.starts):
            return x
        moving = [i32(s) if isinstance(s, Node) else number(0) for s in self.starts]
        return ops.dynamic_slice(x, moving, self.sizes)

    def write(self, x: Node, part: Node) -> Node:
        starts = self._nodes()
        inside: Node | None = None
        for k in sorted(self.items):
            start = self.starts[k]
            assert isinstance(start, Node)
            i = i32(start)
            test = ops.eq(i, ops.index_within(i, x.shape[k]))
            inside = test if inside is None else ops.and_(inside, test)
        if inside is not None:  # outside, what is there is written again: only the window is touched
            old = ops.dynamic_slice(x, starts, part.shape)
            part = ops.select(operators.broadcast_to(inside, part.shape), part, old)
        return ops.dynamic_update(x, part, starts)


@dataclass(frozen=True)
class Strides:
    """Every so many elements of a dimension, forward or backward."""

    starts: Shape
    sizes: Shape
    steps: tuple[int, ...]

    @classmethod
    def of(cls, used: Sequence[At], shape: Shape) -> Strides | None:
        """The strides of a plan over a window of it; None where every element is taken in order."""
        if all(a.step == 1 for a in used):
            return None
        starts: list[Size] = []
        sizes: list[Size] = []
        for a, n in zip(used, shape, strict=True):
            static = a.kind == "slice" and a.step != 1
            starts.append(a.start if static else 0)
            if static:
                assert a.size is not None
            sizes.append(a.size if static else dims.ceildiv(n, a.step))  # type: ignore[arg-type]
        return cls(tuple(starts), tuple(sizes), tuple(a.step for a in used))

    @property
    def _turned(self) -> tuple[int, ...]:
        return tuple(k for k, s in enumerate(self.steps) if s < 0)

    def read(self, x: Node) -> Node:
        steps = [abs(s) for s in self.steps]
        return ops.reverse(ops.slice_(x, self.starts, self.sizes, steps), self._turned)

    def write(self, x: Node, part: Node) -> Node:
        part = ops.reverse(part, self._turned)
        steps = [abs(s) for s in self.steps]
        if all(s == 1 for s in steps):
            return ops.dynamic_update(x, part, [number(s) for s in self.starts])
        mask = ops.spread(ops.full(True, TensorType(dtypes.boolean, part.shape)), x.shape, self.starts, steps)
        return ops.select(mask, ops.spread(part, x.shape, self.starts, steps), x)


@dataclass(frozen=True)
class Gather:
    """Elements at integer tensors `nodes` along `axes`, broadcast to `shape`; that stands in front, or at the first axis."""

    axes: tuple[int, ...]
    nodes: tuple[Node, ...]
    shape: Shape
    front: bool

    def _order(self, rank: int) -> tuple[int, ...]:
        """The dimensions with the indexed ones side by side."""
        rest = [k for k in range(rank) if k not in self.axes]
        first = 0 if self.front else self.axes[0]
        return (*rest[:first], *self.axes, *rest[first:])

    def _flat(self, x: Node) -> Node:
        """`x` with the indexed dimensions as one."""
        moved = ops.transpose(x, self._order(x.rank))
        first, after = self._axis(), self._axis() + len(self.axes)
        shape = moved.shape
        joined = dims.product(shape[first:after])
        return ops.reshape(moved, (*shape[:first], joined, *shape[after:]))

    def _axis(self) -> int:
        return 0 if self.front else self.axes[0]

    @property
    def _told(self) -> bool:
        """Whether each index is looked at before they are joined."""
        return len(self.axes) > 1

    def _place(self, x: Node, clamp: bool) -> Node:
        """Positions along the joined dimension; -1 where an index is outside, unless it is clamped."""
        if len(self.axes) == 1:
            return self.nodes[0]
        place: Node | None = None
        inside: Node | None = None
        for axis, given in zip(self.axes, self.nodes, strict=True):
            n = x.shape[axis]
            i = i32(given)
            brought = ops.index_within(i, n)
            if not clamp:
                fits = operators.broadcast_to(ops.eq(i, brought), self.shape)
                inside = fits if inside is None else ops.and_(inside, fits)
            wide = operators.broadcast_to(brought, self.shape)
            by = operators.broadcast_to(number(n), self.shape)
            place = wide if place is None else ops.add(ops.mul(place, by), wide)
        assert place is not None
        return place if inside is None else ops.select(inside, place, ops.full(-1, place.type))

    def read(self, x: Node) -> Node:
        return ops.gather(self._flat(x), self._place(x, True), axis=self._axis(), meant=self._told)

    def write(self, x: Node, part: Node) -> Node:
        flat = ops.scatter(self._flat(x), self._place(x, False), part, self._axis(), meant=self._told)
        return self._back(x, flat)

    def add(self, x: Node, part: Node) -> Node:
        """`x` with all of `part` added."""
        flat = ops.scatter_add(self._flat(x), self._place(x, False), part, self._axis(), meant=self._told)
        return self._back(x, flat)

    def _back(self, x: Node, flat: Node) -> Node:
        order = self._order(x.rank)
        apart = ops.reshape(flat, tuple(x.shape[k] for k in order))
        return ops.transpose(apart, tuple(order.index(k) for k in range(x.rank)))
