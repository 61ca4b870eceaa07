//! Regression with a Gaussian process: the Cholesky factor written as loops, and the kernel's parameters learnt by the gradient of
//! the marginal likelihood, which goes through the factorisation.

/// Logarithms of what a squared-exponential kernel has: amplitude, length, standard deviation of the noise.
struct Kernel {
    amplitude: f64
    length: f64
    noise: f64
}

fn covariance(k: Kernel, a: f64[N], b: f64[M]) -> f64[N, M] {
    let d = (a[:, None] - b[None, :]) / exp(k.length)
    exp(2.0 * k.amplitude) * exp(-0.5 * d ** 2)
}

/// The lower-triangular L with L @ L.T = a, column by column (Golub and Van Loan, Matrix Computations, 4.2.5).
fn cholesky(a: f64[N, N]) -> f64[N, N] {
    let mut l = zeros_like(a)
    for j in 0..N {
        let column = a[:, j] - l @ l[j]  // what the columns before do not explain
        l[:, j] = where(iota(N) >= j, column / sqrt(column[j]), 0.0)
    }
    l
}

/// The x with l @ x = b, from top to bottom.
fn solve_lower(l: f64[N, N], b: f64[N]) -> f64[N] {
    let mut x = zeros_like(b)
    for i in 0..N { x[i] = (b[i] - sum(l[i] * x)) / l[i, i] }
    x
}

/// The x with l.T @ x = b, from bottom to top.
fn solve_upper(l: f64[N, N], b: f64[N]) -> f64[N] {
    let mut x = zeros_like(b)
    for k in 0..N {
        let i = N - 1 - k
        x[i] = (b[i] - sum(l[:, i] * x)) / l[i, i]
    }
    x
}

/// The factor of the covariance of what was seen.
fn factor(k: Kernel, x: f64[N]) -> f64[N, N] {
    cholesky(covariance(k, x, x) + exp(2.0 * k.noise) * diag(ones(N) as f64))
}

/// log p(y | x), Rasmussen and Williams (2006), equation 2.30.
fn log_marginal(k: Kernel, x: f64[N], y: f64[N]) -> f64 {
    let l = factor(k, x)
    let z = solve_lower(l, y)
    let logs = sum(where(iota(N)[:, None] == iota(N)[None, :], log(max(abs(l), 1e-300)), 0.0))
    -0.5 * sum(z ** 2) - logs - 0.5 * N * log(2.0 * pi)
}

/// One step uphill; returns log p(y | x) before it.
export fn fit_step(mut k: Kernel, x: f64[N], y: f64[N], lr: f64) -> f64 {
    let (value, g) = value_and_grad(log_marginal)(k, x, y)
    k = k + lr * g
    value
}

/// Mean and standard deviation at new places.
export fn predict(k: Kernel, x: f64[N], y: f64[N], at: f64[M]) -> (f64[M], f64[M]) {
    let l = factor(k, x)
    let weights = solve_upper(l, solve_lower(l, y))
    let cross = covariance(k, at, x)
    let spread = vmap(|c| sum(solve_lower(l, c) ** 2))(cross)
    (cross @ weights, sqrt(exp(2.0 * k.amplitude) - spread))
}

fn main() {
    let mut rng = seeded(7)
    let x = 6.0 * ((uniform([40], mut rng)) as f64) - 3.0
    let y = sin(2.0 * x) + 0.1 * ((normal([40], mut rng)) as f64)
    let mut k = Kernel(amplitude: 0.0, length: 0.0, noise: -1.0)
    for i in 0..300 {
        let value = fit_step(mut k, x, y, 0.002)
        if i % 60 == 0 { print("step", i, "log p(y | x)", value) }
    }
    print("amplitude", exp(k.amplitude), "length", exp(k.length), "noise", exp(k.noise))
    let at = tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) as f64
    let (mean, deviation) = predict(k, x, y, at)
    print("at", at)
    print("mean     ", mean)
    print("deviation", deviation)
    print("sin(2 x) ", sin(2.0 * at))
}
