"""Reverse mode: cotangents of values from cotangents of what was computed from them.

Enters: nodes of a graph and cotangent nodes. Leaves: ordinary nodes, made by the gradient rules of the operations, which
can be differentiated again. Takes time linear in the graph, does not recurse, evaluates nothing.

A zero cotangent contributes zero: behind a `select` the side that was not taken receives zeros, and where an operation
further up has an infinite or undefined derivative there (`log` at 0), the product is replaced by 0. It is replaced only
where it is not finite, so that derivatives of the product itself (second order, forward mode) stay right at zeros.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from charl import ops
from charl.errors import InternalError
from charl.grad import branches, custom, loops
from charl.graph.ir import Node, of_derivative, topological
from charl.graph.labels import named_derivative
from charl.ops import OPS


def vjp(
    outputs: Sequence[Node], inputs: Sequence[Node], cotangents: Sequence[Node | None]
) -> list[Node | None]:
    """Cotangents of `inputs`, given those of `outputs` (None: zero).

    None where no differentiable path leads from an input to the outputs; integers and booleans never have one. An input
    that is computed from another input passes its cotangent on.
    """
    return _vjp(outputs, inputs, cotangents, False)


def _vjp(
    outputs: Sequence[Node],
    inputs: Sequence[Node],
    cotangents: Sequence[Node | None],
    masked: bool,
    given: Mapping[Node, Node] | None = None,
) -> list[Node | None]:
    """As `vjp`; `masked`: the cotangents come through a branch that may not have been taken.

    `given`: what some inputs have received before; what they receive now is added to that part by part.
    """
    order = topological(outputs)
    active = _active(order, inputs)
    gathered: dict[Node, Node] = dict(given or {})
    several: dict[Node, dict[int, Node]] = {}  # cotangents of the results of loops, branches, custom rules
    # nodes whose cotangent came through a branch that may not have been taken
    behind: set[Node] = set(outputs) if masked else set()
    for out, ct in zip(outputs, cotangents, strict=True):
        if ct is not None and out in active:
            _check(out, ct)
            gathered[out] = ops.add(gathered[out], ct) if out in gathered else ct
    wanted = set(inputs)
    met = {(n.inputs[0], n.attrs["position"]): n for n in order if n.op == "item"}
    for node in reversed(order):
        if node in several:
            with of_derivative(node):
                if node.op == "custom":
                    parts = custom.back(node, several.pop(node), active, node in behind, met)
                else:
                    through = loops.through if node.op == "loop" else branches.through
                    parts, totals = through(node, several.pop(node), node in behind, active, _vjp, gathered)
                    gathered.update(totals)
                    behind.update(totals if node in behind else ())
        elif node not in gathered or not any(x in active for x in node.inputs):
            continue
        else:
            received = named_derivative(node, gathered[node] if node in wanted else gathered.pop(node))
            if node.op == "item":
                _add(several, node, received)
                if node in behind:
                    behind.add(node.inputs[0])
                continue
            with of_derivative(node):
                parts = _through(node, received, node in behind, active)
        for x, part in parts:
            gathered[x] = ops.add(gathered[x], part) if x in gathered else part
            if node in behind or OPS[node.op].branches:
                behind.add(x)
    return [named_derivative(x, gathered.get(x)) for x in inputs]


def _add(several: dict[Node, dict[int, Node]], result: Node, ct: Node) -> None:
    """Add to what the results of a loop or a branch have received."""
    of = several.setdefault(result.inputs[0], {})
    k = result.attrs["position"]
    of[k] = ops.add(of[k], ct) if k in of else ct


def _active(order: Iterable[Node], inputs: Sequence[Node]) -> set[Node]:
    """Floating nodes that depend on an input through operations that pass derivatives."""
    wanted = set(inputs)
    active: set[Node] = set()
    for node in order:
        if node.regions or node.op == "custom":
            if any(x in active for x in node.inputs[node.attrs.get("count", 0) :]):
                active.add(node)
            continue
        if not node.dtype.is_float or (node.op == "stop_gradient" and node not in wanted):
            continue
        if node in wanted or any(x in active for x in node.inputs):
            active.add(node)
    return active


def _check(out: Node, ct: Node) -> None:
    if out.type != ct.type:
        raise InternalError("grad", f"a value of type {out.type} was given a cotangent of type {ct.type}")


def _through(node: Node, ct: Node, behind: bool, active: set[Node]) -> list[tuple[Node, Node]]:
    """The contributions of one node to the cotangents of its active inputs."""
    record = OPS[node.op]
    if record.vjp is None:
        raise InternalError("grad", f"operation {node.op} has no gradient rule")
    parts = []
    for k, (x, part) in enumerate(zip(node.inputs, record.vjp(node, ct), strict=True)):
        if part is None or x not in active:
            continue
        if part.type != x.type:
            raise InternalError("grad", f"the gradient rule of {node.op} gives {part.type} for {x.type}")
        masked = behind and record.singular is not None and record.singular(node, k)
        parts.append((x, ops.zero_safe(ct, part) if masked else part))
    return parts
