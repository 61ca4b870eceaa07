//! Convolutional layers of one and of three axes of space: transposed, and separable.

from nn import ConvSeparable1d, ConvSeparable3d, ConvTransposed1d, ConvTransposed3d

model Signal {
    layers {
        ConvSeparable1d(4, 3, 3, padding: 1, dilation: 1)
        ConvTransposed1d(3, 4, 3, stride: 2, padding: 1, extra: 1, activation: tanh)
    }
}

model Solid {
    layers {
        ConvSeparable3d(2, 3, 2, stride: [1, 2, 1])
        ConvTransposed3d(3, 2, [1, 2, 2], stride: [1, 2, 1], bias: false)
    }
}

fn probe(net, x, ct) {
    let ((_, y), (gx, gn)) = value_and_grad(|x, net| {
        let y = net(x)
        (sum(y * ct), y)
    }, wrt: (0, 1))(x, net)
    (y, gx, gn)
}

export fn signal(net: Signal, x: f32[2, 4, 5], ct: f32[2, 4, 10]) = probe(net, x, ct)

export fn solid(net: Solid, x: f32[1, 2, 3, 4, 3], ct: f32[1, 2, 2, 4, 3]) = probe(net, x, ct)
