"""Which branches stay, and what they need not be given.

Enters: a branch whose sides have been optimised. Leaves: what replaces its results. A condition that is known leaves one side.
Where both sides are light, evaluating both and choosing costs less than a jump between kernels and lets the choice fuse with
its neighbours: then the results are selected. Every other branch stays one, without results that nobody reads, results that are
the same value on both sides, and captured values that no side reads.
"""

from __future__ import annotations

from charl.dims import product
from charl.graph.ir import Node, topological
from charl.graph.scalar import FUNCTIONS
from charl.ops.regions import applied, item, joined, selected, substituted
from charl.passes.fold import COSTLY
from charl.passes.values import VIEWS, inside, splat

# Both sides together: so many additions are about what the call of a kernel costs.
LIGHT = 1024
_COSTLY = 16  # additions for one element of a transcendental function
_CHEAP = VIEWS | {"pad", "concatenate", "reverse", "dynamic_slice", "gather", "stop_gradient"}


def smaller(node: Node, used: set[int]) -> dict[int, Node] | None:
    """What replaces the used results of a branch, or None where it stays."""
    condition, *captured = node.inputs
    known = splat(condition)
    if known is not None:
        results = applied(node.regions[0 if known else 1], captured)
        return {k: results[k] for k in used}
    if light(node):
        results = selected(node)
        return {k: results[k] for k in used}
    same = {k: captured[i] for k in used if (i := _passed(node, k)) is not None}
    keep = [k for k in range(len(node.attrs["types"])) if k in used and k not in same]
    if not keep:
        return same
    wanted = [[side.results[k] for k in keep] for side in node.regions]
    read = {
        i
        for side, results in zip(node.regions, wanted, strict=True)
        for i in (side.params.index(p) for p in topological(results) if p.op == "parameter")
    }
    sunk = any(captured[i].op in VIEWS for i in read)
    whole = len(keep) == len(node.attrs["types"]) and len(read) == len(captured) == len(set(captured))
    if whole and not sunk:
        return None
    new = _rebuilt(node, wanted)
    items = {k: item(new, i) for i, k in enumerate(keep)}
    return {**same, **items}


def _rebuilt(node: Node, wanted: list[list[Node]]) -> Node:
    """The branch with these results, over what they read; views of captured values are made inside."""
    condition, *captured = node.inputs
    sides = []
    for side, results in zip(node.regions, wanted, strict=True):
        made: list[Node] = []
        read = {p for p in topological(results) if p.op == "parameter"}
        table = {p: inside(x, made) for p, x in zip(side.params, captured, strict=True) if p in read}
        within = [n for n in topological(results) if n.op != "parameter"]
        new = substituted([*results, *within], table)
        sides.append((new[: len(results)], [*made, *new[len(results) :]]))
    out = joined(condition, sides)
    out.span, out.name = node.span, node.name
    return out


def _passed(node: Node, k: int) -> int | None:
    """The captured value that is result `k` on both sides."""
    first, second = node.regions
    if first.results[k] not in first.params or second.results[k] not in second.params:
        return None
    i, j = first.params.index(first.results[k]), second.params.index(second.results[k])
    return i if node.inputs[1 + i] is node.inputs[1 + j] else None


def light(node: Node) -> bool:
    """Whether both sides are elementwise and cheaper together than a jump."""
    total = 0
    for side in node.regions:
        for n in side.nodes():
            if n.op == "parameter" or n.op in _CHEAP:
                continue
            if n.op not in FUNCTIONS:
                return False
            size = product(n.shape)
            if not isinstance(size, int):
                return False
            total += size * (_COSTLY if n.op in COSTLY else 1)
    return total <= LIGHT
