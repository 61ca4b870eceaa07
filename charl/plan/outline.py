"""The body of a loop over parts of labelled values, and the loops around it.

Enters: values with a label for every axis, and those of them that the body computes. Leaves: the loops, and each result as a
value of its old shape. Whatever else the body reads is sliced, which costs nothing. Never decides what becomes a loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from charl import dims, ops
from charl.dims import product
from charl.graph.ir import Graph, Node, Shape, Size, TensorType
from charl.graph.scalar import Load, Reduce
from charl.ops.record import OPS, make
from charl.ops.regions import counter, item, over, parameter_like, rebuilt
from charl.ops.source import size_value, zeros
from charl.plan.access import found_alike, nodes_of


class Part(Enum):
    """What the body has of an axis: nothing, as it is 1; a block of rows; all of it."""

    ONE = "one"
    ROWS = "rows"
    ALL = "all"


# A number: the axis of the start that a loop runs along, of which the body has one index.
Labels: TypeAlias = tuple["int | Part", ...]


_VIEWS = ("reshape", "transpose", "slice", "broadcast", "reverse")


def elementwise(n: Node) -> bool:
    """Whether each element is made of the same element of every input."""
    if (
        n.op in ("parameter", "loop", "item")
        or n.regions
        or not n.inputs
        or any(x.shape != n.shape for x in n.inputs)
    ):
        return False
    return found_alike(_ELEMENTWISE, n, _elementwise)


_ELEMENTWISE: dict[Hashable, bool] = {}


def _elementwise(n: Node) -> bool:
    index = tuple(dims.sym(f"@{d}") for d in range(n.rank))
    found = nodes_of(OPS[n.op].at(n, index), indices=True)
    return not any(isinstance(e, Reduce) or (isinstance(e, Load) and e.index != index) for e in found)


def axis_order(shape: Shape, other: Shape, labels: Labels) -> Labels:
    """Labels for `shape`, which has the axes of `other` but for some of size 1."""
    wide = iter([label for size, label in zip(other, labels, strict=True) if size != 1])
    return tuple(Part.ONE if size == 1 else next(wide) for size in shape)


@dataclass(frozen=True)
class Piece:
    """`blocks` blocks of `rows` rows each, from row `first` on."""

    first: Size
    rows: Size
    blocks: Size = 1

    @property
    def count(self) -> Size:
        """Rows in all."""
        return self.blocks * self.rows


def whole(parts: Sequence[tuple[Node, Labels]], like: Node) -> Node:
    """A value of its parts for the pieces of the rows: beside one another, or added up where it is a sum over rows."""
    (out, labels), *_ = parts
    if len(parts) > 1 and Part.ROWS in labels:
        out = make("concatenate", *(x for x, _ in parts), axis=labels.index(Part.ROWS))
    else:
        for x, _ in parts[1:]:
            out = ops.add(out, x)
    out.name, out.span = like.name, like.span
    return out


class Outline:
    """Builds the loops of some results, over one piece of the rows."""

    def __init__(
        self,
        labels: Mapping[Node, Labels],
        start: Node,
        piece: Piece,
        inner: set[Node],
        ready: set[Node],
        taken: frozenset[str],
    ) -> None:
        self.labels = labels
        self.start = start
        self.piece = piece
        self.rows = piece.rows
        self.inner = inner
        self.ready = ready  # what loops before this one have left
        names = [n for n in ("block", *(f"block{k}" for k in range(2, 99))) if n not in taken]
        self.outer = [(k, names[k + 1], start.shape[k]) for k in labels[start] if isinstance(k, int)]
        self.index = {k: dims.sym(name) for k, name, _ in self.outer}
        self.over_rows = piece.blocks != 1 or not self.outer  # some loop there is in any case
        self.first: Size = piece.first + (dims.sym(names[0]) * piece.rows if self.over_rows else 0)
        self.nest = [(name, extent) for _, name, extent in self.outer]
        if self.over_rows:
            self.nest.append((names[0], piece.blocks))
        self._made: dict[tuple[Node, Labels], Node] = {}
        self._from_indices: dict[Node, bool] = {}
        self._read: dict[Node, Node] = {}  # what comes from outside, and the parameter for it

    # ------------------------------------------------------------ the body

    def part(self, node: Node, labels: Labels) -> Node:
        """The part of a value that the body has."""
        key = (node, labels)
        if key not in self._made:
            out = self._computed(node, labels) if self._inside(node) else None
            out = self._sliced(node, labels) if out is None else out
            out.name, out.span = out.name or node.name, out.span or node.span
            self._made[key] = self._shaped(out, self._shape(node.shape, labels))
        return self._made[key]

    def _inside(self, node: Node) -> bool:
        """Whether the body computes a value: it is part of the chain, as large as it, or made of nothing but indices."""
        if node in self.ready:
            return False
        if node in self.inner or node.op in ("broadcast", "reshape") or self._generated(node):
            return True
        large = product(node.shape) == product(self.start.shape)
        return large and node not in self.labels and (elementwise(node) or node.op == "transpose")

    def _generated(self, node: Node) -> bool:
        if node not in self._from_indices:
            if node.inputs:
                out = all(self._generated(x) for x in node.inputs) and (
                    node.op in ("broadcast", "reshape") or elementwise(node)
                )
            else:
                out = node.op in ("iota", "size_value") or (node.op == "constant" and not node.rank)
            self._from_indices[node] = out
        return self._from_indices[node]

    def _shape(self, shape: Shape, labels: Labels) -> Shape:
        pairs = zip(shape, labels, strict=True)
        return tuple(self.rows if x is Part.ROWS else n for n, x in pairs if x in (Part.ROWS, Part.ALL))

    @staticmethod
    def _shaped(x: Node, shape: Shape) -> Node:
        return x if x.shape == shape else ops.reshape(x, shape)

    @staticmethod
    def _places(labels: Labels) -> dict[int, int]:
        """Where the axes go that the body has."""
        kept = [k for k, label in enumerate(labels) if label in (Part.ROWS, Part.ALL)]
        return {k: i for i, k in enumerate(kept)}

    def _sliced(self, node: Node, labels: Labels) -> Node:
        x = self._captured(node)
        start = {Part.ONE: 0, Part.ALL: 0, Part.ROWS: self.first}
        starts = [start[k] if isinstance(k, Part) else self.index[k] for k in labels]
        pairs = zip(node.shape, labels, strict=True)
        sizes = [n if k is Part.ALL else self.rows if k is Part.ROWS else 1 for n, k in pairs]
        return self._shaped(ops.slice_(x, starts, sizes), self._shape(node.shape, labels))

    def _captured(self, node: Node) -> Node:
        """A value from outside; what only rearranges another is made again from that."""
        if node.op in _VIEWS and node not in self.ready:
            return Node(node.op, (self._captured(node.inputs[0]),), node.attrs, node.type)
        return self._read.setdefault(node, parameter_like(node, f"read{len(self._read)}"))

    def _computed(self, node: Node, labels: Labels) -> Node | None:
        if node.op in ("constant", "size_value"):
            return Node(node.op, (), node.attrs, node.type)
        if node.op == "iota":
            return self._iota(node, labels)
        if node.op == "broadcast":
            return self._broadcast(node, labels)
        if node.op == "contract":
            return self.contracted(node, *self._operand_labels(node, labels))
        x, *_ = node.inputs
        if node.op == "reshape":
            same = [n for n in x.shape if n != 1] == [n for n in node.shape if n != 1]
            return self.part(x, axis_order(x.shape, node.shape, labels)) if same else None
        if node.op == "transpose":
            return self._transposed(node, labels)
        if node.op.startswith("reduce_") and x in self.labels:
            place = self._places(self.labels[x])
            axes = tuple(place[k] for k in node.attrs["axes"] if k in place)
            return make(node.op, self.part(x, self.labels[x]), axes=axes)
        if not elementwise(node):
            return None
        parts = [self.part(x, labels) for x in node.inputs]
        return Node(
            node.op, tuple(parts), node.attrs, TensorType(node.dtype, self._shape(node.shape, labels))
        )

    def _iota(self, node: Node, labels: Labels) -> Node:
        shape, axis, dtype = self._shape(node.shape, labels), node.attrs["axis"], node.dtype
        label = labels[axis]
        if isinstance(label, int) or label is Part.ONE:
            at = 0 if label is Part.ONE else self.index[label]
            return ops.broadcast(size_value(at, dtype), shape, ())
        count = ops.iota(shape, self._places(labels)[axis], dtype)
        if label is Part.ALL or self.first == 0:
            return count
        return ops.add(count, ops.broadcast(size_value(self.first, dtype), shape, ()))

    def _broadcast(self, node: Node, labels: Labels) -> Node:
        (x,), axes = node.inputs, node.attrs["axes"]
        own = tuple(Part.ONE if n == 1 else labels[a] for a, n in zip(axes, x.shape, strict=True))
        place = self._places(labels)
        at = tuple(place[a] for a, label in zip(axes, own, strict=True) if label in (Part.ROWS, Part.ALL))
        return ops.broadcast(self.part(x, own), self._shape(node.shape, labels), at)

    def _transposed(self, node: Node, labels: Labels) -> Node:
        (x,), perm = node.inputs, node.attrs["perm"]
        own: list[int | Part] = [Part.ONE] * x.rank
        for k, source in enumerate(perm):
            own[source] = labels[k]
        place = self._places(tuple(own))
        return ops.transpose(self.part(x, tuple(own)), [place[a] for a in perm if a in place])

    def _operand_labels(self, node: Node, labels: Labels) -> tuple[Labels, Labels]:
        """Of a contraction that starts a chain: what it sums over is there as a whole."""
        out: list[Labels] = []
        nb = len(node.attrs["batch"][0])
        at = nb
        for side, x in enumerate(node.inputs):
            own: list[int | Part] = [Part.ALL] * x.rank
            gone = {*node.attrs["batch"][side], *node.attrs["sum"][side]}
            for k, axis in enumerate(node.attrs["batch"][side]):
                own[axis] = labels[k]
            for axis in (a for a in range(x.rank) if a not in gone):
                own[axis] = labels[at]
                at += 1
            out.append(tuple(own))
        return out[0], out[1]

    def end_labels(self, node: Node) -> tuple[Labels, Labels, Labels]:
        """Of a contraction that ends a chain: the labels of both operands, and of its result."""
        side = next(k for k, x in enumerate(node.inputs) if x in self.labels and x in self.inner)
        x, y = node.inputs[side], node.inputs[1 - side]
        mine = self.labels[x]
        other: list[int | Part] = [Part.ALL] * y.rank
        for pairs in (node.attrs["batch"], node.attrs["sum"]):
            for i, j in zip(pairs[side], pairs[1 - side], strict=True):
                other[j] = mine[i]
        both = (mine, tuple(other)) if side == 0 else (tuple(other), mine)
        result: list[int | Part] = [both[0][k] for k in node.attrs["batch"][0]]
        for k, labels in enumerate(both):
            gone = {*node.attrs["batch"][k], *node.attrs["sum"][k]}
            result += [label for a, label in enumerate(labels) if a not in gone]
        return *both, tuple(result)

    def contracted(self, node: Node, first: Labels, second: Labels) -> Node:
        """A contraction over the parts of its operands."""
        places = (self._places(first), self._places(second))
        pairs = [(i, j) for i, j in zip(*node.attrs["sum"], strict=True) if i in places[0]]
        summed = ([places[0][i] for i, _ in pairs], [places[1][j] for _, j in pairs])
        a, b = node.inputs
        return ops.contract(self.part(a, first), self.part(b, second), sum=summed)

    # ------------------------------------------------------------ the loops

    def loops(self, results: Sequence[Node], outside: dict[Node, Node]) -> list[tuple[Node, Labels]]:
        """The results for the rows of the piece, taken from loops, and their labels.

        `outside` has what stands for values of the graph by now, and learns more.
        """
        made: list[tuple[Node, Labels, bool]] = []
        for r in results:
            if r in self.inner:
                made.append((self.part(r, self.labels[r]), self.labels[r], False))
                continue
            first, second, labels = self.end_labels(r)
            summed = self.over_rows and Part.ROWS not in labels  # over the blocks of this piece
            value = self.contracted(r, first, second)
            value.name, value.span = r.name, r.span
            made.append((value, labels, summed))
        sums = [value for value, _, summed in made if summed]
        rows = [value for value, _, summed in made if not summed]
        left = iter(self._nested(sums, rows, outside))
        by_value = {id(v): x for v, x in zip([*sums, *rows], left, strict=True)}
        return [(self._whole(by_value[id(v)], labels, r), labels) for r, (v, labels, _) in zip(results, made)]

    def _nested(self, sums: list[Node], rows: list[Node], outside: dict[Node, Node]) -> list[Node]:
        """The innermost loop adds `sums` up and stacks `rows`; those around stack all."""
        read = list(self._read)
        total = [parameter_like(x, f"sum{k}") for k, x in enumerate(sums)]
        added = [ops.add(a, x) for a, x in zip(total, sums)]
        for a, x in zip(added, sums):
            a.name, a.span = x.name, x.span
        params = [*total, *self._read.values()]
        body = Graph("body", [counter(), *params], [*added, *rows])
        starts = [zeros(x.type) for x in sums]
        carried = len(sums)
        for depth, (name, extent) in reversed(list(enumerate(self.nest))):
            reads = [parameter_like(x, f"read{k}") for k, x in enumerate(read)]
            if depth == 0:
                reads = rebuilt(read, outside)
            loop = over(extent, carried, body, [*starts, *reads], False, -1)
            attrs = {**loop.attrs, "index": name}
            loop = Node("loop", loop.inputs, attrs, loop.type, loop.regions, self.start.span)
            left = [item(loop, k) for k in range(len(sums) + len(rows))]
            body = Graph("body", [counter(), *reads], left)
            starts, carried = [], 0
        return left

    def _whole(self, x: Node, labels: Labels, like: Node) -> Node:
        """A stacked result in the order and shape of what it stands for, with the rows of the piece."""
        loops = [k for k, _, _ in self.outer]
        blocks = self.over_rows and Part.ROWS in labels
        at = {k: i for i, k in enumerate(loops)}
        next_axis = len(loops) + blocks
        perm: list[int] = []
        for label in labels:
            if isinstance(label, int):
                perm.append(at[label])
            elif label is not Part.ONE:
                if label is Part.ROWS and blocks:
                    perm.append(len(loops))
                perm.append(next_axis)
                next_axis += 1
        shape = [self.piece.count if k is Part.ROWS else n for n, k in zip(like.shape, labels, strict=True)]
        out = ops.reshape(ops.transpose(x, perm), tuple(shape))
        out.name, out.span = like.name, like.span
        return out
