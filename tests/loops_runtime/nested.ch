//! Loops among branches, methods, structs, lanes and derivatives of derivatives.

struct P { x: f32[2], n: i32 }

fn push(mut p: P, v: f32[2]) {
    p.x = p.x * 0.5 + v
    p.n = p.n + 1
}

export fn structs(mut p: P, v: f32[N, 2]) -> f32 {
    for row in v { push(mut p, row) }
    sum(p.x)
}

export fn branchy(x: f32[N], c: i32) -> f32 {
    let mut s = 0.0
    if c > 2 { for e in x { s = s + e } } else { for i in 0..N { s = s - x[i] } }
    s
}

export fn inside(x: f32[N]) -> f32 {
    let mut s = 0.0
    for i in 0..N {
        if x[i] > 0.0 { s = s + x[i] } else { s = s - 2.0 * x[i] }
        for const k in 0..2 { s = s + (k as f32) }
    }
    s
}

export fn lanes(x: f32[4, N]) -> f32[4] { vmap(inside)(x) }

export fn zipped(x: f32[N], y: f32[N, 3]) -> f32[N, 3] {
    for (a, b) in zip(x, y) { yield a * b }
}

export fn empty(x: f32[3]) -> f32[0, 3] { for _ in 0..0 { yield x } }

export fn none(x: f32[0, 3], w: f32[3]) -> (f32[0], f32[3]) {
    let product = |w| {
        let mut s = sum(w)
        for row in x { s = s * sum(row * w) }
        s
    }
    let sums = for row in x { yield sum(row) }
    (sums, grad(product)(w))
}

export fn nothing(x: f32[N, 0]) -> (f32[0, N], f32) = (x.T, sum(x))

fn relax(x: f32) -> f32 {
    let mut y = x
    for _ in 0..20 while y > 0.1 { y = y * 0.5 + 0.01 * sin(y) }
    y
}

export fn second(x: f32) -> f32 { grad(|t| grad(relax)(t))(x) }

fn outer(w: f32[2]) -> f32 {
    let mut a = w
    for _ in 0..3 { a = a - 0.1 * grad(|q| sum(q * q * q) * w[0])(a) }
    sum(a)
}

export fn meta(w: f32[2]) -> f32[2] { grad(outer)(w) }

fn opt_loop(w: f32[2]) -> f32 {
    let mut a = w
    for _ in 0..3 {
        a = a - 0.1 * grad(|q| {
            let mut s = 0.0
            for i in 0..2 { s = s + sin(q[i]) * w[i] }
            s
        })(a)
    }
    sum(a)
}

export fn meta2(w: f32[2]) -> f32[2] { grad(opt_loop)(w) }

export fn hes(w: f32[2], v: f32[2]) -> f32[2] {
    let (_, t) = jvp(|x| grad(opt_loop)(x))(w, v)
    t
}

/// The largest element behind the first, where it is, and whether there is one.
export fn largest(x: f32[N]) -> (f32, i32, bool[]) {
    let mut best = x[0]
    let mut at = 0
    let mut found = false
    for i in 0..N {
        if x[i] > best {
            best = x[i]
            at = i
            found = true
        }
    }
    (best, at, found)
}

export fn fibonacci() -> i32 {
    let mut a = 0
    let mut b = 1
    for _ in 0..10 { (a, b) = (b, a + b) }
    a
}

fn solved(l: f32[N, N], b: f32[N]) -> f32[N] {
    let mut x = zeros_like(b)
    for i in 0..N { x[i] = (b[i] - sum(l[i] * x)) / l[i, i] }
    x
}

/// Forward substitution for three right-hand sides at once: an element is written that holds a sum over what was written.
export fn solved_rows(l: f32[4, 4], c: f32[3, 4]) -> f32[3] = vmap(|c| sum(solved(l, c) ** 2))(c)
