"""Small exports built by hand, for tests of planning and lowering."""

from __future__ import annotations

from collections.abc import Sequence

from charl import ops
from charl.dtypes import DType, f32
from charl.graph.ir import Graph, Node, Size, TensorType
from charl.program import Argument, DimVar, Export, Field, Record


def parameter(name: str, *shape: Size, dtype: DType = f32) -> Node:
    return ops.parameter(name, TensorType(dtype, shape))


def export(
    params: Sequence[Node],
    results: Sequence[Node],
    mut: Sequence[tuple[Node, Node]] = (),
    dims: Sequence[str | DimVar] = (),
) -> Export:
    """An export `f` of tensors; `mut` pairs a parameter with its new value."""
    changed = dict(mut)
    arguments = tuple(Argument(p.name or "", p.type, mut=p in changed) for p in params)
    finals = [changed[p] for p in params if p in changed]
    fields = tuple(Field(str(i), r.type) for i, r in enumerate(results))
    result = results[0].type if len(results) == 1 else Record("", "tuple", fields)
    variables = tuple(DimVar(d) if isinstance(d, str) else d for d in dims)
    graph = Graph("f", list(params), [*results, *finals])
    return Export("f", "", arguments, result if results else None, graph, variables)


def full(value: float, shape: Sequence[Size], dtype: DType = f32) -> Node:
    return ops.broadcast(ops.constant(value, dtype), tuple(shape), ())


def linear(x: Node, w: Node, b: Node) -> Node:
    product = ops.contract(x, w, batch=((), ()), sum=((1,), (0,)))
    return ops.add(product, ops.broadcast(b, product.shape, (1,)))


def softmax(z: Node) -> Node:
    rows = (0,)
    top = ops.broadcast(ops.reduce_max(z, (1,)), z.shape, rows)
    e = ops.exp(ops.sub(z, top))
    return ops.div(e, ops.broadcast(ops.reduce_sum(e, (1,)), z.shape, rows))


def layer_norm(x: Node) -> Node:
    n = full(1.0 / int(x.shape[1]), x.shape[:1])
    mean = ops.mul(ops.reduce_sum(x, (1,)), n)
    centred = ops.sub(x, ops.broadcast(mean, x.shape, (0,)))
    variance = ops.mul(ops.reduce_sum(ops.mul(centred, centred), (1,)), n)
    scale = ops.rsqrt(ops.add(variance, full(1e-5, x.shape[:1])))
    return ops.mul(centred, ops.broadcast(scale, x.shape, (0,)))
