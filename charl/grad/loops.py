"""Reverse mode through a loop: the loop that runs backwards over the saved starts of the iterations.

Enters: a loop and cotangents of its results. Leaves: cotangents of its inputs, as ordinary nodes, a loop among them, which
can be differentiated again. What an iteration needs is computed again from the values it started with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from charl import ops
from charl.dtypes import i32
from charl.errors import code, fail
from charl.graph.ir import Graph, Node, TensorType
from charl.ops.regions import applied, item, loop, over

UNBOUNDED = code("E0505", "a loop without a bound is differentiated in reverse")

Vjp: TypeAlias = Callable[
    [Sequence[Node], Sequence[Node], Sequence["Node | None"], bool, Mapping[Node, Node]],
    "list[Node | None]",
]
Parts: TypeAlias = "tuple[list[tuple[Node, Node]], dict[Node, Node]]"


def through(
    node: Node,
    cotangents: Mapping[int, Node],
    behind: bool,
    active: set[Node],
    vjp: Vjp,
    received: Mapping[Node, Node],
) -> Parts:
    """The contributions of a loop to the cotangents of its initial values, and the new cotangents of what it captured.

    Those begin with what is `received` already: an iteration that reads a slice adds to that slice of it, in place.
    """
    extent, carried = node.attrs["extent"], node.attrs["carried"]
    if extent is None:
        raise fail(
            UNBOUNDED,
            "this loop has no known bound, and reverse mode must keep what every iteration starts with",
            node.span,
            help="give it a bound that is a size: `for i in 0..N while i < n { … }`; or use forward mode, `jvp`",
        )
    node = saving(node)
    (body,) = node.regions
    captured = node.inputs[carried:]
    floats = [k for k in range(carried) if node.inputs[k].dtype.is_float]
    wanted = [k for k, x in enumerate(captured) if x in active]
    starts = [item(node, node.attrs["saved"] + k) for k in range(carried)]
    rows = {k: ct for k, ct in cotangents.items() if k >= carried}

    def back(s: Node, state: list[Node]) -> tuple[list[Node], list[Node]]:
        t = ops.sub(ops.size_value(extent - 1, i32), s)
        values = [row(x, t) for x in starts]
        inner = [own(x) for x in captured]
        after = applied(body, [t, *values, *inner])
        outputs = [after[k] for k in floats] + [after[k] for k in rows]
        given = [*state[: len(floats)], *(row(ct, t) for ct in rows.values())]
        inputs = [values[k] for k in floats] + [inner[k] for k in wanted]
        before = dict(zip(inputs[len(floats) :], state[len(floats) :], strict=True))
        found = vjp(outputs, inputs, given, behind, before)
        return [g if g is not None else ops.zeros(x.type) for g, x in zip(found, inputs, strict=True)], []

    first = [cotangents.get(k) or ops.zeros(node.inputs[k].type) for k in floats]
    first += [received.get(captured[k]) or ops.zeros(captured[k].type) for k in wanted]
    done = loop(extent, first, back).carried
    starting = [(node.inputs[k], ct) for k, ct in zip(floats, done) if node.inputs[k] in active]
    return starting, {captured[k]: ct for k, ct in zip(wanted, done[len(floats) :], strict=True)}


def saving(node: Node) -> Node:
    """The loop with the starts of its iterations among its results."""
    if node.attrs["saved"] >= 0:
        return node
    (body,) = node.regions
    carried = node.attrs["carried"]
    graph = Graph(body.name, body.params, [*body.results, *body.params[1 : 1 + carried]], body.span)
    at = len(body.results)
    return over(node.attrs["extent"], carried, graph, node.inputs, node.attrs["halts"], at)


def row(stacked: Node, t: Node) -> Node:
    """Element `t` of the first axis."""
    zero = ops.constant(0, i32)
    rest = stacked.shape[1:]
    cut = ops.dynamic_slice(stacked, [t, *(zero for _ in rest)], (1, *rest))
    return ops.reshape(cut, rest)


def own(x: Node) -> Node:
    """The same value as a node that nothing else reads."""
    return Node("reshape", (x,), {"shape": x.shape}, TensorType(x.dtype, x.shape), name=x.name)
