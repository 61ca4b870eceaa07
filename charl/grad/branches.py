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
from charl.graph.ir import Graph, Node, now
from charl.ops.regions import Side, applied, branch, chosen

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
    before = [received.get(captured[k]) or ops.zeros(captured[k].type) for k in wanted]

    def side(graph: Graph) -> list[Node]:
        inner = [own(x) for x in captured]
        results = applied(graph, inner)
        outputs = [results[k] for k in cotangents]
        variables = [inner[k] for k in wanted]
        given = dict(zip(variables, before, strict=True))
        found = vjp(outputs, variables, list(cotangents.values()), behind, given)
        return [g or b for g, b in zip(found, before, strict=True)]

    then, otherwise = node.regions
    totals = branch(condition, lambda: side(then), lambda: side(otherwise))
    return [], {captured[k]: total for k, total in zip(wanted, totals, strict=True)}


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
