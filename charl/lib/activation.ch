//! Activations, in scope without import: elementwise functions, and softmax along an axis.

/// x itself: y = x.
///
/// Shapes: [*S] to [*S]. Source: torch.nn.Identity.
fn identity(x) = x

/// max(x, 0); its derivative at 0 is 0, and is taken from the result, so that a gradient keeps nothing else.
///
/// Shapes: [*S] to [*S]. Source: Nair and Hinton (2010); torch.nn.functional.relu.
fn relu<E: float>(x: E[*S]) -> E[*S] = max(x, 0.0)

/// x where x > 0, else slope * x.
///
/// Shapes: [*S] to [*S]. Source: Maas et al. (2013); torch.nn.functional.leaky_relu.
fn leaky_relu<E: float>(x: E[*S], slope: float = 0.01) -> E[*S] = where(x > 0.0, x, slope * x)

/// The logistic function 1 / (1 + exp(-x)); an exp that overflows makes it 0, and the derivative is taken from the result,
/// where nothing overflows.
///
/// Shapes: [*S] to [*S]. Source: Verhulst (1845); torch.sigmoid.
fn sigmoid<E: float>(x: E[*S]) -> E[*S] = 1.0 / (1.0 + exp(-x))

/// The cotangent of `sigmoid`'s argument, from its result.
@gradient(of: sigmoid)
fn sigmoid_rule(x, result, ct) = ct * (result * (1.0 - result))

/// log(sigmoid(x)) as -softplus(-x), without overflow.
///
/// Shapes: [*S] to [*S]. Source: torch.nn.functional.logsigmoid.
fn log_sigmoid<E: float>(x: E[*S]) -> E[*S] = -softplus(-x)

/// x * sigmoid(x), also called swish.
///
/// Shapes: [*S] to [*S]. Source: Ramachandran et al. (2017); torch.nn.functional.silu.
fn silu<E: float>(x: E[*S]) -> E[*S] = x / (1.0 + exp(-x))

/// The cotangent of `silu`'s argument: one factor, so that a gradient keeps one number for each element.
@gradient(of: silu)
fn silu_rule(x, result, ct) {
    let s = sigmoid(x)
    ct * (s * (1.0 + x * (1.0 - s)))
}

/// log(1 + exp(x)), as max(x, 0) + log1p(exp(-|x|)).
///
/// Shapes: [*S] to [*S]. Source: Dugas et al. (2001); torch.nn.functional.softplus.
fn softplus<E: float>(x: E[*S]) -> E[*S] = where(x > 0.0, x, 0.0) + log1p(exp(where(x > 0.0, -x, x)))

/// x * tanh(softplus(x)).
///
/// Shapes: [*S] to [*S]. Source: Misra (2019); torch.nn.functional.mish.
fn mish<E: float>(x: E[*S]) -> E[*S] = x * tanh(softplus(x))

/// x * Phi(x) with the normal distribution function Phi(x) = (1 + erf(x / sqrt(2))) / 2.
///
/// Shapes: [*S] to [*S]. Source: Hendrycks and Gimpel (2016), section 2; torch.nn.functional.gelu.
fn gelu<E: float>(x: E[*S]) -> E[*S] = 0.5 * x * (1.0 + erf(x * 0.7071067811865476))

/// The cotangent of `gelu`'s argument, one factor: Phi(x) and x times the density of the normal distribution.
@gradient(of: gelu)
fn gelu_rule(x, result, ct) =
    ct * (0.5 * (1.0 + erf(x * 0.7071067811865476)) + x * (0.3989422804014327 * exp(-0.5 * (x * x))))

/// The tanh approximation of `gelu`, x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x ** 3))), by 1 + tanh(u) = 2 * sigmoid(2
/// * u).
///
/// Shapes: [*S] to [*S]. Source: Hendrycks and Gimpel (2016), section 2; torch.nn.functional.gelu(approximate="tanh").
fn gelu_tanh<E: float>(x: E[*S]) -> E[*S] = x / (1.0 + odds(x))

/// The cotangent of `gelu_tanh`'s argument, one factor.
@gradient(of: gelu_tanh)
fn gelu_tanh_rule(x, result, ct) {
    let s = gate(x)
    ct * (s + x * (s * (1.0 - s) * (1.5957691216057308 + 0.2140644488178 * (x * x))))
}

