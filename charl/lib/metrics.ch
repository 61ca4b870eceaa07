//! Metrics: how good predictions are, for people. None has a gradient that means anything; losses do.

/// The share of rows whose largest logit is at the target: logits [*S, C], target i32[*S].
fn accuracy<E: float>(logits: E[*S, C], target: i32[*S]) -> E =
    mean((argmax(logits, axis: -1) == target) as E)

/// The share of rows whose target is among the k largest logits, of equal ones the first (Russakovsky et al., 2015): logits [*S, C], target i32[*S].
fn top_k_accuracy<E: float>(logits: E[*S, C], target: i32[*S], k: int) -> E {
    let own = pick(logits, target)[..., None]
    let ahead = logits > own or (logits == own and iota(C) < target[..., None])
    mean((sum(ahead as i32, axis: -1) < k) as E)
}

/// How often each class was taken for which: element (t, p) of i32[C, C] counts rows of class t that were predicted to be p (Kohavi and Provost,
/// 1998).
fn confusion_matrix(predicted: i32[N], target: i32[N], classes: int) -> i32[classes, classes] {
    let rows = (target[:, None] == iota(classes)) as i32
    let columns = (predicted[:, None] == iota(classes)) as i32
    einsum("nt,np->tp", rows, columns)
}

/// Of the rows that were predicted to be of a class, those that are (van Rijsbergen, 1979): the mean over classes, or, `micro`, over rows. A class
/// that was never predicted has 0.
fn precision(predicted: i32[N], target: i32[N], classes: int, micro: bool = false) -> f32 {
    let c = confusion_matrix(predicted, target, classes)
    let hits = sum(where(iota(classes)[:, None] == iota(classes), c, 0), axis: 0)
    share(hits, sum(c, axis: 0), micro)
}

/// Of the rows of a class, those that were predicted to be (van Rijsbergen, 1979): the mean over classes, or, `micro`, over rows. A class without
/// rows has 0.
fn recall(predicted: i32[N], target: i32[N], classes: int, micro: bool = false) -> f32 {
    let c = confusion_matrix(predicted, target, classes)
    let hits = sum(where(iota(classes)[:, None] == iota(classes), c, 0), axis: 0)
    share(hits, sum(c, axis: 1), micro)
}

/// 2 hits / (predicted + there) (van Rijsbergen, 1979): the harmonic mean of precision and recall, class by class (macro) or of all rows (`micro`).
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

/// 1 - sum((y - seen) ** 2) / sum((seen - mean(seen)) ** 2), both [*S]: the share of the variance that the prediction explains (Wright, 1921).
fn r2<E: float>(y: E[*S], seen: E[*S]) -> E = 1.0 - sum((y - seen) ** 2) / sum((seen - mean(seen)) ** 2)
