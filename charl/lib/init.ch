//! Initializers, in scope without import: functions of a shape and, where they draw, a stream.

/// Sizes in and out of a weight: the last two dimensions, times those before (receptive field).
fn fans(shape) {
    let field = prod(shape[:-2])
    (shape[-2] * field, shape[-1] * field)
}

/// Uniform in -a..a with a = sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio, 2010).
fn glorot_uniform(shape, mut rng: Rng) {
    let (i, o) = fans(shape)
    let a = sqrt(6.0 / (i + o))
    uniform(shape, mut rng, low: -a, high: a)
}

/// Rows or columns, whichever are fewer, that are orthonormal: normal draws, orthogonalised (Saxe et al., 2014).
fn orthogonal(shape, mut rng: Rng) {
    let (i, o) = fans(shape)
    let a = normal(shape, mut rng)
    if i <= o { orthonormal_rows(a) } else { orthonormal_rows(a.transpose(1, 0)).transpose(1, 0) }
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

/// Normal with variance 2 / (fan_in + fan_out) (Glorot and Bengio, 2010).
fn glorot_normal(shape, mut rng: Rng) {
    let (i, o) = fans(shape)
    normal(shape, mut rng, std: sqrt(2.0 / (i + o)))
}

/// Uniform in -a..a with a = sqrt(6 / fan_in) (He et al., 2015).
fn he_uniform(shape, mut rng: Rng) {
    let (i, _) = fans(shape)
    let a = sqrt(6.0 / i)
    uniform(shape, mut rng, low: -a, high: a)
}

/// Normal with variance 2 / fan_in (He et al., 2015).
fn he_normal(shape, mut rng: Rng) {
    let (i, _) = fans(shape)
    normal(shape, mut rng, std: sqrt(2.0 / i))
}
