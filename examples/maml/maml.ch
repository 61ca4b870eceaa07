//! Model-agnostic meta-learning (Finn et al., 2017): weights from which a few steps of gradient descent fit any sine. The outer gradient
//! goes through the inner steps, which are gradients themselves.

from nn import Dense
from optim import Adam

const INNER = 3
const RATE = 0.02

model Net(hidden: int = 32) {
    layers {
        Dense(1, hidden, activation: tanh)
        Dense(hidden, hidden, activation: tanh)
        Dense(hidden, 1)
    }
}

/// Amplitude and phase of a sine, with places to learn from and places to test at.
struct Task {
    amplitude: f32
    phase: f32
    seen: f32[10]
    asked: f32[10]
}

fn value(task: Task, x: f32[N]) -> f32[N] = task.amplitude * sin(x + task.phase)

fn error(net: Net, task: Task, x: f32[N]) -> f32 {
    mse(net(x[:, None])[:, 0], value(task, x))
}

/// A few steps of gradient descent on what was seen.
fn adapted(net: Net, task: Task) -> Net {
    let mut net = net
    for _ in 0..INNER { net = net - RATE * grad(error)(net, task, task.seen) }
    net
}

fn outer(net: Net, tasks: [Task; 4]) -> f32 {
    mean(stack(map(|task| error(adapted(net, task), task, task.asked))(tasks)))
}

fn task(mut rng: Rng) -> Task {
    Task(
        amplitude: uniform([], mut rng, low: 0.5, high: 3.0),
        phase: uniform([], mut rng, low: 0.0, high: pi),
        seen: uniform([10], mut rng, low: -4.0, high: 4.0),
        asked: uniform([10], mut rng, low: -4.0, high: 4.0),
    )
}

/// One step of Adam on the error after adaptation, averaged over four tasks.
export fn meta_step(mut net: Net, mut adam: Adam<Net>, mut rng: Rng, lr: f32) -> f32 {
    let tasks = [task(mut rng), task(mut rng), task(mut rng), task(mut rng)]
    let (loss, g) = value_and_grad(outer)(net, tasks)
    adam.update(mut net, g, lr: lr)
    loss
}

/// The error after adaptation to given tasks, and its gradient.
export fn meta_gradient(net: Net, tasks: [Task; 4]) -> (f32, Grad<Net>) = value_and_grad(outer)(net, tasks)

/// The error on a new task before and after adaptation.
export fn test(net: Net, mut rng: Rng) -> (f32, f32) {
    let new = task(mut rng)
    (error(net, new, new.asked), error(adapted(net, new), new, new.asked))
}

fn main() {
    let mut rng = seeded(2)
    let mut net = Net.init(mut rng)
    let mut adam = Adam.init(net)
    for i in 0..3000 {
        let loss = meta_step(mut net, mut adam, mut rng, 2e-3)
        if i % 500 == 0 { print("step", i, "error after adaptation", loss) }
    }
    let mut before = 0.0
    let mut after = 0.0
    for _ in 0..100 {
        let (b, a) = test(net, mut rng)
        before = before + b / 100.0
        after = after + a / 100.0
    }
    print("100 new tasks: before", before, "after", after)
}
