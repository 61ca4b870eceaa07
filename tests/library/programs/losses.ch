//! Every loss with its options: the value, and the gradient of what is predicted.

fn probe(f, x) {
    let (y, g) = value_and_grad(f)(x)
    (y, g)
}

/// Class indices: the third row is ignored where something is.
export fn indices(x: f32[5, 4], t: i32[5], w: f32[4]) =
    (
        probe(|x| cross_entropy(x, t), x),
        probe(|x| cross_entropy(x, t, label_smoothing: 0.1), x),
        probe(|x| cross_entropy(x, t, weight: w), x),
        probe(|x| cross_entropy(x, t, ignore: 2), x),
        probe(|x| cross_entropy(x, t, weight: w, ignore: 2, label_smoothing: 0.2), x),
        probe(|x| negative_log_likelihood(log_softmax(x), t), x),
        probe(|x| multi_hinge(x, t), x),
        probe(|x| multi_hinge(x, t, margin: 0.5, reduction: sum), x),
    )

/// Targets that are probabilities; one of them is 0.
export fn probabilities(x: f32[5, 4], p: f32[5, 4]) =
    (
        probe(|x| soft_cross_entropy(x, p), x),
        probe(|x| soft_cross_entropy(x, p, label_smoothing: 0.1), x),
        probe(|x| kl_divergence(log_softmax(x), p), x),
        probe(|q| kl_divergence(log_softmax(x), q), p),
        probe(|x| binary_cross_entropy(x, p), x),
        probe(|x| binary_cross_entropy(x, p, positive: 3.0), x),
    )

export fn distances(x: f32[5, 4], y: f32[5, 4]) =
    (
        probe(|x| mse(x, y), x),
        probe(|x| mse(x, y, reduction: sum), x),
        probe(|x| mae(x, y), x),
        probe(|x| huber(x, y), x),
        probe(|x| huber(x, y, delta: 0.5), x),
        probe(|x| hinge(x, sign(y)), x),
        mae(x, y, reduction: identity),
    )
