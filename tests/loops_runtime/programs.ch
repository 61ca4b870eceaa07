//! Loops of every kind: over ranges and axes, nested, with places that are written, streams, conditions and yields.

/// A loop in a loop; rows and their elements.
export fn nested(x: f64[N, M]) -> f64 {
    let mut total = 0.0 as f64
    for row in x {
        let mut p = 1.0 as f64
        for e in row { p = p * 0.5 + sin(e) * p }
        total = total + p
    }
    total
}

export fn nested_gradient(x: f64[N, M]) -> f64[N, M] { grad(nested)(x) }

fn slope(x: f64[N, M], v: f64[N, M]) -> f64 { sum(grad(nested)(x) * v) }

export fn nested_second(x: f64[N, M], v: f64[N, M]) -> f64[N, M] { grad(slope)(x, v) }

export fn nested_forward(x: f64[N, M], v: f64[N, M]) -> f64 {
    let (_, t) = jvp(nested)(x, v)
    t
}

/// What each iteration yields, stacked; the range starts behind 0.
export fn powers(x: f64[D], seen: f64[N]) -> f64[N - 1, D] {
    let mut p = x
    for i in 1..N {
        p = p * x + (i as f64)
        yield p
    }
}

/// Places that trade their values, and one that is left alone.
export fn swap(a: f64[D], b: f64[D]) -> (f64[D], f64[D]) {
    let mut p = a
    let mut q = b
    for _ in 0..7 { (p, q) = (q, p + 1.0) }
    (p, q)
}

/// Elements written one by one, each from others.
export fn sweep(x: f64[N, N]) -> f64[N, N] {
    let mut l = x
    for i in 0..N {
        for j in 0..N { l[i, j] += l[j, i] * 0.5 }
    }
    l
}

export fn sweep_gradient(x: f64[N, N], w: f64[N, N]) -> f64[N, N] {
    grad(|x| sum(sweep(x) * w))(x)
}

/// A loop that ends when its condition fails; no bound.
export fn halvings(x: f64) -> (f64, i32) {
    let mut y = x
    let mut n = 0
    while y > 1.0 {
        y = y * 0.5
        n = n + 1
    }
    (y, n)
}

fn root(a: f64) -> f64 {
    let mut x = a
    for _ in 0..60 while abs(x * x - a) > 1e-5 * a { x = 0.5 * (x + a / x) }
    x
}

/// The same with a bound, which reverse mode needs.
export fn root_gradient(a: f64) -> (f64, f64) { value_and_grad(root)(a) }

/// Yields behind the end of a bounded loop are zero.
export fn countdown(x: f64) -> f64[8] {
    let mut y = x
    for _ in 0..8 while y > 0.5 {
        y = y - 1.0
        yield y
    }
}

/// A stream is drawn from in order, over iterations too.
export fn draws(mut r: Rng) -> f32[5, 3] {
    for _ in 0..5 { yield uniform(3, rng: mut r) }
}

export fn unrolled_draws(mut r: Rng) -> f32[5, 3] {
    let rows = for const _ in 0..5 { yield uniform(3, rng: mut r) }
    rows
}

/// A loop reads what was written a line before over a parameter, or over what another loop left.
export fn read_after_write(mut a: f64[N], t: f64[]) -> (f64, f64) {
    let mut l = zeros(N) as f64
    for i in 0..N { l[i] = a[i] * t }
    l[0] = 7.0
    a[0] = t
    let mut s = 0.0 as f64
    for i in 0..N { s = tanh(s * 0.5 + a[i]) }
    let mut r = 0.0 as f64
    for i in 0..N { r = tanh(r * 0.5 + l[i]) }
    (s, r)
}
