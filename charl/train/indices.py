"""Indices among the data that reach beyond what they index: class labels of 10 where there are 10 classes.

Enters an export and its data. Leaves warnings: what is outside is clamped, in the program as elsewhere, so that training would go
on with other labels than those given. Only data that index as they are can be told; nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterator

from charl.errors import Diagnostic, code
from charl.graph.ir import Node, topological
from charl.ops import OPS
from charl.program import Export, leaves
from charl.train.dataset import Dataset

W_OUTSIDE = code("W0748", "data index beyond what they index")
_SAME = frozenset(
    ("reshape", "broadcast", "transpose", "slice", "reverse", "cast", "barrier")
)  # move values only


def outside(export: Export, data: Dataset) -> list[Diagnostic]:
    """A warning for each parameter whose values are no indices of what they index."""
    names = [a.name for a in export.arguments for _ in leaves(a.type)]
    given = {p: n for p, n in zip(export.graph.params, names, strict=True) if n in data.arrays}
    found: dict[str, Diagnostic] = {}
    for node, source, extent in _indexed(topological(export.graph.results)):
        name = given.get(source)
        if name is None or name in found or not data.arrays[name].size:
            continue
        low, high = int(data.arrays[name].min()), int(data.arrays[name].max())
        if low < 0 or high >= extent:
            found[name] = Diagnostic(
                W_OUTSIDE,
                f"`{name}` holds {low} to {high}, and indexes an axis of {extent}",
                node.span.shown if node.span is not None else None,
                notes=("indices that are outside are clamped",),
                help="check the labels, or the sizes (`--set`); values that are masked elsewhere are fine",
                severity="warning",
            )
    return list(found.values())


def _indexed(nodes: list[Node]) -> Iterator[tuple[Node, Node, int]]:
    """Nodes that index, where their indices come from, and how many there may be."""
    for node in nodes:
        rule = OPS[node.op].indexed
        for at in rule(node) if rule is not None else ():
            source = at.operand
            while source.op in _SAME:
                source = source.inputs[0]
            if isinstance(at.extent, int) and isinstance(at.size, int):
                yield node, source, at.extent - at.size + 1
