//! A small diffusion model (Ho et al., Denoising diffusion probabilistic models, 2020): points of a spiral from noise. The whole
//! sampler, a loop of 100 steps, is one exported function.

from nn import Dense
from optim import Adam

const STEPS = 100

model Denoiser(hidden: int = 64) {
    layers {
        Dense(2 + 8, hidden, activation: silu)
        Dense(hidden, hidden, activation: silu)
        Dense(hidden, hidden, activation: silu)
        Dense(hidden, 2)
    }
}

/// Variance added in step t = 0, 1, …: from 1e-4 to 0.05.
fn beta(t: i32[*S]) -> f32[*S] = 1e-4 + (0.05 - 1e-4) / (STEPS - 1) * (t as f32)

/// How much of the signal is left after every step: the running products of 1 - beta.
fn signal() -> f32[STEPS] = exp(cumsum(log(1.0 - beta(iota(STEPS))), axis: 0))

/// What the net sees of the time: sines and cosines of four frequencies.
fn clock(t: i32[N]) -> f32[N, 8] {
    let angle = (t as f32)[:, None] / STEPS * tensor([1.0, 2.0, 4.0, 8.0])[None, :] * pi
    concat([sin(angle), cos(angle)], axis: 1)
}

/// The noise in `x` at time `t`, as the net sees it.
fn noise(net: Denoiser, x: f32[N, 2], t: i32[N]) -> f32[N, 2] = net(concat([x, clock(t)], axis: 1))

fn objective(net: Denoiser, x: f32[N, 2], mut rng: Rng) -> f32 {
    let t = (uniform([N], mut rng) * (STEPS * 1.0)) as i32
    let kept = signal()[t][:, None]
    let e = normal([N, 2], mut rng)
    mse(noise(net, sqrt(kept) * x + sqrt(1.0 - kept) * e, t), e)
}

export fn train_step(
    mut net: Denoiser, mut adam: Adam<Denoiser>, mut rng: Rng, x: f32[N, 2], lr: f32
) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, mut rng)
    adam.update(mut net, g, lr: lr)
    loss
}

/// `N` points of a spiral, with a little noise.
fn spiral(shape: f32[N], mut rng: Rng) -> f32[N, 2] {
    let a = 3.0 * pi * sqrt(uniform([N], mut rng))
    stack([a * cos(a), a * sin(a)], axis: 1) / (3.0 * pi) + 0.01 * normal([N, 2], mut rng)
}

/// Points from noise: the net takes the noise away in small steps.
export fn sample(net: Denoiser, mut rng: Rng) -> f32[256, 2] {
    let mut x = normal([256, 2], mut rng)
    let kept = signal()
    for k in 0..STEPS {
        let t = STEPS - 1 - k
        let b = beta(t)
        let mean = (x - b / sqrt(1.0 - kept[t]) * noise(net, x, zeros(256) as i32 + t)) / sqrt(1.0 - b)
        x = mean + where(t > 0, sqrt(b), 0.0) * normal([256, 2], mut rng)
    }
    x
}

/// Mean distance of points to the spiral.
export fn distance(x: f32[N, 2]) -> f32 {
    let a = 3.0 * pi / 400 * ((iota(400) as f32) + 1.0)
    let curve = stack([a * cos(a), a * sin(a)], axis: 1) / (3.0 * pi)
    mean(sqrt(min(sum((x[:, None, :] - curve[None, :, :]) ** 2, axis: -1), axis: 1)))
}

export fn batch(mut rng: Rng) -> f32[128, 2] = spiral(zeros(128), mut rng)

fn main() {
    let mut rng = seeded(1)
    let mut net = Denoiser.init(mut rng)
    let mut adam = Adam.init(net)
    let mut smooth = 1.0
    for i in 0..6000 {
        let loss = train_step(mut net, mut adam, mut rng, batch(mut rng), 1e-3)
        smooth = 0.99 * smooth + 0.01 * loss
        if i % 1000 == 999 { print("step", i + 1, "error of the noise", smooth) }
    }
    print(
        "distance to the spiral: data",
        distance(batch(mut rng)),
        "drawn",
        distance(sample(net, mut rng)),
        "noise",
        distance(normal([256, 2], mut rng)),
    )
}
