//! Optimizers: structs of their state, and a method `update`.

/// Adam (Kingma and Ba, 2015): running means m of g and v of g ** 2, corrected for their start at 0.
struct Adam<M> {
    m: Grad<M>
    v: Grad<M>
    t: i32

    /// Zero means, no steps taken.
    fn init(net: M) -> Adam<M> {
        Adam(m: zeros_like(params(net)), v: zeros_like(params(net)), t: 0)
    }

    /// net -= lr * m' / (sqrt(v') + eps) with m' = m / (1 - b1 ** t) and v' = v / (1 - b2 ** t).
    fn update(mut net: M, g: Grad<M>, lr: f32 = 1e-3, betas: (float, float) = (0.9, 0.999), eps: float = 1e-8) {
        let (b1, b2) = betas
        t = t + 1
        let steps = t as f32
        let rate = lr / -expm1(steps * log(b1))
        let scale = rsqrt(-expm1(steps * log(b2)))
        for (p, d, a, b) in zip(leaves(net), leaves(g), leaves(m), leaves(v)) {
            a = b1 * a + (1.0 - b1) * d
            b = b2 * b + (1.0 - b2) * d ** 2
            p = p - rate * a / (sqrt(b) * scale + eps)
        }
    }
}

/// Adam with decoupled weight decay (Loshchilov and Hutter, 2019).
struct AdamW<M> {
    m: Grad<M>
    v: Grad<M>
    t: i32

    /// Zero means, no steps taken.
    fn init(net: M) -> AdamW<M> {
        AdamW(m: zeros_like(params(net)), v: zeros_like(params(net)), t: 0)
    }

    /// As Adam, after net *= 1 - lr * weight_decay.
    fn update(
        mut net: M, g: Grad<M>, lr: f32 = 1e-3, betas: (float, float) = (0.9, 0.999), eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) {
        let (b1, b2) = betas
        t = t + 1
        let steps = t as f32
        let rate = lr / -expm1(steps * log(b1))
        let scale = rsqrt(-expm1(steps * log(b2)))
        let keep = 1.0 - lr * weight_decay
        for (p, d, a, b) in zip(leaves(net), leaves(g), leaves(m), leaves(v)) {
            a = b1 * a + (1.0 - b1) * d
            b = b2 * b + (1.0 - b2) * d ** 2
            p = p * keep - rate * a / (sqrt(b) * scale + eps)
        }
    }
}

/// Stochastic gradient descent with momentum (Polyak, 1964) and weight decay, as in PyTorch.
struct Sgd<M> {
    velocity: Grad<M>

    /// At rest.
    fn init(net: M) -> Sgd<M> = Sgd(velocity: zeros_like(params(net)))

    /// velocity = momentum * velocity + g + weight_decay * net; net -= lr * velocity.
    fn update(mut net: M, g: Grad<M>, lr: f32, momentum: float = 0.0, weight_decay: float = 0.0) {
        for (p, d, u) in zip(leaves(net), leaves(g), leaves(velocity)) {
            u = momentum * u + (if weight_decay == 0.0 { d } else { d + weight_decay * p })
            p = p - lr * u
        }
    }
}

/// RMSprop (Tieleman and Hinton, 2012), as in PyTorch.
struct RmsProp<M> {
    square: Grad<M>

    /// Zero means.
    fn init(net: M) -> RmsProp<M> = RmsProp(square: zeros_like(params(net)))

    /// square = decay * square + (1 - decay) * g ** 2; net -= lr * g / (sqrt(square) + eps).
    fn update(mut net: M, g: Grad<M>, lr: f32 = 1e-2, decay: float = 0.99, eps: float = 1e-8) {
        for (p, d, s) in zip(leaves(net), leaves(g), leaves(square)) {
            s = decay * s + (1.0 - decay) * d ** 2
            p = p - lr * d / (sqrt(s) + eps)
        }
    }
}

/// g scaled down to a Euclidean norm over all leaves of at most `limit` (Pascanu et al., 2013; PyTorch's eps).
fn clip_by_norm<G>(g: G, limit: f32) -> G {
    let mut total = 0.0
    for x in leaves(g) { total = total + sum(x ** 2) }
    min(limit / (sqrt(total) + 1e-6), 1.0) * g
}

/// Every element of g limited to -limit..limit.
fn clip_by_value<G>(g: G, limit: f32) -> G {
    let mut out = g
    for x in leaves(out) { x = clip(x, -limit, limit) }
    out
}
