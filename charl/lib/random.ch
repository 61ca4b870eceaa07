//! Streams of random numbers and draws from them, in scope without import.

/// A stream of random numbers. Each draw uses `counter` and moves it on by one; element i of draw c is the cipher of (i, c)
/// under `key`.
///
/// Shapes: key u32[2], counter u32. Source: Threefry-2x32-20 of Salmon et al. (2011), "Parallel random numbers: as easy as 1,
/// 2, 3"; jax.extend.random.threefry_2x32.
struct Rng {
    key: u32[2]
    counter: u32

    /// Stream number `i` of those that begin here: another key. This stream does not move on.
    fn split(i: u32) -> Rng {
        let own = random_bits(key, bitnot(counter), [2])
        Rng(key: random_bits(own, i, [2]), counter: 0)
    }
}

/// `bits / 2^32`, rounded down to a multiple of 2^-24: in [0, 1).
fn unit_interval(bits: u32[*S]) -> f32[*S] = (shr(bits, 8) as f32) * 5.9604644775390625e-8

/// low + (high - low) * u with u in [0, 1), a multiple of 2 ** -24.
///
/// Shapes: any shape. Source: the upper 24 of the 32 bits that Rng draws.
fn uniform(shape, mut rng: Rng, low: float = 0.0, high: float = 1.0) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape))
    rng.counter = rng.counter + 1
    if low == 0.0 and high == 1.0 { u } else { low + (high - low) * u }
}

/// mean + std * sqrt(-2 * log(1 - u)) * cos(2 * pi * v) of uniform u and v.
///
/// Shapes: any shape. Source: Box and Muller (1958).
fn normal(shape, mut rng: Rng, mean: float = 0.0, std: float = 1.0) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape, word: 0))
    let v = unit_interval(random_bits(rng.key, rng.counter, shape, word: 1))
    rng.counter = rng.counter + 1
    let z = sqrt(-2.0 * log(1.0 - u)) * cos(2.0 * pi * v)
    if mean == 0.0 and std == 1.0 { z } else { mean + std * z }
}

/// u < p, true with probability `p`.
///
/// Shapes: any shape. Source: jax.random.bernoulli.
fn bernoulli(shape, mut rng: Rng, p: float) {
    let u = unit_interval(random_bits(rng.key, rng.counter, shape))
    rng.counter = rng.counter + 1
    u < p
}

/// 0 with probability `rate`, else x / (1 - rate), so that the mean stays.
///
/// Shapes: [*S] to [*S]. Source: Srivastava et al. (2014), section 4; torch.nn.functional.dropout.
fn dropout(x: f32[*S], rate: float, mut rng: Rng) -> f32[*S] {
    where(bernoulli([*S], mut rng, 1.0 - rate), x * (1.0 / (1.0 - rate)), 0.0)
}

/// argsort(n random words): the numbers 0..n in random order.
///
/// Shapes: i32[n]. Source: Knuth, The Art of Computer Programming 2, section 3.4.2; jax.random.permutation.
fn permutation(n: int, mut rng: Rng) -> i32[n] {
    let words = random_bits(rng.key, rng.counter, [n])
    rng.counter = rng.counter + 1
    argsort(words)
}
