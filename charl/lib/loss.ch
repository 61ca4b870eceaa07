//! Losses, in scope without import: how far predictions are from targets, as one number.

/// Mean of -log softmax(logits)[target] over rows; `label_smoothing` mixes in the uniform distribution (Szegedy et al., 2016).
fn cross_entropy<E: float>(logits: E[*S, C], target: i32[*S], label_smoothing: float = 0.0) -> E {
    let total = logsumexp(logits, axis: -1)
    let loss = total - pick(logits, target)
    if label_smoothing == 0.0 {
        mean(loss)
    } else {
        mean((1.0 - label_smoothing) * loss + label_smoothing * (total - mean(logits, axis: -1)))
    }
}

/// Mean of (a - b) ** 2.
fn mse<E: float>(a: E[*S], b: E[*S]) -> E = mean((a - b) ** 2)
