/// A value is written over while another still reads what was there, far ahead of a second update that waits for both.
export fn doubled(x: f32[N]) -> (f32[N], i32) {
    let mut order = x
    let mut width = 1
    for _ in 0..4 while width < 9 {
        let near = order * (width as f32)
        let far = near + ((2 * width) as f32)
        order = flip(far, axis: 0) + sum(near)
        width = 2 * width
    }
    (order, width)
}

/// The votes of the three nearest of N points.
export fn nearest(x: f32[N, D], q: f32[M, D], y: i32[N]) -> i32[M] where N >= 3 {
    let (_, at) = top_k(-sum((q[:, None] - x[None, :]) ** 2, axis: -1), 3)
    argmax(sum(one_hot(y[at], 4), axis: 1), axis: -1)
}

fn walked(x: f32[4], w: f32[4, 4], p: i32[4]) -> f32 {
    let mut a = x
    let mut b = sin(x)
    let mut m = w
    for i in 1..4 {
        if a[3] > 0.2 { b[0] = m[1, 1] }
        m = m[p]
        for _ in i + 1..4 { a = 0.5 * a + tanh(m.T @ a) }
    }
    sum(a * b) + sum(tanh(m))
}

/// Backwards, rows are scattered into the array that an inner loop has just added to.
export fn shuffled(x: f32[4], w: f32[4, 4], p: i32[4]) -> f32[4, 4] = grad(walked, wrt: 1)(x, w, p)
