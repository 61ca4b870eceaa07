//! Run-time branches of every kind: of values and of places, heavy and light, nested, in loops, mapped, derived.

fn logarithms(x: f64[N]) -> f64 {
    let mut s = 0.0 as f64
    for e in x { s = s + log(e) }
    s
}

fn squares(x: f64[N]) -> f64 = sum(x[None, :] @ x[:, None])

/// Both sides are real work: one of them runs.
export fn chosen(x: f64[N], c: bool[]) -> f64 = if c { logarithms(x) } else { squares(x) }

export fn chosen_gradient(x: f64[N], c: bool[]) -> f64[N] { grad(chosen)(x, c) }

export fn chosen_forward(x: f64[N], v: f64[N], c: bool[]) -> f64 {
    let (_, t) = jvp(|x| chosen(x, c))(x, v)
    t
}

export fn chosen_second(x: f64[N], v: f64[N], c: bool[]) -> f64[N] {
    grad(|x| sum(grad(chosen)(x, c) * v))(x)
}

export fn chosen_lanes(x: f64[B, N], c: bool[B]) -> f64[B, N] { vmap(grad(chosen))(x, c) }

export fn chosen_by_all(x: f64[B, N], c: bool[]) -> f64[B, N] { vmap(|x| grad(chosen)(x, c))(x) }

struct Point {
    at: f64[2]
    weight: f64
}

/// Places written on one side, a struct and a tuple as values, a side that is missing.
export fn places(x: f64[2], c: bool[]) -> (f64, f64[2], f64[2]) {
    let mut n = 1.0 as f64
    let mut p = Point(at: x, weight: 2.0)
    if c { n = squares(x); p.at[0] = 7.0 }
    let (q, w) = if squares(x) > n { (p.at * 2.0, 1.0) } else { (x @ x[:, None] * p.at, p.weight) }
    p = if c { Point(at: q, weight: w) } else { p }
    (n * p.weight, p.at, q)
}

/// A branch in a branch in a loop, with a place written element by element.
fn filtered(x: f64[N]) -> f64[N] {
    let mut y = x
    for i in 0..N {
        if x[i] > 0.0 {
            if i % 2 == 0 {
                y[i] = logarithms(x[0:1] * 0.0 + x[i])
            } else {
                for j in 0..i { y[i] += y[j] * 0.5 }
            }
        }
    }
    y
}

export fn sieve(x: f64[N]) -> f64[N] = filtered(x)

export fn sieve_gradient(x: f64[N], w: f64[N]) -> f64[N] { grad(|x| sum(filtered(x) * w))(x) }

/// `match` on a run-time integer is a chain of branches.
export fn by_number(x: f64[N], k: i32) -> f64 = match k {
    0 => squares(x)
    1 | 2 => logarithms(x)
    _ => sum(x)
}

/// Products and loops in branches, of different sides, in a loop: what the taken side made is kept for the way back.
fn costly(w: f64[3, 3], x: f64[3], c: bool[4]) -> f64 {
    let mut h = x
    for i in 0..4 {
        h = if c[i] {
            let a = tanh(w @ h)
            w @ (a * a)
        } else if h[0] > 0.4 {
            let mut t = h
            for _ in 0..3 { t = sin(w @ t) + h }
            t
        } else {
            h * h
        }
    }
    sum(h * h)
}

export fn kept(w: f64[3, 3], x: f64[3], c: bool[4]) -> (f64, (f64[3, 3], f64[3])) = value_and_grad(costly, wrt: (0, 1))(w, x, c)

export fn kept_second(w: f64[3, 3], x: f64[3], v: f64[3], c: bool[4]) -> (f64[3], f64[3]) {
    let (_, forward) = jvp(|x| grad(|x| costly(w, x, c))(x))(x, v)
    (forward, grad(|x| sum(grad(|x| costly(w, x, c))(x) * v))(x))
}

export fn kept_lanes(w: f64[3, 3], x: f64[2, 3], c: bool[2, 4]) -> f64[2, 3] = vmap(|x, c| grad(|x| costly(w, x, c))(x))(x, c)
