//! A physics-informed net (Raissi et al., 2019): a network that solves the heat equation u_t = kappa u_xx on 0..1 with u = 0 at both ends
//! and u(x, 0) = sin(pi x), by making its own derivatives fit. The exact solution is exp(-kappa pi^2 t) sin(pi x).

from nn import Dense
from optim import Adam

const kappa = 0.2

model Net(hidden: int = 32) {
    layers {
        Dense(2, hidden, activation: tanh)
        Dense(hidden, hidden, activation: tanh)
        Dense(hidden, 1)
    }
}

/// The net's answer, made to be right at t = 0 and at both ends.
fn u(net: Net, x: f32, t: f32) -> f32 {
    let free = net(tensor([[x, t]]))[0, 0]
    sin(pi * x) + t * x * (1.0 - x) * free
}

/// u_t - kappa u_xx at a point.
fn residual(net: Net, x: f32, t: f32) -> f32 {
    let u_t = grad(|t| u(net, x, t))(t)
    let u_xx = grad(grad(|x| u(net, x, t)))(x)
    u_t - kappa * u_xx
}

fn objective(net: Net, x: f32[N], t: f32[N]) -> f32 {
    mean(vmap(|x, t| residual(net, x, t))(x, t) ** 2)
}

/// One step of Adam on 64 random points of the domain.
export fn train_step(mut net: Net, mut adam: Adam<Net>, mut rng: Rng, lr: f32) -> f32 {
    let x = uniform([64], mut rng)
    let t = uniform([64], mut rng)
    let (loss, g) = value_and_grad(objective)(net, x, t)
    adam.update(mut net, g, lr: lr)
    loss
}

/// How far from its equation the net is at some places.
export fn residuals(net: Net, x: f32[N], t: f32[N]) -> f32[N] = vmap(|x, t| residual(net, x, t))(x, t)

export fn solution(net: Net, x: f32[N], t: f32[N]) -> f32[N] = vmap(|x, t| u(net, x, t))(x, t)

fn main() {
    let mut rng = seeded(1)
    let mut net = Net.init(mut rng)
    let mut adam = Adam.init(net)
    for i in 0..2000 {
        let loss = train_step(mut net, mut adam, mut rng, 2e-3)
        if i % 400 == 0 { print("step", i, "residual", loss) }
    }
    let x = (iota(11) as f32) * 0.1
    for t in [0.25, 0.5, 1.0] {
        let exact = exp(-kappa * pi ** 2 * t) * sin(pi * x)
        print("t", t, "largest error", max(abs(solution(net, x, zeros(11) + t) - exact)))
    }
}
