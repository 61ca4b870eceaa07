"""Both modes through a branch: a branch over the same condition, between the derivatives of the sides.

Enters: a branch, and cotangents of its results or tangents of its inputs. Leaves: cotangents of what it captured, or values and
tangents of its results, from a branch of which again one side runs: the side that was not taken is neither computed nor
differentiated, so nothing of it can leak.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from charl import ops
from charl.grad.forward_loops import Push
from charl.grad.loops import Parts, Vjp, own
from charl.graph.ir import Graph, Node, now, topological
from charl.ops.regions import Side, applied, chosen, item, joined, substituted

if TYPE_CHECKING:
    from charl.grad.forward import Dual


def through(
    node: Node,
    cotangents: Mapping[int, Node],
    behind: bool,
    active: set[Node],
    vjp: Vjp,
    received: Mapping[Node, Node],
) -> Parts:
    """The cotangents of what a branch captured, by those of its results; they begin with what is `received` already."""
    condition, *captured = node.inputs
    wanted = [k for k, x in enumerate(captured) if x in active]
    before = [received.get(captured[k]) for k in wanted]

    def side(graph: Graph) -> tuple[list[Node], dict[Node, Node]]:
        inner = [own(x) for x in captured]
        results = applied(graph, inner)
        outputs = [results[k] for k in cotangents]
        variables = [inner[k] for k in wanted]
        given = {x: b for x, b in zip(variables, before, strict=True) if b is not None}
        found = vjp(outputs, variables, list(cotangents.values()), behind, given)
        totals = [g or ops.zeros(x.type) for g, x in zip(found, variables, strict=True)]
        return totals, dict(zip(inner, captured, strict=True))

    made = []
    for graph in node.regions:
        start = now()
        totals, table = side(graph)
        made.append(_with_slices_outside(totals, table, start))
    results = joined(condition, made)
    return [], {captured[k]: item(results, n) for n, k in enumerate(wanted)}


def _with_slices_outside(
    results: Sequence[Node], table: Mapping[Node, Node], start: int
) -> tuple[list[Node], list[Node]]:
    """The results of a side, and the nodes that stand in it: small windows of large captured values are cut outside.

    A loop around then keeps the windows of its iterations and not the whole values.
    """
    order = topological(results)
    moved: dict[Node, Node] = {}
    outside: set[Node] = set()
    for n in order:
        if n.op != "dynamic_slice" or n.inputs[0] not in table:
            continue
        whole = _scalars(n.inputs[1:], table)
        if whole is None:
            continue
        moved[n] = Node(n.op, (table[n.inputs[0]], *whole), n.attrs, n.type, (), n.span, n.name)
        outside |= {x for x in topological([moved[n]]) if x.born >= start}
    new = substituted(results, moved)
    inner = [n for n in topological(new) if n.born >= start and n not in outside and n.op != "parameter"]
    return new, inner


def _scalars(nodes: Sequence[Node], table: Mapping[Node, Node]) -> list[Node] | None:
    """The same values computed from what was captured, where they are arithmetic on scalars."""
    order = topological(nodes, known=table)
    known = [n for n in topological(nodes) if n in table]
    if any(n.rank or n.regions or n.op == "item" for n in (*order, *known)):
        return None
    return substituted(nodes, {n: table[n] for n in known})


def forth(node: Node, inputs: Sequence[Dual], push: Push) -> list[Dual]:
    """The results of a branch with their tangents."""
    from charl.grad.forward import Dual

    moments, sides = [now()], []
    for graph in node.regions:
        sides.append(push(graph.results, dict(zip(graph.params, inputs[1:], strict=True))))
        moments.append(now())
    moving = [
        k for k, pair in enumerate(zip(*sides, strict=True)) if any(d.tangent is not None for d in pair)
    ]
    made = []
    for k, results in enumerate(sides):
        tangents = [results[i].tangent or ops.zeros(results[i].value.type) for i in moving]
        made.append(Side([*(d.value for d in results), *tangents], moments[k], moments[k + 1]))
    found = chosen(inputs[0].value, *made)
    count = len(sides[0])
    along = dict(zip(moving, found[count:], strict=True))
    behind = any(d.behind for d in (*inputs, *sides[0], *sides[1]))
    return [Dual(y, along.get(k), behind) for k, y in enumerate(found[:count])]
