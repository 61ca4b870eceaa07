//! Attention, in scope without import.

/// softmax(q k' / sqrt(d)) v. `causal` hides later keys from a query; `length` hides all keys from that position on.
///
/// Shapes: q [batch, heads, time, d], k and v [batch, heads, keys, d], to [batch, heads, time, d]. Source: Vaswani et al.
/// (2017), equation 1; torch.nn.functional.scaled_dot_product_attention.
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
