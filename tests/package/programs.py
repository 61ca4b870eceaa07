"""Programs made of graphs by hand, so that the packager is tested without the front end.

`linear`: y = x @ w + b with a struct of two leaves, a step that updates it in place, a dynamic N, labels, a scalar.
"""

from __future__ import annotations

from charl import ops
from charl.backends.capabilities import PORTABLE_C
from charl.dims import Dim, sym
from charl.dtypes import boolean, f32, i32, u32
from charl.graph.ir import Graph, Node, TensorType
from charl.plan.build import plan_program
from charl.plan.ir import Lowered
from charl.program import Argument, DimVar, Export, Field, Program, Record
from charl.source import Source, Span

SOURCE = Source(
    "somewhere/linear.ch", "export fn predict(net: Linear, x: f32[N, 5]) -> f32[N, 3] {\n    net(x)\n}\n"
)
N = sym("N")
LAYER = Record(
    "Dense",
    "model",
    (
        Field("w", TensorType(f32, (5, 3)), "Weights, input by output.", trained=True),
        Field("b", TensorType(f32, (3,)), trained=True),
    ),
    "A layer.",
)
RNG = Record("Rng", "struct", (Field("key", TensorType(u32, (2,))), Field("counter", TensorType(u32, ()))))
NOTHING = Record("Dropout", "model", ())
MODEL = Record(
    "Linear",
    "model",
    (
        Field("0", LAYER),
        Field("1", NOTHING),
        Field("scale", TensorType(f32, ())),
        Field("on", TensorType(boolean, ())),
    ),
    "The model.",
)
STATE = Record(
    "State",
    "struct",
    (
        Field("taps", Record("", "run", tuple(Field(str(i), TensorType(f32, (2,))) for i in range(3)))),
        Field("layers", Record("", "run", (Field("0", LAYER), Field("1", LAYER)))),
        Field("t", TensorType(i32, ())),
    ),
)


def _parameters(*leaves: tuple[str, TensorType]) -> list[Node]:
    return [ops.parameter(name, t) for name, t in leaves]


def _row(b: Node, n: int | Dim) -> Node:
    return ops.broadcast(b, (n, *b.shape), (1,))


def _forward(x: Node, w: Node, b: Node, scale: Node, on: Node) -> Node:
    y = ops.add(ops.contract(x, w, batch=((), ()), sum=((1,), (0,))), _row(b, x.shape[0]))
    scaled = ops.mul(y, ops.broadcast(scale, y.shape, ()))
    return ops.select(ops.broadcast(on, y.shape, ()), scaled, y)


def _model_leaves() -> list[tuple[str, TensorType]]:
    return [
        ("0.w", TensorType(f32, (5, 3))),
        ("0.b", TensorType(f32, (3,))),
        ("scale", TensorType(f32, ())),
        ("on", TensorType(boolean, ())),
    ]


def predict(n: int | Dim) -> Export:
    w, b, scale, on, x = _parameters(*_model_leaves(), ("x", TensorType(f32, (n, 5))))
    graph = Graph("predict", [w, b, scale, on, x], [_forward(x, w, b, scale, on)])
    dims = () if isinstance(n, int) else (DimVar("N"),)
    arguments = (Argument("net", MODEL), Argument("x", TensorType(f32, (n, 5)), doc="A batch."))
    span = Span(SOURCE, 0, 10)
    return Export(
        "predict", "What the model says of `x`.", arguments, TensorType(f32, (n, 3)), graph, dims, span=span
    )


def train(n: int | Dim) -> Export:
    """w, b move by lr times the gradient of sum((y - one_hot)^2) by hand; t counts; returns the loss."""
    w, b, scale, on, x, y, lr, t = _parameters(
        *_model_leaves(),
        ("x", TensorType(f32, (n, 5))),
        ("y", TensorType(i32, (n,))),
        ("lr", TensorType(f32, ())),
        ("t", TensorType(i32, ())),
    )
    out = _forward(x, w, b, scale, on)
    classes = ops.iota((n, 3), 1, i32)
    hot = ops.cast(ops.eq(classes, ops.broadcast(y, (n, 3), (0,))), f32)
    difference = ops.sub(out, hot)
    loss = ops.reduce_sum(ops.mul(difference, difference), (0, 1))
    gw = ops.contract(x, difference, batch=((), ()), sum=((0,), (0,)))
    gb = ops.reduce_sum(difference, (0,))
    new_w = ops.sub(w, ops.mul(ops.broadcast(lr, (5, 3), ()), gw))
    new_b = ops.sub(b, ops.mul(ops.broadcast(lr, (3,), ()), gb))
    params = [w, b, scale, on, x, y, lr, t]
    graph = Graph("train", params, [loss, new_w, new_b, scale, on, ops.add(t, ops.constant(1, i32))])
    arguments = (
        Argument("net", MODEL, mut=True),
        Argument("x", TensorType(f32, (n, 5))),
        Argument("y", TensorType(i32, (n,))),
        Argument("lr", TensorType(f32, ())),
        Argument("default", TensorType(i32, ()), mut=True),
    )
    dims = () if isinstance(n, int) else (DimVar("N"),)
    doc = "One step of descent.\nReturns the loss before it."
    return Export("train", doc, arguments, TensorType(f32, ()), graph, dims, span=Span(SOURCE, 0, 10))


def touch() -> Export:
    """Both a tuple result and a struct with runs."""
    leaves = [(f"taps.{i}", TensorType(f32, (2,))) for i in range(3)]
    for i in range(2):
        leaves += [(f"layers.{i}.w", TensorType(f32, (5, 3))), (f"layers.{i}.b", TensorType(f32, (3,)))]
    nodes = _parameters(*leaves, ("t", TensorType(i32, ())))
    total = ops.add(nodes[0], ops.add(nodes[1], nodes[2]))
    result = Record("", "tuple", (Field("0", TensorType(f32, (2,))), Field("1", TensorType(f32, (3,)))))
    graph = Graph("touch", nodes, [total, ops.add(nodes[4], nodes[6])])
    return Export("touch", "", (Argument("state", STATE),), result, graph, ())


def init() -> Export:
    """Weights from a stream."""
    key, counter = _parameters(("key", TensorType(u32, (2,))), ("counter", TensorType(u32, ())))
    bits = ops.random_bits(key, counter, (5, 3))
    shifted = ops.shr(bits, ops.broadcast(ops.constant(8, u32), (5, 3), ()))
    w = ops.mul(ops.cast(shifted, f32), ops.broadcast(ops.constant(2.0**-24, f32), (5, 3), ()))
    one = ops.constant(1, u32)
    zero = ops.broadcast(ops.constant(0.0, f32), (3,), ())
    results = [w, zero, ops.constant(1.0, f32), ops.constant(True, boolean), key, ops.add(counter, one)]
    graph = Graph("init", [key, counter], results)
    return Export(
        "linear_init", "Random weights.", (Argument("rng", RNG, mut=True),), MODEL, graph, (), role="init"
    )


def linear(n: int | Dim = N) -> Program:
    exports = [init(), predict(n), train(n), touch()]
    return Program(
        "linear", "A linear model.\nMade by hand.", exports, [LAYER, RNG, MODEL, STATE], digest="0123abcd"
    )


def lowered(n: int | Dim = N) -> Lowered:
    return plan_program(linear(n), PORTABLE_C)
