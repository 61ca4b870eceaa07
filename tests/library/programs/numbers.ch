//! Schedules, metrics, the arithmetic of initializers, and augmentations with what is drawn given.

from data import batch, erased, mixed
from metrics import accuracy, confusion_matrix, f1, precision, r2, recall, top_k_accuracy
from schedule import cosine_decay, exponential_decay, linear_decay, one_cycle, step_decay, warm_up

export fn schedules(t: i32) =
    [
        step_decay(t, 0.5, every: 3),
        exponential_decay(t, 0.5, factor: 0.9),
        cosine_decay(t, 0.5, steps: 8, least: 0.1),
        warm_up(t, 0.5, steps: 4, start: 0.25),
        linear_decay(t, 0.5, steps: 8, least: 0.05),
        one_cycle(t, 0.5, steps: 12),
        warm_up(t, cosine_decay(t, 0.5, steps: 8), steps: 4),
    ]

export fn metrics(x: f32[9, 4], t: i32[9], y: f32[9], seen: f32[9]) {
    let c = argmax(x, axis: -1)
    let scores = [
        accuracy(x, t),
        top_k_accuracy(x, t, 2),
        precision(c, t, 4),
        precision(c, t, 4, micro: true),
        recall(c, t, 4),
        recall(c, t, 4, micro: true),
        f1(c, t, 4),
        f1(c, t, 4, micro: true),
        mse(y, seen),
        mae(y, seen),
        r2(y, seen),
    ]
    (scores, confusion_matrix(c, t, 4))
}

/// The limits and deviations of initializers, taken from what they make of a stream.
export fn scales(mut rng: Rng) {
    let mut a = rng
    let mut b = rng
    let mut c = rng
    let mut d = rng
    let mut e = rng
    let u = uniform([4, 6], mut a)
    let n = normal([4, 6], mut b)
    let wide = (2.0 * u - 1.0)
    let (g, gn) = (glorot_uniform([4, 6], mut c), glorot_normal([4, 6], mut d))
    let taps = he_normal([8, 3, 5, 5], mut e, axes: (1, 0))
    [
        sum(abs(g)) / sum(abs(wide)),
        sum(abs(gn)) / sum(abs(n)),
        he_ratio(rng, wide),
        he_normal_ratio(rng, n),
        taps_ratio(rng, taps),
    ]
}

fn he_ratio(rng: Rng, wide: f32[4, 6]) {
    let mut r = rng
    sum(abs(he_uniform([4, 6], mut r))) / sum(abs(wide))
}

fn he_normal_ratio(rng: Rng, n: f32[4, 6]) {
    let mut r = rng
    sum(abs(he_normal([4, 6], mut r))) / sum(abs(n))
}

fn taps_ratio(rng: Rng, taps: f32[8, 3, 5, 5]) {
    let mut r = rng
    sum(abs(taps)) / sum(abs(normal([8, 3, 5, 5], mut r)))
}

/// The quantile of the truncated normal, and the inverse of erf with its gradient.
export fn quantiles(u: f32[7]) {
    let (_, g) = value_and_grad(|u| sum(erfinv(u)))(u)
    stack([truncated_quantile(0.5 * u + 0.5, -2.0, 2.0), erfinv(u), g])
}

export fn augmented(
    x: f32[3, 2, 4, 5], y: f32[3, 2], order: i32[3], lam: f32, row: i32[3], column: i32[3], i: i32
) = (mixed(x, order, lam), mixed(y, order, lam), erased(x, row, column, 3), batch(y, i, 2))
