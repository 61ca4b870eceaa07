//! Sums by run-time indices; test_segments.py says in NumPy what each gives.

export fn messages(x: f32[6, 20], i: i32[9], j: i32[9], w: f32[9]) -> f32[5, 20] {
    let mut y = zeros(5, 20)
    y[j] += relu(x[i] * w[:, None] - 0.3) * exp(-x[i])
    y
}

export fn few(x: f32[6, 3], i: i32[9], j: i32[9]) -> f32[5, 3] {
    let mut y = zeros(5, 3)
    y[j] += x[i]
    y
}

export fn numbers(x: f32[6], i: i32[9], j: i32[9], w: f32[9]) -> f32[5] {
    let mut y = zeros(5)
    y[j] += w * x[i]
    y
}

/// What is written is made of what is written over.
export fn onto_itself(mut y: f32[6, 20], i: i32[9], j: i32[9]) {
    y[j] += 2.0 * y[i]
}

export fn again(x: f32[6, 20], i: i32[9], j: i32[9]) -> f32[6, 20] {
    let mut y = x
    for t in 0..3 {
        y[j] += 0.1 * y[i] + x[i]
        y[t] = 0.5 * y[t + 1] + x[t]
    }
    y
}

export fn cells(x: f32[4, 5, 17], i: i32[9], j: i32[9], v: f32[9, 17]) -> (f32[4, 5, 17], f32[4, 5, 17]) {
    let mut y = x
    y[i, j] += v * v
    let mut z = x
    z[i, j] = v * v - 1.0
    (y, z)
}

export fn any_size(x: f32[N, D], i: i32[E], j: i32[E], w: f32[E, D]) -> f32[N, D] {
    let mut y = zeros(N, D)
    y[j] += x[i] * w
    y
}

export fn each(x: f32[3, 8, 17], j: i32[3, 9], v: f32[3, 9, 17]) -> f32[3, 8, 17] = vmap(|x, j, v| {
    let mut y = x
    y[j] += 2.0 * v
    y
})(x, j, v)
