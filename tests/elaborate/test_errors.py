"""What the checker says about mistakes: code, and the text under the caret."""

from __future__ import annotations

import pytest

from tests.elaborate.programs import diagnostics

Cases = list[tuple[str, list[tuple[str, str]]]]

CASES: Cases = [
    (
        """
fn f(x: f32[N, 64], w: f32[128, 10]) -> f32[N, 10] { x @ w }
""",
        [("E0201", "@")],
    ),
    (
        """
model Mlp(hidden: int) { param w1: f32[64, hidden] = glorot_uniform()
 param w2: f32[128, 10] = glorot_uniform()
 fn forward(x: f32[N, 64]) -> f32[N, 10] { let h = relu(x @ w1)
  h @ w2 } }
""",
        [("E0201", "@")],
    ),
    (
        """
fn f(a: f32[N], b: f32[N, 1]) -> f32 = mean((a - b) ** 2)
""",
        [("E0206", "-")],
    ),
    (
        """
fn f(a: f32[N, 3], b: f32[M, 3]) = a + b
""",
        [("E0202", "+")],
    ),
    (
        """
fn f(a: f32[N], b: i32[N]) = a * b
""",
        [("E0205", "*")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] = sum(a)
""",
        [("E0204", "sum(a)")],
    ),
    (
        """
fn f(a: f32[N]) -> i32 = sum(a)
""",
        [("E0204", "sum(a)")],
    ),
    (
        """
fn f(a: f32[N, 3]) -> f32[N, 3] = softmax(a, axis: 2)
""",
        [("E0207", "softmax(a, axis: 2)")],
    ),
    (
        """
fn f(a: f32[N, 3]) -> f32 = a[0, 0, 0]
""",
        [("E0223", "a[0, 0, 0]")],
    ),
    (
        """
fn f(a: f32[4, 3]) -> f32[3] = a[4]
""",
        [("E0208", "4")],
    ),
    (
        """
fn f(a: f32[N, 3]) -> f32[3] = a[4]
""",
        [("E0208", "4")],
    ),
    (
        """
fn f(a: f32[N, 3]) = a.reshape(N, 4)
""",
        [("E0209", "a.reshape(N, 4)")],
    ),
    (
        """
fn f(a: f32[N, 3]) = unknwn(a)
""",
        [("E0301", "unknwn")],
    ),
    (
        """
fn f(a: f32[N, 3]) = softmx(a)
""",
        [("E0301", "softmx")],
    ),
    (
        """
fn g(a: f32[N]) -> f32[N] = a
fn f(a: f32[N, 3]) = g(a)
""",
        [("E0203", "a")],
    ),
    (
        """
fn g(a: f32[N], b: f32[N]) -> f32[N] = a + b
fn f(a: f32[N], b: f32[M]) = g(a, b)
""",
        [("E0203", "b")],
    ),
    (
        """
fn g(a: f32[N], b: f32[N]) -> f32[N] = a + b
fn f(a: f32[N]) = g(a)
""",
        [("E0305", "g(a)")],
    ),
    (
        """
fn g(a: f32[N]) -> f32[N] = a
fn f(a: f32[N]) = g(a, a)
""",
        [("E0303", "a")],
    ),
    (
        """
fn g(a: f32[N]) -> f32[N] = a
fn f(a: f32[N]) = g(a, k: 3)
""",
        [("E0304", "k")],
    ),
    (
        """
fn g(mut a: f32[N]) { a = a + 1 }
fn f(a: f32[N]) -> f32[N] { g(a)
 a }
""",
        [("E0308", "a")],
    ),
    (
        """
fn g(mut a: f32[N]) { a = a + 1 }
fn f(a: f32[N]) -> f32[N] { g(mut a)
 a }
""",
        [("E0308", "a")],
    ),
    (
        """
fn g(a: f32[N]) -> f32[N] { a }
fn f(mut a: f32[N]) -> f32[N] { g(mut a) }
""",
        [("E0308", "a")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { a = a + 1
 a }
""",
        [("E0307", "a")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { let b = a
 b[0] = 1
 b }
""",
        [("E0307", "b")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { a + 1
 a }
""",
        [("E0311", "a + 1")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { if a { a } else { -a } }
""",
        [("E0210", "a")],
    ),
    (
        """
fn f(a: f32[N], c: f32) -> f32[N] { if c > 0 { a } else { c } }
""",
        [("E0212", "if c > 0 { a } else { c }")],
    ),
    (
        """
fn f(a: f32[N]) { let (p, q) = a
 p }
""",
        [("E0214", "(p, q)")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { let b: f32[M] = a
 b }
""",
        [("E0312", "M")],
    ),
    (
        """
fn f(a: f32[N]) -> f32[N] { let b: f32[3] = a
 b }
""",
        [("E0216", "a")],
    ),
    (
        """
fn f(a: f33[N]) -> f32[N] { a }
""",
        [("E0313", "f33")],
    ),
    (
        """
fn f(a: Foo) -> f32[N] { a }
""",
        [("E0313", "Foo")],
    ),
    (
        """
fn f(a: f32[2 * N]) -> f32[N] { a[0:N] }
""",
        [("E0312", "N")],
    ),
    (
        """
fn f(a: f32[3]) -> f32[N] { a }
""",
        [("E0312", "N")],
    ),
    (
        """
from nn import Dens
model M { layers { Dens(3, 4) } }
""",
        [("E0310", "Dens")],
    ),
    (
        """
from nnn import Dense
""",
        [("E0310", "nnn")],
    ),
    (
        """
fn f(a: f32) = a
fn f(a: f32) = a
""",
        [("E0309", "f")],
    ),
    (
        """
from nn import Dense
model M { layers { Dense(3) } }
""",
        [("E0305", "Dense(3)")],
    ),
    (
        """
from nn import Dense
model M { layers { Dense(3, 4, foo: 1) } }
""",
        [("E0304", "foo")],
    ),
    (
        """
from nn import Dense
model M { layers { Dense(3, 4)
 Dense(5, 6) } }
export fn f(m: M, x: f32[N, 3]) -> f32[N, 6] = m(x)
""",
        [("E0203", "Dense(5, 6)")],
    ),
    (
        """
from nn import Dense
model M { layers { Dense(3, 4)
 3 } }
export fn f(m: M, x: f32[N, 3]) -> f32[N, 6] = m(x)
""",
        [("E0407", "3")],
    ),
    (
        """
struct P { a: f32 }
fn f(p: P) = p.b
""",
        [("E0302", "b")],
    ),
    (
        """
struct P { a: f32 }
fn f() = P(b: 1.0)
""",
        [("E0405", "b")],
    ),
    (
        """
struct P { a: f32, b: f32 }
fn f() = P(a: 1.0)
""",
        [("E0405", "P(a: 1.0)")],
    ),
    (
        """
model L(o: int, bias: bool) { param w: f32[o] = zeros()
 param b: f32[o] = zeros() if bias
 fn forward(x: f32[o]) -> f32[o] = x * w + b }
""",
        [("E0401", "b")],
    ),
    (
        """
model L(o: int) { param w: f32[o, 3] = zero()
 fn forward(x: f32[o]) -> f32[o] = x }
""",
        [("E0301", "zero")],
    ),
    (
        """
model L(o: int) { param w: f32[o, 3] = iota(3)
 fn forward(x: f32[o]) -> f32[o] = x }
""",
        [("E0403", "iota(3)")],
    ),
    (
        """
fn f(a: f32[N]) = grad(|x| x * 2)(a)
""",
        [("E0501", "grad(|x| x * 2)(a)")],
    ),
    (
        """
fn f(a: i32[N]) = grad(|x| sum(x))(a)
""",
        [("E0502", "a")],
    ),
    (
        """
fn f(a: f32[N]) = grad(sum, wrt: 3)(a)
""",
        [("E0502", "grad(sum, wrt: 3)(a)")],
    ),
    (
        """
fn f(a: f32[N]) = split(a, 2)
export fn g(a: f32[5]) -> f32[2] = f(a)[0]
""",
        [("E0229", "split(a, 2)")],
    ),
    (
        """
fn f(a: f32[N, M]) = a.transpose(0, 0)
""",
        [("E0228", "a.transpose(0, 0)")],
    ),
    (
        """
fn f(a: f32[N, 3]) = einsum("ij,jk->ik", a, a)
""",
        [("E0230", '"ij,jk->ik"')],
    ),
    (
        """
fn f(a: f32[N], n: int) = a * (7 / 2)
""",
        [("E0213", "/")],
    ),
    (
        """
fn f(a: i32[N]) = a * 0.5
""",
        [("E0218", "0.5")],
    ),
    (
        """
fn f(a: u8[N]) = a * 300
""",
        [("E0218", "300")],
    ),
    (
        """
fn f(a: f32[N]) -> f32 { let x = a @ undefined1
 let y = undefined2 + x
 sum(y) + undefined3 }
""",
        [("E0301", "undefined1"), ("E0301", "undefined2"), ("E0301", "undefined3")],
    ),
    (
        """
model M(h: int) { param w: f32[h] = zeros() }
export fn f(m: M) -> f32 = sum(m.w)
""",
        [("E0606", "M")],
    ),
    (
        """
export fn f(n: int) -> f32 = 1.0
""",
        [("E0605", "n: int")],
    ),
    (
        """
struct S { a: f32 }
export fn f(x: f32) -> S = S(a: x, a: x)
""",
        [("E0318", "a")],
    ),
    (
        """
fn swap(mut a: f32[N], mut b: f32[N]) {
    let t = a
    a = b
    b = t
}
export fn f(mut x: f32[N]) { swap(mut x, mut x) }
""",
        [("E0308", "x")],
    ),
    (
        """
struct Box { x: f32[3], flag: bool }
export fn f(b: Box) -> f32[3] = if b.flag { b.x } else { -b.x }
""",
        [("E0605", "b: Box")],
    ),
    (
        """
struct Box { x: f32[3], n: int }
export fn f(x: f32[3]) -> Box = Box(x: x, n: 4)
""",
        [("E0605", "f")],
    ),
    (
        """
fn f(x: f32) -> f32 = f(x)
export fn g(x: f32) -> f32 = f(x)
""",
        [("E0314", "f(x)")],
    ),
    (
        """
fn f(x: f32[N]) -> f32 where N > 3 = sum(x)
export fn g(x: f32[2]) -> f32 = f(x)
""",
        [("E0607", "f(x)")],
    ),
    (
        """
from optim import Sgd
from nn import Dense
export fn f(net: Dense(3, 4), opt: Sgd<Dense(3, 4)>) -> f32 { opt.update(mut net, net, lr: 0.1)
 1.0 }
""",
        [("E0308", "net")],
    ),
    (
        """
fn f(x: f32[N]) = x.foo
""",
        [("E0302", "foo")],
    ),
    (
        """
fn f(x: f32[N]) = x.foo(3)
""",
        [("E0302", "foo")],
    ),
    (
        """
fn f(x: f32[N]) = 3(x)
""",
        [("E0306", "3(x)")],
    ),
    (
        """
fn f(x: f32[N]) { for i in x.shape { let z = i + "a" }
  sum(x) }
""",
        [("E0211", "+")],
    ),
    (
        """
fn f(x: f32[N], n: i32) -> f32 { for i in 0..n { yield sum(x) }
  sum(x) }
""",
        [("E0330", "n")],
    ),
    (
        """
const K = 3 / 2
""",
        [("E0213", "/")],
    ),
    (
        """
fn f(x: f32[N]) -> f32 { let y = if N > 3 { x } else { undefined }
 1.0 }
""",
        [("E0301", "undefined")],
    ),
    (
        """
fn f(x: f32[N], m: bool[N]) = x[m]
""",
        [("E0224", "m")],
    ),
    (
        """
fn f(x: f32[N], t: i32, u: i32) = x[t:u]
""",
        [("E0225", "t:u")],
    ),
    (
        """
fn f(x: f32[N]) = x[0.5]
""",
        [("E0224", "0.5")],
    ),
    (
        """
fn f(x: f32[N]) = concat([x, "a"])
""",
        [("E0227", '[x, "a"]')],
    ),
    (
        """
fn f(x: f32[N]) = exp(x as i32)
""",
        [("E0227", "x as i32")],
    ),
    (
        """
fn f(x: f32[N]) = not x
""",
        [("E0211", "not x")],
    ),
    (
        """
fn f(x: f32[N]) = "a" + x
""",
        [("E0211", '"a"')],
    ),
    (
        """
model M { param w: f32[3]
 fn forward(x: f32[3]) -> f32[3] = x * w }
export fn f(m: M, x: f32[3]) -> f32[3] = m(x)
""",
        [("E0403", "param w: f32[3]")],
    ),
]


@pytest.mark.parametrize(("text", "wanted"), CASES, ids=[f"{c[1][0][0]}-{i}" for i, c in enumerate(CASES)])
def test_code_and_span(text: str, wanted: list[tuple[str, str]]) -> None:
    found = [(d.code, " ".join(d.span.text.split())) for d in diagnostics(text) if d.span is not None]
    assert found == wanted


def test_many_different_codes() -> None:
    assert len({code for _, wanted in CASES for code, _ in wanted}) >= 40


def test_three_independent_mistakes_give_three_errors() -> None:
    text = """
    fn a(x: f32[N], y: f32[M]) = x + y
    fn b(x: f32[N]) -> f32 = x
    model C { param w: f32[3] = zero() }
    """
    assert [d.code for d in diagnostics(text)] == ["E0202", "E0204", "E0301"]


def test_matmul_speaks_the_users_language() -> None:
    text = """
    model Mlp(hidden: int) {
        param w2: f32[128, 10] = zeros()
        fn forward(h: f32[N, hidden]) -> f32[N, 10] = h @ w2
    }
    """
    (d,) = diagnostics(text)
    assert d.message == "dimensions differ in `@`"
    assert [label.text for label in d.labels] == ["f32[N, hidden]", "f32[128, 10]"]
    assert d.notes == (
        "the last dimension of the left (hidden) must equal the second last of the right (128)",
    )
    assert d.help == "`w2` is declared at test.ch:3:9"


def test_unused_functions_are_checked_and_bodies_once() -> None:
    text = """
    fn helper(x: f32[N]) -> f32[N] = x @ x + missing
    export fn f(x: f32[N]) -> f32[N] = helper(helper(x))
    """
    assert [d.code for d in diagnostics(text)] == ["E0301"]


def test_a_mistake_in_a_library_call_is_shown_at_the_call() -> None:
    (d,) = diagnostics("fn f(x: f32[N, 3]) = softmax(x, axis: 5)\n")
    assert d.span is not None and d.span.text == "softmax(x, axis: 5)"
    assert d.notes and d.notes[0].startswith("in `softmax` of the library at activation.ch:")
