//! Reductions, matrices and comparisons of the prelude: values, and gradients.

fn probe(f, x, ct) {
    let ((_, y), g) = value_and_grad(|x| {
        let y = f(x)
        (sum(y * ct), y)
    })(x)
    (y, g)
}

export fn reduced(x: f32[3, 4], row: f32[1, 4], column: f32[3]) =
    (
        probe(|x| mean(x), x, 1.0),
        probe(|x| mean(x, axis: 0, keepdims: true), x, row),
        probe(|x| variance(x), x, 1.0),
        probe(|x| variance(x, axis: 1), x, column),
        probe(|x| norm(x), x, 1.0),
        probe(|x| norm(x, axis: 0, keepdims: true), x, row),
        probe(|x| logsumexp(x), x, 1.0),
        probe(|x| logsumexp(x, axis: 1), x, column),
        probe(|x| logsumexp(concat([x, full([3, 1], -infinity)], axis: 1), axis: 1), x, column),
    )

export fn elements(x: f32[5], ct: f32[5]) =
    (
        probe(|x| clip(x, -0.75, 0.5), x, ct),
        probe(|x| polynomial(x, [0.5, -1.0, 2.0, 0.25]), x, ct),
        probe(|x| erfinv(x / 4.0), x, ct),
    )

export fn matrices(x: f32[4], t: f32[6], big: f32[4, 4], small: f32[3, 3], low: f32[4, 4]) =
    (
        probe(diag, x, big),
        probe(|t| lower_triangle(t, 3), t, small),
        probe(|t| lower_triangle(t, 4, offset: -1), t, low),
        probe(diagonal, big, x),
        probe(diag, low, x),
    )

export fn near(a: f32[6], b: f32[6], c: f32[6]) {
    let found = [close(a, a), close(a, b), close(a, b, rtol: 1e-3), close(a, c, rtol: 0.0, atol: 2e-3)]
    found as i32
}
