//! Layers. What a network is made of is imported from here; convolutions, recurrent layers, attention and residual networks have files of their
//! own, which this one passes on.

from conv import Conv1d, Conv2d, Conv3d, ConvTransposed1d, ConvTransposed2d, ConvTransposed3d
from conv import ConvSeparable1d, ConvSeparable2d, ConvSeparable3d
from conv import MaxPool1d, MaxPool2d, MaxPool3d, AveragePool1d, AveragePool2d, AveragePool3d
from conv import AdaptiveAveragePool, AdaptiveMaxPool, GlobalAveragePool, GlobalMaxPool
from norm import BatchNorm, GroupNorm, LayerNorm, RmsNorm
from recurrent import Rnn, Lstm, Gru, Bidirectional
from transformer import MultiHeadAttention, TransformerBlock, DecoderBlock
from resnet import BasicBlock, Bottleneck

/// activation(x @ w + b) over the last dimension: [*S, i] to [*S, o] (Rumelhart et al., 1986).
model Dense(i: int, o: int, bias: bool = true, activation: fn(f32[*S]) -> f32[*S] = identity) {
    param w: f32[i, o] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[*S, i]) -> f32[*S, o] {
        let y = x @ w
        activation(if bias { y + b } else { y })
    }
}

/// A table of `d` numbers for each of `n` indices: i32[*S] to [*S, d], y = table[x] (Bengio et al., 2003).
model Embedding(n: int, d: int) {
    param table: f32[n, d] = normal()

    fn forward(ids: i32[*S]) -> f32[*S, d] = table[ids]
}

/// Sets elements to zero with probability `rate` in training, and scales the others by 1 / (1 - rate), so that the mean stays
/// (Srivastava et al., 2014).
model Dropout(rate: float = 0.5) {
    fn forward(x: f32[*S]) -> f32[*S] {
        if training { dropout(x, rate, mut rng) } else { x }
    }
}

/// `Dense` whose weights, not its inputs, are dropped in training with probability `rate` (Wan et al., 2013); the same ones for all rows.
model DropConnect(
    i: int, o: int, rate: float = 0.5, bias: bool = true, activation: fn(f32[*S]) -> f32[*S] = identity
) {
    param w: f32[i, o] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[*S, i]) -> f32[*S, o] {
        let y = x @ (if training { dropout(w, rate, mut rng) } else { w })
        activation(if bias { y + b } else { y })
    }
}

/// Joins all dimensions but the first: [N, *S] to [N, prod(*S)].
model Flatten() {
    fn forward(x: f32[N, *S]) -> f32[N, prod(*S)] = x.reshape(N, prod(*S))
}

/// x + block(x), for a block that keeps the shape: `Residual(Dense(64, 64, activation: relu))` (He et al., 2016).
model Residual(block) {
    inner: block

    fn forward(x) = x + inner(x)
}

/// second(first(x)). More in a row are a model of your own with `layers { … }`.
model Sequential(first, second) {
    one: first
    two: second

    fn forward(x) = two(one(x))
}
