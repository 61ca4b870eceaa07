//! Activations, in scope without import: elementwise functions, and softmax along an axis.

/// x itself.
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
