//! What is in scope without import. Primitives come from the compiler; everything here is Charl.

const pi = 3.141592653589793

/// A stream of random numbers: Threefry-2x32-20 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
/// Each draw uses `counter` and moves it on by one; element i of draw c is the cipher of (i, c) under `key`.
struct Rng {
    key: u32[2]
    counter: u32
}

/// `bits / 2^32`, rounded down to a multiple of 2^-24: in [0, 1).
fn unit_interval(bits: u32[*S]) -> f32[*S] = (shr(bits, 8) as f32) * 5.9604644775390625e-8

/// Uniform in [low, high).
fn uniform(shape, mut rng: Rng, low: float = 0.0, high: float = 1.0) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape))
    rng.counter = rng.counter + 1
    if low == 0.0 and high == 1.0 { u } else { low + (high - low) * u }
}

/// Normal, by Box and Muller (1958): sqrt(-2 log(1 - u)) cos(2 pi v).
fn normal(shape, mut rng: Rng, mean: float = 0.0, std: float = 1.0) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape, word: 0))
    let v = unit_interval(random_bits(rng.key, rng.counter, shape, word: 1))
    rng.counter = rng.counter + 1
    let z = sqrt(-2.0 * log(1.0 - u)) * cos(2.0 * pi * v)
    if mean == 0.0 and std == 1.0 { z } else { mean + std * z }
}

/// True with probability `p`.
fn bernoulli(shape, mut rng: Rng, p: float) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape))
    rng.counter = rng.counter + 1
    u < p
}

/// Zero with probability `rate`, else `x / (1 - rate)`, so that the mean stays (Srivastava et al., 2014).
fn dropout(x: f32[*S], rate: float, mut rng: Rng) -> f32[*S] {
    where(bernoulli([*S], mut rng, 1.0 - rate), x * (1.0 / (1.0 - rate)), 0.0)
}

// ---- activations

fn identity(x) = x

/// max(x, 0); its derivative at 0 is 0, and is taken from the result, so that a gradient keeps nothing else.
fn relu<E: float>(x: E[*S]) -> E[*S] = max(x, 0.0)

/// x where x > 0, else slope * x.
fn leaky_relu<E: float>(x: E[*S], slope: float = 0.01) -> E[*S] = where(x > 0.0, x, slope * x)

/// 1 / (1 + exp(-x)), by tanh, which does not overflow.
fn sigmoid<E: float>(x: E[*S]) -> E[*S] = 0.5 * tanh(0.5 * x) + 0.5

/// x * sigmoid(x), also called swish.
fn silu<E: float>(x: E[*S]) -> E[*S] = x * sigmoid(x)

/// log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)).
fn softplus<E: float>(x: E[*S]) -> E[*S] = max(x, 0.0) + log1p(exp(-abs(x)))

/// x * Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016).
fn gelu<E: float>(x: E[*S]) -> E[*S] = 0.5 * x * (1.0 + erf(x * 0.7071067811865476))

/// The tanh approximation of `gelu`.
fn gelu_tanh<E: float>(x: E[*S]) -> E[*S] {
    0.5 * x * (1.0 + tanh(0.7978845608028654 * (x + 0.044715 * x ** 3)))
}

/// x where x > 0, else alpha * (exp(x) - 1).
fn elu<E: float>(x: E[*S], alpha: float = 1.0) -> E[*S] = where(x > 0.0, x, alpha * expm1(min(x, 0.0)))

// ---- reductions

/// Arithmetic mean over all elements, or over `axis`.
fn mean(x, axis = None, keepdims: bool = false) {
    sum(x, axis: axis, keepdims: keepdims) / size(x, axis: axis)
}

/// Mean squared deviation from the mean (division by n).
fn variance(x, axis = None, keepdims: bool = false) {
    mean((x - mean(x, axis: axis, keepdims: true)) ** 2, axis: axis, keepdims: keepdims)
}

/// Euclidean norm.
fn norm(x, axis = None, keepdims: bool = false) = sqrt(sum(x ** 2, axis: axis, keepdims: keepdims))

/// log(sum(exp(x))), shifted by the maximum so that nothing overflows.
fn logsumexp(x, axis = None, keepdims: bool = false) {
    let top = stop_gradient(max(x, axis: axis, keepdims: true))
    let shift = where(abs(top) < infinity, top, 0.0)
    let total = log(sum(exp(x - shift), axis: axis, keepdims: true)) + shift
    if keepdims { total } else { sum(total, axis: axis) }
}

/// exp(x) / sum(exp(x)) along an axis.
fn softmax(x, axis: int = -1) {
    let e = exp(x - stop_gradient(max(x, axis: axis, keepdims: true)))
    e / sum(e, axis: axis, keepdims: true)
}

/// log(softmax(x)).
fn log_softmax(x, axis: int = -1) {
    let z = x - stop_gradient(max(x, axis: axis, keepdims: true))
    z - log(sum(exp(z), axis: axis, keepdims: true))
}

/// Limits every element to low..high.
fn clip(x, low, high) = min(max(x, low), high)

// ---- losses

/// Mean of -log softmax(logits)[target] over rows; `label_smoothing` mixes in the uniform distribution (Szegedy et al., 2016).
fn cross_entropy<E: float>(logits: E[*S, C], target: i32[*S], label_smoothing: float = 0.0) -> E {
    let total = logsumexp(logits, axis: -1)
    let loss = total - pick(logits, target)
    if label_smoothing == 0.0 {
        mean(loss)
    } else {
        mean((1.0 - label_smoothing) * loss + label_smoothing * (total - mean(logits, axis: -1)))
    }
}

/// Mean of (a - b) ** 2.
fn mse<E: float>(a: E[*S], b: E[*S]) -> E = mean((a - b) ** 2)

// ---- matrices

/// A square matrix with `x` on its diagonal.
fn diag<E: float>(x: E[N]) -> E[N, N] {
    where(iota(N)[:, None] == iota(N)[None, :], x[:, None], 0.0)
}

/// A lower triangle filled row by row from `x`, up to the diagonal `offset` (-1: strictly below), zero elsewhere.
fn lower_triangle(x, n: int, offset: int = 0) {
    let row = iota(n)[:, None]
    let column = iota(n)[None, :]
    let width = row + offset
    let start = div(width * (width + 1), 2)
    let inside = column <= width
    where(inside, x[where(inside, start + column, 0)], 0.0)
}

// ---- initializers: functions of a shape and a stream

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

// ---- attention

/// softmax(q k' / sqrt(d)) v (Vaswani et al., 2017) over [batch, heads, time, d]. `causal` hides later keys from a query; `length` hides
/// all keys from that position on.
fn attention(q, k, v, causal: bool = false, length = None) {
    let d = shape(q)[-1]
    let scores = einsum("bhqd,bhkd->bhqk", q, k) * (1.0 / sqrt(1.0 * d))
    let rows = shape(scores)[-2]
    let keys = shape(scores)[-1]
    let seen = if causal { where(iota(keys)[None, :] <= iota(rows)[:, None], scores, -infinity) } else { scores }
    let masked = if length == None { seen } else { where(iota(keys) < length, seen, -infinity) }
    einsum("bhqk,bhkd->bhqd", softmax(masked), v)
}

// ---- tests

/// Whether every |a - b| is at most atol + rtol * |b|.
fn close(a, b, rtol: float = 1e-5, atol: float = 1e-6) = all(abs(a - b) <= atol + rtol * abs(b))
