//! `return` from inside loops and branches, nested anyhow.

fn first(x: f32[N]) -> f32 {
    for e in x { if e > 0.5 { return e * e } }
    -1.0
}

export fn first_large(x: f32[N]) -> (f32, f32[N]) = value_and_grad(first)(x)

fn root(a: f32) -> f32 {
    let mut x = a
    for _ in 0..50 {
        let y = 0.5 * (x + a / x)
        if abs(y - x) < 1e-6 { return y }
        x = y
    }
    x
}

export fn roots(a: f32) -> (f32, f32, f32) {
    let (y, slope) = value_and_grad(root)(a)
    let (_, along) = jvp(root)(a, 1.0)
    (y, slope, along)
}

/// The slope of the slope, through a loop that returns.
export fn curvature(a: f32) -> f32 = grad(grad(root))(a)

fn halvings(x: f32) -> (f32, i32) {
    let mut n = 0
    let mut y = x
    while true {
        y = y * 0.7
        n += 1
        if y < 0.01 { return (y, n) }
        if n > 9 { return (0.0, -1) }
    }
    (1.0, 0)
}

export fn in_lanes(x: f32[6]) -> (f32[6], i32[6]) = vmap(halvings)(x)

export fn position(m: f32[N, M], t: f32) -> (i32, i32) {
    for i in 0..N {
        for j in 0..M {
            if m[i, j] > t { return (i, j) }
        }
    }
    (-1, -1)
}

/// What was written before a return stays; what would come behind it does not happen.
export fn effects(x: f32[N], mut n: i32) -> f32 {
    for e in x {
        n += 1
        if e > 0.5 { return e }
        n += 10
    }
    n += 100
    0.0
}

/// A return in an assignment leaves the place as it was; one in a loop that yields leaves the loop without a value.
export fn mixed(x: f32[N], mut z: f32) -> f32[N] {
    z = if z > 0.3 { return 2.0 * x } else { z * 2.0 }
    let scaled = for e in x {
        if e > 0.8 { return x }
        yield e * z
    }
    scaled
}

/// Loops of every kind, branches in branches, a `match`.
export fn tangle(x: f32[8], k: i32) -> f32 {
    let mut s = 0.0
    for i in 0..k {
        s += x[i]
        if s > 2.0 { return s }
    }
    for i in 0..8 while s < 1.5 {
        s += 0.1
        if x[i] < 0.05 { return -s }
    }
    for const q in 0..3 {
        if x[q] > 0.6 { return x[q] }
        s += 1.0
    }
    if k > 1 {
        if s > 4.3 { return 7.0 } else { s += 1.0 }
    } else {
        s += 2.0
    }
    match k {
        2 => { return s }
        _ => s * 2.0
    }
}

fn last_resort(x: f32[N]) -> f32 {
    for e in x {
        let y = if e > 0.9 { return 10.0 * e } else { e * e }
        if y > 0.2 {
            let mut t = y
            while true {
                t = t * t
                if t < 1e-2 { return t + y }
            }
        }
    }
    sum(x)
}

export fn slopes(x: f32[5]) -> f32[5] {
    let (_, lanes) = vmap(|v| jvp(last_resort)(x, v))(diag(ones(5)))
    lanes
}

fn guarded(w: f32[2, 2], x: f32[2], n: int) -> f32[2] {
    let mut h = x
    for _ in 0..n {
        h = w @ h
        if sum(h * h) > 4.0 { return h / sqrt(sum(h * h)) }
    }
    h
}

export fn recurrence(w: f32[2, 2], x: f32[2]) -> (f32, f32[2, 2]) = value_and_grad(|w, x| sum(guarded(w, x, 6)))(w, x)

export fn each_recurrence(w: f32[3, 2, 2], x: f32[2]) -> f32[3, 2, 2] = vmap(|u| grad(|w| sum(guarded(w, x, 6)))(u))(w)
