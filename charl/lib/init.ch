//! Initializers, in scope without import: functions of a shape and, where they draw, a stream. `param w: f32[i, o] = he_normal()` calls one
//! with the declared shape; `zeros()`, `ones()`, `uniform(low: -0.1, high: 0.1)` and `normal(std: 0.02)` are initializers too.

/// `value` everywhere, in any shape.
fn constant(shape, value: float) = full(shape, value)

/// How many inputs a unit sees and how many units see an input. `axes` are those of inputs and outputs, as (-2, -1) of a dense weight [i, o] or
/// (1, 0) of a convolution's [o, i, taps…]; the others are the receptive field.
fn fans(shape, axes = (-2, -1)) {
    let (i, o) = axes
    let all = prod(shape)
    (all / shape[o], all / shape[i])
}

/// Uniform in -a..a with a = gain sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
fn glorot_uniform(shape, mut rng: Rng, axes = (-2, -1), gain: float = 1.0) {
    let (i, o) = fans(shape, axes)
    let a = gain * sqrt(6.0 / (i + o))
    uniform(shape, mut rng, low: -a, high: a)
}

/// Normal with variance gain^2 2 / (fan_in + fan_out) (Glorot and Bengio, 2010).
fn glorot_normal(shape, mut rng: Rng, axes = (-2, -1), gain: float = 1.0) {
    let (i, o) = fans(shape, axes)
    normal(shape, mut rng, std: gain * sqrt(2.0 / (i + o)))
}

/// Uniform in -a..a with a = sqrt(6 / fan_in), for layers before a relu (He et al., 2015).
fn he_uniform(shape, mut rng: Rng, axes = (-2, -1)) {
    let (i, _) = fans(shape, axes)
    let a = sqrt(6.0 / i)
    uniform(shape, mut rng, low: -a, high: a)
}

/// Normal with variance 2 / fan_in, for layers before a relu (He et al., 2015).
fn he_normal(shape, mut rng: Rng, axes = (-2, -1)) {
    let (i, _) = fans(shape, axes)
    normal(shape, mut rng, std: sqrt(2.0 / i))
}

/// Normal of mean `mean` and deviation `std`, cut off `low` and `high` deviations from the mean (Robert, 1995): by the inverse of the distribution,
/// so that one draw is one number.
fn truncated_normal(
    shape, mut rng: Rng, mean: float = 0.0, std: float = 1.0, low: float = -2.0, high: float = 2.0
) {
    mean + std * truncated_quantile(uniform(shape, mut rng), low, high)
}

/// The standard normal between `low` and `high` where its distribution function is u, in 0..1.
fn truncated_quantile<E: float>(u: E[*S], low: float, high: float) -> E[*S] {
    let root = sqrt(2.0)
    let first = erf(low / root)
    let last = erf(high / root)
    clip(root * erfinv(first + u * (last - first)), low, high)
}

/// A matrix whose rows or columns, whichever are fewer, are orthonormal, times `gain`: normal draws, orthogonalised (Saxe et al., 2014). With more
/// than two axes, the outputs by everything else; the axis of outputs is the first or the last.
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

/// The rows of `a` made orthonormal one after the other (Gram and Schmidt, twice for accuracy).
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
