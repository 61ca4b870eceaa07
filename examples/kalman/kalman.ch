//! A Kalman filter that tracks a moving point from noisy positions, and the gradient of its likelihood: the noise levels are
//! learnt from what was seen, by differentiating through the filter.

/// What is known of the state: mean and covariance.
struct Belief(n: int) {
    mean: f64[n]
    covariance: f64[n, n]
}

/// A linear system with Gaussian noise: x' = transition x + q, z = observation x + r.
struct System(n: int, m: int) {
    transition: f64[n, n]
    process: f64[n, n]  // covariance of q
    observation: f64[m, n]
    noise: f64[m, m]  // covariance of r
}

/// The inverse and the logarithm of the determinant of a positive definite matrix, by Gauss-Jordan elimination.
fn inverse(a: f64[n, n]) -> (f64[n, n], f64) {
    let mut left = a
    let mut right = where(iota(n)[:, None] == iota(n)[None, :], 1.0, 0.0) as f64
    let mut logdet = 0.0 as f64
    for k in 0..n {
        let pivot = left[k, k]
        logdet += log(pivot)
        let row = left[k] / pivot
        let other = right[k] / pivot
        let factor = left[:, k]
        left = left - factor[:, None] * row[None, :]
        right = right - factor[:, None] * other[None, :]
        left[k] = row
        right[k] = other
    }
    (right, logdet)
}

/// One step: predict, then correct by the measurement `z`. Returns the log-likelihood of `z` before it was seen.
fn step(s: System(n, m), mut b: Belief(n), z: f64[m]) -> f64 {
    let mean = s.transition @ b.mean
    let covariance = s.transition @ b.covariance @ s.transition.T + s.process
    let surprise = z - s.observation @ mean
    let spread = s.observation @ covariance @ s.observation.T + s.noise
    let (precision, logdet) = inverse(spread)
    let gain = covariance @ s.observation.T @ precision
    b.mean = mean + gain @ surprise
    b.covariance = covariance - gain @ s.observation @ covariance
    -0.5 * (sum(surprise * (precision @ surprise)) + logdet + m * log(2.0 * pi))
}

/// A point in the plane with velocities: position and velocity of each axis, time step `dt`.
fn constant_velocity(process: f64, noise: f64, dt: float) -> System(4, 2) {
    let move = [[1.0, 0.0, dt, 0.0], [0.0, 1.0, 0.0, dt], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]
    let kick = [
        [dt ** 3 / 3, 0.0, dt ** 2 / 2, 0.0],
        [0.0, dt ** 3 / 3, 0.0, dt ** 2 / 2],
        [dt ** 2 / 2, 0.0, dt, 0.0],
        [0.0, dt ** 2 / 2, 0.0, dt],
    ]
    let see = [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]]
    let eye = [[1.0, 0.0], [0.0, 1.0]]
    System(transition: move, process: process * kick, observation: see, noise: noise * eye)
}

/// Log-likelihood of a track; logarithms of the noise levels, so that every number is allowed.
fn log_likelihood(levels: f64[2], track: f64[T, 2]) -> f64 {
    let s = constant_velocity(exp(levels[0]), exp(levels[1]), 0.1)
    let mut b = Belief(mean: zeros(4) as f64, covariance: 10.0 * diag(ones(4) as f64))
    let mut total = 0.0 as f64
    for z in track { total += step(s, mut b, z) }
    total
}

/// Positions and velocities after each measurement.
export fn filtered(levels: f64[2], track: f64[T, 2]) -> f64[T, 4] {
    let s = constant_velocity(exp(levels[0]), exp(levels[1]), 0.1)
    let mut b = Belief(mean: zeros(4) as f64, covariance: 10.0 * diag(ones(4) as f64))
    for z in track {
        step(s, mut b, z)
        yield b.mean
    }
}

export fn fit_step(mut levels: f64[2], track: f64[T, 2], lr: f64) -> f64 {
    let (value, g) = value_and_grad(log_likelihood)(levels, track)
    levels = levels + lr * g
    value
}

/// A track of a point with the noise levels `levels`, drawn from `rng`.
fn simulated(levels: f64[2], steps: int, mut rng: Rng) -> f64[steps, 2] {
    let dt = 0.1
    let mut place = zeros(2) as f64
    let mut speed = ones(2) as f64
    for _ in 0..steps {
        let a = normal([2], mut rng) as f64
        let b = normal([2], mut rng) as f64
        // a correlated pair with the covariance of `process`
        let push = sqrt(exp(levels[0]) * dt) * a
        place = place + dt * speed + 0.5 * dt * push + sqrt(exp(levels[0]) * dt ** 3 / 12) * b
        speed = speed + push
        yield place + exp(0.5 * levels[1]) * (normal([2], mut rng) as f64)
    }
}

fn main() {
    let mut rng = seeded(3)
    let truth = [log(0.5), log(0.09)]
    let track = simulated(truth, 200, mut rng)
    let mut levels = zeros(2) as f64
    for i in 0..200 {
        let value = fit_step(mut levels, track, 0.005)
        if i % 40 == 0 { print("step", i, "log-likelihood", value, "levels", exp(levels)) }
    }
    print("process", exp(levels[0]), "noise", exp(levels[1]))
    let seen = filtered(levels, track)
    print("error of the last positions", seen[-1, 0:2] - track[-1])
}
