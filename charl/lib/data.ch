//! Data inside a program: order, batches, and augmentations that draw from a stream. (`batches(…)` of `fn main()` goes over data that was loaded.)

/// x [N, *S] and y [N, *T] in the same random order along their first axis.
fn shuffled<E: number, F: number>(x: E[N, *S], y: F[N, *T], mut rng: Rng) -> (E[N, *S], F[N, *T]) {
    let order = permutation(N, mut rng)
    (x[order], y[order])
}

/// Rows i * size to (i + 1) * size of x [N, *S], which is [size, *S]: batch number i. A batch that does not fit is shifted back.
fn batch<E: number>(x: E[N, *S], i: i32, size: int) -> E[size, *S] = x[i*size:i*size+size]

/// Convex combinations of pairs of examples and of their targets, with one weight from Beta(alpha, alpha) for the batch (Zhang et al., 2018):
/// x [N, *S], and y [N, C] as probabilities.
fn mixup(x: f32[N, *S], y: f32[N, *T], mut rng: Rng, alpha: float = 0.2) -> (f32[N, *S], f32[N, *T]) {
    let weight = beta(mut rng, alpha, alpha)
    let order = permutation(N, mut rng)
    (mixed(x, order, weight), mixed(y, order, weight))
}

/// weight * x + (1 - weight) * x[order].
fn mixed(x: f32[N, *S], order: i32[N], weight: f32) -> f32[N, *S] = weight * x + (1.0 - weight) * x[order]

/// One number from the beta distribution, by Joehnk's method (1964), which suits a and b of at most 1 or so.
fn beta(mut rng: Rng, a: float, b: float) -> f32 {
    let mut x = 1.0
    let mut y = 1.0
    while x + y > 1.0 or x + y == 0.0 {
        x = exp(log(1.0 - uniform([], mut rng)) / a)
        y = exp(log(1.0 - uniform([], mut rng)) / b)
    }
    x / (x + y)
}

/// A square of side `size` around a random place set to 0 in every image of x [N, C, H, W]; at the border a part of it (DeVries and Taylor, 2017).
fn cutout(x: f32[N, C, H, W], size: int, mut rng: Rng) -> f32[N, C, H, W] {
    let row = floor(uniform([N], mut rng) * H) as i32
    let column = floor(uniform([N], mut rng) * W) as i32
    erased(x, row, column, size)
}

/// x [N, C, H, W] with zeros in rows row - size / 2 to row + (size + 1) / 2, and columns likewise.
fn erased(x: f32[N, C, H, W], row: i32[N], column: i32[N], size: int) -> f32[N, C, H, W] {
    let i = iota(H) - (row[:, None] - div(size, 2))
    let j = iota(W) - (column[:, None] - div(size, 2))
    let hit = (i >= 0 and i < size)[:, None, :, None] and (j >= 0 and j < size)[:, None, None, :]
    where(hit, 0.0, x)
}
