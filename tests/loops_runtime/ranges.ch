//! Loops whose length is known at run time only, and loops that end early.

export fn first(x: f32[N], n: i32) -> f32 {
    let mut t = 0.0
    for i in 0..n { t += x[i] }
    t
}

export fn triangle(n: i32) -> i32 {
    let mut t = 0
    for i in 1..n { for j in i..n while j < 2 * i { t += j } }
    t
}

/// A `while` in a `for` up to a run-time integer in a `while`.
fn nest(x: f32, n: i32) -> f32 {
    let mut t = x
    let mut turns = 0
    while turns < 2 {
        for i in 0..n {
            let mut k = 0
            while k < i { t = sin(t) + 0.1; k += 1 }
        }
        turns += 1
    }
    t
}

export fn nested(x: f32, n: i32) -> f32 = nest(x, n)

export fn nested_forward(x: f32, n: i32) -> f32 {
    let (_, d) = jvp(|x| nest(x, n))(x, 1.0)
    d
}

/// With a bound that is a size it has a reverse mode, too.
export fn bounded(x: f32, n: i32) -> f32 {
    grad(|x| { let mut t = x; for i in 0..9 while i < n { t = sin(t) + 0.1 }; t })(x)
}

/// Newton's method for a square root, in an objective that is differentiated again, in all four combinations.
fn root(a: f32) -> f32 {
    let f = |y, a| (y * y - a) ** 2
    let mut y = 1.0 + 0.5 * a
    for _ in 0..20 while abs(y * y - a) > 1e-4 { y = y - 0.05 * grad(f)(y, a) }
    y
}

fn root_forward(a: f32) -> f32 {
    let f = |y, a| (y * y - a) ** 2
    let mut y = 1.0 + 0.5 * a
    for _ in 0..20 while abs(y * y - a) > 1e-4 {
        let (_, d) = jvp(|y| f(y, a))(y, 1.0)
        y = y - 0.05 * d
    }
    y
}

export fn value(a: f32) -> f32 = root(a)

export fn reverse_reverse(a: f32) -> f32 { grad(root)(a) }

export fn forward_reverse(a: f32) -> f32 { let (_, d) = jvp(root)(a, 1.0); d }

export fn reverse_forward(a: f32) -> f32 { grad(root_forward)(a) }

export fn forward_forward(a: f32) -> f32 { let (_, d) = jvp(root_forward)(a, 1.0); d }
