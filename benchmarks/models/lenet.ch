//! LeNet-5 on 28 x 28 images, with relu and maximum pools.

from conv import Conv2d, MaxPool2d
from nn import Dense, Flatten

model LeNet {
    layers {
        Conv2d(1, 6, 5, padding: 2, activation: relu)
        MaxPool2d(2)
        Conv2d(6, 16, 5, activation: relu)
        MaxPool2d(2)
        Flatten()
        Dense(400, 120, activation: relu)
        Dense(120, 84, activation: relu)
        Dense(84, 10)
    }
}

/// Class probabilities.
export fn predict(net: LeNet, x: f32[N, 1, 28, 28]) -> f32[N, 10] = softmax(net(x))

fn objective(net: LeNet, x: f32[N, 1, 28, 28], y: i32[N]) -> f32 = cross_entropy(net(x), y)

/// One step of plain gradient descent. Returns the loss before it.
export fn train_step(mut net: LeNet, x: f32[N, 1, 28, 28], y: i32[N]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    net = net - 0.01 * g
    loss
}
