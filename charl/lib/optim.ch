//! Optimizers: structs of their state with a method `update`, and what is done to gradients before it. `lr` may come from a schedule.

/// keep * mean + gain * x, or 0 where that is below 1e4 * smallest_normal. A mean of what stays 0 decays into subnormal numbers, with
/// which processors compute up to a hundred times slower.
///
/// Shapes: mean and x alike, to the same. Source: IEEE 754 (2019), 3.4, for what is subnormal.
fn decayed(mean, keep, x, gain) {
    let next = keep * mean + gain * x
    where(abs(next) < 1e4 * smallest_normal(next), 0.0, next)
}

/// d, or 0 where a mean of its square would stay 0 (`decayed`): in f32 below 1.1e-15.
///
/// Shapes: any, to the same. Source: IEEE 754 (2019), 3.4.
fn seen(d) = where(abs(d) < sqrt(1e8 * smallest_normal(d)), 0.0, d)

/// x in the element type of `p`: rates are f32, what they are of may be any float.
///
/// Shapes: a scalar and any, to a scalar. Source: jax.lax.convert_element_type.
fn like<E: float>(x: f32, _p: E[*S]) -> E[] = x as E

/// Stochastic gradient descent with momentum, also Nesterov's, and weight decay.
///
/// Shapes: velocity as the parameters of M. Source: Polyak (1964); Nesterov (1983); torch.optim.SGD.
struct Sgd<M> {
    velocity: Grad<M>

    /// At rest.
    fn init(net: M) -> Sgd<M> = Sgd(velocity: zeros_like(params(net)))

    /// d = g + weight_decay * net; velocity = momentum * velocity + d; net -= lr * velocity, or lr * (d + momentum * velocity) for `nesterov`.
    fn update(
        mut net: M,
        g: Grad<M>,
        lr: f32,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = false,
    ) {
        for (p, d, u) in zip(leaves(net), leaves(g), leaves(velocity)) {
            let pull = if weight_decay == 0.0 { d } else { d + weight_decay * p }
            u = decayed(u, momentum, pull, 1.0)
            p = p - like(lr, p) * (if nesterov { pull + momentum * u } else { u })
        }
    }
}

/// What Adam and its kin step along in one tensor: a = b1 * a + (1 - b1) * d and b = b2 * b + (1 - b2) * d ** 2 (`seen`, `decayed`), then
/// rate * a / (sqrt(b) * scale + eps), where `rate` and `scale` undo that a and b began at 0.
fn adapted(mut a, mut b, d, betas: (float, float), rate, scale, eps: float) {
    let (b1, b2) = betas
    let g = seen(d)
    a = decayed(a, b1, g, 1.0 - b1)
    b = decayed(b, b2, g ** 2, 1.0 - b2)
    like(rate, a) * a / (sqrt(b) * like(scale, b) + eps)
}

/// Running means m of g and v of g ** 2, corrected for their start at 0.
///
/// Shapes: m and v as the parameters of M. Source: Kingma and Ba (2015), algorithm 1; torch.optim.Adam.
struct Adam<M> {
    m: Grad<M>
    v: Grad<M>
    t: i32

    /// Zero means, no steps taken.
    fn init(net: M) -> Adam<M> {
        Adam(m: zeros_like(params(net)), v: zeros_like(params(net)), t: 0)
    }

    /// net -= lr * m' / (sqrt(v') + eps) with m' = m / (1 - b1 ** t) and v' = v / (1 - b2 ** t).
    fn update(
        mut net: M, g: Grad<M>, lr: f32 = 1e-3, betas: (float, float) = (0.9, 0.999), eps: float = 1e-8
    ) {
        let (b1, b2) = betas
        t = t + 1
        let steps = t as f32
        let rate = lr / -expm1(steps * log(b1))
        let scale = rsqrt(-expm1(steps * log(b2)))
        for (p, d, a, b) in zip(leaves(net), leaves(g), leaves(m), leaves(v)) {
            p = p - adapted(mut a, mut b, d, betas, rate, scale, eps)
        }
    }
}

