"""Windows that a loop moves along an array that it leaves as it is: parts of it, at places that the loop counts.

Enters: the body of a loop whose index is a size, the range of every such index, and what the loop does not change. Leaves: the
same with such windows as slices, where all of them lie inside: a product reads them where they lie, as any other part, and
nothing is copied once a turn. Windows that begin where a value says stay as they are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from charl import dims
from charl.dims import Size
from charl.graph.ir import Graph, Node
from charl.ops.record import make

_WIDE = 1 << 30  # indices below it are computed without wrapping


def counted(graph: Graph, fixed: Collection[Node], ranges: Mapping[str, tuple[Size, Size]]) -> Graph:
    """The graph with windows of `fixed` as slices; the same object where there are none."""
    new: dict[Node, Node] = {}
    for n in graph.nodes():
        inputs = tuple(new.get(x, x) for x in n.inputs)
        same = all(a is b for a, b in zip(inputs, n.inputs, strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
        if n.op == "dynamic_slice" and n.inputs[0] in fixed:
            starts = [_place(x, ranges) for x in n.inputs[1:]]
            inside = [
                s
                for s, size, all_ in zip(starts, n.shape, n.inputs[0].shape, strict=True)
                if _fits(s, size, all_, ranges)
            ]
            if len(inside) == n.rank:
                made = make("slice", inputs[0], starts=tuple(inside), sizes=n.shape, strides=(1,) * n.rank)
                new[n] = Node(made.op, made.inputs, made.attrs, made.type, (), n.span, n.name)
    results = [new[r] for r in graph.results]
    return (
        graph
        if all(a is b for a, b in zip(results, graph.results, strict=True))
        else replace(graph, results=results)
    )


def _fits(start: Size | None, size: Size, whole: Size, ranges: Mapping[str, tuple[Size, Size]]) -> bool:
    """Whether a window lies inside wherever the loops are."""
    if start is None:
        return False
    return dims.nonnegative(start, ranges) and dims.nonnegative(whole - size - start, ranges)


def _place(node: Node, ranges: Mapping[str, tuple[Size, Size]]) -> Size | None:
    """The number that a value is, made of the indices of loops and of constants; None for others."""
    if node.op == "size_value":
        out = node.attrs["size"]
    elif node.op == "constant" and not node.shape and node.dtype.kind in ("int", "uint"):
        out = int(node.attrs["value"])
    elif node.op in ("add", "sub", "mul") and not node.shape and node.dtype.kind == "int":
        a, b = (_place(x, ranges) for x in node.inputs)
        if a is None or b is None:
            return None
        out = a + b if node.op == "add" else a - b if node.op == "sub" else a * b
    else:
        return None
    narrow = dims.nonnegative(out + _WIDE, ranges) and dims.nonnegative(_WIDE - out, ranges)
    return out if narrow else None
