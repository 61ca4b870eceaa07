//! Dense and normalising layers, embeddings and compositions: values, and gradients of inputs and parameters.

from nn import BatchNorm, Dense, Embedding, Flatten, GroupNorm, LayerNorm, Residual, RmsNorm, Sequential

fn probe(net, x, ct) {
    let ((_, y), (gx, gn)) = value_and_grad(|x, net| {
        let y = net(x)
        (sum(y * ct), y)
    }, wrt: (0, 1))(x, net)
    (y, gx, gn)
}

model Linear {
    layers { Dense(4, 3, activation: tanh) }
}

model Mixed {
    layers {
        Residual(Sequential(Dense(4, 3, activation: silu), Dense(3, 4, bias: false)))
        LayerNorm(4)
        RmsNorm(4)
    }
}

model Grouped {
    layers {
        GroupNorm(2, 4)
        Flatten()
    }
}

model Table {
    layers { Embedding(5, 3) }
}

model Batch {
    layers { BatchNorm(3) }
}

export fn linear(net: Linear, x: f32[2, 3, 4], ct: f32[2, 3, 3]) = probe(net, x, ct)

export fn mixed(net: Mixed, x: f32[2, 3, 4], ct: f32[2, 3, 4]) = probe(net, x, ct)

export fn grouped(net: Grouped, x: f32[2, 4, 3, 2], ct: f32[2, 24]) = probe(net, x, ct)

export fn table(net: Table, ids: i32[2, 4], ct: f32[2, 4, 3]) = value_and_grad(|net| sum(net(ids) * ct))(net)

export fn batch_eval(net: Batch, x: f32[4, 3, 2, 3], ct: f32[4, 3, 2, 3]) = probe(net, x, ct)

/// Training moves the running mean and variance of `net`.
export fn batch_train(mut net: Batch, mut rng: Rng, x: f32[4, 3, 2, 3], ct: f32[4, 3, 2, 3]) {
    let ((_, y), (gx, gn)) = value_and_grad(trained, wrt: (2, 0))(mut net, mut rng, x, ct)
    (y, gx, gn)
}

fn trained(mut net: Batch, mut rng: Rng, x: f32[4, 3, 2, 3], ct: f32[4, 3, 2, 3]) -> (f32, f32[4, 3, 2, 3]) {
    let y = net(x, rng: mut rng)
    (sum(y * ct), y)
}
