//! A multilayer perceptron of the usual size for such figures: 784 inputs, 128 hidden units, 10 classes.

from nn import Dense

model MLP {
    layers {
        Dense(784, 128, activation: relu)
        Dense(128, 10)
    }
}

/// The ten scores of every row.
export fn forward(net: MLP, x: f32[N, 784]) -> f32[N, 10] {
    net(x)
}

fn objective(net: MLP, x: f32[N, 784], y: i32[N]) -> f32 {
    cross_entropy(net(x), y)
}

/// One step of plain gradient descent, learning rate 0.01. Returns the loss before it.
export fn train_step(mut net: MLP, x: f32[N, 784], y: i32[N]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    net = net - 0.01 * g
    loss
}
