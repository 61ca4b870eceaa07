"""Which values are linear in others, told from the structure of the graph.

Enters: results, and the values that they shall be linear in. Leaves: nothing, or the first node that is not linear. What the
records say (`Op.linear`) is all that is known: a sum of squares that cancels is not recognised.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum

from charl.graph.ir import Node, topological
from charl.ops import OPS
from charl.ops.conversion import masked_product


class Kind(IntEnum):
    """How a value depends on the others."""

    ZERO = 0  # it is 0
    LINEAR = 1
    FIXED = 2  # not at all
    OTHER = 3

    def joined(self, other: Kind) -> Kind:
        """Of a value that may be one or the other."""
        pair = {self, other}
        if pair == {Kind.LINEAR, Kind.FIXED}:
            return Kind.OTHER
        return max(self, other)


def nonlinear(results: Sequence[Node], variables: Sequence[Node], after: int = -1) -> Node | None:
    """The first node in the way of `results` being linear in `variables` together; None where they are linear. Nodes made
    up to the moment `after` depend on no variable."""
    kinds, culprit = _kinds(results, dict.fromkeys(variables, Kind.LINEAR), after)
    for r in results:
        if kinds[r] in (Kind.FIXED, Kind.OTHER):
            return culprit or r
    return None


class _Found(dict[Node, Kind]):
    """Kinds by node. A node that was not gone through depends on nothing."""

    def __missing__(self, node: Node) -> Kind:
        return Kind.ZERO if _is_zero(node) else Kind.FIXED


def _is_zero(node: Node) -> bool:
    return node.op == "constant" and node.attrs["value"] in (0, False)


def _kinds(
    results: Sequence[Node], given: Mapping[Node, Kind], after: int = -1
) -> tuple[dict[Node, Kind], Node | None]:
    """The kind of every node, and the first that is neither fixed nor linear."""
    kinds = _Found(given)
    several: dict[Node, list[Kind]] = {}
    culprit: Node | None = None
    for node in topological(results, known=given, after=after):
        if node.op == "item" and node.inputs[0] in several:
            kinds[node] = several[node.inputs[0]][node.attrs["position"]]
            continue
        if node.op == "custom":
            several[node] = [kinds[x] for x in node.inputs[: node.attrs["count"]]]
            kinds[node] = Kind.FIXED
            continue
        inputs = [kinds[x] for x in node.inputs]
        if node.regions and Kind.LINEAR in inputs:
            several[node], inner = (_loop if node.op == "loop" else _branch)(node, inputs)
            kinds[node] = Kind.FIXED
            culprit = culprit or inner
            continue
        kinds[node] = _kind(node, inputs, kinds)
        if kinds[node] == Kind.OTHER and culprit is None and Kind.OTHER not in inputs:
            culprit = node
    return kinds, culprit


def _kind(node: Node, inputs: Sequence[Kind], kinds: Mapping[Node, Kind]) -> Kind:
    if Kind.OTHER in inputs:
        part = masked_product(node)
        return kinds[part] if part is not None else Kind.OTHER
    record = OPS[node.op]
    groups = record.linear(node) if record.linear is not None else ()
    if Kind.LINEAR not in inputs:
        zero = _is_zero(node) or any(all(inputs[k] == Kind.ZERO for k in g) for g in groups if len(g))
        return Kind.ZERO if zero else Kind.FIXED
    moving = [k for k, kind in enumerate(inputs) if kind == Kind.LINEAR]
    for group in groups:
        inside = all(k in group for k in moving)
        if inside and all(inputs[k] in (Kind.ZERO, Kind.LINEAR) for k in group):
            return Kind.LINEAR
    # a comparison with 0, which only a masked product makes, stands for itself until that is met
    return Kind.OTHER


def _loop(node: Node, inputs: Sequence[Kind]) -> tuple[list[Kind], Node | None]:
    """Of every result of a loop; carried values are what they are in every iteration."""
    (body,) = node.regions
    count = node.attrs["carried"]
    carried = list(inputs[:count])
    tested = node.attrs["extent"] is None or node.attrs["halts"]
    culprit: Node | None = None
    while True:
        given = {body.params[0]: Kind.FIXED}
        given |= dict(zip(body.params[1:], [*carried, *inputs[count:]], strict=True))
        kinds, inner = _kinds(body.results, given)
        culprit = culprit or inner
        found = [kinds[r] for r in body.results]
        after = [a.joined(b) for a, b in zip(carried, found[:count], strict=True)]
        if after == carried:
            break
        carried = after
    if tested and carried[0] in (Kind.LINEAR, Kind.OTHER):
        return [Kind.OTHER] * len(found), culprit or node
    return [*carried, *found[count:]], culprit


def _branch(node: Node, inputs: Sequence[Kind]) -> tuple[list[Kind], Node | None]:
    """Of every result of a branch: what both sides are."""
    culprit: Node | None = node if inputs[0] in (Kind.LINEAR, Kind.OTHER) else None
    found: list[list[Kind]] = []
    for side in node.regions:
        kinds, inner = _kinds(side.results, dict(zip(side.params, inputs[1:], strict=True)))
        culprit = culprit or inner
        found.append([kinds[r] for r in side.results])
    joined = [a.joined(b) for a, b in zip(*found, strict=True)]
    return [Kind.OTHER] * len(joined) if inputs[0] in (Kind.LINEAR, Kind.OTHER) else joined, culprit