/// exp(-sqrt(8 / pi) * (x + 0.044715 * x ** 3)), with log2(e) in the constants.
fn odds<E: float>(x: E[*S]) -> E[*S] = exp2(x * (-2.302208198144325 + -0.1029432395800235 * (x * x)))

/// What `gelu_tanh` multiplies by: sigmoid(sqrt(8 / pi) * (x + 0.044715 * x ** 3)).
fn gate<E: float>(x: E[*S]) -> E[*S] = 1.0 / (1.0 + odds(x))

/// The cotangent of `gate`'s argument, from its result and x.
@gradient(of: gate)
fn gate_rule(x, result, ct) =
    ct * (result * (1.0 - result) * (1.5957691216057308 + 0.2140644488178 * (x * x)))

/// x where x > 0, else alpha * (exp(x) - 1).
///
/// Shapes: [*S] to [*S]. Source: Clevert et al. (2016); torch.nn.functional.elu.
fn elu<E: float>(x: E[*S], alpha: float = 1.0) -> E[*S] {
    where(x > 0.0, x, alpha * expm1(where(x > 0.0, 0.0, x)))
}

/// 1.0507 * elu(x, alpha: 1.67326) with more digits: scaled so that mean 0 and variance 1 are a fixed point.
///
/// Shapes: [*S] to [*S]. Source: Klambauer et al. (2017), equation 2; torch.nn.functional.selu.
fn selu<E: float>(x: E[*S]) -> E[*S] = 1.0507009873554805 * elu(x, alpha: 1.6732632423543772)

/// min(max(x, low), high).
///
/// Shapes: [*S] to [*S]. Source: Collobert (2004); torch.nn.functional.hardtanh.
fn hard_tanh<E: float>(x: E[*S], low: float = -1.0, high: float = 1.0) -> E[*S] = clip(x, low, high)

/// min(max(x / 6 + 1 / 2, 0), 1): a sigmoid without exp.
///
/// Shapes: [*S] to [*S]. Source: Howard et al. (2019), section 5.2; torch.nn.functional.hardsigmoid.
fn hard_sigmoid<E: float>(x: E[*S]) -> E[*S] = clip(x + 3.0, 0.0, 6.0) / 6.0

/// x * hard_sigmoid(x), also called hard swish.
///
/// Shapes: [*S] to [*S]. Source: Howard et al. (2019), section 5.2; torch.nn.functional.hardswish.
fn hard_silu<E: float>(x: E[*S]) -> E[*S] = where(x <= -3.0, 0.0, where(x < 3.0, x * (x + 3.0) / 6.0, x))

/// min(max(x, 0), 6).
///
/// Shapes: [*S] to [*S]. Source: Krizhevsky (2010); torch.nn.functional.relu6.
fn relu6<E: float>(x: E[*S]) -> E[*S] = clip(x, 0.0, 6.0)

/// exp(x) / sum(exp(x)) along an axis, shifted by the maximum so that nothing overflows.
///
/// Shapes: any; the shape stays. Source: Bridle (1990); torch.softmax.
fn softmax(x, axis: int = -1) {
    let e = exp(x - stop_gradient(max(x, axis: axis, keepdims: true)))
    e * (1.0 / sum(e, axis: axis, keepdims: true))
}

/// The cotangent of `softmax`'s argument, from its result alone.
@gradient(of: softmax)
fn softmax_rule(x, axis, result, ct) = result * (ct - sum(ct * result, axis: axis, keepdims: true))

/// log(softmax(x)) along an axis: x less its logsumexp.
///
/// Shapes: any; the shape stays. Source: Bridle (1990); torch.log_softmax.
fn log_softmax(x, axis: int = -1) {
    let z = x - stop_gradient(max(x, axis: axis, keepdims: true))
    z - log(sum(exp(z), axis: axis, keepdims: true))
}

/// The cotangent of `log_softmax`'s argument, from its result alone.
@gradient(of: log_softmax)
fn log_softmax_rule(x, axis, result, ct) = ct - exp(result) * sum(ct, axis: axis, keepdims: true)
