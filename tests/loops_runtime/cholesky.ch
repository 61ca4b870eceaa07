//! A Cholesky factor written as loops, element by element, up to the index of the loop around.

fn cholesky(a: f64[N, N]) -> f64[N, N] {
    let mut l = zeros(N, N) as f64
    for i in 0..N {
        for j in 0..i + 1 {
            let s = a[i, j] - sum(l[i, :] * l[j, :])
            l[i, j] = if i == j { sqrt(s) } else { s / l[j, j] }
        }
    }
    l
}

export fn factor(a: f64[N, N]) -> f64[N, N] = cholesky(a)

fn half_log_determinant(a: f64[N, N]) -> f64 {
    let l = cholesky(a)
    let mut s = 0.0 as f64
    for i in 0..N { s = s + log(l[i, i]) }
    s
}

export fn gradient(a: f64[N, N]) -> (f64, f64[N, N]) { value_and_grad(half_log_determinant)(a) }
export fn forward(a: f64[N, N], v: f64[N, N]) -> f64 {
    let (_, t) = jvp(half_log_determinant)(a, v)
    t
}
export fn second(a: f64[N, N], v: f64[N, N]) -> f64[N, N] {
    grad(|a| sum(grad(half_log_determinant)(a) * v))(a)
}
