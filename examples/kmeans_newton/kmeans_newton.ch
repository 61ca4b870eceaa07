//! K-means by Newton's method: the quantisation error is piecewise quadratic in the centres, so that one Newton step is one
//! iteration of Lloyd's algorithm (Bottou and Bengio, Convergence properties of the k-means algorithms, 1995).

/// Half of the mean squared distance of every point to its nearest centre.
fn quantisation(centres: f64[K, D], x: f64[N, D]) -> f64 {
    let distance = sum((x[:, None, :] - centres[None, :, :]) ** 2, axis: -1)
    0.5 * mean(min(distance, axis: 1))
}

/// The solution of `a @ x = b` by Gauss-Jordan elimination, for a positive definite matrix.
fn solve(a: f64[n, n], b: f64[n]) -> f64[n] {
    let mut left = a
    let mut right = b
    for k in 0..n {
        let row = left[k] / left[k, k]
        let other = right[k] / left[k, k]
        let factor = left[:, k]
        left = left - factor[:, None] * row[None, :]
        right = right - factor * other
        left[k] = row
        right[k] = other
    }
    right
}

/// One step of Newton's method; returns the error before it. A centre that nobody is nearest to has no curvature, and stays.
export fn newton_step(mut centres: f64[K, D], x: f64[N, D]) -> f64 {
    let flat = |c: f64[K * D]| quantisation(c.reshape(K, D), x)
    let here = centres.reshape(K * D)
    let (value, g) = value_and_grad(flat)(here)
    let h = hessian(flat)(here)
    let idle = diag(where(sum(abs(h), axis: 1) > 0.0, 0.0, 1.0) as f64)
    centres = (here - solve(h + idle, g)).reshape(K, D)
    value
}

/// One iteration of Lloyd's algorithm: every centre goes to the mean of the points nearest to it.
export fn lloyd_step(mut centres: f64[K, D], x: f64[N, D]) {
    let distance = sum((x[:, None, :] - centres[None, :, :]) ** 2, axis: -1)
    let mine = argmin(distance, axis: 1)
    let mut total = zeros_like(centres)
    let mut count = zeros(K)
    total[mine] += x
    count[mine] += 1.0
    centres = where((count > 0.0)[:, None], total / (max(count, 1.0) as f64)[:, None], centres)
}

fn main() {
    let mut rng = seeded(5)
    let x = concat(
        [
            0.4 * normal([60, 2], mut rng),
            0.4 * normal([60, 2], mut rng) + tensor([2.0, 0.0]),
            0.4 * normal([60, 2], mut rng) + tensor([1.0, 1.7]),
        ],
        axis: 0,
    ) as f64
    let mut centres = tensor([[-0.5, 0.3], [0.8, -0.4], [0.6, 0.9]]) as f64
    let mut other = centres
    for i in 0..8 {
        let value = newton_step(mut centres, x)
        lloyd_step(mut other, x)
        print("step", i, "error", value, "apart from Lloyd", max(abs(centres - other)))
    }
    print("centres", centres)
}
