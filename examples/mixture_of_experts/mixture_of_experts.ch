//! A mixture of experts with sparse gates (Shazeer et al., 2017): every row goes to the two of its experts that the gate prefers, and
//! a loss keeps the load even. The task: a function that is another one in each quarter of the plane.

from nn import Dense
from optim import Adam

const EXPERTS = 4
const CHOSEN = 2

model Expert(hidden: int = 16) {
    layers {
        Dense(2, hidden, activation: tanh)
        Dense(hidden, 1)
    }
}

model Mixture {
    gate: Dense(2, EXPERTS)
    experts: [Expert; EXPERTS]

    /// Weights of the experts, all but `CHOSEN` of each row zero; they sum to one.
    fn weights(x: f32[N, 2]) -> f32[N, EXPERTS] {
        let logits = gate(x)
        let best = top_k(logits, CHOSEN).0[:, CHOSEN - 1]
        softmax(where(logits >= best[:, None], logits, -1e9))
    }

    fn forward(x: f32[N, 2]) -> f32[N] {
        let answers = concat(map(|e| e(x))(experts), axis: 1)
        sum(weights(x) * answers, axis: 1)
    }
}

/// The squared coefficient of variation of what each expert has to do.
fn imbalance(weights: f32[N, E]) -> f32 {
    let load = mean(weights, axis: 0)
    variance(load) / mean(load) ** 2
}

fn objective(net: Mixture, x: f32[N, 2], y: f32[N]) -> f32 {
    mse(net(x), y) + 0.01 * imbalance(net.weights(x))
}

export fn train_step(mut net: Mixture, mut adam: Adam<Mixture>, x: f32[N, 2], y: f32[N], lr: f32) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g, lr: lr)
    loss
}

export fn predict(net: Mixture, x: f32[N, 2]) -> f32[N] = net(x)

export fn load_of_experts(net: Mixture, x: f32[N, 2]) -> f32[EXPERTS] = mean(net.weights(x), axis: 0)

/// What is to be learnt.
fn wanted(x: f32[N, 2]) -> f32[N] {
    let a = x[:, 0]
    let b = x[:, 1]
    where(a > 0.0, where(b > 0.0, sin(3.0 * a), a * b), where(b > 0.0, b ** 2, 1.0 - a))
}

export fn batch(mut rng: Rng) -> (f32[256, 2], f32[256]) {
    let x = uniform([256, 2], mut rng, low: -1.0, high: 1.0)
    (x, wanted(x))
}

fn main() {
    let mut rng = seeded(6)
    let mut net = Mixture.init(mut rng)
    let mut adam = Adam.init(net)
    for i in 0..3000 {
        let (x, y) = batch(mut rng)
        let loss = train_step(mut net, mut adam, x, y, 3e-3)
        if i % 600 == 0 { print("step", i, "loss", loss) }
    }
    let (x, y) = batch(mut rng)
    print("error", mse(predict(net, x), y), "variance of the target", variance(y))
    print("load of the experts", load_of_experts(net, x))
}
