"""What derivatives cost: loops that stay one loop, lanes that share one, memory that a checkpoint gives back."""

from __future__ import annotations

import re

import pytest

from charl.compile import Options, compile_source
from charl.elaborate import elaborate
from charl.graph.ir import Graph, Node
from charl.passes import optimise
from charl.source import Source

STEPS = """
fn turned(x: f64[3]) -> f64[3] {
    let mut y = x
    for _ in 0..1000 { y = 1.1 * sin(y) + 0.1 * y * x }
    y
}
fn endless(x: f64[3]) -> f64[3] {
    let mut y = x
    while sum(y * y) > 1.0 { y = 0.5 * sin(y) }
    y
}
"""


def graph(export: str) -> Graph:
    return optimise(elaborate(Source("test.ch", STEPS + export)).exports[0].graph)


def loops(g: Graph) -> list[Node]:
    return [n for n in g.nodes() if n.op == "loop"]


@pytest.mark.parametrize("f", ["turned", "endless"])
@pytest.mark.parametrize(
    "export",
    [
        "(f64[3], f64[3]) = jvp({f})(x, x)",
        "f64[3, 3] = jacobian({f})(x)",
        "f64[N, 3, 3] = vmap(jacobian({f}))(y)",
        "(f64[N, 3], f64[N, 3]) = vmap(|v| jvp({f})(v, x))(y)",
    ],
)
def test_forward_mode_is_one_loop_that_keeps_nothing(f: str, export: str) -> None:
    (loop,) = loops(graph(f"export fn g(x: f64[3], y: f64[N, 3]) -> {export.format(f=f)}\n"))
    assert len(loop.attrs["types"]) == loop.attrs["carried"]  # no trajectory among its results


def test_reverse_mode_keeps_one_trajectory() -> None:
    there, back = loops(graph("export fn g(x: f64[3]) -> f64[3] = grad(|x| sum(turned(x)))(x)\n"))
    assert [str(t) for t in there.attrs["types"]] == ["f64[3]", "f64[1000, 3]"] or [
        str(t) for t in there.attrs["types"]
    ] == ["f64[1000, 3]"]
    assert len(back.attrs["types"]) == back.attrs["carried"]


GATED = """
from activation import sigmoid
fn f(w: f64[3, 3], x: f64[3]) -> f64 {
    let mut y = x
    let mut c = x
    let hs = for _ in 0..9 {
        c = sigmoid(w @ y) * c
        y = tanh(c)
        yield y
    }
    sum(hs)
}
export fn g(w: f64[3, 3], x: f64[3]) -> (f64, f64[3, 3]) = value_and_grad(f)(w, x)
"""


def test_values_and_gradients_come_from_one_loop_though_its_body_has_gradient_rules_of_its_own() -> None:
    program = elaborate(Source("test.ch", GATED))
    assert len(loops(optimise(program.exports[0].graph))) == 2


def test_lanes_do_not_unroll() -> None:
    def size(n: int) -> int:
        text = f"export fn g(x: f64[{n}, 3]) -> f64[{n}, 3] = vmap(grad(|v| sum(turned(v) ** 2)))(x)\n"
        return len(graph(text).nodes())

    assert size(4) == size(4000)


DEEP = """
fn layer(w: f64[16, 16], x: f64[64, 16]) -> f64[64, 16] = tanh(sin(tanh(x @ w) @ w) @ w)
fn deep(ws: f64[8, 16, 16], x: f64[64, 16]) -> f64 {{
    let mut h = x
    for const i in 0..8 {{ h = {call}(ws[i], h) }}
    sum(h ** 2)
}}
export fn f(ws: f64[8, 16, 16], x: f64[64, 16]) -> f64[8, 16, 16] = grad(deep)(ws, x)
"""


def workspace(call: str) -> int:
    made = compile_source(Source("deep.ch", DEEP.format(call=call)), Options(targets=("c",)))
    found = re.search(rb"define DEEP_F_WORKSPACE_BYTES (\d+)", made.files["deep.h"])
    assert found is not None
    return int(found.group(1))


def test_a_checkpoint_gives_memory_back() -> None:
    assert workspace("checkpoint(layer)") < 0.5 * workspace("layer")
