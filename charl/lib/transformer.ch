//! Attention and transformer blocks over [batch, time, features].

from norm import LayerNorm

/// Attention of `heads` heads with its projections: q, k, v = x w + b, parted into heads; then `attention`, and a last
/// projection. `causal` hides what comes later.
///
/// Shapes: [B, T, d] to [B, T, d]. Source: Vaswani et al. (2017), section 3.2.2; torch.nn.MultiheadAttention.
model MultiHeadAttention(d: int, heads: int, causal: bool = false, bias: bool = true) {
    param wq: f32[d, d] = glorot_uniform()
    param wk: f32[d, d] = glorot_uniform()
    param wv: f32[d, d] = glorot_uniform()
    param wo: f32[d, d] = glorot_uniform()
    param bq: f32[d] = zeros() if bias
    param bk: f32[d] = zeros() if bias
    param bv: f32[d] = zeros() if bias
    param bo: f32[d] = zeros() if bias

    /// Of a sequence to itself.
    fn forward(x: f32[B, T, d]) -> f32[B, T, d] = attend(x, x)

    /// Of x to another sequence, whose keys and values are looked up.
    fn attend(x: f32[B, T, d], memory: f32[B, L, d]) -> f32[B, T, d] {
        let q = parted(if bias { x @ wq + bq } else { x @ wq })
        let k = parted(if bias { memory @ wk + bk } else { memory @ wk })
        let v = parted(if bias { memory @ wv + bv } else { memory @ wv })
        let seen = attention(q, k, v, causal: causal).transpose(0, 2, 1, 3).reshape(B, T, d)
        if bias { seen @ wo + bo } else { seen @ wo }
    }

    /// [B, heads, T, d / heads].
    fn parted(x: f32[B, T, d]) -> f32[B, heads, T, d / heads] =
        x.reshape(B, T, heads, d / heads).transpose(0, 2, 1, 3)
}

/// activation(x w1 + b1) w2 + b2: two dense layers, the first to `hidden` features.
///
/// Shapes: [*S, d] to [*S, d]. Source: Vaswani et al. (2017), equation 2.
model FeedForward(d: int, hidden: int, activation: fn(f32[*S]) -> f32[*S] = gelu) {
    param w1: f32[d, hidden] = glorot_uniform()
    param b1: f32[hidden] = zeros()
    param w2: f32[hidden, d] = glorot_uniform()
    param b2: f32[d] = zeros()

    fn forward(x: f32[*S, d]) -> f32[*S, d] = activation(x @ w1 + b1) @ w2 + b2
}

/// y = x + attention(norm(x)), then y + feed-forward(norm(y)): the order that trains without warm-up. `dropout` of both
/// branches in training.
///
/// Shapes: [B, T, d] to [B, T, d]. Source: Xiong et al. (2020), section 3; torch.nn.TransformerEncoderLayer(norm_first=True).
model TransformerBlock(
    d: int,
    heads: int,
    hidden: int,
    causal: bool = false,
    rate: float = 0.0,
    activation: fn(f32[*S]) -> f32[*S] = gelu,
) {
    norm1: LayerNorm(d)
    attend: MultiHeadAttention(d, heads, causal: causal)
    norm2: LayerNorm(d)
    feed: FeedForward(d, hidden, activation: activation)

    fn forward(x: f32[B, T, d]) -> f32[B, T, d] {
        let a = attend(norm1(x))
        let y = x + (if training and rate > 0.0 { dropout(a, rate, mut rng) } else { a })
        let f = feed(norm2(y))
        y + (if training and rate > 0.0 { dropout(f, rate, mut rng) } else { f })
    }
}

/// x + attention(norm(x)), then that + attention(norm of it to the memory), then that + feed-forward(norm of it):
/// `TransformerBlock` that is causal and between its branches attends to a memory, as an encoder's result.
///
/// Shapes: x [B, T, d] and memory [B, L, d], to [B, T, d]. Source: Vaswani et al. (2017), section 3.1;
/// torch.nn.TransformerDecoderLayer(norm_first=True).
model DecoderBlock(d: int, heads: int, hidden: int, activation: fn(f32[*S]) -> f32[*S] = gelu) {
    norm1: LayerNorm(d)
    attend: MultiHeadAttention(d, heads, causal: true)
    norm2: LayerNorm(d)
    look: MultiHeadAttention(d, heads)
    norm3: LayerNorm(d)
    feed: FeedForward(d, hidden, activation: activation)

    fn forward(x: f32[B, T, d], memory: f32[B, L, d]) -> f32[B, T, d] {
        let x = x + attend(norm1(x))
        let x = x + look.attend(norm2(x), memory)
        x + feed(norm3(x))
    }
}

/// y[p, 2k] = sin(p / 10000 ** (2k / d)), y[p, 2k + 1] its cosine: the sines and cosines of positions 0 to n - 1.
///
/// Shapes: f32[n, d] with even d. Source: Vaswani et al. (2017), section 3.5.
fn positions(n: int, d: int) {
    let rate = exp((iota(d / 2) as f32) * (-2.0 * log(10000.0) / d))
    let angle = (iota(n) as f32)[:, None] * rate
    stack([sin(angle), cos(angle)], axis: -1).reshape(n, d)
}
