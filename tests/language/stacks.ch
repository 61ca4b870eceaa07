//! Stacks in signatures: structs and models of which every tensor has first axes.

from nn import Dense
from optim import Adam

struct Particle { position: f32[3], velocity: f32[3], mass: f32 }

fn energy(p: Particle) -> f32 = 0.5 * p.mass * sum(p.velocity ** 2)

fn moved(p: Particle, dt: f32) -> Particle {
    Particle(position: p.position + dt * p.velocity, velocity: p.velocity, mass: p.mass)
}

fn total(all: Particle[N]) -> f32 = sum(vmap(energy)(all))

/// One step of all, their energy, and the second of them.
export fn step(mut all: Particle[N], dt: f32) -> (f32, Particle) where N >= 2 {
    all = vmap(|p| moved(p, dt))(all)
    all.mass[0] = 2.0
    (total(all), all[1])
}

/// Two change places; then all in another order.
export fn swap(mut all: Particle[N], i: i32, j: i32, order: i32[M]) -> Particle[M] {
    let held = all[i]
    all[i] = all[j]
    all[j] = held
    all[order]
}

/// What is added to elements, an element named twice both times, and taken from a slice; a third scales one.
export fn kicked(mut all: Particle[N], by: Particle, i: i32, twice: i32[M]) where N >= 4 {
    all[i] += 2.0 * by
    all[twice] += by
    all[1:3] -= all[0:2]
    all[i] *= 0.5
}

export fn forces(all: Particle[N]) -> Particle[N] = grad(total)(all)

/// Of a table of particles: the first row, every second row from the end, the last column.
export fn cut(all: Particle[N, M]) -> (Particle[M], Particle[2, M], Particle[N]) where N >= 4, M >= 1 {
    (all[0], all[3:0:-2], all[..., -1])
}

/// The heaviest so far at every place, one after the other.
export fn records(all: Particle[N]) -> f32[N] {
    let mut most = 0.0
    for p in all {
        most = max(most, p.mass)
        yield most
    }
}

model Layer(d: int) {
    dense: Dense(d, d, activation: tanh)
    fn forward(x: f32[N, d]) -> f32[N, d] = x + dense(x)
}

model Deep(d: int = 4, depth: int = 5) {
    hidden: Layer(d)[depth]
    out: Dense(d, 3)

    fn forward(x: f32[N, d]) -> f32[N, 3] {
        let mut x = x
        for layer in hidden { x = layer(x) }
        out(x)
    }
}

/// The same layers as a run.
model Run(d: int = 4, depth: int = 5) {
    hidden: [Layer(d); depth]
    out: Dense(d, 3)

    fn forward(x: f32[N, d]) -> f32[N, 3] {
        let mut x = x
        for layer in hidden { x = layer(x) }
        out(x)
    }
}

fn objective(net: Deep, x: f32[N, net.d], y: i32[N]) -> f32 = cross_entropy(net(x), y)
fn of_run(net: Run, x: f32[N, net.d], y: i32[N]) -> f32 = cross_entropy(net(x), y)

export fn train(mut net: Deep, mut adam: Adam<Deep>, x: f32[N, net.d], y: i32[N], lr: f32) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g, lr: lr)
    loss
}

export fn train_run(mut net: Run, mut adam: Adam<Run>, x: f32[N, net.d], y: i32[N], lr: f32) -> f32 {
    let (loss, g) = value_and_grad(of_run)(net, x, y)
    adam.update(mut net, g, lr: lr)
    loss
}

/// What every net of an ensemble says.
export fn ensemble(nets: Layer(4)[K], x: f32[N, 4]) -> f32[K, N, 4] = vmap(|net| net(x))(nets)
