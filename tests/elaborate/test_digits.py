"""The tour's first program against the same network written by hand in NumPy."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from charl.elaborate import elaborate
from charl.graph.evaluate import evaluate
from charl.graph.verify import verify
from charl.ops.source import threefry2x32
from charl.program import Export, Program, leaves
from charl.source import Source

TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour"


@cache
def digits() -> Program:
    path = TOUR / "digits.ch"
    return elaborate(Source("digits.ch", path.read_text(encoding="utf-8")))


def export(name: str) -> Export:
    return next(e for e in digits().exports if e.name == name)


def call(name: str, *arrays: Any) -> list[np.ndarray[Any, Any]]:
    return evaluate(export(name).graph, [np.asarray(a) for a in arrays])


def draws(key: Any, counter: int, n: int) -> Any:
    """Uniform numbers of one draw, by the cipher's definition."""
    bits, _ = threefry2x32(key[0], key[1], np.arange(n, dtype=np.uint32), np.uint32(counter))
    return (bits >> 8).astype(np.float32) * np.float32(2**-24)


def softmax(z: Any) -> Any:
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def parameters() -> list[Any]:
    rng = np.random.default_rng(3)
    shapes = ((64, 64), (64,), (64, 10), (10,))
    return [(0.2 * rng.normal(size=s)).astype(np.float32) for s in shapes]


def batch(n: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(n)
    return rng.random((n, 64)).astype(np.float32), rng.integers(0, 10, n).astype(np.int32)


def test_signatures() -> None:
    assert [e.name for e in digits().exports] == ["predict", "train_step", "Digits_init", "Adam_init"]
    step = export("train_step")
    assert [(a.name, a.mut) for a in step.arguments] == [
        ("net", True),
        ("adam", True),
        ("rng", True),
        ("x", False),
        ("y", False),
    ]
    assert [p for p, _ in leaves(step.arguments[0].type)] == ["0.w", "0.b", "2.w", "2.b"]
    assert [d.name for d in step.dims] == ["N"]
    assert [r.name for r in digits().records] == ["Dense", "Dense", "Digits", "Adam", "Rng"]
    assert step.doc.startswith("One step of Adam")
    for e in digits().exports:
        verify(e.graph)


def test_predict() -> None:
    w1, b1, w2, b2 = parameters()
    x, _ = batch(7)
    got = call("predict", w1, b1, w2, b2, x)[0]
    np.testing.assert_allclose(got, softmax(np.maximum(x @ w1 + b1, 0) @ w2 + b2), rtol=1e-5, atol=1e-6)


def numpy_step(
    net: list[Any], m: list[Any], v: list[Any], t: int, key: Any, counter: int, x: Any, y: Any
) -> Any:
    """Forward, backward and Adam in float64, from the textbook."""
    n = len(x)
    w1, b1, w2, b2 = (p.astype(np.float64) for p in net)
    h = np.maximum(x @ w1 + b1, 0)
    keep = (draws(key, counter, n * 64).reshape(n, 64) < np.float32(0.8)) / 0.8
    d = h * keep
    p = softmax(d @ w2 + b2)
    loss = -np.log(p[np.arange(n), y]).mean()
    dz = (p - np.eye(10)[y]) / n
    dh = dz @ w2.T * keep * (h > 0)
    grads = [x.T @ dh, dh.sum(0), d.T @ dz, dz.sum(0)]
    t += 1
    m = [0.9 * a + 0.1 * g for a, g in zip(m, grads, strict=True)]
    v = [0.999 * a + 0.001 * g**2 for a, g in zip(v, grads, strict=True)]
    net = [
        q - 1e-3 * (a / (1 - 0.9**t)) / (np.sqrt(b / (1 - 0.999**t)) + 1e-8)
        for q, a, b in zip(net, m, v, strict=True)
    ]
    return loss, net, m, v, t


def test_train_step_follows_numpy() -> None:
    net: list[Any] = parameters()
    key = np.array([11, 5], np.uint32)
    state: list[Any] = [*net, *(np.zeros_like(p) for p in net), *(np.zeros_like(p) for p in net), np.int32(0)]
    wide, m, v, t = [p.astype(np.float64) for p in net], [0.0] * 4, [0.0] * 4, 0
    for step in range(5):
        x, y = batch(8 + step)
        out = call("train_step", *state, key, np.uint32(step), x, y)
        loss, wide, m, v, t = numpy_step(wide, m, v, t, key, step, x, y)
        np.testing.assert_allclose(out[0], loss, rtol=1e-5)
        state = out[1:14]
        assert out[-1] == step + 1 and state[12] == t
        for got, want in zip(state[:4], wide, strict=True):
            np.testing.assert_allclose(got, want, atol=2e-6)


def test_initial_values() -> None:
    rng = [np.array([42, 0], np.uint32), np.uint32(0)]
    *net, key, counter = call("Digits_init", *rng)
    assert counter == 1 and (key == rng[0]).all()
    a = np.sqrt(6 / 128)
    assert np.abs(net[0]).max() <= a and abs(net[0].std() - a / np.sqrt(3)) < 0.002
    assert not net[1].any() and not net[3].any()
    again = call("Digits_init", key, counter)
    assert (again[0] != net[0]).mean() > 0.99
    assert [x.any() for x in call("Adam_init")] == [False] * 9


def test_streams_are_named_by_path() -> None:
    """A parameter's initial value does not depend on its neighbours."""
    from tests.elaborate.programs import run

    text = """
    from nn import Dense
    model A { layers { Dense(3, 4) } }
    model B { extra: Dense(5, 5), layers { Dense(3, 4) } }
    export fn f(a: A, b: B) -> f32 = sum(a.0.w) + sum(b.0.w)
    """
    rng = [np.array([1, 2], np.uint32), np.uint32(0)]
    a = run(text, *rng, name="A_init")
    b = run(text, *rng, name="B_init")
    assert (a[0] == b[2]).all()
