//! What draws random numbers: the layers that drop, augmentations, initializers.

from data import cutout, mixup, shuffled
from nn import DropConnect, Dropout

model Dropped {
    layers {
        Dropout(0.25)
        DropConnect(40, 50, rate: 0.25, bias: false)
    }
}

export fn dropped(net: Dropped, x: f32[30, 40], mut rng: Rng) -> (f32[30, 50], f32[30, 50]) {
    (net(x), net(x, rng: mut rng))
}

export fn order(x: f32[N, 3], y: i32[N], mut rng: Rng) -> (f32[N, 3], i32[N]) = shuffled(x, y, mut rng)

export fn mixed(x: f32[8, 2, 3], y: f32[8, 4], mut rng: Rng) -> (f32[8, 2, 3], f32[8, 4]) =
    mixup(x, y, mut rng, alpha: 0.4)

export fn erased(x: f32[20, 2, 6, 7], mut rng: Rng) -> f32[20, 2, 6, 7] = cutout(x, 3, mut rng)

export fn truncated(mut rng: Rng) -> f32[2000] = truncated_normal([2000], mut rng, mean: 1.0, std: 0.5)

export fn orthonormal(mut rng: Rng) -> (f32[5, 3], f32[4, 2, 3, 3]) {
    (orthogonal([5, 3], mut rng), orthogonal([4, 2, 3, 3], mut rng, axes: (1, 0), gain: 2.0))
}
