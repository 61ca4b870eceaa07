//! Data inside a program: order, batches, and augmentations that draw from a stream. (`batches(…)` of `fn main()` goes over data that was loaded.)

/// (x[order], y[order]) for one random order of the rows.
///
/// Shapes: x [N, *S] and y [N, *T], to the same. Source: torch.randperm.
fn shuffled<E: number, F: number>(x: E[N, *S], y: F[N, *T], mut rng: Rng) -> (E[N, *S], F[N, *T]) {
    let order = permutation(N, mut rng)
    (x[order], y[order])
}

/// x[i * size : i * size + size], batch number i. A batch that does not fit is shifted back.
///
/// Shapes: [N, *S] to [size, *S]. Source: jax.lax.dynamic_slice_in_dim.
fn batch<E: number>(x: E[N, *S], i: i32, size: int) -> E[size, *S] = x[i*size:i*size+size]

/// weight * x + (1 - weight) * x[order] and the same of y: convex combinations of pairs of examples and of their targets, with
/// one weight from Beta(alpha, alpha) for the batch.
///
/// Shapes: x [N, *S], and y [N, C] as probabilities, to the same. Source: Zhang et al. (2018), section 2.
fn mixup(x: f32[N, *S], y: f32[N, *T], mut rng: Rng, alpha: float = 0.2) -> (f32[N, *S], f32[N, *T]) {
    let weight = beta(mut rng, alpha, alpha)
    let order = permutation(N, mut rng)
    (mixed(x, order, weight), mixed(y, order, weight))
}

/// weight * x + (1 - weight) * x[order], what `mixup` makes of each array.
///
/// Shapes: x [N, *S], order i32[N], weight a scalar, to [N, *S]. Source: Zhang et al. (2018), section 2; torch.lerp.
fn mixed(x: f32[N, *S], order: i32[N], weight: f32) -> f32[N, *S] = weight * x + (1.0 - weight) * x[order]

/// One number x / (x + y) from the beta distribution, with x = u ** (1 / a) and y = v ** (1 / b) of uniform u and v, drawn
/// until x + y <= 1. Suits a and b of at most 1 or so.
///
/// Shapes: a scalar. Source: Joehnk (1964).
fn beta(mut rng: Rng, a: float, b: float) -> f32 {
    let mut x = 1.0
    let mut y = 1.0
    while x + y > 1.0 or x + y == 0.0 {
        x = exp(log(1.0 - uniform([], mut rng)) / a)
        y = exp(log(1.0 - uniform([], mut rng)) / b)
    }
    x / (x + y)
}

/// A square of side `size` = 0 around a random place in every image; at the border a part of it.
///
/// Shapes: [N, C, H, W] to the same. Source: DeVries and Taylor (2017), section 3.
fn cutout(x: f32[N, C, H, W], size: int, mut rng: Rng) -> f32[N, C, H, W] {
    let row = floor(uniform([N], mut rng) * H) as i32
    let column = floor(uniform([N], mut rng) * W) as i32
    erased(x, row, column, size)
}

/// x with zeros in rows row - div(size, 2) to row - div(size, 2) + size (exclusive), and columns likewise: what `cutout` does
/// to given places.
///
/// Shapes: x [N, C, H, W], row and column i32[N], to [N, C, H, W]. Source: DeVries and Taylor (2017), section 3.
fn erased(x: f32[N, C, H, W], row: i32[N], column: i32[N], size: int) -> f32[N, C, H, W] {
    let i = iota(H) - (row[:, None] - div(size, 2))
    let j = iota(W) - (column[:, None] - div(size, 2))
    let hit = (i >= 0 and i < size)[:, None, :, None] and (j >= 0 and j < size)[:, None, None, :]
    where(hit, 0.0, x)
}
