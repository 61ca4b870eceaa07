"""Products with weights that are updated every time: their sums in two halves, each over rows that one of two threads updates.

Enters: an optimised graph, for a target with caches and threads, and which of its parameters are updated. Leaves: the same with
such products in two parts and a sum of both, for any number of threads, so that results do not depend on it. What a thread has
written comes to another core line by line, and updates leave the rows of a matrix divided; by columns, cores would ask early
for one another's lines. Parts are small beside the weights, or products stay whole. Whether threads pay is up to `sharing`.

    y = x @ w       becomes     p = x[:, :k/2] @ w[:k/2], x[:, k/2:] @ w[k/2:];  y = p[0] + p[1]
"""

from __future__ import annotations

from collections.abc import Mapping

from charl import ops
from charl.backends.capabilities import Capabilities
from charl.dims import product
from charl.graph.ir import Graph, Node
from charl.plan.outline import elementwise
from charl.plan.sharing import FAR

PARTS = 2
_SMALLER = 8  # times as many terms as rows: what parts hold is then little beside the weights
_WORK = 2  # times the work from which on threads pay
_MOST = 64  # operations of an update that are counted; what several of them share counts more than once


def halved(graph: Graph, updated: frozenset[Node], caps: Capabilities) -> Graph:
    """The graph with such products in parts; the same object where there are none. `updated`: parameters of the graph."""
    if caps.grid or caps.threads < PARTS:
        return graph
    new: dict[Node, Node] = {}
    changing = dict.fromkeys(updated, 0)  # and how many operations make each of its elements here
    for n in graph.nodes():
        inputs = tuple(new.get(x, x) for x in n.inputs)
        regions = tuple(halved(r, _inside(n, k, changing), caps) for k, r in enumerate(n.regions))
        same = all(a is b for a, b in zip((*inputs, *regions), (*n.inputs, *n.regions), strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, regions, n.span, n.name)
        if elementwise(n) and any(x in changing for x in n.inputs):
            changing[n] = min(1 + sum(changing.get(x, 0) for x in dict.fromkeys(n.inputs)), _MOST)
        elif n.op == "contract":
            sides = [k for k, w in enumerate(n.inputs) if w in changing and _pays(n, k, changing[w], caps)]
            if sides:
                new[n] = _in_parts(new[n])
    results = [new[r] for r in graph.results]
    if all(a is b for a, b in zip(results, graph.results, strict=True)):
        return graph
    return Graph(graph.name, graph.params, results, graph.span)


def _inside(node: Node, region: int, changing: Mapping[Node, int]) -> frozenset[Node]:
    """Parameters of a region that are updated: what a loop carries and changes, and what a branch is given of such."""
    body = node.regions[region]
    if node.op == "branch":
        pairs = zip(body.params, node.inputs[1:], strict=True)
        return frozenset(p for p, x in pairs if x in changing)
    if node.op == "loop":
        carried = node.attrs["carried"]
        pairs = zip(body.params[1 : 1 + carried], body.results, strict=False)
        return frozenset(p for p, r in pairs if r is not p)
    return frozenset()


def _pays(node: Node, side: int, made: int, caps: Capabilities) -> bool:
    """Whether a product with a matrix on this side sums along its first axis, and threads may share it. `made`: operations behind
    each element of the matrix.
    """
    x, w = node.inputs[1 - side], node.inputs[side]
    if w.rank != 2 or node.attrs["batch"][side] or node.attrs["sum"][side] != (0,) or not w.dtype.is_float:
        return False
    depth, size, columns = w.shape[0], product(x.shape), w.shape[1]
    if not (isinstance(depth, int) and isinstance(size, int) and isinstance(columns, int)) or depth % PARTS:
        return False
    rows, bits = size // max(depth, 1), w.dtype.bits
    lanes = max(caps.max_lanes * 32 // bits, 1)
    near = caps.cache[0] < depth * columns * bits // 8 <= FAR * caps.cache[1]
    work = (rows + made) * depth * columns // lanes
    return near and rows * _SMALLER <= depth and work >= _WORK * caps.thread_work


def _in_parts(node: Node) -> Node:
    """The sum of two products, each over half of the terms."""
    axes = [axis for (axis,) in node.attrs["sum"]]
    depth = node.inputs[0].shape[axes[0]]
    assert isinstance(depth, int)
    half = (PARTS, depth // PARTS)
    a, b = (
        ops.reshape(x, (*x.shape[:axis], *half, *x.shape[axis + 1 :]))
        for x, axis in zip(node.inputs, axes, strict=True)
    )
    parts = ops.contract(a, b, ((axes[0],), (axes[1],)), ((axes[0] + 1,), (axes[1] + 1,)))
    whole = ops.reduce_sum(parts, (0,))
    for made in (parts, whole):
        made.span, made.name = node.span, node.name
    return whole
