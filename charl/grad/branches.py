"""Both modes through a branch: a branch over the same condition, between the derivatives of the sides.

Enters: a branch, and cotangents of its results or tangents of its inputs. Leaves: cotangents of what it captured, or values and
tangents of its results, from a branch of which again one side runs: the side that was not taken is neither computed nor
differentiated, so nothing of it can leak. What the derivative of a side needs of the side is kept where it is costly to compute
again (`kept`): then the branch has further results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charl import ops
from charl.grad.forward_loops import Push
from charl.grad.kept import kept_of_side
from charl.grad.loops import Parts, Vjp, own, read
from charl.graph.ir import Graph, Node, now, topological
from charl.ops.indexing import told
from charl.ops.regions import Side, chosen, item, joined, parameter_like, substituted, with_results

if TYPE_CHECKING:
    from charl.grad.forward import Dual


@dataclass(frozen=True)
class _Side:
    """The derivative of a side: cotangents of what it captured, over its own values, and which of these are kept."""

    graph: Graph
    parts: list[Node]
    keep: list[Node]


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
    given = [parameter_like(ct, "ct") for ct in cotangents.values()]
    before = {k: parameter_like(captured[k], "sum") for k in wanted if captured[k] in received}

    def side(graph: Graph) -> _Side:
        variables = [graph.params[k] for k in wanted]
        start = {graph.params[k]: b for k, b in before.items()}
        found = vjp([graph.results[k] for k in cotangents], variables, given, behind, start)
        parts = [g if g is not None else ops.zeros(x.type) for g, x in zip(found, variables, strict=True)]
        return _Side(graph, parts, kept_of_side(read(parts, {*given, *before.values()}), graph.params))

    sides = [side(graph) for graph in node.regions]
    outside = dict(zip(given, cotangents.values(), strict=True))
    outside |= {b: received[captured[k]] for k, b in before.items()}
    made = []
    for s, kept in zip(sides, _keeping(node, sides), strict=True):
        start = now()
        inner = [own(x) for x in captured]
        saved = {n: own(x) for n, x in kept.items()}
        table = {**dict(zip(s.graph.params, inner, strict=True)), **saved, **outside}
        whole = {**dict(zip(inner, captured, strict=True)), **{saved[n]: x for n, x in kept.items()}}
        made.append(_with_slices_outside(substituted(s.parts, table), whole, start))
    results = joined(condition, made)
    return [], {captured[k]: item(results, n) for n, k in enumerate(wanted)}


def _keeping(node: Node, sides: Sequence[_Side]) -> list[dict[Node, Node]]:
    """The kept values of each side among the results of the branch, and of one made anew for what is not among them.

    There a result serves both sides, where their types agree; it is zeros where the other side has nothing to keep.
    """
    slots: list[dict[int, Node]] = []
    found: list[dict[Node, Node]] = []
    for k, s in enumerate(sides):
        results = s.graph.results
        found.append({n: item(node, results.index(n)) for n in s.keep if n in results})
        for n in s.keep:
            if n in found[k]:
                continue
            free = next((x for x in slots if k not in x and x[0].type == n.type), None)
            if free is None:
                slots.append({k: n})
            else:
                free[k] = n
    if slots:
        types = [next(iter(x.values())).type for x in slots]
        more = [[x.get(k) or ops.zeros(t) for x, t in zip(slots, types, strict=True)] for k in (0, 1)]
        again = with_results(node, more)
        for at, x in enumerate(slots):
            for k, n in x.items():
                found[k][n] = item(again, at)
    return found


def _with_slices_outside(
    results: Sequence[Node], table: Mapping[Node, Node], start: int
) -> tuple[list[Node], list[Node]]:
    """The results of a side, and the nodes that stand in it: small windows of large captured values are cut outside.

    A loop around then keeps the windows of its iterations and not the whole values. They are cut for a side that does not run,
    too, where their starts mean nothing: no debug build looks at them.
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
        attrs = {**n.attrs, **told(True)}
        moved[n] = Node(n.op, (table[n.inputs[0]], *whole), attrs, n.type, (), n.span, n.name)
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
