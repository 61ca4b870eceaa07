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

/// activation(x @ w + b) over the last dimension.
///
/// Shapes: [*S, i] to [*S, o]. Source: Rumelhart et al. (1986); torch.nn.Linear, whose weight is w transposed.
model Dense(i: int, o: int, bias: bool = true, activation: fn(f32[*S]) -> f32[*S] = identity) {
    param w: f32[i, o] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[*S, i]) -> f32[*S, o] {
        let y = x @ w
        activation(if bias { y + b } else { y })
    }
}

/// y = table[x]: a table of `d` numbers for each of `n` indices.
///
/// Shapes: i32[*S] to [*S, d]. Source: Bengio et al. (2003), section 2; torch.nn.Embedding.
model Embedding(n: int, d: int) {
    param table: f32[n, d] = normal()

    fn forward(ids: i32[*S]) -> f32[*S, d] = table[ids]
}

/// x * kept / (1 - rate) in training, where `kept` is 0 with probability `rate`, else 1, so that the mean stays; else x.
///
/// Shapes: [*S] to [*S]. Source: Srivastava et al. (2014), section 4; torch.nn.Dropout.
model Dropout(rate: float = 0.5) {
    fn forward(x: f32[*S]) -> f32[*S] {
        if training { dropout(x, rate, mut rng) } else { x }
    }
}

/// activation(x @ (w * kept / (1 - rate)) + b): `Dense` whose weights, not its inputs, are dropped in training with probability
/// `rate`; the same ones for all rows.
///
/// Shapes: [*S, i] to [*S, o]. Source: Wan et al. (2013).
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

/// y = x.reshape(N, prod(*S)): joins all dimensions but the first.
///
/// Shapes: [N, *S] to [N, prod(*S)]. Source: torch.nn.Flatten.
model Flatten() {
    fn forward(x: f32[N, *S]) -> f32[N, prod(*S)] = x.reshape(N, prod(*S))
}

/// x + block(x), for a block that keeps the shape: `Residual(Dense(64, 64, activation: relu))`.
///
/// Shapes: [*S] to [*S]. Source: He et al. (2016), equation 1.
model Residual(block) {
    inner: block

    fn forward(x) = x + inner(x)
}

/// second(first(x)). More in a row are a model of your own with `layers { … }`.
///
/// Shapes: those of `first` and `second`. Source: torch.nn.Sequential.
model Sequential(first, second) {
    one: first
    two: second

    fn forward(x) = two(one(x))
}
