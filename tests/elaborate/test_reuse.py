"""Calls elaborated once and made anew: the graphs, places in the source, diagnostics and names are those of every call
elaborated for itself, and few are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from charl.elaborate import elaborate
from charl.elaborate.reuse import Reuse
from charl.errors import CharlError
from charl.graph.ir import Graph, topological
from charl.program import Program
from charl.source import Source
from tests.work import calls

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
PROGRAMS = ["tour/lstm.ch", "characters/transformer.ch", "cnn/cnn.ch", "maml/maml.ch", "vae/vae.ch"]


def _rows(graph: Graph) -> list[tuple[Any, ...]]:
    """Every node, with what it reads by position, and where it stands as user and as library."""
    nodes = topological(graph.results, graph.params)
    position = {n: i for i, n in enumerate(nodes)}
    rows: list[tuple[Any, ...]] = []
    for n in nodes:
        user = n.span.user if n.span is not None else None
        rows.append(
            (n.op, str(n.type), [position[x] for x in n.inputs], n.regions == (), str(n.span), str(user))
        )
        for region in n.regions:
            rows += _rows(region)
    return rows


def _told(text: str) -> tuple[Program | None, list[str]]:
    try:
        return elaborate(Source("program.ch", text)), []
    except CharlError as e:
        return None, [f"{d} {[(str(x.span), x.text) for x in d.labels]}" for d in e.diagnostics]


@pytest.fixture
def anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From here on, every call is elaborated for itself."""

    def each(self: Reuse, f: Any, call: Any, receiver: Any, elaborate: Any) -> Any:
        return elaborate()[0]

    return lambda: monkeypatch.setattr(Reuse, "call", each)


def _both(text: str, anew: Callable[[], None]) -> tuple[Program | None, list[str]]:
    """What is found with reuse, once it is what is found without."""
    program, told = _told(text)
    anew()
    plain, said = _told(text)
    assert told == said
    if program is not None and plain is not None:
        for e, p in zip(program.exports, plain.exports, strict=True):
            assert _rows(e.graph) == _rows(p.graph), e.name
    return program, told


@pytest.mark.parametrize("name", PROGRAMS)
def test_graphs_are_those_of_calls_elaborated_one_by_one(name: str, anew: Callable[[], None]) -> None:
    _both((EXAMPLES / name).read_text(), anew)


CASES = {
    "the same tensor twice is not two": """
fn both(a: f32[N], b: f32[N]) -> f32[N] = a + 2.0 * b
export fn run(x: f32[N], y: f32[N]) -> f32[N] { both(x, y) + both(x, x) + both(y, x) }
""",
    "sizes under other names": """
fn scaled(x: f32[N, M]) -> f32[N * M] { x.reshape(N * M) / N }
export fn run(x: f32[A, B], y: f32[B, A]) -> (f32[A * B], f32[A * B]) { (scaled(x), scaled(y)) }
""",
    "whole numbers and fractions are apart": """
fn by(x: f32[N], k: float) -> f32[N] = x * k
fn times(x: f32[N], n: int) -> f32[N] = x * n
export fn run(x: f32[N]) -> f32[N] { by(x, 1.0) + by(x, -0.0) + by(x, 0.0) + times(x, 1) }
""",
    "what is written": """
struct Counter { n: i32, total: f32 }
fn add(mut c: Counter, x: f32) { c.n += 1
    c.total += x }
export fn run(mut a: Counter, mut b: Counter, x: f32) -> f32 {
    add(mut a, x)
    add(mut b, 2.0 * x)
    add(mut a, b.total)
    a.total
}
""",
    "streams and modes": """
from nn import Dense, Dropout, BatchNorm
model Net { layers { Dense(4, 4, activation: relu), BatchNorm(4), Dropout(0.5), Dense(4, 4), BatchNorm(4) } }
export fn run(mut net: Net, x: f32[N, 4], mut rng: Rng) -> f32[N, 4] {
    let a = net(x, rng: mut rng)
    let b = net(a, rng: mut rng)
    net(b)
}
""",
    "bounds of loops": """
fn below(x: f32[N], n: i32) -> f32 { let mut s = 0.0
    for j in 0..n { s = s + x[j] }
    s }
export fn run(x: f32[N], k: i32) -> f32 {
    let mut s = below(x, k)
    for i in 0..N { s = s + below(x, i) }
    s
}
""",
    "branches and their sides": """
fn heavy(x: f32[N]) -> f32 = sum(exp(x) * tanh(x))
export fn run(x: f32[N], c: bool[]) -> f32 { heavy(x) + (if c { heavy(2.0 * x) } else { heavy(-x) }) }
""",
    "what is wrong for one call only": """
fn first(x: f32[N], k: int) -> f32 = x[k]
fn same(x, y) = x + y
export fn run(x: f32[3]) -> f32 { first(x, 0) + first(x, 2) + first(x, 5) }
export fn other(x: f32[3], y: f32[4]) -> f32[3] { same(x, x) + same(x, y) }
""",
    "gradients of what was called before": """
fn f(x: f32[N]) -> f32 = sum(sin(x) * x)
export fn run(x: f32[N], y: f32[N]) -> (f32, f32[N], f32[N]) { (f(x) + f(y), grad(f)(x), grad(f)(y)) }
""",
    "rules of the user": """
fn f(x: f32[N]) -> f32[N] = x * x
@gradient(of: f)
fn f_rule(x: f32[N], result: f32[N], ct: f32[N]) -> f32[N] = 3.0 * x * ct
export fn run(x: f32[N], y: f32[M]) -> (f32[N], f32[M]) { (grad(|x| sum(f(x)))(x), grad(|x| sum(f(f(x))))(y)) }
""",
}


@pytest.mark.parametrize("name", list(CASES))
def test_calls_that_look_alike(name: str, anew: Callable[[], None]) -> None:
    _, told = _both(CASES[name], anew)
    assert bool(told) == (name == "what is wrong for one call only")


def test_twelve_layers_cost_two(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is inside a layer is elaborated no more often for twelve of them than for two."""
    calls: list[str] = []
    call = Reuse.call
    monkeypatch.setattr(Reuse, "call", lambda self, f, *a: calls.append(f.name) or call(self, f, *a))
    text = (EXAMPLES / "characters/transformer.ch").read_text()
    counts = []
    for depth in (2, 12):
        calls.clear()
        elaborate(Source("program.ch", text), sets={"net.depth": str(depth)})
        counts.append(calls.count("attention"))
    assert counts[0] == counts[1] > 0


def test_the_gradient_of_a_deep_network_is_linear_in_its_depth() -> None:
    def step(depth: int) -> str:
        return f"""
        from nn import Dense
        model Net {{ blocks: [Dense(4, 4, activation: sigmoid); {depth}] }}
        fn loss(net: Net, x: f32[N, 4]) -> f32 {{
            let mut y = x
            for block in net.blocks {{ y = block(y) }}
            sum(y)
        }}
        export fn slope(net: Net, x: f32[N, 4]) -> Grad<Net> = grad(loss)(net, x)
        """

    few, many = (calls(lambda n=n: elaborate(Source("a.ch", step(n)))) for n in (8, 32))  # type: ignore[misc]
    assert many < 4.4 * few
