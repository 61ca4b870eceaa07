//! Bodies under gravity by the leapfrog method, and how the end depends on the beginning: the exact derivative of the discrete flow.

const G = 1.0

/// Positions and velocities of K bodies in the plane.
struct Bodies(K: int) {
    place: f64[K, 2]
    speed: f64[K, 2]
}

/// The pull on every body; `softening` keeps it finite where two meet.
fn acceleration(place: f64[K, 2], mass: f64[K], softening: float = 0.05) -> f64[K, 2] {
    let d = place[None, :, :] - place[:, None, :]  // from i to j
    let r2 = sum(d ** 2, axis: -1) + softening ** 2
    sum(d * (G * mass[None, :] / (r2 * sqrt(r2)))[:, :, None], axis: 1)
}

/// Kick, drift, kick (Verlet, 1967): second order, and symplectic.
fn leapfrog(b: Bodies(K), mass: f64[K], dt: f64, STEPS: int) -> Bodies(K) {
    let mut b = b
    for _ in 0..STEPS {
        b.speed = b.speed + 0.5 * dt * acceleration(b.place, mass)
        b.place = b.place + dt * b.speed
        b.speed = b.speed + 0.5 * dt * acceleration(b.place, mass)
    }
    b
}

fn energy(b: Bodies(K), mass: f64[K], softening: float = 0.05) -> f64 {
    let d = b.place[None, :, :] - b.place[:, None, :]
    let r = sqrt(sum(d ** 2, axis: -1) + softening ** 2)
    let pairs = where(iota(K)[:, None] < iota(K)[None, :], mass[:, None] * mass[None, :] / r, 0.0)
    0.5 * sum(mass[:, None] * b.speed ** 2) - G * sum(pairs)
}

/// Places, then velocities, as one vector.
fn flat(b: Bodies(K)) -> f64[4 * K] = concat([b.place.reshape(2 * K), b.speed.reshape(2 * K)], axis: 0)

fn unflat(z: f64[4 * K], K: int) -> Bodies(K) {
    Bodies(place: z[0:2*K].reshape(K, 2), speed: z[2*K:4*K].reshape(K, 2))
}

export fn run(b: Bodies(3), mass: f64[3], dt: f64) -> Bodies(3) = leapfrog(b, mass, dt, 1000)

/// d end / d beginning, a 12 x 12 matrix: twelve forward derivatives side by side, no trajectory is kept.
export fn sensitivity(b: Bodies(3), mass: f64[3], dt: f64) -> f64[12, 12] {
    jacobian(|z| flat(leapfrog(unflat(z, 3), mass, dt, 1000)))(flat(b))
}

/// How far the third body ends from a target, and the speed that it should have had: the gradient in reverse.
fn miss(speed: f64[2], b: Bodies(3), mass: f64[3], target: f64[2], dt: f64) -> f64 {
    let mut b = b
    b.speed[2] = speed
    sum((leapfrog(b, mass, dt, 200).place[2] - target) ** 2)
}

export fn aim_step(mut speed: f64[2], b: Bodies(3), mass: f64[3], target: f64[2], dt: f64, lr: f64) -> f64 {
    let (value, g) = value_and_grad(miss)(speed, b, mass, target, dt)
    speed = speed - lr * g
    value
}

export fn total_energy(b: Bodies(3), mass: f64[3]) -> f64 = energy(b, mass)

fn main() {
    // the figure-eight orbit of Chenciner and Montgomery (2000)
    let place = tensor([[0.97000436, -0.24308753], [-0.97000436, 0.24308753], [0.0, 0.0]]) as f64
    let speed = tensor(
        [[0.466203685, 0.43236573], [0.466203685, 0.43236573], [-0.93240737, -0.86473146]]
    ) as f64
    let b = Bodies(place: place, speed: speed)
    let mass = ones(3) as f64
    let end = run(b, mass, 0.002)
    print("energy before", total_energy(b, mass), "after", total_energy(end, mass))
    let j = sensitivity(b, mass, 0.002)
    let omega = concat(
        [concat([zeros(6, 6), diag(ones(6))], axis: 1), concat([-diag(ones(6)), zeros(6, 6)], axis: 1)],
        axis: 0,
    ) as f64
    print("how far from symplectic", max(abs(j.T @ omega @ j - omega)), "largest entry", max(abs(j)))
    let target = tensor([0.2, 0.1]) as f64
    let mut v = speed[2]
    for i in 0..60 {
        let value = aim_step(mut v, b, mass, target, 0.002, 0.3)
        if i % 20 == 0 { print("miss", value) }
    }
    print("speed to hit the target", v, "miss", aim_step(mut v, b, mass, target, 0.002, 0.3))
}
