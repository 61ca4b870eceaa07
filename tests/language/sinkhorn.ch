//! Entropic optimal transport: Sinkhorn in the log domain until it converges, differentiated in all ways.
fn sinkhorn(x: f32[N, d], y: f32[M, d], eps: f32, rounds: int = 50) -> f32 {
    let cost = sum((x[:, None, :] - y[None, :, :]) ** 2, axis: 2)
    let k = -cost / eps
    let mut f = zeros(N)
    let mut g = zeros(M)
    let mut change = 1.0
    for _ in 0..rounds while change > 1e-5 {
        let old = f
        f = -logsumexp(k + g[None, :], axis: 1) - log(N)
        g = -logsumexp(k + f[:, None], axis: 0) - log(M)
        change = max(abs(f - old))
    }
    sum(exp(k + f[:, None] + g[None, :]) * cost)
}

export fn hvp_rr(x: f32[4, 2], y: f32[3, 2], v: f32[4, 2]) -> f32[4, 2] =
    grad(|x| sum(grad(|x| sinkhorn(x, y, 0.5, 8))(x) * v))(x)
export fn hvp_fr(x: f32[4, 2], y: f32[3, 2], v: f32[4, 2]) -> f32[4, 2] =
    jvp(|x| grad(|x| sinkhorn(x, y, 0.5, 8))(x))(x, v).1
export fn hvp_rf(x: f32[4, 2], y: f32[3, 2], v: f32[4, 2]) -> f32[4, 2] =
    grad(|x| jvp(|x| sinkhorn(x, y, 0.5, 8))(x, v).1)(x)
export fn hvp_ff(x: f32[4, 2], y: f32[3, 2], v: f32[4, 2]) -> f32 =
    jvp(|x| jvp(|x| sinkhorn(x, y, 0.5, 8))(x, v).1)(x, v).1

test "all ways" {
    let mut rng = seeded(8)
    let x = normal([4, 2], mut rng)
    let y = normal([3, 2], mut rng)
    let v = normal([4, 2], mut rng)
    let a = hvp_rr(x, y, v)
    assert close(a, hvp_fr(x, y, v), rtol: 1e-3, atol: 1e-4)
    assert close(a, hvp_rf(x, y, v), rtol: 1e-3, atol: 1e-4)
    assert close(sum(a * v), hvp_ff(x, y, v), rtol: 1e-3, atol: 1e-3)
    check_grad(|x| sinkhorn(x, y, 0.5, 8), x)
}
