"""Sums over the iterations of a loop become one product behind it, and rows that iterations write are what they leave."""

from __future__ import annotations

import numpy as np
import pytest

from charl.elaborate import elaborate
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node
from charl.passes import optimise
from charl.source import Source

# name → (program, carried values that its last loop still has)
DEFERRED = {
    "a gram matrix of rows": (
        "(x: f32[9, 2, 5], y: f32[9, 2, 4]) -> f32[5, 4] {\n    let mut c = zeros(5, 4)\n"
        "    for t in 0..9 { c = c + x[t].T @ y[t] }\n    c\n}",
        0,
    ),
    "rows along another axis, backwards, of a computed value": (
        "(x: f32[2, 9, 5], y: f32[9, 2, 4]) -> f32[5, 4] {\n    let mut c = ones(5, 4)\n    let mut s = zeros(2, 4)\n"
        "    for t in 0..9 {\n        s = tanh(s + y[8 - t])\n        c = c + x[:, 8 - t].T @ s\n    }\n    c\n}",
        1,
    ),
    "together along an axis": (
        "(x: f32[9, 3, 2, 5], y: f32[9, 3, 2, 4]) -> f32[3, 5, 4] {\n    let mut c = zeros(3, 5, 4)\n"
        '    for t in 0..9 { c = c + einsum("bki,bkj->bij", x[t], y[t]) }\n    c\n}',
        0,
    ),
    "rows that are written": (
        "(x: f32[3, 9]) -> f32[3, 9] {\n    let mut c = zeros(3, 9)\n    let mut s = zeros(3)\n"
        "    for t in 0..9 {\n        s = sin(s + x[:, 8 - t])\n        c[:, t] = s\n    }\n    c\n}",
        1,
    ),
    "weights of a recurrent network": (
        "(x: f32[9, 2, 5], w: f32[5, 5]) -> f32[5, 5] = grad(|w| sum(run(x, w) ** 2))(w)",
        1,
    ),
}
KEPT = {
    "the sum is read": (
        "(x: f32[9, 2, 5]) -> f32[5, 5] {\n    let mut c = zeros(5, 5)\n"
        "    for t in 0..9 { c = c + x[t].T @ (x[t] @ tanh(c)) }\n    c\n}",
        1,
    ),
    "iterations would leave more than the sum": (
        "(x: f32[9, 40, 5]) -> f32[5, 5] {\n    let mut c = zeros(5, 5)\n    let mut s = x[0]\n"
        "    for t in 0..9 {\n        s = sin(s)\n        c = c + s.T @ s\n    }\n    c\n}",
        2,
    ),
    "another row is read": (
        "(x: f32[3, 9]) -> f32[3, 9] {\n    let mut c = zeros(3, 9)\n"
        "    for t in 0..9 { c[:, t] = sin(c[:, 8 - t] + x[:, t]) }\n    c\n}",
        1,
    ),
    "a row is written twice": (
        "(x: f32[3, 9]) -> f32[3, 9] {\n    let mut c = zeros(3, 9)\n"
        "    for t in 0..9 { c[:, max(t, 4)] = x[:, t] }\n    c\n}",
        1,
    ),
    "it may end early": (
        "(x: f32[9, 2, 5]) -> f32[5, 5] {\n    let mut c = zeros(5, 5)\n    let mut n = 0.0\n"
        "    for t in 0..9 while n < 3.5 {\n        n = n + 1.0\n        c = c + x[t].T @ x[t]\n    }\n    c\n}",
        3,
    ),
}
RUN = """
fn run(x: f32[9, 2, 5], w: f32[5, 5]) -> f32[2, 5] {
    let mut h = zeros(2, 5)
    for t in 0..9 { h = tanh(x[t] + h @ w) }
    h
}
export fn f"""


def made(text: str) -> Graph:
    return elaborate(Source("test.ch", RUN + text + "\n")).exports[0].graph


def loops(g: Graph) -> list[Node]:
    return [n for n in g.nodes() if n.op == "loop"]


@pytest.mark.parametrize("name", [*DEFERRED, *KEPT])
def test_meaning_and_what_is_carried(name: str) -> None:
    text, carried = {**DEFERRED, **KEPT}[name]
    before = made(text)
    after = optimise(before, check=True)
    left = [n.attrs["carried"] for n in loops(after)]
    assert left[-1:] == ([carried] if carried else [])
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(p.shape, np.float32) for p in before.params]
    new, old = (evaluate(g, arrays, widen=True)[0] for g in (after, before))
    np.testing.assert_allclose(new, old, rtol=1e-12, atol=1e-12)
