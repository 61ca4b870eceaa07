//! Three steps of every optimizer with given gradients, and what is done to gradients.

from optim import AdaGrad, Adam, AdamW, Accumulator, Lamb, Lion, RmsProp, Sgd
from optim import clip_by_norm, clip_by_value, clip_leaves_by_norm, global_norm, sharpest

struct P {
    w: f32[3]
    b: f32[2, 2]
}

export fn sgd(mut p: P, g: [P; 3]) {
    let mut o = Sgd.init(p)
    for d in g { o.update(mut p, d, lr: 0.1) }
}

export fn momentum(mut p: P, g: [P; 3]) {
    let mut o = Sgd.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, momentum: 0.9, weight_decay: 0.01) }
}

export fn nesterov(mut p: P, g: [P; 3]) {
    let mut o = Sgd.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: true) }
}

export fn adam(mut p: P, g: [P; 3]) {
    let mut o = Adam.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, betas: (0.8, 0.9)) }
}

export fn adamw(mut p: P, g: [P; 3]) {
    let mut o = AdamW.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, weight_decay: 0.1) }
}

export fn rmsprop(mut p: P, g: [P; 3]) {
    let mut o = RmsProp.init(p)
    for d in g { o.update(mut p, d, lr: 0.1) }
}

export fn adagrad(mut p: P, g: [P; 3]) {
    let mut o = AdaGrad.init(p)
    for d in g { o.update(mut p, d, lr: 0.1) }
}

export fn lamb(mut p: P, g: [P; 3]) {
    let mut o = Lamb.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, weight_decay: 0.1) }
}

export fn lion(mut p: P, g: [P; 3]) {
    let mut o = Lion.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, weight_decay: 0.1) }
}

/// Other numbers, and no decay.
export fn light(mut p: P, g: [P; 3]) {
    let mut o = Lamb.init(p)
    for d in g { o.update(mut p, d, lr: 0.1, betas: (0.8, 0.95), eps: 1e-3, weight_decay: 0.0) }
}

export fn lion_plain(mut p: P, g: [P; 3]) {
    let mut o = Lion.init(p)
    for d in g { o.update(mut p, d, lr: 0.05, betas: (0.8, 0.95)) }
}

fn bowl(p: P) -> f32 = sum(p.w ** 4) + sum(exp(p.b))

export fn uphill(p: P) -> P = sharpest(p, grad(bowl)(p), rho: 0.1)

/// Sharpness-aware: the gradient from uphill, followed from here.
export fn sam(mut p: P) {
    let mut o = Sgd.init(p)
    for const _ in 0..2 {
        let up = sharpest(p, grad(bowl)(p), rho: 0.1)
        o.update(mut p, grad(bowl)(up), lr: 0.1)
    }
}

export fn clipped(g: P) =
    (clip_by_norm(g, 1.5), clip_leaves_by_norm(g, 1.0), clip_by_value(g, 0.5), global_norm(g))

export fn accumulated(g: [P; 3]) -> (P, P) {
    let mut a = Accumulator.init(g[0])
    for d in g { a.add(d) }
    let mean = a.take()
    a.add(g[1])
    (mean, a.take())
}
