//! Activations, in scope without import: elementwise functions, and softmax along an axis.

/// x itself.
fn identity(x) = x

/// max(x, 0) (Nair and Hinton, 2010); its derivative at 0 is 0, and is taken from the result, so that a gradient keeps nothing else.
fn relu<E: float>(x: E[*S]) -> E[*S] = max(x, 0.0)

/// x where x > 0, else slope * x (Maas et al., 2013).
fn leaky_relu<E: float>(x: E[*S], slope: float = 0.01) -> E[*S] = where(x > 0.0, x, slope * x)

/// The logistic function 1 / (1 + exp(-x)) (Verhulst, 1845); an exp that overflows makes it 0, and the derivative is taken from
/// the result, where nothing overflows.
fn sigmoid<E: float>(x: E[*S]) -> E[*S] = 1.0 / (1.0 + exp(-x))

/// The cotangent of `sigmoid`'s argument, from its result.
@gradient(of: sigmoid)
fn sigmoid_rule(x, result, ct) = ct * (result * (1.0 - result))

/// log(sigmoid(x)), without overflow.
fn log_sigmoid<E: float>(x: E[*S]) -> E[*S] = -softplus(-x)

/// x * sigmoid(x), also called swish (Ramachandran et al., 2017).
fn silu<E: float>(x: E[*S]) -> E[*S] = x * sigmoid(x)

/// The cotangent of `silu`'s argument: one factor, so that a gradient keeps one number for each element.
@gradient(of: silu)
fn silu_rule(x, result, ct) {
    let s = sigmoid(x)
    ct * (s * (1.0 + x * (1.0 - s)))
}

/// log(1 + exp(x)) (Dugas et al., 2001), as max(x, 0) + log1p(exp(-|x|)).
fn softplus<E: float>(x: E[*S]) -> E[*S] = where(x > 0.0, x, 0.0) + log1p(exp(where(x > 0.0, -x, x)))

/// x * tanh(softplus(x)) (Misra, 2019).
fn mish<E: float>(x: E[*S]) -> E[*S] = x * tanh(softplus(x))

/// x * Phi(x) with the normal distribution function Phi (Hendrycks and Gimpel, 2016).
fn gelu<E: float>(x: E[*S]) -> E[*S] = 0.5 * x * (1.0 + erf(x * 0.7071067811865476))

/// The cotangent of `gelu`'s argument, one factor: Phi(x) and x times the density of the normal distribution.
@gradient(of: gelu)
fn gelu_rule(x, result, ct) =
    ct * (0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * (0.3989422804014327 * exp(-0.5 * (x * x))))

/// The tanh approximation of `gelu` (Hendrycks and Gimpel, 2016), x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), by
/// 1 + tanh(u) = 2 * sigmoid(2 * u).
fn gelu_tanh<E: float>(x: E[*S]) -> E[*S] = x * gate(x)

/// The cotangent of `gelu_tanh`'s argument, one factor.
@gradient(of: gelu_tanh)
fn gelu_tanh_rule(x, result, ct) {
    let s = gate(x)
    ct * (s + x * (s * (1.0 - s) * (1.5957691216057308 + 0.2140644488178 * (x * x))))
}

/// What `gelu_tanh` multiplies by: sigmoid(sqrt(8 / pi) * (x + 0.044715 * x ** 3)).
fn gate<E: float>(x: E[*S]) -> E[*S] = sigmoid(x * (1.5957691216057308 + 0.0713548162726 * (x * x)))

/// The cotangent of `gate`'s argument, from its result and x.
@gradient(of: gate)
fn gate_rule(x, result, ct) =
    ct * (result * (1.0 - result) * (1.5957691216057308 + 0.2140644488178 * (x * x)))

/// x where x > 0, else alpha * (exp(x) - 1) (Clevert et al., 2016).
fn elu<E: float>(x: E[*S], alpha: float = 1.0) -> E[*S] {
    where(x > 0.0, x, alpha * expm1(where(x > 0.0, 0.0, x)))
}

/// `elu` scaled so that mean 0 and variance 1 are a fixed point (Klambauer et al., 2017).
fn selu<E: float>(x: E[*S]) -> E[*S] = 1.0507009873554805 * elu(x, alpha: 1.6732632423543772)

/// x limited to low..high (Collobert, 2004).
fn hard_tanh<E: float>(x: E[*S], low: float = -1.0, high: float = 1.0) -> E[*S] = clip(x, low, high)

/// clip(x / 6 + 1 / 2, 0, 1): a sigmoid without exp (Howard et al., 2019).
fn hard_sigmoid<E: float>(x: E[*S]) -> E[*S] = clip(x + 3.0, 0.0, 6.0) / 6.0

/// x * hard_sigmoid(x) (Howard et al., 2019), also called hard swish.
fn hard_silu<E: float>(x: E[*S]) -> E[*S] = where(x <= -3.0, 0.0, where(x < 3.0, x * (x + 3.0) / 6.0, x))

/// min(max(x, 0), 6) (Krizhevsky, 2010).
fn relu6<E: float>(x: E[*S]) -> E[*S] = clip(x, 0.0, 6.0)

/// exp(x) / sum(exp(x)) along an axis (Bridle, 1990); the shape stays.
fn softmax(x, axis: int = -1) {
    let e = exp(x - stop_gradient(max(x, axis: axis, keepdims: true)))
    e * (1.0 / sum(e, axis: axis, keepdims: true))
}

/// The cotangent of `softmax`'s argument, from its result alone.
@gradient(of: softmax)
fn softmax_rule(x, axis, result, ct) = result * (ct - sum(ct * result, axis: axis, keepdims: true))

/// log(softmax(x)) along an axis, x less its logsumexp; the shape stays.
fn log_softmax(x, axis: int = -1) {
    let z = x - stop_gradient(max(x, axis: axis, keepdims: true))
    z - log(sum(exp(z), axis: axis, keepdims: true))
}

/// The cotangent of `log_softmax`'s argument, from its result alone.
@gradient(of: log_softmax)
fn log_softmax_rule(x, axis, result, ct) = ct - exp(result) * sum(ct, axis: axis, keepdims: true)
