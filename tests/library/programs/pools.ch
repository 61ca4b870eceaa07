//! Pools of every kind: values, and gradients; x has ties, so that the first of equal elements must win.

from conv import adaptive_average_pool, adaptive_max_pool, average_pool, max_pool
from nn import AdaptiveAveragePool, AdaptiveMaxPool, AveragePool1d, AveragePool2d, AveragePool3d
from nn import Dense, GlobalAveragePool, GlobalMaxPool, MaxPool1d, MaxPool2d, MaxPool3d

fn probe(f, x, ct) {
    let ((_, y), g) = value_and_grad(|x| {
        let y = f(x)
        (sum(y * ct), y)
    })(x)
    (y, g)
}

export fn largest(x: f32[2, 3, 6, 7], a: f32[2, 3, 3, 3], b: f32[2, 3, 3, 7], c: f32[2, 3, 5, 5]) =
    (
        probe(|x| max_pool(x, 2), x, a),
        probe(|x| max_pool(x, [3, 2], stride: [2, 1], padding: [1, 0], dilation: [1, 1]), x, b[..., 0:6]),
        probe(|x| max_pool(x, 2, stride: 1, dilation: [1, 2]), x, c),
    )

export fn means(x: f32[2, 3, 6, 7], a: f32[2, 3, 3, 3], b: f32[2, 3, 4, 4]) =
    (
        probe(|x| average_pool(x, 2), x, a),
        probe(|x| average_pool(x, 3, stride: 2, padding: 1), x, b[:, :, 0:3]),
        probe(|x| average_pool(x, 3, stride: 2, padding: 1, count_padding: false), x, b[:, :, 0:3]),
    )

export fn adaptive(x: f32[2, 3, 6, 7], a: f32[2, 3, 3, 4], b: f32[2, 3, 1, 5]) =
    (
        probe(|x| adaptive_average_pool(x, [3, 4]), x, a),
        probe(|x| adaptive_max_pool(x, [3, 4]), x, a),
        probe(|x| adaptive_average_pool(x, [1, 5]), x, b),
        probe(|x| adaptive_max_pool(x, [1, 5]), x, b),
    )

model Line {
    layers {
        Dense(8, 8)
        MaxPool1d(3, stride: 1, padding: 1)
        AveragePool1d(2)
    }
}

model Image {
    layers {
        Dense(7, 8)
        MaxPool2d(2, stride: 1)
        AveragePool2d(2)
        AdaptiveMaxPool([2, 2])
        AdaptiveAveragePool(1)
        GlobalAveragePool()
    }
}

model Volume {
    layers {
        Dense(4, 4)
        MaxPool3d(2, stride: 1)
        AveragePool3d([1, 2, 1])
        GlobalMaxPool()
    }
}

export fn line(net: Line, x: f32[2, 3, 8], ct: f32[2, 3, 4]) = probe(|net| net(x), net, ct)

export fn image(net: Image, x: f32[2, 3, 6, 7], ct: f32[2, 3]) = probe(|net| net(x), net, ct)

export fn volume(net: Volume, x: f32[2, 3, 3, 3, 4], ct: f32[2, 3]) = probe(|net| net(x), net, ct)
