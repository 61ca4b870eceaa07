"""What a well-formed graph is.

Enters: any `Graph`. Leaves: nothing, or an `InternalError` that names the node and the stage which made it.
Never repairs, and never looks at values. The cost is one type inference per node.
"""

from __future__ import annotations

from charl.errors import InternalError
from charl.graph.ir import Graph, Node
from charl.ops.record import OPS, TypeRuleError
from charl.ops.regions import check


def verify(graph: Graph, stage: str = "graph") -> None:
    """Check that `graph` is well-formed SSA.

    Parameters are distinct and of op "parameter", every parameter that is used is declared, there are no cycles,
    every operation is known, attributes are hashable, and every type is what the operation's rule infers.
    Raises InternalError with `stage` and the offending node.
    """
    _check_parameters(graph, stage)
    declared = set(graph.params)
    for node in _ordered(graph, stage):
        if node.op == "parameter":
            if node not in declared:
                raise InternalError(
                    stage, f"{_show(node)} is used in `{graph.name}` but is not its parameter"
                )
            continue
        _check_node(graph, node, stage)
        if node.regions and (wrong := check(node)) is not None:
            raise InternalError(stage, f"{_show(node)} in `{graph.name}`: {wrong}")
        for region in node.regions:
            verify(region, stage)


def _check_parameters(graph: Graph, stage: str) -> None:
    seen: set[Node] = set()
    for p in graph.params:
        if not isinstance(p, Node) or p.op != "parameter":
            raise InternalError(stage, f"{_show(p)} stands among the parameters of `{graph.name}`")
        if p in seen:
            raise InternalError(stage, f"{_show(p)} is listed twice among the parameters of `{graph.name}`")
        seen.add(p)


def _check_node(graph: Graph, node: Node, stage: str) -> None:
    op = OPS.get(node.op)
    if op is None:
        raise InternalError(stage, f"{_show(node)} in `{graph.name}` has an unknown operation")
    for key, value in node.attrs.items():
        try:
            hash(value)
        except TypeError as e:
            raise InternalError(stage, f"attribute `{key}` of {_show(node)} in `{graph.name}`: {e}") from e
    try:
        expected = op.infer([i.type for i in node.inputs], node.attrs)
    except TypeRuleError as e:
        raise InternalError(stage, f"{_show(node)} in `{graph.name}`: {e}") from e
    except Exception as e:  # a rule that trips over attributes it does not understand
        raise InternalError(stage, f"the type rule of {_show(node)} in `{graph.name}` fails: {e!r}") from e
    if expected != node.type:
        raise InternalError(stage, f"{_show(node)} in `{graph.name}` should have type {expected}")


def _ordered(graph: Graph, stage: str) -> list[Node]:
    """As `Graph.nodes`, but ends on cycles and on inputs that are not nodes."""
    order: list[Node] = []
    done: set[Node] = set()
    open_: set[Node] = set()
    for root in [*graph.params, *graph.results]:
        stack: list[tuple[Node, int]] = [(root, 0)]
        while stack:
            node, i = stack.pop()
            if i == 0:
                if node in done:
                    continue
                if not isinstance(node, Node):
                    raise InternalError(stage, f"{node!r} in `{graph.name}` is not a node")
                open_.add(node)
            if i < len(node.inputs):
                stack.append((node, i + 1))
                child = node.inputs[i]
                if child in open_:
                    raise InternalError(stage, f"{_show(child)} in `{graph.name}` depends on itself")
                if child not in done:
                    stack.append((child, 0))
            else:
                open_.discard(node)
                done.add(node)
                order.append(node)
    return order


def _show(node: object) -> str:
    if not isinstance(node, Node):
        return repr(node)
    inputs = ", ".join(str(getattr(i, "type", i)) for i in node.inputs)
    attrs = "".join(f", {k}={v!r}" for k, v in node.attrs.items())
    where = f" from {node.span}" if node.span is not None else ""
    named = f" `{node.name}`" if node.name else ""
    return f"node{named} {node.op}({inputs}{attrs}): {node.type}{where}"
