//! Values, places, functions and models, each with what it must give; run on every backend by test_values.py.

from nn import Dense, Dropout, BatchNorm

struct In { b: f32[3], k: i32 }

struct Out { a: In, t: (f32, f32[2]), r: [f32[2]; 2] }

fn two_packs(x: f32[*S], y: f32[*T]) -> f32[*S, *T] = einsum("*S,*T->*S*T", x, y)

fn mid(x: f32[n, *S, m]) -> f32[m, *S, n] {
    let k = x.rank
    swapaxes(x, 0, k - 1)
}

fn defaults(x: f32[N], k: int = 2, y: f32 = 1.0 * k) -> f32[N] = x * y

fn kind(s: str) -> f32 = match s {
    "a" => 1.0
    "b" | "c" => 2.0
    _ => 3.0
}

fn onoff(b: bool) -> f32 = match b { true => 1.0, false => 0.0 }

fn rt(n: i32) -> f32 = match n { 0 => 1.0, 1..4 => 2.0, -1 => 5.0, _ => 3.0 }

fn counter() {
    let mut n = 0.0
    |x| x + n
}

fn pick_fn(f: fn(f32) -> f32, flag: bool) = if flag { f } else { |x| -x }

model Deep(d: int) {
    inner: Inner(d)
    fn forward(x: f32[N, d]) -> f32[N, d] = inner(x)
}

model Inner(d: int) {
    drop: Dropout(0.5)
    state calls: i32 = 0
    fn forward(x: f32[N, d]) -> f32[N, d] {
        calls = calls + 1
        if training { drop(x) * 10.0 } else { x }
    }
}

test "places" {
    let mut o = Out(a: In(b: zeros(3), k: 1), t: (1.0, zeros(2)), r: [zeros(2); 2])
    o.a.b[1] = 5.0
    o.t.1[0] = 7.0
    o.r[1] = [1.0, 2.0]
    o.a.k += 2
    (o.t.0, o.r[0]) = (3.0, o.r[1])
    assert close(o.a.b, [0.0, 5.0, 0.0]) and close(o.t.1, [7.0, 0.0])
    assert o.a.k == 3 and o.t.0 == 3.0
    assert close(o.r[0], [1.0, 2.0])
}

test "packs" {
    assert two_packs(ones(2, 3), ones(4)).shape == [2, 3, 4]
    assert mid(zeros(2, 3, 4, 5)).shape == [5, 3, 4, 2]
    assert mid(zeros(2, 5)).shape == [5, 2]
}

test "defaults" {
    assert close(defaults([1.0]), [2.0])
    assert close(defaults([1.0], k: 3), [3.0])
    assert close(defaults([1.0], y: 0.5), [0.5])
}

test "match" {
    assert kind("c") == 2.0 and kind("z") == 3.0 and onoff(false) == 0.0
    let mut n = 3
    assert rt(n) == 2.0
    n = -1
    assert rt(n) == 5.0
    n = 9
    assert rt(n) == 3.0
}

test "closures" {
    let f = counter()
    assert f(2.0) == 2.0
    assert pick_fn(sin, false)(1.0) == -1.0
    let mut k = 1.0
    let g = |x| x * k
    k = 5.0
    assert g(2.0) == 2.0
    let h = |(a, b), c: f32| a + b * c
    assert h((1.0, 2.0), 3.0) == 7.0
    let compose = |f, g| |x| f(g(x))
    assert compose(|x| x + 1.0, |x| x * 2.0)(3.0) == 7.0
}

test "training" {
    let mut r = seeded(3)
    let mut net = Deep(4).init(mut r)
    let x = ones(2, 4)
    assert close(net(x), x)
    assert net.inner.calls == 1
    let y = net(x, rng: mut r)
    assert all(y == 0.0 or y == 20.0)
    assert net.inner.calls == 2
}

test "map and zip" {
    let xs = (tensor([1.0]), tensor([2.0, 3.0]))
    let ys = map(|x| sum(x))(xs)
    assert ys.0 == 1.0 and ys.1 == 5.0
    let mut total = 0.0
    for (i, x) in zip((1.0, 2.0), xs) { total += i * sum(x) }
    assert total == 11.0
    let t = for x in xs { yield x * 2.0 }
    assert close(t.1, [4.0, 6.0])
    let [a, b] = [[1.0, 2.0], [3.0, 4.0]]
    assert close(a, [1.0, 2.0]) and close(b, [3.0, 4.0])
}

test "integers wrap" {
    let a = tensor([120, 127]) as i8
    assert all(a + 10 == [-126, -119])
    let u = tensor([0]) as u32
    assert (u - 1)[0] == 4294967295
    assert all(shl(tensor([1]), 31) == [-2147483648])
    assert all(shr(tensor([-8]), 1) == [-4])
    assert all(tensor([-7]) / 0 == [0]) and all(tensor([-7]) % 0 == [0])
    assert sum(tensor([100, 100]) as i8) == 200
}

test "nan" {
    let x = tensor([1.0, 0.0]) / tensor([0.0, 0.0])
    assert max(x) != max(x)
    assert x[0] == infinity
    assert all(sort(-x)[0:1] == -infinity)
}

test "half" {
    let x = tensor([1.0, 2.0]) as f16
    assert sum(x * 3.0) == 9.0
    let b = tensor([1.0, 2.0]) as bf16
    assert sum(b) as f32 == 3.0
}

test "large integers" {
    let x = tensor([1]) as i64 * 4294967296
    assert x[0] / 65536 == 65536
}

test "nothing" {
    let x = zeros(0, 3)
    assert sum(x) == 0.0 and prod(x) == 1.0 and max(x) == -infinity
    assert sort(zeros(0)).shape == [0]
    assert not any(x > 0.0) and all(x > 0.0)
}
