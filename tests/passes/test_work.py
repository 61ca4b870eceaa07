"""The optimiser's work grows as the graph does, and deep graphs do not overflow the stack."""

from __future__ import annotations

from charl import dims, ops
from charl.dtypes import f32
from charl.grad import vjp
from charl.graph.ir import Graph, Node, TensorType
from charl.passes import optimise
from tests.work import calls

N = dims.sym("N")


def network(layers: int) -> Graph:
    """A deep residual network and its gradients, with what a front end leaves to be cleaned up."""
    params: list[Node] = []

    def parameter(*shape: dims.Size) -> Node:
        params.append(ops.parameter(f"p{len(params)}", TensorType(f32, shape)))
        return params[-1]

    x = parameter(N, 8)
    for _ in range(layers):
        w, b = parameter(8, 8), parameter(8)
        y = ops.contract(x, ops.transpose(w, (1, 0)), ((), ()), ((1,), (0,)))
        y = ops.add(y, ops.broadcast(ops.reshape(b, (1, 8)), y.shape, (0, 1)))
        mean = ops.div(ops.reduce_sum(y, (1,)), ops.full(8, TensorType(f32, (N,))))
        y = ops.sub(y, ops.broadcast(ops.reshape(mean, (N, 1)), y.shape, (0, 1)))
        x = ops.add(x, ops.max_(ops.mul(y, ops.full(1, y.type)), ops.zeros(y.type)))
    loss = ops.reduce_sum(x, (0, 1))
    gradients = vjp([loss], params[1:], [ops.constant(1.0)])
    return Graph("deep", params, [loss, *(g for g in gradients if g is not None)])


def test_linear() -> None:
    small, large = network(15), network(150)
    assert len(large.nodes()) > 5000
    assert calls(lambda: optimise(large)) < 12 * calls(lambda: optimise(small))


def test_nothing_is_left_to_move() -> None:
    after = optimise(network(3), check=True)
    names = [n.op for n in after.nodes()]
    assert "transpose" not in names and "reshape" not in names
    assert (
        names.count("contract") == 3 * 3 - 1
    )  # forward, weights, inputs; nothing asks for the gradient of the first x
