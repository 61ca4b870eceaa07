"""The programs of examples/tour that are loops, against the same in NumPy, on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
TOUR = Path(__file__).resolve().parents[2] / "examples" / "tour"
f = np.float32

BACKENDS = [
    "evaluator",
    pytest.param("c", marks=needs_cc),
    pytest.param("wgpu", marks=needs_vulkan),
]


def misfit(length: float, friction: float, start: Array, dt: float, seen: Array) -> float:
    """What pendulum.ch computes."""

    def slope(s: Array) -> Array:
        return np.array([s[1], -9.81 / length * np.sin(s[0]) - friction * s[1]])

    s, angles = start, []
    for _ in seen:
        a = slope(s)
        b = slope(s + 0.5 * dt * a)
        c = slope(s + 0.5 * dt * b)
        d = slope(s + dt * c)
        s = s + dt / 6 * (a + 2 * b + 2 * c + d)
        angles.append(s[0])
    return float(np.mean((np.array(angles) - seen) ** 2))


@pytest.mark.parametrize("backend", BACKENDS)
def test_pendulum(backend: str) -> None:
    package = charl.load(TOUR / "pendulum.ch", backend=backend)
    start, dt, seen = np.array([0.5, 0.0]), 0.02, np.sin(np.arange(100) * 0.05)
    p = package.Pendulum.init()
    p.length, p.friction = f(1.0), f(0.1)
    loss = package.fit_step(p, start.astype(f), f(dt), seen.astype(f), f(1.0))
    np.testing.assert_allclose(loss, misfit(1.0, 0.1, start, dt, seen), rtol=1e-5)
    h = 1e-6
    by_length = (misfit(1 + h, 0.1, start, dt, seen) - misfit(1 - h, 0.1, start, dt, seen)) / (2 * h)
    by_friction = (misfit(1, 0.1 + h, start, dt, seen) - misfit(1, 0.1 - h, start, dt, seen)) / (2 * h)
    np.testing.assert_allclose(1 - p.length, by_length, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(0.1 - p.friction, by_friction, rtol=1e-3, atol=1e-5)


def cross_entropy(w: dict[str, Array], ids: Array, following: Array) -> float:
    """The objective of lstm.ch."""

    def sigmoid(x: Array) -> Array:
        out: Array = 1 / (1 + np.exp(-x))
        return out

    pre = w["0.table"][ids] @ w["1.wx"] + w["1.b"]
    hid = cell = np.zeros((len(ids), w["1.wh"].shape[0]))
    rows = []
    for t in range(ids.shape[1]):
        a, b, g, o = np.split(pre[:, t] + hid @ w["1.wh"], 4, axis=-1)
        cell = sigmoid(b) * cell + sigmoid(a) * np.tanh(g)
        hid = sigmoid(o) * np.tanh(cell)
        rows.append(hid)
    logits = np.stack(rows, 1) @ w["2.w"] + w["2.b"]
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    return float(-np.take_along_axis(logits, following[..., None], -1).mean())


@pytest.mark.parametrize("backend", BACKENDS)
def test_lstm(backend: str, tmp_path: Path) -> None:
    text = (TOUR / "lstm.ch").read_text().replace("CharModel(96, 256)", "CharModel(11, 8)")
    (tmp_path / "lstm.ch").write_text(text)
    package = charl.load(tmp_path / "lstm.ch", backend=backend)
    random = np.random.default_rng(0)
    net, opt = package.CharModel.init(0), package.RmsProp.init()
    q = net.leaves()["1.wh"]
    np.testing.assert_allclose(q @ q.T, np.eye(8), atol=1e-5)
    weights = {k: 0.5 * random.standard_normal(x.shape).astype(f) for k, x in net.leaves().items()}
    for k, x in net.leaves().items():
        x[...] = weights[k]
    ids, following = random.integers(0, 11, (2, 3, 6)).astype(np.int32)
    wide = {k: x.astype(np.float64) for k, x in weights.items()}
    first = package.train_step(net, opt, ids, following)
    np.testing.assert_allclose(first, cross_entropy(wide, ids, following), rtol=1e-5)
    # The first step of RMSprop goes down by a step of equal length along every weight: its sign is the gradient's.
    for k in ("1.wx", "1.wh", "2.w"):
        moved = net.leaves()[k].astype(np.float64) - weights[k]
        for at in [(0, 0), (3, 5), (7, 2)]:
            both = []
            for h in (1e-5, -1e-5):
                there = {n: x.copy() for n, x in wide.items()}
                there[k][at] += h
                both.append(cross_entropy(there, ids, following))
            slope = (both[0] - both[1]) / 2e-5
            if abs(slope) > 1e-4:
                assert np.sign(moved[at]) == -np.sign(slope), (k, at)
