//! Schedules, metrics, and augmentations with what is drawn given.

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

/// A metric that is a loss too.
export fn explained(y: f32[9], seen: f32[9]) = value_and_grad(|y| r2(y, seen))(y)

export fn augmented(
    x: f32[3, 2, 4, 5], y: f32[3, 2], order: i32[3], lam: f32, row: i32[3], column: i32[3], i: i32
) = (mixed(x, order, lam), mixed(y, order, lam), erased(x, row, column, 3), batch(y, i, 2))
