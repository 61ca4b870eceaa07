//! Tests that pass and tests that fail; test_blocks.py says which, and what is reported.

from nn import Dense
fn f(x: f32[N]) -> f32 = sum(x ** 3)
fn g(x: f32[N]) -> f32[N] = sin(x) * 2.0
fn bad(x: f32[N]) -> f32 = sum(stop_gradient(x) * x)

struct P { a: f32, b: f32[3] }

fn h(p: P, k: f32) -> f32 = p.a * sum(p.b ** 2) * k

test "powers" {
    let x = [1.0, 2.0, 3.0]
    assert close(f(tensor(x)), 36.0)
    check_grad(f, tensor(x), order: 2)
    check_grad(g, tensor(x))
    check_grad(h, P(a: 2.0, b: [1.0, -1.0, 0.5]), 3.0, order: 2)
}

test "fails by value" {
    let x = tensor([1.0, 2.0, 3.0])
    assert f(x) > 0.0
    assert close(g(x), [1.682942, 1.8, 0.28224]), "the sine"
}

test "fails in a loop" {
    let mut s = 0
    for i in 0..5 {
        s = s + i
        assert s < 6
    }
    assert s == 10
}

test "wrong gradient" { check_grad(bad, [1.0, 2.0]) }

test "network" {
    let mut r = seeded(3)
    let net = Dense(4, 2).init(mut r)
    let x = normal([3, 4], mut r)
    check_grad(|n| sum(n(x) ** 2), net)
    assert all(net(x) == x @ net.w + net.b)
    if sum(x) > 1000.0 { assert false }
    for i in 0..3 { assert i >= 0 }
}

test "compile time" {
    assert 1 + 1 == 2
    assert 2 ** 10 == 1025
}

test "double" {
    let x = 1.5 as f64
    assert x * 2.0 == 3.0
}

export fn cube(x: f32[N]) -> f32 = f(x)
