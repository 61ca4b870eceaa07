//! A multilayer perceptron of the usual size for such figures: 784 inputs, 128 hidden units, 10 classes.

from nn import Dense
from optim import Adam

model MLP {
    layers {
        Dense(784, 128, activation: relu)
        Dense(128, 10)
    }
}

/// Class probabilities of every row.
export fn predict(net: MLP, x: f32[N, 784]) -> f32[N, 10] = softmax(net(x))

fn objective(net: MLP, x: f32[N, 784], y: i32[N]) -> f32 = cross_entropy(net(x), y)

/// One step of plain gradient descent. Returns the loss before it.
export fn train_sgd(mut net: MLP, x: f32[N, 784], y: i32[N]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    net = net - 0.01 * g
    loss
}

/// One step of Adam. Returns the loss before it.
export fn train_adam(mut net: MLP, mut adam: Adam<MLP>, x: f32[N, 784], y: i32[N]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g, lr: 1e-3)
    loss
}