/// Adam with decoupled weight decay.
///
/// Shapes: m and v as the parameters of M. Source: Loshchilov and Hutter (2019), algorithm 2; torch.optim.AdamW.
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
        mut net: M,
        g: Grad<M>,
        lr: f32 = 1e-3,
        betas: (float, float) = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ) {
        let (b1, b2) = betas
        t = t + 1
        let steps = t as f32
        let rate = lr / -expm1(steps * log(b1))
        let scale = rsqrt(-expm1(steps * log(b2)))
        let keep = 1.0 - lr * weight_decay
        for (p, d, a, b) in zip(leaves(net), leaves(g), leaves(m), leaves(v)) {
            p = p * like(keep, p) - adapted(mut a, mut b, d, betas, rate, scale, eps)
        }
    }
}

/// Steps along g divided by the root of a running mean of g ** 2.
///
/// Shapes: square as the parameters of M. Source: Tieleman and Hinton (2012), lecture 6.5; torch.optim.RMSprop.
struct RmsProp<M> {
    square: Grad<M>

    /// Zero means.
    fn init(net: M) -> RmsProp<M> = RmsProp(square: zeros_like(params(net)))

    /// square = decay * square + (1 - decay) * g ** 2; net -= lr * g / (sqrt(square) + eps).
    fn update(mut net: M, g: Grad<M>, lr: f32 = 1e-2, decay: float = 0.99, eps: float = 1e-8) {
        for (p, d, s) in zip(leaves(net), leaves(g), leaves(square)) {
            s = decayed(s, decay, seen(d) ** 2, 1.0 - decay)
            p = p - like(lr, p) * d / (sqrt(s) + eps)
        }
    }
}

/// Steps along g divided by the root of the sum of g ** 2 so far.
///
/// Shapes: square as the parameters of M. Source: Duchi et al. (2011); torch.optim.Adagrad.
struct AdaGrad<M> {
    square: Grad<M>

    /// Zero sums.
    fn init(net: M) -> AdaGrad<M> = AdaGrad(square: zeros_like(params(net)))

    /// square += g ** 2; net -= lr * g / (sqrt(square) + eps).
    fn update(mut net: M, g: Grad<M>, lr: f32 = 1e-2, eps: float = 1e-10) {
        for (p, d, s) in zip(leaves(net), leaves(g), leaves(square)) {
            s = s + seen(d) ** 2
            p = p - like(lr, p) * d / (sqrt(s) + eps)
        }
    }
}

/// Adam whose step in every tensor is as long as the tensor itself allows, for large batches; phi of the paper is the identity.
///
/// Shapes: m and v as the parameters of M. Source: You et al. (2020), algorithm 2; optax.lamb.
struct Lamb<M> {
    m: Grad<M>
    v: Grad<M>
    t: i32

    /// Zero means, no steps taken.
    fn init(net: M) -> Lamb<M> {
        Lamb(m: zeros_like(params(net)), v: zeros_like(params(net)), t: 0)
    }

    /// r = m' / (sqrt(v') + eps) + weight_decay * net; net -= lr * |net| / |r| * r, tensor by tensor (a ratio of 1 where one of them is 0).
    fn update(
        mut net: M,
        g: Grad<M>,
        lr: f32 = 1e-3,
        betas: (float, float) = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) {
        let (b1, b2) = betas
        t = t + 1
        let steps = t as f32
        let rate = 1.0 / -expm1(steps * log(b1))
        let scale = rsqrt(-expm1(steps * log(b2)))
        for (p, d, a, b) in zip(leaves(net), leaves(g), leaves(m), leaves(v)) {
            let r = adapted(mut a, mut b, d, betas, rate, scale, eps) + weight_decay * p
            let long = norm(p)
            let wanted = norm(r)
            let trust = where(long > 0.0 and wanted > 0.0, long / where(wanted > 0.0, wanted, 1.0), 1.0)
            p = p - like(lr, p) * trust * r
        }
    }
}

/// The sign of an interpolated momentum, one state for each parameter.
///
/// Shapes: m as the parameters of M. Source: Chen et al. (2023), algorithm 2; optax.lion.
struct Lion<M> {
    m: Grad<M>

