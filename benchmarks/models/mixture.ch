//! The likelihood of a Gaussian mixture and its gradient, as in ADBench (Srajer et al., 2018): 1000 points.

struct Mixture(K: int, D: int) {
    alpha: f64[K]  // unnormalised log weights
    mean: f64[K, D]
    logdiag: f64[K, D]              // log of the diagonal of the factor of each precision
    lower: f64[K, D * (D - 1) / 2]  // its strictly lower triangle, row by row
}

fn factor(logdiag: f64[D], lower: f64[D * (D - 1) / 2]) -> f64[D, D] {
    diag(exp(logdiag)) + lower_triangle(lower, D, offset: -1)
}

/// Log-likelihood with a Wishart prior of `D + 1` degrees of freedom and scale 1, constants left out.
fn posterior(m: Mixture(K, D), x: f64[N, D]) -> f64 {
    let q = vmap(factor)(m.logdiag, m.lower)
    let r = einsum("kij,nkj->nki", q, x[:, None, :] - m.mean)
    let logp = m.alpha + sum(m.logdiag, axis: -1) - 0.5 * sum(r ** 2, axis: -1)
    let prior = 0.5 * (sum(exp(m.logdiag) ** 2) + sum(m.lower ** 2)) - sum(m.logdiag)
    sum(logsumexp(logp, axis: -1)) - N * logsumexp(m.alpha) - prior
}

export fn objective(m: Mixture(25, 64), x: f64[N, 64]) -> f64 = posterior(m, x)

export fn gradient(m: Mixture(25, 64), x: f64[N, 64]) -> (f64, Mixture(25, 64)) =
    value_and_grad(posterior)(m, x)
