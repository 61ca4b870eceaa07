//! Layers.

/// activation(x @ w + b).
model Dense(i: int, o: int, bias: bool = true, activation: fn(f32[*S]) -> f32[*S] = identity) {
    param w: f32[i, o] = glorot_uniform()
    param b: f32[o] = zeros() if bias

    fn forward(x: f32[*S, i]) -> f32[*S, o] {
        let y = x @ w
        activation(if bias { y + b } else { y })
    }
}

/// Sets elements to zero with probability `rate` in training, and scales the others so that the mean stays.
model Dropout(rate: float = 0.5) {
    fn forward(x: f32[*S]) -> f32[*S] {
        if training { dropout(x, rate, mut rng) } else { x }
    }
}

/// Joins all dimensions but the first.
model Flatten() {
    fn forward(x: f32[N, *S]) -> f32[N, prod(*S)] = x.reshape(N, prod(*S))
}

/// A table of `d` numbers for each of `n` indices.
model Embedding(n: int, d: int) {
    param table: f32[n, d] = normal()

    fn forward(ids: i32[*S]) -> f32[*S, d] = table[ids]
}

/// (x - mean) / sqrt(variance + eps) * scale + shift over the last dimension (Ba et al., 2016).
model LayerNorm(d: int, eps: float = 1e-5) {
    param scale: f32[d] = ones()
    param shift: f32[d] = zeros()

    fn forward(x: f32[*S, d]) -> f32[*S, d] {
        let centred = x - mean(x, axis: -1, keepdims: true)
        let power = mean(centred ** 2, axis: -1, keepdims: true)
        centred * rsqrt(power + eps) * scale + shift
    }
}

/// Normalises every channel of [batch, channels, …] (Ioffe and Szegedy, 2015): by the batch in training, where the running mean and
/// variance move by `momentum`, else by those. The running variance is the unbiased one, as in PyTorch.
model BatchNorm(channels: int, eps: float = 1e-5, momentum: float = 0.1) {
    param scale: f32[channels] = ones()
    param shift: f32[channels] = zeros()
    state mean: f32[channels] = zeros()
    state variance: f32[channels] = ones()

    fn forward(x: f32[N, channels, *S]) -> f32[N, channels, *S] {
        let rows = x.reshape(N, channels, prod(*S))
        let (m, v) = if training {
            let m = sum(rows, axis: (0, 2)) / (N * prod(*S))
            let v = sum((rows - m[:, None]) ** 2, axis: (0, 2)) / (N * prod(*S))
            let n = (N * prod(*S)) * 1.0
            mean = (1.0 - momentum) * mean + momentum * stop_gradient(m)
            variance = (1.0 - momentum) * variance + momentum * stop_gradient(v) * (n / (n - 1.0))
            (m, v)
        } else {
            (mean, variance)
        }
        let y = (rows - m[:, None]) * (rsqrt(v + eps) * scale)[:, None] + shift[:, None]
        y.reshape(N, channels, *S)
    }
}
