//! Losses, in scope without import: how far predictions are from targets, as one number. `reduction` makes one of many: `mean`, `sum`, or `identity`
//! for all of them.

/// -log softmax(logits)[target], its mean over rows: logits [*S, C], target i32[*S].
///
/// `label_smoothing` mixes the uniform distribution into the targets (Szegedy et al., 2016). `weight` [C] weighs rows by their target, and the mean
/// with them; rows whose target is `ignore` do not count. As in PyTorch, where all are combined too.
fn cross_entropy<E: float>(
    logits: E[*S, C], target: i32[*S], label_smoothing: float = 0.0, weight = None, ignore = None
) -> E {
    let total = logsumexp(logits, axis: -1)
    let loss = total - pick(logits, target)
    if weight == None and ignore == None {
        if label_smoothing == 0.0 {
            mean(loss)
        } else {
            mean((1.0 - label_smoothing) * loss + label_smoothing * (total - mean(logits, axis: -1)))
        }
    } else {
        let counts = if ignore == None {
            ones_like(loss)
        } else {
            where(target == ignore, 0.0, ones_like(loss))
        }
        let w = if weight == None { counts } else { counts * weight[target] }
        let spread = if weight == None {
            total - mean(logits, axis: -1)
        } else {
            total * mean(weight) - logits @ weight / C
        }
        let each = (1.0 - label_smoothing) * w * loss + (if label_smoothing == 0.0 {
            0.0
        } else {
            label_smoothing * counts * spread
        })
        sum(each) / sum(w)
    }
}

/// -sum(p * log softmax(logits)) over classes, its mean over rows, for targets that are probabilities: both [*S, C] (Hinton et al., 2015).
fn soft_cross_entropy<E: float>(
    logits: E[*S, C], p: E[*S, C], label_smoothing: float = 0.0, reduction = mean
) {
    let q = if label_smoothing == 0.0 { p } else { (1.0 - label_smoothing) * p + label_smoothing / C }
    reduction(-sum(q * log_softmax(logits), axis: -1))
}

/// -log_p[target], its mean over rows: log probabilities [*S, C], target i32[*S].
fn negative_log_likelihood<E: float>(log_p: E[*S, C], target: i32[*S], reduction = mean) =
    reduction(-pick(log_p, target))

/// Binary cross-entropy of logits (Cox, 1958), which never overflows: -p log sigmoid(x) - (1 - p) log(1 - sigmoid(x)), both [*S]. `positive` weighs
/// the first part, for classes of unequal size.
fn binary_cross_entropy<E: float>(logits: E[*S], p: E[*S], positive: float = 1.0, reduction = mean) {
    reduction(if positive == 1.0 {
        softplus(logits) - logits * p
    } else {
        (1.0 - p) * logits + (1.0 + (positive - 1.0) * p) * softplus(-logits)
    })
}

/// sum(p * (log p - log q)) over the last axis, its mean over rows; 0 log 0 is 0 (Kullback and Leibler, 1951). Both [*S, C], q as logarithms.
fn kl_divergence<E: float>(log_q: E[*S, C], p: E[*S, C], reduction = mean) {
    let own = where(p > 0.0, p * log(where(p > 0.0, p, 1.0)), 0.0)
    reduction(sum(own - p * log_q, axis: -1))
}

/// The mean of (a - b) ** 2, both [*S] (Gauss, 1809).
fn mse<E: float>(a: E[*S], b: E[*S], reduction = mean) = reduction((a - b) ** 2)

/// The mean of |a - b|, both [*S] (Laplace, 1774); its derivative where they are equal is 0.
fn mae<E: float>(a: E[*S], b: E[*S], reduction = mean) = reduction(abs(a - b))

/// d ** 2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = a - b (Huber, 1964).
fn huber<E: float>(a: E[*S], b: E[*S], delta: float = 1.0, reduction = mean) {
    let d = abs(a - b)
    reduction(where(d <= delta, 0.5 * d ** 2, delta * (d - 0.5 * delta)))
}

/// max(1 - sign * score, 0) for signs of -1 and 1 (Cortes and Vapnik, 1995).
fn hinge<E: float>(score: E[*S], sign: E[*S], reduction = mean) = reduction(max(1.0 - sign * score, 0.0))

/// sum over other classes of max(margin - score[target] + score[c], 0) / C (Weston and Watkins, 1999): scores [*S, C], target i32[*S].
fn multi_hinge<E: float>(score: E[*S, C], target: i32[*S], margin: float = 1.0, reduction = mean) {
    let over = max(margin - pick(score, target)[..., None] + score, 0.0)
    let other = iota(C) != target[..., None]
    reduction(sum(where(other, over, 0.0), axis: -1) / C)
}
