"""Gradient rules of the user in both modes and in lanes.

Enters: a node with a rule (`charl.ops.custom`). Leaves: ordinary nodes. The rule is linear in the cotangents, so that its
transpose is forward mode.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from charl import ops
from charl.errors import InternalError
from charl.graph.ir import Node, Size, TensorType

if TYPE_CHECKING:
    from charl.grad.forward import Dual


def parts(node: Node) -> tuple[list[Node], list[Node]]:
    """Results, which lead back to the rule when they are differentiated themselves, and arguments."""
    count = node.attrs["count"]
    return [ops.make("item", node, position=k) for k in range(count)], list(node.inputs[count:])


def back(
    node: Node,
    cotangents: Mapping[int, Node],
    active: set[Node],
    masked: bool,
    met: Mapping[tuple[Node, int], Node],
) -> list[tuple[Node, Node]]:
    """The contributions to the cotangents of the active arguments; `met`: its results, where others read them."""
    results, arguments = parts(node)
    results = [met.get((node, k), r) for k, r in enumerate(results)]  # one value, which is kept once
    cts = [cotangents.get(k) or ops.zeros(r.type) for k, r in enumerate(results) if r.dtype.is_float]
    found = []
    for x, part in zip(arguments, node.attrs["pull"](arguments, results, cts), strict=True):
        if part is None or x not in active:
            continue
        if part.type != x.type:
            raise InternalError("grad", f"a gradient rule gives {part.type} for {x.type}")
        found.append((x, _safe(cts, part) if masked else part))
    return found


def _safe(cts: Sequence[Node], part: Node) -> Node:
    """`part`, or 0 where it is not finite although every cotangent is 0."""
    if len(cts) == 1 and cts[0].type == part.type:
        return ops.zero_safe(cts[0], part)
    largest: Node | None = None
    for ct in cts:
        m = ops.reduce_max(ops.abs_(ct), tuple(range(ct.rank)))
        m = ops.cast(m, part.dtype)
        largest = m if largest is None else ops.max_(largest, m)
    assert largest is not None
    return ops.zero_safe(ops.broadcast(largest, part.shape, ()), part)


def forth(node: Node, inputs: Sequence[Dual], transpose: Callable[..., list[Node | None]]) -> list[Dual]:
    """The results with their tangents; `transpose` is reverse mode."""
    from charl.grad.forward import Dual

    count, pull, transparent = (node.attrs[k] for k in ("count", "pull", "transparent"))
    values = [d.value for d in inputs]
    results, arguments = values[:count], values[count:]
    outputs = ops.custom(results, arguments, pull, transparent)
    behind = any(d.behind for d in inputs)
    if transparent:
        return [Dual(y, d.tangent, d.behind) for y, d in zip(outputs, inputs, strict=False)]
    floats = [k for k, r in enumerate(results) if r.dtype.is_float]
    dummies = [ops.make("reshape", ops.full(1, results[k].type), shape=results[k].shape) for k in floats]
    pulled = pull(arguments, outputs, dummies)
    pairs = [(g, d.tangent) for g, d in zip(pulled, inputs[count:], strict=True)]
    known = [(g, t) for g, t in pairs if g is not None and t is not None]
    tangents = dict(
        zip(floats, transpose([g for g, _ in known], dummies, [t for _, t in known]), strict=True)
    )
    return [Dual(y, tangents.get(k), behind) for k, y in enumerate(outputs)]


Batched = Callable[[Sequence[Node], Mapping[Node, Node], Size], "list[Node]"]


def in_lanes(node: Node, inputs: Sequence[Node], size: Size, batched: Batched) -> list[Node]:
    """The results in all lanes, all inputs having got some: the rule in every lane."""
    count, pull, transparent = (node.attrs[k] for k in ("count", "pull", "transparent"))

    def one(x: Node) -> Node:
        return ops.parameter(x.name or "lane", TensorType(x.dtype, x.shape[1:]))

    def pull_all(arguments: list[Node], results: list[Node], cts: list[Node]) -> list[Node | None]:
        table = {one(x): x for x in (*arguments, *results, *cts)}
        keys = list(table)
        a, r = len(arguments), len(arguments) + len(results)
        found = pull(keys[:a], keys[a:r], keys[r:])
        some = [g for g in found if g is not None]
        made = dict(zip(some, batched(some, table, size), strict=True))
        return [made[g] if g is not None else None for g in found]

    return ops.custom(inputs[:count], inputs[count:], pull_all, transparent)
