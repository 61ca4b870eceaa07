//! Single layers, each memory-bound or close to it, and the optimizer's step over many parameters.

from nn import LayerNorm
from optim import AdamW

/// Causal attention over [batch, heads, time, d].
export fn attend(q: f32[B, H, T, D], k: f32[B, H, T, D], v: f32[B, H, T, D]) -> f32[B, H, T, D] {
    attention(q, k, v, causal: true)
}

/// Layer norm over rows.
export fn normalise(norm: LayerNorm(768), x: f32[N, 768]) -> f32[N, 768] = norm(x)

/// The tanh approximation of gelu.
export fn activate(x: f32[N, M]) -> f32[N, M] = gelu_tanh(x)

model Flat(n: int = 124439808) {
    param w: f32[n] = zeros()
}

/// One step of AdamW.
export fn adamw(mut net: Flat, mut opt: AdamW<Flat>, g: Grad<Flat>) {
    opt.update(mut net, g, lr: 1e-4)
}
