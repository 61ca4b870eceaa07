"""In which order the axes of values lie in memory, where another than their own is read faster.

Enters: an optimised graph, for a target with caches. Leaves: the same results from

- arrays that loops read row by row, laid with that axis first: the values of a step lie beside one another;
- products whose summed axes lie in the same order on both sides, so that they are one axis: the smaller side is copied;
- matrices that every turn of a loop multiplies with, copied once into strips as wide as a register tile;
- products that are windows put back with strides, laid with their places behind their taps.

A copy is a value that is stored ("laid"); where what is laid is computed, it is computed in that order. Never looks at names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charl import dims, ops
from charl.backends.capabilities import Capabilities
from charl.dims import nonnegative, product
from charl.graph.ir import Graph, Node, topological
from charl.graph.labels import label
from charl.graph.scalar import FUNCTIONS
from charl.ops.record import make
from charl.ops.regions import substituted
from charl.passes.values import splat

Perm = tuple[int, ...]
_TURNS = 4  # of a loop from which on a copy for all of them pays
_ROWS = 8  # of a product from which on strips are multiplied in register tiles
_VECTORS = 2  # of a strip
_PAYS = 64  # multiplications of each element of a side from which on copying it is little


def laid_out(graph: Graph, caps: Capabilities) -> Graph:
    """The graph with such orders; the same object where none changes."""
    return _Layouts(graph, caps).result()


class _Layouts:
    def __init__(self, graph: Graph, caps: Capabilities) -> None:
        self.graph = graph
        self.caps = caps
        self.order = graph.nodes()
        self.readers: dict[Node, list[Node]] = {n: [] for n in self.order}
        for n in self.order:
            for x in dict.fromkeys(n.inputs):
                self.readers[x].append(n)
        self.new: dict[Node, Node] = {}
        self.copies: dict[tuple[Node, Perm], Node] = {}
        self.laid: dict[tuple[Node, Perm], Node] = {}

    def result(self) -> Graph:
        """The new graph."""
        rows = {n: axis for n in self.order if (axis := self._read_by_rows(n))}
        for n in self.order:
            inputs = tuple(self.new[x] for x in n.inputs)
            if n.op == "contract":
                self.new[n] = self._summed_alike(n, inputs)
            elif n.op == "loop":
                self.new[n] = self._in_strips(self._by_rows(n, inputs, rows))
            elif n.op == "overlap_add":
                self.new[n] = self._taps_first(n, inputs)
            else:
                self.new[n] = _over(n, inputs)
        results = [self.new[r] for r in self.graph.results]
        if all(a is b for a, b in zip(results, self.graph.results, strict=True)):
            return self.graph
        return replace(self.graph, results=results)

    # ------------------------------------------------------------ rows of loops

    def _read_by_rows(self, node: Node) -> int:
        """The axis along which loops, and nobody else, read a computed value row by row, if it is not the first; else 0."""
        if node.op not in FUNCTIONS and node.op != "contract":
            return 0
        if node in self.graph.results or not self.readers[node]:
            return 0
        axes: set[int | None] = set()
        for loop in self.readers[node]:
            if loop.op != "loop" or node in loop.inputs[: loop.attrs["carried"]]:
                return 0
            (body,) = loop.regions
            params = [p for p, x in zip(body.params[1:], loop.inputs, strict=True) if x is node]
            axes |= {_row_axis(n, params) for n in body.nodes() if any(x in params for x in n.inputs)}
            axes |= {None for p in params if p in body.results}
        axis, *others = axes or {None}
        return 0 if others or axis is None else axis

    def _by_rows(self, node: Node, inputs: Sequence[Node], rows: dict[Node, int]) -> Node:
        """The loop, reading such values where they are laid with the axis first."""
        (body,) = node.regions
        if not any(x in rows for x in node.inputs[node.attrs["carried"] :]):
            return _over(node, inputs)
        given, params, table = list(inputs), list(body.params), {}
        for k, x in enumerate(node.inputs):
            if x not in rows:
                continue
            perm = _first(rows[x], x.rank)
            given[k] = self._in_order(x, perm)
            old = params[1 + k]
            params[1 + k] = make("parameter", hint=old.name, **{**old.attrs, "shape": given[k].shape})
            for n in body.nodes():
                if old in n.inputs:
                    starts, sizes = n.inputs[1:], n.attrs["sizes"]
                    cut = ops.dynamic_slice(
                        params[1 + k], [starts[d] for d in perm], [sizes[d] for d in perm]
                    )
                    table[n] = Node("reshape", (cut,), {"shape": n.shape}, n.type, (), n.span, n.name)
        region = Graph(body.name, params, substituted(body.results, table), body.span)
        return Node("loop", tuple(given), node.attrs, node.type, (region,), node.span, node.name)

    def _in_order(self, node: Node, perm: Perm, alone: bool = True) -> Node:
        """A value with its axes in another order: computed so, where nobody else wants it and it can be."""
        if (node, perm) not in self.laid:
            self.laid[node, perm] = self._computed(node, perm, alone)
        return self.laid[node, perm]

    def _computed(self, node: Node, perm: Perm, alone: bool) -> Node:
        if node.op in FUNCTIONS and alone:
            inputs = [self._in_order(x, perm, self.readers[x] == [node]) for x in node.inputs]
            made = make(node.op, *inputs, **node.attrs)
        elif node.op == "broadcast":
            places = [perm.index(a) for a in node.attrs["axes"]]
            order = sorted(range(len(places)), key=places.__getitem__)
            turned = ops.transpose(self.new[node.inputs[0]], order)
            made = ops.broadcast(turned, tuple(node.shape[d] for d in perm), tuple(sorted(places)))
        elif node.op == "contract" and alone and (side := self._moved_side(node, perm)) is not None:
            made = self._of_copy(node, perm, side)
        else:
            return ops.transpose(self.new[node], perm)
        made.span, made.name = node.span, node.name
        return made

    def _moved_side(self, node: Node, perm: Perm) -> int | None:
        """The side of a product whose free axes alone change places; None where others do, or copying it is much."""
        batch = len(node.attrs["batch"][0])
        free = [_free(node, side) for side in (0, 1)]
        moved = [d for d, p in enumerate(perm) if d != p]
        for side, first in ((0, batch), (1, batch + len(free[0]))):
            if all(first <= d < first + len(free[side]) for d in moved) and _pays(node, side):
                return side
        return None

    def _of_copy(self, node: Node, perm: Perm, side: int) -> Node:
        """The product of a copy of one side, whose free axes lie in the order of `perm`."""
        free, rank = _free(node, side), node.inputs[side].rank
        first = len(node.attrs["batch"][0]) + (len(_free(node, 0)) if side else 0)
        chosen = iter(free[perm[first + k] - first] for k in range(len(free)))
        order = tuple(next(chosen) if d in free else d for d in range(rank))
        inputs = [self.new[x] for x in node.inputs]
        inputs[side] = self._copy(inputs[side], order)
        return _contract(inputs, node, side, order)

    # ------------------------------------------------------------ strips

    def _in_strips(self, loop: Node) -> Node:
        """The loop, multiplying with copies in strips of matrices that it does not change."""
        (body,), extent, count = loop.regions, loop.attrs["extent"], loop.attrs["carried"]
        if not isinstance(extent, int) or extent < _TURNS:
            return loop
        captured = dict(zip(body.params[1 + count :], loop.inputs[count:], strict=True))
        given, params, table = list(loop.inputs), list(body.params), {}
        for n in body.nodes():
            width = self._strip(n) if n.op == "contract" and n.inputs[1] in captured else 0
            if not width:
                continue
            old = n.inputs[1]
            (free,) = _free(n, 1)
            split = [old.shape[0], old.shape[1]]
            split[free : free + 1] = [dims.floordiv(old.shape[free], width), width]
            order = (0, 2, 1) if free == 0 else (1, 0, 2)  # strips, the sum, a strip
            strips = self._copy(ops.reshape(captured[old], tuple(split)), order, old.name)
            given.append(strips)
            params.append(
                make("parameter", hint=old.name, name=old.name, dtype=old.dtype, shape=strips.shape)
            )
            back = ops.reshape(ops.transpose(params[-1], order), old.shape)  # each order undoes itself
            table[n] = Node("contract", (n.inputs[0], back), n.attrs, n.type, (), n.span, n.name)
        if not table:
            return loop
        results = substituted(body.results, table)
        read = set(topological(results))
        keep = [k for k, p in enumerate(params[1:]) if k < count or p in read]
        region = Graph(body.name, [params[0], *(params[1 + k] for k in keep)], results, body.span)
        return Node(
            "loop", tuple(given[k] for k in keep), loop.attrs, loop.type, (region,), loop.span, loop.name
        )

    def _strip(self, node: Node) -> int:
        """Elements of a strip of the matrix on the second side of a product, along the axis that is not summed; 0 where it stays
        as it is.
        """
        other, matrix = node.inputs
        if matrix.rank != 2 or len(free := _free(node, 1)) != 1 or other is matrix:
            return 0
        bits, columns = matrix.dtype.bits, matrix.shape[free[0]]
        width = _VECTORS * max(self.caps.max_lanes * 32 // bits, 1)
        size, rows = product(matrix.shape), product(other.shape[d] for d in _free(node, 0))
        if not (isinstance(size, int) and isinstance(columns, int) and isinstance(rows, int)):
            return 0
        far = size * bits // 8 > self.caps.cache[0]
        fits = rows >= _ROWS and columns % width == 0 and columns > width
        return width if far and fits and matrix.dtype.is_float else 0

    # ------------------------------------------------------------ products

    def _summed_alike(self, node: Node, inputs: Sequence[Node]) -> Node:
        """The product, its summed axes in one order on both sides."""
        sums = node.attrs["sum"]
        if len(sums[0]) < 2:
            return _over(node, inputs)
        orders = [sorted(range(len(s)), key=s.__getitem__) for s in sums]
        side = 0 if nonnegative(product(inputs[1].shape) - product(inputs[0].shape)) else 1
        sides, order = list(inputs), tuple(range(inputs[side].rank))
        if orders[0] != orders[1]:
            if not _pays(node, side):
                return _over(node, inputs)
            wanted = iter(sums[side][k] for k in orders[1 - side])
            order = tuple(next(wanted) if d in sums[side] else d for d in order)
            sides[side] = self._copy(inputs[side], order)
        elif orders[0] == list(range(len(sums[0]))):
            return _over(node, inputs)
        made = _contract(sides, node, side, order)
        made.span, made.name = node.span, node.name
        return made

    # ------------------------------------------------------------ windows put back

    def _taps_first(self, node: Node, inputs: Sequence[Node]) -> Node:
        """Windows that are put back, computed with their places last where these run longer than the taps: neighbours that are
        added lie beside one another then, and what is multiplied has longer rows.
        """
        (y,) = node.inputs
        made = y
        while made.op in ("transpose", "reshape") and self.readers[made.inputs[0]] == [made]:
            made = made.inputs[0]
        spots, taps = node.attrs["axes"], range(node.rank, y.rank)
        longer = nonnegative(product(y.shape[d] for d in spots) - product(y.shape[d] for d in taps))
        if made.op != "contract" or self.readers[y] != [node] or y in self.graph.results or not longer:
            return _over(node, inputs)
        others = [d for d in range(node.rank) if d not in spots]
        order = (*others, *taps, *sorted(spots))
        back = tuple(order.index(d) for d in range(y.rank))
        return _over(node, (ops.transpose(self._copy(inputs[0], order), back),))

    def _copy(self, x: Node, order: Perm, name: str | None = None) -> Node:
        """`x` stored with its axes in another order."""
        if (x, order) not in self.copies:
            turned = ops.transpose(x, order)
            attrs = {"shape": turned.shape, "laid": True}
            name = name or label(x)
            self.copies[x, order] = Node("reshape", (turned,), attrs, turned.type, (), x.span, name)
        return self.copies[x, order]


def _over(n: Node, inputs: Sequence[Node]) -> Node:
    same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
    return n if same else Node(n.op, tuple(inputs), n.attrs, n.type, n.regions, n.span, n.name)


def _free(node: Node, side: int) -> list[int]:
    taken = {*node.attrs["batch"][side], *node.attrs["sum"][side]}
    return [d for d in range(node.inputs[side].rank) if d not in taken]


def _pays(node: Node, side: int) -> bool:
    """Whether each element of a side is multiplied often enough to be copied."""
    other = node.inputs[1 - side]
    return nonnegative(product(other.shape[d] for d in _free(node, 1 - side)) - _PAYS)


def _contract(inputs: Sequence[Node], like: Node, side: int, order: Perm) -> Node:
    """The product `like` of other inputs, of which the axes of `side` lie in another order; it sums along them as they lie."""
    batch, sums = (list(like.attrs[name]) for name in ("batch", "sum"))
    batch[side], sums[side] = (tuple(order.index(d) for d in axes[side]) for axes in (batch, sums))
    pairs = sorted(zip(*sums, strict=True), key=lambda pair: pair[1 - side])
    sums = [tuple(pair[k] for pair in pairs) for k in (0, 1)]
    return ops.contract(inputs[0], inputs[1], (batch[0], batch[1]), (sums[0], sums[1]))


def _row_axis(n: Node, arrays: Sequence[Node]) -> int | None:
    """The axis along which a slice of one of these has one element, all along the others; None for anything else."""
    if n.op != "dynamic_slice" or n.inputs[0] not in arrays:
        return None
    array, starts = n.inputs[0], n.inputs[1:]
    moving = [d for d, (s, size) in enumerate(zip(starts, n.shape, strict=True)) if size != array.shape[d]]
    if len(moving) != 1 or n.shape[moving[0]] != 1:
        return None
    return moving[0] if all(splat(s) == 0 for d, s in enumerate(starts) if d != moving[0]) else None


def _first(axis: int, rank: int) -> Perm:
    return (axis, *(d for d in range(rank) if d != axis))