    /// A zero mean.
    fn init(net: M) -> Lion<M> = Lion(m: zeros_like(params(net)))

    /// net -= lr * (sign(b1 * m + (1 - b1) * g) + weight_decay * net); m = b2 * m + (1 - b2) * g.
    fn update(
        mut net: M, g: Grad<M>, lr: f32 = 1e-4, betas: (float, float) = (0.9, 0.99), weight_decay: float = 0.0
    ) {
        let (b1, b2) = betas
        for (p, d, a) in zip(leaves(net), leaves(g), leaves(m)) {
            let way = sign(b1 * a + (1.0 - b1) * d)
            p = p - like(lr, p) * (if weight_decay == 0.0 { way } else { way + weight_decay * p })
            a = decayed(a, b2, d, 1.0 - b2)
        }
    }
}

/// net + rho * g / |g|: net moved by `rho` against its gradient's will, where sharpness-aware minimisation takes the gradient
/// that it then follows from `net`: `let (loss, g) = value_and_grad(f)(net, x); sgd.update(mut net, grad(f)(sharpest(net, g),
/// x), lr)`.
///
/// Shapes: net and g of one shape, to the same. Source: Foret et al. (2021), algorithm 1; optax.contrib.sam.
fn sharpest<M>(net: M, g: Grad<M>, rho: f32 = 0.05) -> M {
    let far = rho / (global_norm(g) + 1e-12)
    let mut out = net
    for (p, d) in zip(leaves(out), leaves(g)) { p = p + like(far, p) * d }
    out
}

// ---- gradients

/// sqrt(sum of g ** 2): the Euclidean norm of all leaves together.
///
/// Shapes: leaves of any shape, to a scalar. Source: optax.global_norm.
fn global_norm<G>(g: G) -> f32 {
    let mut total = 0.0
    for x in leaves(g) { total = total + sum((x as f32) ** 2) }
    sqrt(total)
}

/// min(limit / (|g| + 1e-6), 1) * g, with the Euclidean norm |g| over all leaves.
///
/// Shapes: leaves of any shape, to the same. Source: Pascanu et al. (2013), algorithm 1; torch.nn.utils.clip_grad_norm_.
fn clip_by_norm<G>(g: G, limit: f32) -> G {
    let scale = min(limit / (global_norm(g) + 1e-6), 1.0)
    let mut out = g
    for x in leaves(out) { x = like(scale, x) * x }
    out
}

/// min(limit / (|x| + 1e-6), 1) * x for every leaf x of g by itself.
///
/// Shapes: leaves of any shape, to the same. Source: Pascanu et al. (2013), algorithm 1; torch.nn.utils.clip_grad_norm_ of one
/// tensor.
fn clip_leaves_by_norm<G>(g: G, limit: f32) -> G {
    let mut out = g
    for x in leaves(out) { x = min(like(limit, x) / (norm(x) + 1e-6), 1.0) * x }
    out
}

/// min(max(x, -limit), limit) for every element x of g.
///
/// Shapes: leaves of any shape, to the same. Source: Graves (2013); torch.nn.utils.clip_grad_value_.
fn clip_by_value<G>(g: G, limit: f32) -> G {
    let mut out = g
    for x in leaves(out) { x = clip(x, -like(limit, x), like(limit, x)) }
    out
}

/// (g1 + g2 + … + gn) / n: gradients of several small batches, for one step with their mean.
///
/// Shapes: total as the parameters of M. Source: PyTorch's `.grad`, to which each backward pass adds; optax.MultiSteps.
struct Accumulator<M> {
    total: Grad<M>
    count: i32

    /// Nothing yet.
    fn init(net: M) -> Accumulator<M> = Accumulator(total: zeros_like(params(net)), count: 0)

    /// One batch more.
    fn add(g: Grad<M>) {
        total = total + g
        count = count + 1
    }

    /// The mean of what was added, and a new beginning.
    fn take() -> Grad<M> {
        let mut mean = total
        for x in leaves(mean) { x = like(1.0 / (max(count, 1) as f32), x) * x }
        total = zeros_like(total)
        count = 0
        mean
    }
}
