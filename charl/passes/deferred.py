"""Sums that a loop only adds to are taken after it, from what its iterations leave.

Enters: a graph whose loops have been simplified. Leaves: the same results, where

- a carried sum of products, `c + contract(a, b)`, that nothing else in the loop reads, is one product over all iterations of the
  stacked operands: the gradient of the weights that every step of a recurrent network uses is one large product instead of many
  thin ones, each of which reads and writes the whole sum;
- a carried array of zeros of which each iteration changes a row of its own is what the iterations leave.

An operand that is a row of an array is read there; another is left by the iterations, where that takes less memory than the sum
and than what the loop is given and leaves anyway. Rounding differs: products are added in another order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from charl import ops
from charl.dims import nonnegative, product
from charl.graph.ir import Graph, Node, Size
from charl.ops.regions import closed, item, over, substituted
from charl.passes.regions import counted
from charl.passes.values import splat


def deferred(graph: Graph) -> Graph:
    """The graph with such sums behind their loops; the same object where there are none."""
    order = graph.nodes()
    found = {n: d for n in order if n.op == "loop" and (d := _Deferring(n)).forms}
    if not found:
        return graph
    new: dict[Node, Node] = {}
    whole: dict[Node, dict[int, Node]] = {}
    for n in order:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        if n.op == "item" and n.inputs[0] in whole:
            new[n] = whole[n.inputs[0]][n.attrs["position"]]
            continue
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n in found:
            whole[n] = found[n].results(inputs)
    return Graph(graph.name, graph.params, [new[r] for r in graph.results], graph.span)


@dataclass(frozen=True)
class _Row:
    """Row `index` of a captured array along an axis, or with `back` row `extent - 1 - index`, in a shape of its own."""

    array: Node
    axis: int
    back: bool
    shape: tuple[Size, ...]

    def stacked(self, array: Node) -> Node:
        """All rows in order along a new first axis, given what the array is outside."""
        rest = [d for d in range(array.rank) if d != self.axis]
        rows = ops.transpose(array, (self.axis, *rest))
        return ops.reshape(rows, (array.shape[self.axis], *self.shape))


@dataclass(frozen=True)
class _Product:
    """`c + contract(a, b)`; an operand is a row of an array, or a value that iterations leave."""

    contract: Node
    sides: tuple[_Row | Node, _Row | Node]


@dataclass(frozen=True)
class _Rows:
    """A row of its own of each iteration, `value`, in an array of zeros."""

    row: _Row
    value: Node


@dataclass
class _Body:
    """Who reads what in a body."""

    graph: Graph
    carried: int
    extent: Size
    readers: dict[Node, list[Node]] = field(default_factory=dict)
    varying: set[Node] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.varying.update(self.graph.params[: 1 + self.carried])
        for n in self.graph.nodes():
            for x in n.inputs:
                self.readers.setdefault(x, []).append(n)
            if any(x in self.varying for x in n.inputs):
                self.varying.add(n)

    def alone(self, value: Node, reader: Node) -> bool:
        """Whether one other value reads this one, and no result is it."""
        return self.readers.get(value) == [reader] and value not in self.graph.results

    def row(self, slice_: Node, starts: Sequence[Node], array: Node, shape: tuple[Size, ...]) -> _Row | None:
        """Which row `slice_` is or replaces: all of `array` but one element along one axis that is as long as the loop."""
        moving = [d for d, s in enumerate(starts) if splat(s) != 0]
        if len(moving) != 1 or array.shape[moving[0]] != self.extent:
            return None
        (axis,) = moving
        if slice_.shape != tuple(1 if d == axis else n for d, n in enumerate(array.shape)):
            return None
        way = counted(self.graph.params[0], starts[axis], self.extent)
        return _Row(array, axis, way < 0, shape) if way else None


class _Deferring:
    """A loop and the carried values that can be made behind it."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.forms: dict[int, _Product | _Rows] = {}
        extent = node.attrs["extent"]
        if extent is None or node.attrs["halts"] or extent in (0, 1):
            return
        (graph,) = node.regions
        self.carried: int = node.attrs["carried"]
        self.captured = dict(zip(graph.params[1 + self.carried :], node.inputs[self.carried :], strict=True))
        self.body = _Body(graph, self.carried, extent)
        for k in range(self.carried):
            form = self._rows(k)
            if form is not None:
                self.forms[k] = form
        left = [f.value for f in self.forms.values() if isinstance(f, _Rows)]
        left += graph.results[self.carried :]
        for k in range(self.carried):
            product_ = self._product(k, left)
            if product_ is not None:
                self.forms[k] = product_
                left += [x for x in product_.sides if isinstance(x, Node)]

    # ------------------------------------------------------------ finding

    def _rows(self, k: int) -> _Rows | None:
        """Whether carried value k is zeros of which each iteration changes a row."""
        graph = self.body.graph
        start, result = graph.params[1 + k], graph.results[k]
        if splat(self.node.inputs[k]) != 0 or result.op != "dynamic_update" or result.inputs[0] is not start:
            return None
        if graph.results.count(result) != 1 or result in self.body.readers:
            return None
        update, starts = result.inputs[1], result.inputs[2:]
        row = self.body.row(update, starts, start, ())
        if row is None:
            return None
        value = update.inputs[0] if update.op == "reshape" else update
        if self.body.readers[start] == [result]:
            return _Rows(row, value)
        for old, added in (value.inputs, value.inputs[::-1]) if value.op == "add" else ():
            cut = old.inputs[0] if old.op == "reshape" else old
            mine = cut.op == "dynamic_slice" and cut.inputs[0] is start and cut.inputs[1:] == starts
            if mine and cut.shape == update.shape and self._only(old, cut, value, update, result):
                return _Rows(row, added)
        return None

    def _only(self, old: Node, cut: Node, total: Node, update: Node, result: Node) -> bool:
        """Whether the old row is read for the new one alone, and the new one for the result."""
        alone = self.body.alone
        start = result.inputs[0]
        mine = sorted(self.body.readers[start], key=id) == sorted((cut, result), key=id)
        chain = [(old, total), *([(cut, old)] if cut is not old else [])]
        chain += [(update, result), *([(total, update)] if total is not update else [])]
        return mine and start not in self.body.graph.results and all(alone(a, b) for a, b in chain)

    def _product(self, k: int, left: Sequence[Node]) -> _Product | None:
        """Whether carried value k is a sum of products; `left`: what iterations leave anyway."""
        graph = self.body.graph
        start, result = graph.params[1 + k], graph.results[k]
        if result.op != "add" or start not in result.inputs or not start.dtype.is_float:
            return None
        added = result.inputs[1 - result.inputs.index(start)]
        if added.op != "contract" or graph.results.count(result) != 1 or result in self.body.readers:
            return None
        if not (self.body.alone(start, result) and self.body.alone(added, result)):
            return None
        sides = [self._side(x) for x in added.inputs]
        if any(x is None for x in sides):
            return None
        form = _Product(added, (sides[0], sides[1]))  # type: ignore[arg-type]
        return form if self._pays(start, form, left) else None

    def _side(self, x: Node) -> _Row | Node | None:
        cut = x.inputs[0] if x.op == "reshape" else x
        if cut.op == "dynamic_slice" and cut.inputs[0] in self.captured:
            row = self.body.row(cut, cut.inputs[1:], cut.inputs[0], x.shape)
            if row is not None:
                return row
        return x if x in self.body.varying else None

    def _pays(self, start: Node, form: _Product, left: Sequence[Node]) -> bool:
        """Whether iterations leave less than they would add to, and all of them less than is there anyway."""
        new = {x for x in form.sides if isinstance(x, Node) and x not in left}
        size = sum((product(x.shape) for x in new), 0)
        there: Size = product(start.shape)
        extent = self.node.attrs["extent"]
        for x in dict.fromkeys([*left, *(s.array for s in form.sides if isinstance(s, _Row))]):
            there = there + (extent * product(x.shape) if x in left else product(x.shape))
        return nonnegative(product(start.shape) - size) and nonnegative(there - extent * size)

    # ------------------------------------------------------------ making

    def results(self, inputs: Sequence[Node]) -> dict[int, Node]:
        """What stands for each result of the loop, given what enters it."""
        graph, count, node = self.body.graph, self.carried, self.node
        outside = dict(zip(graph.params[1 + count :], inputs[count:], strict=True))
        keep = [k for k in range(count) if k not in self.forms]
        yields = list(graph.results[count:])
        for form in self.forms.values():
            sides = (form.value,) if isinstance(form, _Rows) else form.sides
            yields += [x for x in dict.fromkeys(sides) if isinstance(x, Node) and x not in yields]
        params = [graph.params[0], *(graph.params[1 + k] for k in keep)]
        made, captured = closed(substituted([*(graph.results[k] for k in keep), *yields], outside), params)
        given = [*(inputs[k] for k in keep), *captured]
        loop = over(node.attrs["extent"], len(keep), made, given, node.attrs["halts"], -1)
        loop.span, loop.name = node.span, node.name
        stacks = {x: len(keep) + n for n, x in enumerate(yields)}
        out = {k: item(loop, n) for n, k in enumerate(keep)}
        out |= {count + n: item(loop, len(keep) + n) for n in range(len(graph.results) - count)}
        for k, form in self.forms.items():
            out[k] = self._made(form, inputs[k], {x: item(loop, at) for x, at in stacks.items()}, outside)
        return out

    def _made(
        self,
        form: _Product | _Rows,
        initial: Node,
        stacks: dict[Node, Node],
        outside: dict[Node, Node],
    ) -> Node:
        if isinstance(form, _Rows):
            row, shape = form.row, list(initial.shape)
            length = shape.pop(row.axis)
            stack = ops.reverse(stacks[form.value], (0,) if row.back else ())
            stack = ops.reshape(stack, (length, *shape))
            order = [d if d > row.axis else d + 1 for d in range(len(shape) + 1)]
            order[row.axis] = 0
            return ops.transpose(stack, order)
        rows = [x.stacked(outside[x.array]) if isinstance(x, _Row) else stacks[x] for x in form.sides]
        back = [isinstance(x, _Row) and x.back for x in form.sides]
        # What is summed may come in any order, and what iterations leave may be left back to front.
        a, b = (ops.reverse(x, (0,) if any(back) and not y else ()) for x, y in zip(rows, back, strict=True))
        attrs = form.contract.attrs
        (ab, bb), (az, bz) = ([tuple(d + 1 for d in axes) for axes in attrs[k]] for k in ("batch", "sum"))
        total = ops.contract(a, b, (ab, bb), ((0, *az), (0, *bz)))
        total = ops.cast(total, initial.dtype)
        return total if splat(initial) == 0 else ops.add(initial, total)
