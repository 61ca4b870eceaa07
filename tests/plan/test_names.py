"""Kernels and stored values are called after the user's names, else after the nearest name around their place."""

import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL, Capabilities
from charl.compile import Options, compile_source
from charl.elaborate import elaborate
from charl.passes import optimise
from charl.plan.build import plan_program
from charl.source import Source

LAYERS = """
from nn import Dense
from optim import Sgd
model Net { a: Dense(300, 200, activation: relu), b: Dense(200, 100) }
fn logits(net: Net, x: f32[B, 300]) -> f32[B, 100] {
    let hidden = net.a(x)
    net.b(hidden)
}
fn loss(net: Net, x: f32[B, 300], y: i32[B]) -> f32 = cross_entropy(logits(net, x), y)
export fn predict(net: Net, x: f32[B, 300]) -> f32[B, 100] = softmax(logits(net, x))
export fn train(mut net: Net, mut sgd: Sgd<Net>, x: f32[B, 300], y: i32[B]) -> f32 {
    let (l, g) = value_and_grad(loss)(net, x, y)
    sgd.update(mut net, g, lr: 0.1)
    l
}
export fn product(x: f32[B, 300], y: f32[B, 300]) -> f32[B, B] = x @ y.T
"""


@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])
def test_kernels_are_called_after_what_they_compute(caps: Capabilities) -> None:
    program = elaborate(Source("names.ch", LAYERS))
    for export in program.exports:
        export.graph = optimise(export.graph)
    plans = {p.export.name: p for p in plan_program(program, caps).plans}
    assert all(c.kernel.sources for p in plans.values() for c in p.calls), "each says which line it is of"
    called = {name: [c.kernel.name for c in p.calls] for name, p in plans.items()}
    stored = {
        name: {x.name for c in p.calls for x in c.places if x.kind == "arena"} for name, p in plans.items()
    }
    # a `let` of the user's goes before what the library calls a value; a custom rule and division keep a result's name
    assert called["predict"] == ["predict_hidden", "predict_logits", "predict_softmax"]
    assert stored["predict"] == {"hidden", "logits"}
    # derivatives after what they are of; no local name of the library's, such as `y`, stands alone
    assert "train_d_logits" in called["train"] and "train_update_net_a_w" in called["train"]
    own = {"hidden", "logits", "loss", "d_hidden", "d_logits"}
    assert all(name in own or "_" in name for name in stored["train"])
    assert called["product"] == ["product_result"]


def test_what_hands_on_its_argument_does_not_name_it() -> None:
    """As a layer of dropout does outside of training, and a cast to the type that a value has."""
    text = """
    fn same<E: float>(x: f32[*S], _like: E[]) -> E[*S] = x as E
    export fn f(x: f32[300, 300], one: f32[]) -> f32[300, 300] = same(softmax(x), one) @ x
    """
    program = elaborate(Source("names.ch", text))
    program.exports[0].graph = optimise(program.exports[0].graph)
    (plan,) = plan_program(program, PORTABLE_C).plans
    assert "f_softmax" in {c.kernel.name for c in plan.calls}


def test_values_of_a_row_are_called_after_what_they_are() -> None:
    """The largest of a row and its sum, whose partial sums in lanes have names of their own; nothing is called `t`."""
    files = compile_source(
        Source("row.ch", "export fn f(x: f32[N, 20]) -> f32[N, 20] = softmax(x)"), Options(targets=("c",))
    ).files
    text = files["row.c"].decode()
    for line in (
        "const float softmax_max = vf32_reduce_max(softmax_max_lanes);",
        "const float softmax_sum = vf32_reduce_add(softmax_sum_lanes);",
    ):
        assert line in text
    assert "broadcast" not in text and " t = " not in text
