//! An LSTM of 256 units over sequences, and a classifier of its last output.

from nn import Dense
from optim import Adam

model Lstm(i: int, h: int) {
    param wx: f32[i, 4 * h] = glorot_uniform()
    param wh: f32[h, 4 * h] = orthogonal()
    param b: f32[4 * h] = zeros()

    fn forward(x: f32[B, T, i]) -> f32[B, T, h] {
        let pre = x @ wx + b
        let mut hid = zeros(B, h)
        let mut cell = zeros(B, h)
        let hs = for t in 0..T {
            let [a, f, g, o] = split(pre[:, t] + hid @ wh, 4, axis: -1)
            cell = sigmoid(f) * cell + sigmoid(a) * tanh(g)
            hid = sigmoid(o) * tanh(cell)
            yield hid
        }
        hs.transpose(1, 0, 2)
    }
}

model Classifier {
    lstm: Lstm(256, 256)
    out: Dense(256, 10)

    fn forward(x: f32[B, T, 256]) -> f32[B, 10] = out(lstm(x)[:, -1])
}

/// The output at every step.
export fn run(net: Lstm(256, 256), x: f32[B, T, 256]) -> f32[B, T, 256] = net(x)

fn objective(net: Classifier, x: f32[B, T, 256], y: i32[B]) -> f32 = cross_entropy(net(x), y)

/// One step of Adam. Returns the loss before it.
export fn train_step(mut net: Classifier, mut adam: Adam<Classifier>, x: f32[B, T, 256], y: i32[B]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g, lr: 1e-4)
    loss
}
