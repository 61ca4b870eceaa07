//! Initializers, in scope without import: functions of a shape and, where they draw, a stream. `param w: f32[i, o] = he_normal()` calls one
//! with the declared shape; `zeros()`, `ones()`, `uniform(low: -0.1, high: 0.1)` and `normal(std: 0.02)` are initializers too.

/// y = value everywhere.
///
/// Shapes: any shape. Source: torch.nn.init.constant_.
fn constant(shape, value: float) = full(shape, value)

/// How many inputs a unit sees and how many units see an input. `axes` are those of inputs and outputs, as (-2, -1) of a dense weight [i, o] or
/// (1, 0) of a convolution's [o, i, taps…]; the others are the receptive field.
fn fans(shape, axes = (-2, -1)) {
    let (i, o) = axes
    let all = prod(shape)
    (all / shape[o], all / shape[i])
}

/// Uniform in -a..a with a = gain * sqrt(6 / (fan_in + fan_out)).
///
/// Shapes: any shape of two axes or more. Source: Glorot and Bengio (2010), equation 16; torch.nn.init.xavier_uniform_.
fn glorot_uniform(shape, mut rng: Rng, axes = (-2, -1), gain: float = 1.0) {
    let (i, o) = fans(shape, axes)
    let a = gain * sqrt(6.0 / (i + o))
    uniform(shape, mut rng, low: -a, high: a)
}

/// Normal with variance gain ** 2 * 2 / (fan_in + fan_out).
///
/// Shapes: any shape of two axes or more. Source: Glorot and Bengio (2010), equation 12; torch.nn.init.xavier_normal_.
fn glorot_normal(shape, mut rng: Rng, axes = (-2, -1), gain: float = 1.0) {
    let (i, o) = fans(shape, axes)
    normal(shape, mut rng, std: gain * sqrt(2.0 / (i + o)))
}

/// Uniform in -a..a with a = sqrt(6 / fan_in), for layers before a relu.
///
/// Shapes: any shape of two axes or more. Source: He et al. (2015), equation 10; torch.nn.init.kaiming_uniform_.
fn he_uniform(shape, mut rng: Rng, axes = (-2, -1)) {
    let (i, _) = fans(shape, axes)
    let a = sqrt(6.0 / i)
    uniform(shape, mut rng, low: -a, high: a)
}

/// Normal with variance 2 / fan_in, for layers before a relu.
///
/// Shapes: any shape of two axes or more. Source: He et al. (2015), equation 10; torch.nn.init.kaiming_normal_.
fn he_normal(shape, mut rng: Rng, axes = (-2, -1)) {
    let (i, _) = fans(shape, axes)
    normal(shape, mut rng, std: sqrt(2.0 / i))
}

/// mean + std * z, with z normal and cut off at `low` and `high`: by the inverse of the distribution, so that one draw is one
/// number.
///
/// Shapes: any shape. Source: Robert (1995); torch.nn.init.trunc_normal_.
fn truncated_normal(
    shape, mut rng: Rng, mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0
) {
    mean + std * truncated_quantile(uniform(shape, mut rng), low, high)
}

/// sqrt(2) * erfinv((1 - u) * erf(low / sqrt(2)) + u * erf(high / sqrt(2))): the standard normal between `low` and `high` where
/// its distribution function is u, in 0..1.
///
/// Shapes: [*S] to [*S]. Source: torch.nn.init.trunc_normal_.
fn truncated_quantile<E: float>(u: E[*S], low: float, high: float) -> E[*S] {
    let root = sqrt(2.0)
    let first = erf(low / root)
    let last = erf(high / root)
    clip(root * erfinv(first + u * (last - first)), low, high)
}

/// gain * q, with q' q = 1 or q q' = 1: a matrix whose rows or columns, whichever are fewer, are orthonormal; normal draws,
/// orthogonalised. With more than two axes, the outputs by everything else; the axis of outputs is the first or the last.
///
/// Shapes: any shape of two axes or more. Source: Saxe et al. (2014); torch.nn.init.orthogonal_.
fn orthogonal(shape, mut rng: Rng, axes = (-2, -1), gain: float = 1.0) {
    let (_, out) = axes
    let o = shape[out]
    let rest = prod(shape) / o
    let a = normal([rest, o], mut rng)
    let q = gain * (if rest <= o {
        orthonormal_rows(a)
    } else {
        orthonormal_rows(a.transpose(1, 0)).transpose(1, 0)
    })
    if out == 0 { q.transpose(1, 0).reshape(shape) } else { q.reshape(shape) }
}

/// q of a = r q with a lower triangular r of positive diagonal: the rows of `a` made orthonormal one after the other (Gram and
/// Schmidt, twice for accuracy).
///
/// Shapes: [M, N] to [M, N], M <= N. Source: Golub and Van Loan (2013), section 5.2; torch.linalg.qr of a'.
fn orthonormal_rows(a: f32[M, N]) -> f32[M, N] {
    let mut q = a
    for k in 0..M {
        let before = where(iota(M) < k, 1.0, 0.0)
        let mut x = q[k]
        x = x - (q @ x * before) @ q
        x = x - (q @ x * before) @ q
        q[k] = x / sqrt(sum(x * x))
    }
    q
}
