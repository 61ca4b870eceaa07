//! What draws from a stream: numbers, layers that drop, initializers, augmentations.

from data import cutout, mixup, shuffled
from nn import DropConnect, Dropout

export fn drawn(mut rng: Rng) {
    let a = uniform([3, 4], mut rng)
    let b = uniform([5], mut rng, low: -1.0, high: 2.0)
    let c = normal([3, 4], mut rng)
    let d = normal([6], mut rng, mean: 1.0, std: 0.5)
    let e = bernoulli([20], mut rng, 0.3) as i32
    (a, b, c, d, e, permutation(9, mut rng))
}

export fn parted(rng: Rng, i: u32) -> Rng = rng.split(i)

fn lost(x: f32[4, 3], mut rng: Rng, ct: f32[4, 3]) {
    let y = dropout(x, 0.25, mut rng)
    (sum(y * ct), y)
}

export fn dropout_of(x: f32[4, 3], mut rng: Rng, ct: f32[4, 3]) {
    let ((_, y), g) = value_and_grad(lost)(x, mut rng, ct)
    (y, g)
}

model Dropped {
    layers {
        Dropout(0.25)
        DropConnect(3, 2, activation: relu)
    }
}

fn trained(net: Dropped, mut rng: Rng, x: f32[4, 3], ct: f32[4, 2]) {
    let y = net(x, rng: mut rng)
    (sum(y * ct), y)
}

export fn layers(net: Dropped, mut rng: Rng, x: f32[4, 3], ct: f32[4, 2]) {
    let ((_, y), (gx, gn)) = value_and_grad(trained, wrt: (2, 0))(net, mut rng, x, ct)
    (y, gx, gn)
}

export fn still(net: Dropped, x: f32[4, 3]) = net(x)

export fn initial(mut rng: Rng) {
    let a = glorot_uniform([4, 6], mut rng)
    let b = glorot_normal([4, 6], mut rng)
    let c = he_uniform([4, 6], mut rng)
    let d = he_normal([4, 6], mut rng)
    let e = glorot_uniform([8, 3, 5, 5], mut rng, axes: (1, 0), gain: 2.0)
    let f = he_normal([8, 3, 5, 5], mut rng, axes: (1, 0))
    let g = truncated_normal([3, 4], mut rng, mean: 1.0, std: 0.5)
    let h = orthogonal([5, 3], mut rng)
    let i = orthogonal([8, 3, 5, 5], mut rng, axes: (1, 0), gain: 2.0)
    (a, b, c, d, e, f, g, h, i, constant([2, 3], 0.25), zeros(2, 3), ones(2, 3))
}

fn probe(f, x, ct) {
    let ((_, y), g) = value_and_grad(|x| {
        let y = f(x)
        (sum(y * ct), y)
    })(x)
    (y, g)
}

export fn orthonormal(a: f32[3, 5], ct: f32[3, 5]) = probe(orthonormal_rows, a, ct)

export fn quantiles(u: f32[7], ct: f32[7]) = probe(|u| truncated_quantile(0.5 * u + 0.5, -2.0, 2.0), u, ct)

export fn order(x: f32[6, 3], y: i32[6], mut rng: Rng) = shuffled(x, y, mut rng)

export fn mixed_up(x: f32[4, 2, 3], y: f32[4, 3], mut rng: Rng) = mixup(x, y, mut rng, alpha: 0.4)

export fn cut(x: f32[5, 2, 6, 7], mut rng: Rng) = cutout(x, 3, mut rng)
