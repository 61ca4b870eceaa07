//! A small classifier trained from the first step to the last inside one call: 1000 samples, 5 epochs.

from "mlp.ch" import MLP, train_sgd, train_adam
from optim import Adam

const SAMPLES = 1000
const EPOCHS = 5

/// 5 epochs of plain gradient descent, one sample a step. Returns the last loss and the trained network.
export fn fit_sgd_1(start: MLP, x: f32[SAMPLES, 784], y: i32[SAMPLES]) -> (f32, MLP) {
    let mut net = start
    let mut loss = 0.0
    for _ in 0..EPOCHS {
        for i in 0..SAMPLES { loss = train_sgd(mut net, x[i:i+1], y[i:i+1]) }
    }
    (loss, net)
}

/// 5 epochs of plain gradient descent, in batches of 32, the last of an epoch smaller. Returns the last loss and the trained network.
export fn fit_sgd_32(start: MLP, x: f32[SAMPLES, 784], y: i32[SAMPLES]) -> (f32, MLP) {
    let mut net = start
    let mut loss = 0.0
    for _ in 0..EPOCHS {
        for i in 0..31 { loss = train_sgd(mut net, x[32*i:32*i+32], y[32*i:32*i+32]) }
        loss = train_sgd(mut net, x[992:1000], y[992:1000])
    }
    (loss, net)
}

/// 5 epochs of Adam, one sample a step. Returns the last loss and the trained network.
export fn fit_adam_1(start: MLP, x: f32[SAMPLES, 784], y: i32[SAMPLES]) -> (f32, MLP) {
    let mut net = start
    let mut adam = Adam.init(net)
    let mut loss = 0.0
    for _ in 0..EPOCHS {
        for i in 0..SAMPLES { loss = train_adam(mut net, mut adam, x[i:i+1], y[i:i+1]) }
    }
    (loss, net)
}

/// 5 epochs of Adam, in batches of 32, the last of an epoch smaller. Returns the last loss and the trained network.
export fn fit_adam_32(start: MLP, x: f32[SAMPLES, 784], y: i32[SAMPLES]) -> (f32, MLP) {
    let mut net = start
    let mut adam = Adam.init(net)
    let mut loss = 0.0
    for _ in 0..EPOCHS {
        for i in 0..31 { loss = train_adam(mut net, mut adam, x[32*i:32*i+32], y[32*i:32*i+32]) }
        loss = train_adam(mut net, mut adam, x[992:1000], y[992:1000])
    }
    (loss, net)
}
