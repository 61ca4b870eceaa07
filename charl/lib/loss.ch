//! Losses, in scope without import: how far predictions are from targets, as one number. `reduction` makes one of many: `mean`, `sum`, or `identity`
//! for all of them.

/// -log softmax(logits)[target], its mean over rows.
///
/// `label_smoothing` mixes the uniform distribution into the targets: (1 - s) * loss - s / C * sum(log softmax(logits)).
/// `weight` [C] weighs rows by their target, and the mean with them; rows whose target is `ignore` do not count. As in PyTorch,
/// where all are combined too.
///
/// Shapes: logits [*S, C], target i32[*S], to a scalar. Source: Szegedy et al. (2016), section 7;
/// torch.nn.functional.cross_entropy.
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
        let w = if weight == None { counts } else { counts * tensor(weight)[target] }
        let spread = if weight == None {
            total - mean(logits, axis: -1)
        } else {
            total * mean(tensor(weight)) - logits @ tensor(weight) / C
        }
        let each = (1.0 - label_smoothing) * w * loss + (if label_smoothing == 0.0 {
            0.0
        } else {
            label_smoothing * counts * spread
        })
        sum(each) / sum(w)
    }
}

/// -sum(p * log softmax(logits)) over classes, its mean over rows, for targets that are probabilities.
///
/// Shapes: logits and p [*S, C], to a scalar. Source: Hinton et al. (2015), section 2; torch.nn.functional.cross_entropy.
fn soft_cross_entropy<E: float>(
    logits: E[*S, C], p: E[*S, C], label_smoothing: float = 0.0, reduction = mean
) {
    let q = if label_smoothing == 0.0 { p } else { (1.0 - label_smoothing) * p + label_smoothing / C }
    reduction(-sum(q * log_softmax(logits), axis: -1))
}

/// -log_p[target], its mean over rows, of log probabilities.
///
/// Shapes: log_p [*S, C], target i32[*S], to a scalar. Source: torch.nn.functional.nll_loss.
fn negative_log_likelihood<E: float>(log_p: E[*S, C], target: i32[*S], reduction = mean) =
    reduction(-pick(log_p, target))

/// Of logits, so that it never overflows: -p log sigmoid(x) - (1 - p) log(1 - sigmoid(x)). `positive` weighs the first part,
/// for classes of unequal size.
///
/// Shapes: logits and p [*S], to a scalar. Source: Cox (1958); torch.nn.functional.binary_cross_entropy_with_logits.
fn binary_cross_entropy<E: float>(logits: E[*S], p: E[*S], positive: float = 1.0, reduction = mean) {
    reduction(if positive == 1.0 {
        softplus(logits) - logits * p
    } else {
        (1.0 - p) * logits + (1.0 + (positive - 1.0) * p) * softplus(-logits)
    })
}

/// sum(p * (log p - log q)) over the last axis, its mean over rows; 0 log 0 is 0.
///
/// Shapes: log_q and p [*S, C], to a scalar. Source: Kullback and Leibler (1951);
/// torch.nn.functional.kl_div(reduction="batchmean").
fn kl_divergence<E: float>(log_q: E[*S, C], p: E[*S, C], reduction = mean) {
    let own = where(p > 0.0, p * log(where(p > 0.0, p, 1.0)), 0.0)
    reduction(sum(own - p * log_q, axis: -1))
}

/// The mean of (a - b) ** 2.
///
/// Shapes: both [*S], to a scalar. Source: Gauss (1809); torch.nn.functional.mse_loss.
fn mse<E: float>(a: E[*S], b: E[*S], reduction = mean) = reduction((a - b) ** 2)

/// The mean of |a - b|; its derivative where they are equal is 0.
///
/// Shapes: both [*S], to a scalar. Source: Laplace (1774); torch.nn.functional.l1_loss.
fn mae<E: float>(a: E[*S], b: E[*S], reduction = mean) = reduction(abs(a - b))

/// d ** 2 / 2 where |d| <= delta, else delta * (|d| - delta / 2), with d = a - b; its mean.
///
/// Shapes: both [*S], to a scalar. Source: Huber (1964); torch.nn.functional.huber_loss.
fn huber<E: float>(a: E[*S], b: E[*S], delta: float = 1.0, reduction = mean) {
    let d = abs(a - b)
    reduction(where(d <= delta, 0.5 * d ** 2, delta * (d - 0.5 * delta)))
}

/// max(1 - sign * score, 0) for signs of -1 and 1; its mean.
///
/// Shapes: both [*S], to a scalar. Source: Cortes and Vapnik (1995); optax.losses.hinge_loss.
fn hinge<E: float>(score: E[*S], sign: E[*S], reduction = mean) = reduction(max(1.0 - sign * score, 0.0))

/// sum over other classes of max(margin - score[target] + score[c], 0) / C; its mean over rows.
///
/// Shapes: scores [*S, C], target i32[*S], to a scalar. Source: Weston and Watkins (1999);
/// torch.nn.functional.multi_margin_loss.
fn multi_hinge<E: float>(score: E[*S, C], target: i32[*S], margin: float = 1.0, reduction = mean) {
    let over = max(margin - pick(score, target)[..., None] + score, 0.0)
    let other = iota(C) != target[..., None]
    reduction(sum(where(other, over, 0.0), axis: -1) / C)
}
