//! Predicts an age from three lengths and a weight; how much each sample counts comes with the data.

from nn import Dense, Dropout
from optim import Adam

model Body(width: int = 8) {
    layers {
        Dense(4, width, activation: tanh)
        Dropout(0.1)
        Dense(width, 1)
    }
}

fn features(lengths: f32[M, 3], mass: f32[M]) -> f32[M, 4] = concat([lengths, mass[:, None]], axis: 1)

fn misfit(body: Body, lengths: f32[M, 3], mass: f32[M], age: f32[M], mut luck: Rng) -> f32 {
    mean((body(features(lengths, mass), rng: mut luck)[:, 0] - age) ** 2)
}

/// One step; two states and a stream are changed.
export fn learn(
    lengths: f32[M, 3],
    mass: f32[M],
    mut body: Body,
    age: f32[M],
    mut memory: Adam<Body>,
    mut luck: Rng,
    lr: f32,
) -> f32 {
    let (loss, g) = value_and_grad(misfit)(body, lengths, mass, age, mut luck)
    memory.update(mut body, g, lr: lr)
    loss
}

struct Fit {
    error: f32
    worst: f32
}

/// How far off the predictions are, on average and at most.
export fn judge(body: Body, lengths: f32[M, 3], mass: f32[M], age: f32[M]) -> Fit {
    let off = abs(body(features(lengths, mass))[:, 0] - age)
    Fit(error: mean(off), worst: max(off))
}
