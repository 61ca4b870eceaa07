//! Reductions, matrices and comparisons, in scope without import. Primitives come from the compiler.

/// The ratio of a circle's circumference to its diameter, pi = 4 * atan(1).
///
/// Shapes: a number. Source: math.pi.
const pi = 3.141592653589793

/// sum(x) / n, over all elements, or over `axis`.
///
/// Shapes: [*S] to a scalar, or to *S without the axes (with `keepdims`, 1 in their place). Source: numpy.mean.
fn mean(x, axis = None, keepdims: bool = false) {
    sum(x, axis: axis, keepdims: keepdims) / size(x, axis: axis)
}

/// mean((x - mean(x)) ** 2): division by n.
///
/// Shapes: [*S] to a scalar, or to *S without the axes. Source: numpy.var.
fn variance(x, axis = None, keepdims: bool = false) {
    mean((x - mean(x, axis: axis, keepdims: true)) ** 2, axis: axis, keepdims: keepdims)
}

/// The Euclidean norm sqrt(sum(x ** 2)).
///
/// Shapes: [*S] to a scalar, or to *S without the axes. Source: torch.linalg.vector_norm.
fn norm(x, axis = None, keepdims: bool = false) = sqrt(sum(x ** 2, axis: axis, keepdims: keepdims))

/// log(sum(exp(x))), shifted by the maximum so that nothing overflows.
///
/// Shapes: [*S] to a scalar, or to *S without the axes. Source: Blanchard et al. (2021); torch.logsumexp.
fn logsumexp(x, axis = None, keepdims: bool = false) {
    let top = stop_gradient(max(x, axis: axis, keepdims: true))
    let shift = where(abs(top) < infinity, top, 0.0)
    let total = log(sum(exp(x - shift), axis: axis, keepdims: true)) + shift
    if keepdims { total } else { sum(total, axis: axis) }
}

/// min(max(x, low), high).
///
/// Shapes: [*S] to [*S]. Source: numpy.clip.
fn clip(x, low, high) = min(max(x, low), high)

/// Of one dimension: a square matrix with y[i, i] = x[i], and 0 elsewhere. Of more: y[…, i] = x[…, i, i], what stands on the
/// diagonal of square matrices.
///
/// Shapes: [N] to [N, N]; [*S, N, N] to [*S, N]. Source: numpy.diag, numpy.diagonal.
fn diag(x) {
    if rank(x) < 2 {
        placed_on_diagonal(x)
    } else {
        diagonal(x)
    }
}

/// `diag` of one dimension.
fn placed_on_diagonal<E: number>(x: E[N]) -> E[N, N] {
    where(iota(N)[:, None] == iota(N)[None, :], x[:, None], 0)
}

/// What stands on the diagonal of square matrices: y[…, i] = x[…, i, i].
///
/// Shapes: [*S, N, N] to [*S, N]. Source: numpy.diagonal.
fn diagonal<E: number>(x: E[*S, N, N]) -> E[*S, N] = einsum("...ii->...i", x)

/// A lower triangle filled row by row from `x`, up to the diagonal `offset` (-1: strictly below), zero elsewhere: with offset
/// 0, y[i, j] = x[i * (i + 1) / 2 + j] for j <= i.
///
/// Shapes: [n (n + 1) / 2] to [n, n]. Source: numpy.tril_indices.
fn lower_triangle(x, n: int, offset: int = 0) {
    let row = iota(n)[:, None]
    let column = iota(n)[None, :]
    let width = row + offset
    let start = div(width * (width + 1), 2)
    let inside = column <= width
    where(inside, x[where(inside, start + column, 0)], 0.0)
}

/// c[0] * x ** n + c[1] * x ** (n - 1) + … + c[n] for a list of numbers, by Horner's scheme.
///
/// Shapes: [*S] to [*S]. Source: Knuth, The Art of Computer Programming 2, section 4.6.4; numpy.polyval.
fn polynomial(x, c) {
    let mut y = c[0] * x + c[1]
    for a in c[2:] { y = y * x + a }
    y
}

/// The coefficients of `erfinv` near 0.
const near_erfinv = [
    2.81022636e-08,
    3.43273939e-07,
    -3.5233877e-06,
    -4.39150654e-06,
    0.00021858087,
    -0.00125372503,
    -0.00417768164,
    0.246640727,
    1.50140941,
]
/// The coefficients of `erfinv` near -1 and 1.
const far_erfinv = [
    -0.000200214257,
    0.000100950558,
    0.00134934322,
    -0.00367342844,
    0.00573950773,
    -0.0076224613,
    0.00943887047,
    1.00167406,
    2.83297682,
]

/// y with erf(y) = x, for x in -1..1: polynomials, and two steps of Newton.
///
/// Shapes: [*S] to [*S]. Source: Giles, GPU Computing Gems (2012), chapter 10; torch.erfinv.
fn erfinv<E: float>(x: E[*S]) -> E[*S] {
    let w = -log((1.0 - x) * (1.0 + x))
    let near = polynomial(min(w, 5.0) - 2.5, near_erfinv)
    let far = polynomial(sqrt(max(w, 5.0)) - 3.0, far_erfinv)
    newton_of_erf(newton_of_erf(x * where(w < 5.0, near, far), x), x)
}

/// One step of Newton from y towards erf(y) = x.
fn newton_of_erf(y, x) = y - (erf(y) - x) * exp(y * y) * 0.886226925452758

/// Whether every |a - b| <= atol + rtol * |b|.
///
/// Shapes: any that broadcast, to a truth value. Source: numpy.allclose.
fn close(a, b, rtol: float = 1e-5, atol: float = 1e-6) = all(abs(a - b) <= atol + rtol * abs(b))
