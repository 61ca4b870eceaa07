//! Eigenvalues of a symmetric matrix by cyclic Jacobi rotations.
fn eigen(a: f32[N, N], sweeps: int = 8) -> (f32[N], f32[N, N]) where N >= 2 {
    let mut m = a
    let mut v = diag(ones(N))
    for _ in 0..sweeps {
        for p in 0..N - 1 {
            for q in p + 1..N {
                if abs(m[p, q]) > 1e-9 {
                    let theta = (m[q, q] - m[p, p]) / (2.0 * m[p, q])
                    let t = (if theta >= 0.0 { 1.0 } else { -1.0 }) / (abs(theta) + sqrt(theta ** 2 + 1.0))
                    let c = 1.0 / sqrt(t ** 2 + 1.0)
                    let s = t * c
                    let rp = m[p]
                    let rq = m[q]
                    m[p] = c * rp - s * rq
                    m[q] = s * rp + c * rq
                    let cp = m[:, p]
                    let cq = m[:, q]
                    m[:, p] = c * cp - s * cq
                    m[:, q] = s * cp + c * cq
                    let vp = v[:, p]
                    let vq = v[:, q]
                    v[:, p] = c * vp - s * vq
                    v[:, q] = s * vp + c * vq
                }
            }
        }
    }
    let values = for i in 0..N { yield m[i, i] }
    let order = argsort(values)
    (values[order], v[:, order])
}

export fn spectrum(a: f32[N, N]) -> (f32[N], f32[N, N]) where N >= 2 = eigen(0.5 * (a + a.T))
export fn slopes(a: f32[3, 3]) -> f32[3, 3] = grad(|a| eigen(0.5 * (a + a.T), sweeps: 5).0[0])(a)

test "jacobi" {
    let a = tensor([[2.0, 0.5, 0.1], [0.5, 1.0, -0.3], [0.1, -0.3, 3.0]])
    let (w, v) = eigen(a)
    assert close(a @ v, v * w[None, :], atol: 1e-4)
    assert close(sum(w), 6.0)
    check_grad(|a| eigen(0.5 * (a + a.T), sweeps: 4).0[2], a)
}
