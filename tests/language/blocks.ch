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

fn twice(f: fn(f32[N]) -> f32[N], x: f32[N]) -> f32[N] = f(f(x))

fn wave(c: bool[]) {
    if c { return sin }
    cos
}

fn pair(c: bool[], x: f32) {
    let k = exp(x)
    if c {
        let m = exp(2.0 * x)
        (sin, |y| y * m)
    } else { (|y| y * k, cos) }
}

fn counted(mut n: i32) {
    n += 1
    match n { 1 => |x| 3.0 * x, 2 => exp, _ => |x| x }
}

test "chosen functions" {
    let x = 0.5 as f32
    for i in 0..2 {
        let c = i == 1
        let (p, q) = pair(c, x)
        assert close(p(x) + q(x), where(c, sin(x) + x * exp(2.0 * x), x * exp(x) + cos(x)))
        assert close(grad(|x| pair(c, x)[1](x))(x), where(c, 2.0 * exp(1.0 as f32), -sin(x)))
        assert close(twice(wave(c), [0.5, 1.0]), where(c, sin(sin([0.5, 1.0])), cos(cos([0.5, 1.0]))))
    }
    let mut n = 0
    assert close(counted(mut n)(x), 1.5) and close(vmap(counted(mut n))([x]), [1.6487213])
    assert counted(mut n)(x) == x and n == 3
}

struct Pool<M> {
    items: M[4], used: i32
    fn add(one: M) {
        items[used] = one
        used += 1
    }
    fn last() -> M = items[used - 1]
}

fn swap<M>(mut ps: M[N], i: i32, j: i32) {
    let held = ps[i]
    ps[i] = ps[j]
    ps[j] = held
}

fn after<M>(ps: M[N], f: fn(M) -> M) -> M[N] {
    let mut all = ps
    swap(mut all, 0, N - 1)
    vmap(f)(all)
}

test "stacks of a type parameter" {
    let mut pool = Pool(items: vmap(|i| P(a: i as f32, b: [1.0, 2.0, i as f32]))(iota(4)), used: 1)
    pool.add(P(a: 7.0, b: [0.0, 0.0, 5.0]))
    assert pool.used == 2 and pool.last().a == 7.0
    let doubled = after(pool.items, |p| P(a: 2.0 * p.a, b: p.b))
    assert all(doubled.a == [6.0, 14.0, 4.0, 0.0])
    assert all(doubled.b[:, 2] == [3.0, 5.0, 2.0, 0.0])
}

struct Body { x: f32[2], v: f32[2] }

fn push(mut p: Body, dt: f32) { p.x += dt * p.v }

fn advanced(mut all: Body[N], dt: f32) -> f32 {
    let mut far = 0.0
    for p in all {
        push(mut p, dt)
        if p.x[0] > 2.0 { p.v *= 0.5 }
        far += sum(p.x)
    }
    far
}

fn exchanged(mut ps: Body[N], mut qs: Body[N], w: f32[N]) {
    for (p, q, a) in zip(ps, qs, w) {
        p.x += a * q.v
        let held = q.x
        q.x = p.x
        p.x = held
    }
}

fn swung(all: Body[4], dt: f32) -> f32 {
    let mut others = all
    for const _ in 0..2 {
        for p in others { p.x = sin(p.x) * dt }
    }
    sum(others.x ** 2)
}

test "elements of a stack are written in a loop" {
    let mut ps = vmap(|i| Body(x: [i as f32, 1.0], v: [1.0, 2.0]))(iota(4))
    check_grad(|dt| swung(ps, dt), 0.7)
    assert close(advanced(mut ps, 0.5), 16.0)
    assert close(ps.x, [[0.5, 2.0], [1.5, 2.0], [2.5, 2.0], [3.5, 2.0]])
    assert close(ps.v, [[1.0, 2.0], [1.0, 2.0], [0.5, 1.0], [0.5, 1.0]])
    let mut qs = vmap(|i| Body(x: [7.0, i as f32], v: [1.0, 2.0]))(iota(4))
    exchanged(mut ps, mut qs, [1.0, 0.0, 0.0, 2.0])
    assert close(ps.x, [[7.0, 0.0], [7.0, 1.0], [7.0, 2.0], [7.0, 3.0]])
    assert close(qs.x, [[1.5, 4.0], [1.5, 2.0], [2.5, 2.0], [5.5, 6.0]])
    for const p in ps { p.x = zeros(2) }
    assert all(ps.x == 0.0)
}

export fn advance(mut all: Body[N], dt: f32) -> f32 = advanced(mut all, dt)
export fn cube(x: f32[N]) -> f32 = f(x)
