//! Normalising layers: each makes mean 0 and variance 1 over some of the axes, then scales and shifts by parameters.

/// (x - mean) / sqrt(variance + eps) * scale + shift over the last dimension.
///
/// Shapes: [*S, d] to [*S, d]. Source: Ba et al. (2016), equations 3 and 4; torch.nn.LayerNorm.
model LayerNorm(d: int, eps: float = 1e-5) {
    param scale: f32[d] = ones()
    param shift: f32[d] = zeros()

    fn forward(x: f32[*S, d]) -> f32[*S, d] {
        let centred = x - mean(x, axis: -1, keepdims: true)
        let power = mean(centred ** 2, axis: -1, keepdims: true)
        centred * rsqrt(power + eps) * scale + shift
    }
}

/// x / sqrt(mean(x ** 2) + eps) * scale over the last dimension.
///
/// Shapes: [*S, d] to [*S, d]. Source: Zhang and Sennrich (2019), equation 4; torch.nn.RMSNorm.
model RmsNorm(d: int, eps: float = 1e-6) {
    param scale: f32[d] = ones()

    fn forward(x: f32[*S, d]) -> f32[*S, d] = x * rsqrt(mean(x ** 2, axis: -1, keepdims: true) + eps) * scale
}

/// (x - mean) / sqrt(variance + eps) * scale + shift over each of `groups` groups of the channels, with all of the space; one
/// group is layer norm over everything, as many as channels is instance norm.
///
/// Shapes: [N, channels, *S] to the same. Source: Wu and He (2018), section 3.1; torch.nn.GroupNorm.
model GroupNorm(groups: int, channels: int, eps: float = 1e-5) {
    param scale: f32[channels] = ones()
    param shift: f32[channels] = zeros()

    fn forward(x: f32[N, channels, *S]) -> f32[N, channels, *S] {
        let parts = x.reshape(N, groups, channels / groups, [*S])
        let inner = range(2, rank(parts))
        let centred = parts - mean(parts, axis: inner, keepdims: true)
        let power = mean(centred ** 2, axis: inner, keepdims: true)
        let y = (centred * rsqrt(power + eps)).reshape(N, channels, [*S])
        y * over_channels(scale, y) + over_channels(shift, y)
    }
}

/// b [C] as [C, 1, …], to meet x [N, C, *S] along its channels.
fn over_channels(b, x) = b.reshape(shape(b), each(1, rank(x) - 2))

/// (x - mean) / sqrt(variance + eps) * scale + shift for every channel: by the batch in training, where the running mean and
/// variance move by `momentum`, else by those. The running variance is the unbiased one, as in PyTorch.
///
/// Shapes: [N, channels, *S] to the same. Source: Ioffe and Szegedy (2015), algorithms 1 and 2; torch.nn.BatchNorm2d.
model BatchNorm(channels: int, eps: float = 1e-5, momentum: float = 0.1) {
    param scale: f32[channels] = ones()
    param shift: f32[channels] = zeros()
    state mean: f32[channels] = zeros()
    state variance: f32[channels] = ones()

    fn forward(x: f32[N, channels, *S]) -> f32[N, channels, *S] {
        let space = range(2, rank(x))
        let others = [0, *space]
        let (m, v) = if training {
            let m = sum(x, axis: others) / (N * prod(*S))
            let v = sum((x - over_channels(m, x)) ** 2, axis: others) / (N * prod(*S))
            let n = (N * prod(*S)) * 1.0
            mean = (1.0 - momentum) * mean + momentum * stop_gradient(m)
            variance = (1.0 - momentum) * variance + momentum * stop_gradient(v) * (n / (n - 1.0))
            (m, v)
        } else {
            (mean, variance)
        }
        (x - over_channels(m, x)) * over_channels(rsqrt(v + eps) * scale, x) + over_channels(shift, x)
    }
}
