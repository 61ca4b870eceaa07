"""The library in Charl: its bodies check for all instances, and layers and optimizers compute what their sources say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.elaborate import check, modules
from charl.elaborate.elaborator import Elaborator
from tests.elaborate.programs import program, run

RNG = np.random.default_rng(5)
KEY = [np.array([3, 4], np.uint32), np.uint32(0)]


def f32(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("name", sorted(p.stem for p in modules.LIBRARY.glob("*.ch")))
def test_bodies_check_for_all_instances(name: str) -> None:
    el = Elaborator()
    modules.prelude()
    module = modules.library_module(name)
    assert module is not None
    check.check_module(el, module)
    assert el.diagnostics == []


@pytest.mark.parametrize("name", sorted(p.stem for p in modules.LIBRARY.glob("*.ch")))
def test_everything_is_documented(name: str) -> None:
    module = modules.library(name)
    assert module is not None and module.ast.docs
    for item in module.ast.items:
        docs = getattr(item, "docs", None)
        assert docs or docs is None, item.name.name


# ---------------------------------------------------------------- layers


def forward(layer: str, x: str, result: str, imports: str) -> str:
    return f"from nn import {imports}\nmodel M {{ layers {{ {layer} }} }}\nexport fn f(m: M, x: {x}) -> {result} = m(x)\n"


def test_dense_of_any_leading_shape() -> None:
    text = forward("Dense(3, 2, activation: tanh)", "f32[A, B, 3]", "f32[A, B, 2]", "Dense")
    w, b, x = f32(3, 2), f32(2), f32(4, 5, 3)
    np.testing.assert_allclose(run(text, w, b, x)[0], np.tanh(x @ w + b), rtol=1e-5)


def test_dense_without_bias_has_no_such_member() -> None:
    text = forward("Dense(3, 2, bias: false)", "f32[3]", "f32[2]", "Dense")
    w, x = f32(3, 2), f32(3)
    np.testing.assert_allclose(run(text, w, x)[0], x @ w, rtol=1e-5)


def test_layer_norm() -> None:
    text = forward("LayerNorm(6)", "f32[N, 6]", "f32[N, 6]", "LayerNorm")
    s, t, x = f32(6), f32(6), f32(3, 6)
    want = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-5) * s + t
    np.testing.assert_allclose(run(text, s, t, x)[0], want, rtol=1e-4, atol=1e-5)


def test_embedding_and_flatten() -> None:
    text = forward("Embedding(5, 4)\n Flatten()", "i32[N, 3]", "f32[N, 12]", "Embedding, Flatten")
    table, ids = f32(5, 4), np.array([[0, 4, 1], [2, 2, 3]], np.int32)
    np.testing.assert_array_equal(run(text, table, ids)[0], table[ids].reshape(2, 12))


BATCH_NORM = """
from nn import BatchNorm
from optim import Sgd
model Net { layers { BatchNorm(2) } }
fn objective(mut net: Net, x: f32[N, 2, 3], mut rng: Rng) -> f32 = sum(net(x, rng: mut rng) ** 3)
export fn predict(net: Net, x: f32[N, 2, 3]) -> f32[N, 2, 3] = net(x)
export fn train(mut net: Net, mut sgd: Sgd<Net>, mut rng: Rng, x: f32[N, 2, 3]) -> f32 {
    let (loss, g) = value_and_grad(objective)(mut net, x, mut rng)
    sgd.update(mut net, g, lr: 0.0)
    loss
}
"""


def test_batch_norm_keeps_state_and_trains_params() -> None:
    records = {r.name: r for r in program(BATCH_NORM).records if r.kind != "tuple"}
    assert [(f.name, f.trained) for f in records["BatchNorm"].fields] == [
        ("scale", True),
        ("shift", True),
        ("mean", False),
        ("variance", False),
    ]
    assert [f.name for f in records["Sgd"].fields] == ["velocity"]
    scale, shift, mean, variance, x = f32(2), f32(2), f32(2), np.ones(2, np.float32), f32(4, 2, 3)
    state = [scale, shift, mean, variance]
    loss, s, t, m, v, *_ = run(BATCH_NORM, *state, scale * 0, shift * 0, *KEY, x, name="train")
    batch, power = x.mean((0, 2)), x.var((0, 2))
    y = (x - batch[:, None]) / np.sqrt(power[:, None] + 1e-5) * scale[:, None] + shift[:, None]
    np.testing.assert_allclose(loss, (y**3).sum(), rtol=1e-4)
    np.testing.assert_allclose(m, 0.9 * mean + 0.1 * batch, rtol=1e-5)
    np.testing.assert_allclose(v, 0.9 * variance + 0.1 * power * 12 / 11, rtol=1e-5)
    np.testing.assert_array_equal((s, t), (scale, shift))
    y = (x - mean[:, None]) / np.sqrt(variance[:, None] + 1e-5) * scale[:, None] + shift[:, None]
    np.testing.assert_allclose(run(BATCH_NORM, *state, x, name="predict")[0], y, rtol=1e-4, atol=1e-6)


def test_dropout_only_in_training() -> None:
    text = """
    from nn import Dropout, Dense
    model Net { layers { Dropout(0.25), Dense(1, 1) } }
    export fn f(net: Net, x: f32[N, 1], mut rng: Rng) -> (f32[N, 1], f32[N, 1]) = (net(x), net(x, rng: mut rng))
    """
    one, x = np.ones((1, 1), np.float32), np.ones((4000, 1), np.float32)
    plain, trained, *_, counter = run(text, one, one[0] * 0, x, *KEY)
    assert (plain == 1).all() and counter == 1
    assert set(np.unique(trained)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((trained == 0).mean() - 0.25) < 0.03


# ---------------------------------------------------------------- optimizers


def optimizer(name: str, call: str) -> str:
    return f"""
    from optim import {name}
    struct P {{ w: f32[3] }}
    export fn f(mut p: P, mut opt: {name}<P>, g: P) {{ opt.update(mut p, g, {call}) }}
    """


def steps(name: str, call: str, members: int, counted: bool) -> list[Any]:
    """Parameters after each of four steps with given gradients."""
    text = optimizer(name, call)
    state = [np.array([1, -2, 3], np.float32), *(np.zeros(3, np.float32) for _ in range(members))]
    state += [np.int32(0)] if counted else []
    out = []
    for g in GRADS:
        state = run(text, *state, g)
        out.append(state[0])
    return out


GRADS = [f32(3) for _ in range(4)]


def test_adam_and_adamw() -> None:
    for name, call, decay in (
        ("Adam", "lr: 0.1, betas: (0.8, 0.9)", 0.0),
        ("AdamW", "lr: 0.1, betas: (0.8, 0.9), weight_decay: 0.5", 0.5),
    ):
        p, m, v = np.array([1.0, -2, 3]), np.zeros(3), np.zeros(3)
        for t, (g, got) in enumerate(zip(GRADS, steps(name, call, 2, True), strict=True), 1):
            m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
            p = p * (1 - 0.1 * decay) - 0.1 * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.9**t)) + 1e-8)
            np.testing.assert_allclose(got, p, rtol=1e-5)


def test_sgd_with_momentum_and_decay() -> None:
    p, u = np.array([1.0, -2, 3]), np.zeros(3)
    call = "lr: 0.1, momentum: 0.9, weight_decay: 0.01"
    for g, got in zip(GRADS, steps("Sgd", call, 1, False), strict=True):
        u = 0.9 * u + g + 0.01 * p
        p = p - 0.1 * u
        np.testing.assert_allclose(got, p, rtol=1e-5)


def test_rmsprop() -> None:
    p, s = np.array([1.0, -2, 3]), np.zeros(3)
    for g, got in zip(GRADS, steps("RmsProp", "lr: 0.1", 1, False), strict=True):
        s = 0.99 * s + 0.01 * g**2
        p = p - 0.1 * g / (np.sqrt(s) + 1e-8)
        np.testing.assert_allclose(got, p, rtol=1e-4)


def test_clipping() -> None:
    text = """
    from optim import clip_by_norm, clip_by_value
    struct P { a: f32[3], b: f32 }
    export fn f(p: P) -> (P, P) = (clip_by_norm(p, 1.0), clip_by_value(p, 0.5))
    """
    a, b = np.array([3, 0, -4], np.float32), np.float32(12)
    na, nb, va, vb = run(text, a, b)
    np.testing.assert_allclose((*na, nb), np.array([3, 0, -4, 12]) / 13, rtol=1e-5)
    np.testing.assert_array_equal((*va, vb), (0.5, 0, -0.5, 0.5))


# ---------------------------------------------------------------- random numbers and losses


def test_draws_move_the_stream_and_have_their_moments() -> None:
    text = """
    export fn f(mut rng: Rng) -> (f32[20000], f32[20000], f32[20000]) {
        let n = 20000
        (uniform([n], mut rng), uniform([n], mut rng, low: -1.0, high: 3.0), normal([n], mut rng))
    }
    """
    a, b, c, _, counter = run(text, *KEY)
    assert counter == 3 and a.min() >= 0 and a.max() < 1
    assert abs(a.mean() - 0.5) < 0.01 and abs(b.mean() - 1) < 0.03 and b.min() >= -1
    assert abs(c.mean()) < 0.03 and abs(c.std() - 1) < 0.02
    assert abs(np.corrcoef(a, b)[0, 1]) < 0.03


def test_cross_entropy_and_its_gradient() -> None:
    text = """
    export fn f(x: f32[N, T, 5], y: i32[N, T]) -> (f32, f32[N, T, 5]) = value_and_grad(cross_entropy)(x, y)
    export fn smooth(x: f32[N, 5], y: i32[N]) -> f32 = cross_entropy(x, y, label_smoothing: 0.1)
    """
    x, y = f32(3, 2, 5), RNG.integers(0, 5, (3, 2)).astype(np.int32)
    logp = x - np.log(np.exp(x).sum(-1, keepdims=True))
    hot = np.eye(5)[y]
    loss, g = run(text, x, y)
    np.testing.assert_allclose(loss, -(logp * hot).sum(-1).mean(), rtol=1e-5)
    np.testing.assert_allclose(g, (np.exp(logp) - hot) / 6, rtol=1e-4, atol=1e-6)
    want = -(logp[0] * (0.9 * hot[0] + 0.02)).sum(-1).mean()
    np.testing.assert_allclose(run(text, x[0], y[0], name="smooth")[0], want, rtol=1e-5)


def test_logsumexp_survives_infinities() -> None:
    text = "export fn f(x: f32[N, 2]) -> f32[N] = logsumexp(x, axis: 1)\n"
    inf = np.float32(np.inf)
    got = run(text, np.array([[inf, 0], [-inf, -inf], [1000, 1000]], np.float32))[0]
    np.testing.assert_allclose(got, [np.inf, -np.inf, 1000 + np.log(2)], rtol=1e-6)


def test_relu_at_zero_has_the_gradient_zero() -> None:
    text = "export fn f(x: f32[3]) -> f32[3] = grad(|x| sum(relu(x)))(x)\n"
    np.testing.assert_array_equal(run(text, np.array([-1, 0, 2], np.float32))[0], [0, 0, 1])
