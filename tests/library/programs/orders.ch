//! Sorting, the greatest elements, running products: values, gradients, indices.

fn probe(f, x, ct) {
    let ((_, y), g) = value_and_grad(|x| {
        let y = f(x)
        (sum(y * ct), y)
    })(x)
    (y, g)
}

export fn ordered(x: f32[3, 6], ct: f32[3, 6], two: f32[3, 2], ties: f32[60]) =
    (
        probe(|x| sort(x), x, ct),
        probe(|x| sort(x, axis: 0, descending: true), x, ct),
        probe(|x| top_k(x, 2).0, x, two),
        probe(|x| cumprod(x, 1), x, ct),
        probe(|x| cumprod(x, 0), x, ct),
        argsort(x),
        argsort(x, axis: 0, descending: true),
        top_k(x, 2).1,
        argsort(ties),
        argsort(ties, descending: true),
    )
