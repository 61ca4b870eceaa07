//! Attention, in scope without import.

/// softmax(q k' / sqrt(d)) v (Vaswani et al., 2017) over [batch, heads, time, d]. `causal` hides later keys from a query; `length` hides
/// all keys from that position on.
fn attention(q, k, v, causal: bool = false, length = None) {
    let d = shape(q)[-1]
    let scores = einsum("bhqd,bhkd->bhqk", q, k) * (1.0 / sqrt(1.0 * d))
    let rows = shape(scores)[-2]
    let keys = shape(scores)[-1]
    let seen = if causal {
        where(iota(keys)[None, :] <= iota(rows)[:, None], scores, -infinity)
    } else {
        scores
    }
    let masked = if length == None { seen } else { where(iota(keys) < length, seen, -infinity) }
    einsum("bhqk,bhkd->bhqd", softmax(masked), v)
}
