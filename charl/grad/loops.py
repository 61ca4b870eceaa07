"""Reverse mode through a loop: the loop that runs backwards over what is kept of the iterations.

Enters: a loop and cotangents of its results. Leaves: cotangents of its inputs, as ordinary nodes, a loop among them, which
can be differentiated again. `kept` says which values of an iteration are kept; the others are computed again from those.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from charl import ops
from charl.dtypes import i32
from charl.errors import code, fail
from charl.grad.kept import kept
from charl.graph.ir import Graph, Node, TensorType, topological
from charl.graph.labels import named_derivative
from charl.ops.regions import item, loop, over, parameter_like, substituted

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
    if extent == 0:  # of no iteration there is a row to read
        return [
            (x, cotangents[k]) for k, x in enumerate(node.inputs[:carried]) if k in cotangents and x in active
        ], {}
    (body,) = node.regions
    index, starts, inner = body.params[0], body.params[1 : 1 + carried], body.params[1 + carried :]
    captured = node.inputs[carried:]
    floats = [k for k in range(carried) if node.inputs[k].dtype.is_float]
    wanted = [k for k, x in enumerate(captured) if x in active]
    rows = {k: ct for k, ct in cotangents.items() if k >= carried}
    # the derivative of an iteration, over the body's own values and parameters for cotangents
    outputs = [body.results[k] for k in (*floats, *rows)]
    inputs = [starts[k] for k in floats] + [inner[k] for k in wanted]
    given = [parameter_like(y, "ct") for y in outputs]
    before = [parameter_like(inner[k], "sum") for k in wanted]
    found = vjp(outputs, inputs, given, behind, dict(zip(inputs[len(floats) :], before, strict=True)))
    parts = [g if g is not None else ops.zeros(x.type) for g, x in zip(found, inputs, strict=True)]
    keep = kept(read(parts, {*given, *before}), starts, index)
    node, items = _keeping(node, keep)

    def back(s: Node, state: list[Node]) -> tuple[list[Node], list[Node]]:
        t = ops.sub(ops.size_value(extent - 1, i32), s)
        table = {index: t, **dict(zip(inner, captured, strict=True))}
        table |= {n: row(x, t) for n, x in zip(keep, items, strict=True)}
        received_now = [*state[: len(floats)], *(row(ct, t) for ct in rows.values()), *state[len(floats) :]]
        table |= dict(zip([*given, *before], received_now, strict=True))
        return substituted(parts, table), []

    first = [named_derivative(starts[k], cotangents.get(k) or ops.zeros(node.inputs[k].type)) for k in floats]
    first += [
        named_derivative(inner[k], received.get(captured[k]) or ops.zeros(captured[k].type)) for k in wanted
    ]
    done = loop(extent, first, back).carried
    starting = [(node.inputs[k], ct) for k, ct in zip(floats, done) if node.inputs[k] in active]
    return starting, {captured[k]: ct for k, ct in zip(wanted, done[len(floats) :], strict=True)}


def read(parts: Sequence[Node], cotangents: set[Node]) -> list[Node]:
    """The values of an iteration that its derivative reads."""
    moving = set(cotangents)
    out: dict[Node, None] = {}
    for n in topological(parts):
        if any(x in moving for x in n.inputs):
            moving.add(n)
            out |= dict.fromkeys(x for x in n.inputs if x not in moving)
    out |= dict.fromkeys(p for p in parts if p not in moving)
    return list(out)


def _keeping(node: Node, keep: Sequence[Node]) -> tuple[Node, list[Node]]:
    """The loop with these values of its iterations among its results, and those results."""
    (body,) = node.regions
    carried, saved = node.attrs["carried"], node.attrs["saved"]
    starts = body.params[1 : 1 + carried] if saved >= 0 else []
    new = [n for n in keep if n not in starts]
    first = saved if saved >= 0 else len(body.results)
    at = {n: first + k for k, n in enumerate((*new, *starts))}
    if new:  # the starts stay the last
        graph = Graph(body.name, body.params, [*body.results[:first], *new, *starts], body.span)
        saved = first + len(new) if saved >= 0 else -1
        node = over(node.attrs["extent"], carried, graph, node.inputs, node.attrs["halts"], saved)
    return node, [item(node, at[n]) for n in keep]


def row(stacked: Node, t: Node) -> Node:
    """Element `t` of the first axis."""
    zero = ops.constant(0, i32)
    rest = stacked.shape[1:]
    cut = ops.dynamic_slice(stacked, [t, *(zero for _ in rest)], (1, *rest))
    return ops.reshape(cut, rest)


def own(x: Node) -> Node:
    """The same value as a node that nothing else reads."""
    return Node("reshape", (x,), {"shape": x.shape}, TensorType(x.dtype, x.shape), name=x.name)
