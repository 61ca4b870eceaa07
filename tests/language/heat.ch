//! Heat equation: explicit, and Crank-Nicolson by the Thomas algorithm; an inverse problem for the source.
fn laplace(u: f32[N]) -> f32[N] where N >= 3 {
    let mut out = zeros(N)
    out[1:-1] = u[2:] - 2.0 * u[1:-1] + u[:-2]
    out
}

fn explicit_step(u: f32[N], r: f32) -> f32[N] where N >= 3 = u + r * laplace(u)

fn thomas(lower: f32, diag: f32, upper: f32, b: f32[N]) -> f32[N] where N >= 2 {
    let mut c = zeros(N)
    let mut d = zeros(N)
    c[0] = upper / diag
    d[0] = b[0] / diag
    for i in 1..N {
        let m = diag - lower * c[i - 1]
        c[i] = upper / m
        d[i] = (b[i] - lower * d[i - 1]) / m
    }
    let mut x = d
    for k in 1..N {
        let i = N - 1 - k
        x[i] = d[i] - c[i] * x[i + 1]
    }
    x
}

fn crank(u: f32[N], r: f32) -> f32[N] where N >= 3 {
    let right = u + 0.5 * r * laplace(u)
    thomas(-0.5 * r, 1.0 + r, -0.5 * r, right)
}

fn simulate(u: f32[N], r: f32, steps: int) -> f32[N] where N >= 3 {
    let mut v = u
    for _ in 0..steps { v = crank(v, r) }
    v
}

fn misfit(u: f32[N], target: f32[N], r: f32) -> f32 where N >= 3 = sum((simulate(u, r, 8) - target) ** 2)

export fn solve(u: f32[N], r: f32) -> f32[N] where N >= 3, N <= 64 = simulate(u, r, 8)
export fn inverse(u: f32[N], target: f32[N], r: f32) -> (f32, (f32[N], f32)) where N >= 3 =
    value_and_grad(misfit, wrt: (0, 2))(u, target, r)

export fn explicit_path(u: f32[N], r: f32) -> f32[20, N] where N >= 3 {
    let mut v = u
    for _ in 0..20 {
        v = explicit_step(v, r)
        yield v
    }
}

test "heat" {
    let u = [0.0, 0.5, 1.0, 0.3, 0.0]
    let target = [0.0, 0.1, 0.2, 0.1, 0.0]
    check_grad(|u| misfit(u, target, 0.3), u, order: 2)
    check_grad(|r| misfit(u, target, r), 0.3)
    let x = thomas(-0.2, 1.5, -0.3, u)
    let back = 1.5 * x - 0.2 * concat([[0.0], x[:-1]]) - 0.3 * concat([x[1:], [0.0]])
    assert close(back, u)
}
