//! Metrics: how good predictions are, for people. None has a gradient that means anything; losses do.

/// mean(argmax(logits) == target): the share of rows whose largest logit is at the target.
///
/// Shapes: logits [*S, C], target i32[*S], to a scalar. Source: sklearn.metrics.accuracy_score.
fn accuracy<E: float>(logits: E[*S, C], target: i32[*S]) -> E =
    mean((argmax(logits, axis: -1) == target) as E)

/// mean(number of logits ahead of the target's < k): the share of rows whose target is among the k largest logits, of equal
/// ones the first.
///
/// Shapes: logits [*S, C], target i32[*S], to a scalar. Source: Russakovsky et al. (2015);
/// sklearn.metrics.top_k_accuracy_score.
fn top_k_accuracy<E: float>(logits: E[*S, C], target: i32[*S], k: int) -> E {
    let own = pick(logits, target)[..., None]
    let ahead = logits > own or (logits == own and iota(C) < target[..., None])
    mean((sum(ahead as i32, axis: -1) < k) as E)
}

/// c[t, p] = number of rows of class t that were predicted to be p.
///
/// Shapes: predicted and target i32[N], to i32[classes, classes]. Source: Kohavi and Provost (1998);
/// sklearn.metrics.confusion_matrix.
fn confusion_matrix(predicted: i32[N], target: i32[N], classes: int) -> i32[classes, classes] {
    let rows = (target[:, None] == iota(classes)) as i32
    let columns = (predicted[:, None] == iota(classes)) as i32
    einsum("nt,np->tp", rows, columns)
}

/// hits / predicted: of the rows that were predicted to be of a class, those that are; the mean over classes, or, `micro`, over
/// rows. A class that was never predicted has 0.
///
/// Shapes: predicted and target i32[N], to a scalar. Source: van Rijsbergen (1979), chapter 7; sklearn.metrics.precision_score.
fn precision(predicted: i32[N], target: i32[N], classes: int, micro: bool = false) -> f32 {
    let c = confusion_matrix(predicted, target, classes)
    let hits = sum(where(iota(classes)[:, None] == iota(classes), c, 0), axis: 0)
    share(hits, sum(c, axis: 0), micro)
}

/// hits / there: of the rows of a class, those that were predicted to be; the mean over classes, or, `micro`, over rows. A
/// class without rows has 0.
///
/// Shapes: predicted and target i32[N], to a scalar. Source: van Rijsbergen (1979), chapter 7; sklearn.metrics.recall_score.
fn recall(predicted: i32[N], target: i32[N], classes: int, micro: bool = false) -> f32 {
    let c = confusion_matrix(predicted, target, classes)
    let hits = sum(where(iota(classes)[:, None] == iota(classes), c, 0), axis: 0)
    share(hits, sum(c, axis: 1), micro)
}

/// 2 * hits / (predicted + there): the harmonic mean of precision and recall, class by class (macro: then their mean) or of all
/// rows (`micro`). A class that does not occur has 0.
///
/// Shapes: predicted and target i32[N], to a scalar. Source: van Rijsbergen (1979), chapter 7; sklearn.metrics.f1_score.
fn f1(predicted: i32[N], target: i32[N], classes: int, micro: bool = false) -> f32 {
    let c = confusion_matrix(predicted, target, classes)
    let hits = sum(where(iota(classes)[:, None] == iota(classes), c, 0), axis: 0)
    share(2 * hits, sum(c, axis: 0) + sum(c, axis: 1), micro)
}

/// hits / all, 0 where there are none: summed first (`micro`), or the mean.
fn share(hits: i32[C], all: i32[C], micro: bool) -> f32 {
    if micro {
        (sum(hits) as f32) / (max(sum(all), 1) as f32)
    } else {
        mean((hits as f32) / (max(all, 1) as f32))
    }
}

/// 1 - sum((y - seen) ** 2) / sum((seen - mean(seen)) ** 2): the share of the variance that the prediction explains.
///
/// Shapes: both [*S], to a scalar. Source: Wright (1921); sklearn.metrics.r2_score.
fn r2<E: float>(y: E[*S], seen: E[*S]) -> E = 1.0 - sum((y - seen) ** 2) / sum((seen - mean(seen)) ** 2)
