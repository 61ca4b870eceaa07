"""What the language page promises beyond arithmetic: instances, places, branches, operators on functions."""

from __future__ import annotations

import random
import re
from typing import Any

import numpy as np

from charl.elaborate import elaborate
from charl.errors import CharlError, render
from charl.program import Record, leaves
from charl.source import Source
from tests.elaborate.programs import diagnostics, export, program, run

RNG = np.random.default_rng(11)


def f32(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


BLOCKS = """
from nn import Dense
model Block(d: int) {
    inner: Dense(d, d)
    fn forward(x: f32[*S, d]) -> f32[*S, d] = x + inner(x)
}
model Net(d: int = 3, depth: int = 2) {
    blocks: [Block(d); depth]
    fn forward(x: f32[N, d]) -> f32[N, d] {
        let mut y = x
        for block in blocks { y = block(y) }
        y
    }
    fn twice(x: f32[N, d]) -> f32[N, d] = forward(forward(x))
}
export fn f(net: Net, x: f32[N, 3]) -> f32[N, 3] = net.twice(x)
export fn grads(net: Net, x: f32[N, 3]) -> Grad<Net> = grad(|n| sum(n(x)))(net)
export fn decay(mut net: Net) { for p in leaves(net) { p *= 0.5 } }
"""


def test_runs_of_models_and_methods_of_the_receiver() -> None:
    weights = [f32(3, 3), f32(3), f32(3, 3), f32(3)]
    x = f32(4, 3)
    want = x
    for _ in range(2):
        for w, b in (weights[:2], weights[2:]):
            want = want + want @ w + b
    np.testing.assert_allclose(run(BLOCKS, *weights, x)[0], want, rtol=1e-4, atol=1e-4)
    net = export(BLOCKS).arguments[0].type
    assert [p for p, _ in leaves(net)] == [f"blocks.{i}.inner.{n}" for i in (0, 1) for n in "wb"]


def test_grad_of_a_model_is_that_model_where_all_is_trained() -> None:
    result = export(BLOCKS, "grads").result
    assert isinstance(result, Record) and result.name == "Net"
    weights = [f32(3, 3), f32(3), f32(3, 3), f32(3)]
    x = f32(4, 3)
    g = run(BLOCKS, *weights, x, name="grads")
    np.testing.assert_allclose(g[3], np.full(3, 4.0), rtol=1e-6)


def test_leaves_of_a_mutable_place_are_places() -> None:
    weights = [f32(3, 3), f32(3), f32(3, 3), f32(3)]
    for got, w in zip(run(BLOCKS, *weights, name="decay"), weights, strict=True):
        np.testing.assert_array_equal(got, w * np.float32(0.5))


def test_a_struct_infers_its_parameters() -> None:
    text = """
    struct Cache(B: int, d: int) { k: f32[B, d], n: i32 }
    fn push(mut c: Cache(B, d), x: f32[d]) { c.k[c.n] = x
        c.n += 1 }
    export fn f(x: f32[N, 3], y: f32[3]) -> Cache(N, 3) {
        let mut c = Cache(k: x, n: 1)
        push(mut c, y)
        c
    }
    """
    x, y = f32(3, 3), f32(3)
    k, n = run(text, x, y)
    x[1] = y
    assert n == 2 and (k == x).all()


def test_zip_over_mutable_runs_writes_both() -> None:
    text = """
    struct S { a: [f32[2]; 3], b: [f32; 3] }
    export fn f(mut s: S) { for (x, y) in zip(s.a, s.b) { x += y
        y = y * 2 } }
    """
    values = [f32(2), f32(2), f32(2), *(np.float32(i) for i in (1, 2, 3))]
    out = run(text, *values)
    for i in range(3):
        np.testing.assert_allclose(out[i], values[i] + (i + 1))
        assert out[3 + i] == 2 * (i + 1)


def test_run_time_branches_merge_what_they_write() -> None:
    text = """
    struct P { a: f32, b: f32[2] }
    fn work(x: f32) -> f32 { let mut t = x
        t = t + 1
        t }
    export fn f(mut p: P, c: f32) -> f32 {
        let mut k = 1
        if c > 0 { p.a = work(c)
            k = 5 } else if c < -1 { p.b[0] = 9
            k = 7 }
        k as f32
    }
    """
    b = np.array([1, 2], np.float32)
    assert [float(np.ravel(x)[0]) for x in run(text, np.float32(0), b, np.float32(3))] == [5, 4, 1]
    assert [float(np.ravel(x)[0]) for x in run(text, np.float32(0), b, np.float32(-3))] == [7, 0, 9]
    assert [float(np.ravel(x)[0]) for x in run(text, np.float32(0), b, np.float32(0))] == [1, 0, 1]


def test_return_in_a_run_time_branch() -> None:
    text = """
    fn g(x: f32) -> f32 {
        if x > 1 { return 10.0 }
        let y = x + 1
        if y < 0 { return y } else { if y > 1.5 { return 7.0 } }
        y * 100
    }
    export fn f(a: f32, b: f32, c: f32, d: f32) -> f32[4] = [g(a), g(b), g(c), g(d)]
    """
    got = run(text, *(np.float32(x) for x in (2, -3, 0.75, 0.25)))[0]
    np.testing.assert_allclose(got, [10, -2, 7, 125])


def test_derivatives_keep_effects_and_other_results() -> None:
    text = """
    fn g(mut n: f32, x: f32[N]) -> (f32, f32[N]) { n = n + 1
        (sum(x ** 2) * n, x + n) }
    export fn f(mut n: f32, x: f32[N]) -> ((f32, f32[N]), f32[N]) = value_and_grad(g, wrt: "x")(mut n, x)
    export fn both(n: f32, x: f32[N]) -> (f32, f32[N]) {
        let mut m = n
        let (g, rest) = grad(g, wrt: (0, 1))(mut m, x)
        g
    }
    """
    x = f32(3)
    loss, aux, g, n = run(text, np.float32(1), x)
    np.testing.assert_allclose((loss, n), (2 * (x**2).sum(), 2), rtol=1e-5)
    np.testing.assert_allclose(aux, x + 2)
    np.testing.assert_allclose(g, 4 * x, rtol=1e-6)
    dn, dx = run(text, np.float32(1), x, name="both")
    np.testing.assert_allclose(dn, (x**2).sum(), rtol=1e-6)
    np.testing.assert_allclose(dx, 4 * x, rtol=1e-6)


def test_training_mode_reaches_sub_models_and_not_functions() -> None:
    text = """
    from nn import Dropout
    model Inner(rate: float) { drop: Dropout(rate), param w: f32[1] = ones()
        fn forward(x: f32[N]) -> f32[N] = drop(x) * w }
    model Net { inner: Inner(0.5)
        fn forward(x: f32[N]) -> f32[N] = inner(x) }
    fn outside(n: Net, x: f32[N]) -> f32[N] = n(x)
    export fn f(n: Net, x: f32[N], mut rng: Rng) -> (f32[N], f32[N]) = (n(x, rng: mut rng), outside(n, x))
    """
    x = np.ones(64, np.float32)
    trained, plain, *_ = run(text, x[:1], x, np.array([1, 2], np.uint32), np.uint32(0))
    assert set(np.unique(trained)) == {0.0, 2.0} and (plain == 1).all()


def test_symbolic_hyper_parameters_are_checked_on_both_sides() -> None:
    text = """
    model M(deep: bool, scale: float) {
        param w: f32[3] = zeros() if deep
        fn forward(x: f32[3]) -> f32[3] {
            let k = if scale > 1.0 { 2.0 * scale } else { scale }
            if deep { k * x * w } else { k * x + wrong }
        }
    }
    """
    (d,) = diagnostics(text)
    assert d.code == "E0301" and d.message == "nothing is called `wrong`"
    good = text.replace("+ wrong", "+ 1") + "export fn f(m: M(false, 3.0), x: f32[3]) -> f32[3] = m(x)\n"
    # M(false, …) has no tensors, so it cannot be an argument of a package
    assert [d.code for d in diagnostics(good)] == ["E0605"]


def test_revealed_values_are_those_of_the_source() -> None:
    text = "export fn f(x: f32[N, 3]) -> f32[N] = sum(x * 2, axis: 1)\n"
    seen: dict[str, str] = {}
    from charl.elaborate.values import describe_value

    def reveal(e: Any, value: Any) -> None:
        if e.span.source.path == "test.ch":
            seen[e.span.text] = describe_value(value)

    elaborate(Source("test.ch", text), reveal=reveal)
    assert seen["x * 2"] == "f32[N, 3]" and seen["sum(x * 2, axis: 1)"] == "f32[N]"


def test_the_same_source_gives_the_same_graphs() -> None:
    from charl.graph.text import print_graph

    first, second = program(BLOCKS), program(BLOCKS)
    assert [print_graph(e.graph) for e in first.exports] == [print_graph(e.graph) for e in second.exports]


def test_constants_in_any_order_and_cycles() -> None:
    assert run("const A = B + 1\nconst B = 2\nexport fn f(x: f32[A]) -> f32[3] = x\n", f32(3))[0].shape == (
        3,
    )
    assert [d.code for d in diagnostics("const A = B\nconst B = A\n")] == ["E0317"]


def test_a_type_that_contains_itself() -> None:
    text = "struct A { b: B }\nstruct B { a: A }\nexport fn f(a: A) -> f32 = 1.0\n"
    assert {d.code for d in diagnostics(text)} == {"E0408"}


TOKEN = re.compile(r'"[^"]*"|[A-Za-z_]\w*|\d+\.\d+|\d+|\|>|\*\*|==|->|[^\w\s]|\s+')
POOL = [
    "x",
    "N",
    "3",
    "-1",
    "2.5",
    "None",
    "true",
    "Dense",
    "i32",
    "*S",
    "[",
    ")",
    "mut",
    "net",
    '"a"',
    "grad",
]


def test_damaged_programs_give_diagnostics() -> None:
    """Whatever the text, the answer is a program or diagnostics that can be shown."""
    choose = random.Random(4)
    refused = 0
    for _ in range(400):
        tokens = TOKEN.findall(BLOCKS)
        for _ in range(choose.choice((1, 1, 2))):
            at = choose.choice([i for i, t in enumerate(tokens) if not t.isspace()])
            tokens[at] = choose.choice([*POOL, "", choose.choice(tokens)])
        try:
            elaborate(Source("test.ch", "".join(tokens)))
        except CharlError as e:
            refused += 1
            assert e.diagnostics and all(render(d) for d in e.diagnostics)
    assert refused > 200


def test_a_decorator_without_meaning_is_refused_and_not_ignored() -> None:
    text = "@inline\nfn g(x: f32) -> f32 = x\n"
    assert [d.code for d in diagnostics(text)] == ["E0504"]


def test_a_struct_begins_as_its_defaults_say() -> None:
    text = """
    struct S { a: f32[2] = ones(), n: i32 = 3 }
    struct T { a: f32[2] }
    export fn f(s: S, t: T) -> f32 = sum(s.a + t.a)
    """
    assert [e.name for e in program(text).exports] == ["f", "S_init"]
    a, n, *_ = run(text, np.array([1, 2], np.uint32), np.uint32(0), name="S_init")
    assert (a == 1).all() and n == 3


def test_calls_may_nest_deeply_and_not_without_end() -> None:
    text = "fn f(n: int) -> int = if n == 0 { 0 } else { 1 + f(n - 1) }\nconst K = f(100)\n"
    assert run(text + "export fn g(x: f32[K]) -> f32[100] = x\n", f32(100), name="g")[0].shape == (100,)
    assert [d.code for d in diagnostics(text.replace("100", "1000"))] == ["E0314"]


def test_tests_of_a_program_are_checked() -> None:
    text = 'test "sums" { assert 1 + 1 == 2 }\nexport fn f(x: f32[3]) -> f32 = sum(x)\n'
    assert [e.name for e in program(text).exports] == ["f"]
    assert [d.code for d in diagnostics(text.replace("1 + 1", "one"))] == ["E0301"]
