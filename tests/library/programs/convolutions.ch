//! Convolutions of every kind: values, and gradients of inputs and weights.

from conv import convolve, convolve_transposed
from nn import Conv1d, Conv2d, Conv3d, ConvSeparable2d, ConvTransposed2d

fn probe(f, x, w, ct) {
    let ((_, y), (gx, gw)) = value_and_grad(|x, w| {
        let y = f(x, w)
        (sum(y * ct), y)
    }, wrt: (0, 1))(x, w)
    (y, gx, gw)
}

export fn one_axis(x: f32[2, 3, 9], w: f32[4, 3, 3], ct: f32[2, 4, 4]) =
    probe(|x, w| convolve(x, w, stride: 2, padding: 1, dilation: 2), x, w, ct)

export fn one_side(x: f32[2, 3, 9], w: f32[4, 3, 3], ct: f32[2, 4, 9]) =
    probe(|x, w| convolve(x, w, padding: [(2, 0)]), x, w, ct)

export fn plain(x: f32[2, 3, 6, 7], w: f32[4, 3, 3, 2], ct: f32[2, 4, 4, 6]) =
    probe(|x, w| convolve(x, w), x, w, ct)

export fn strided(x: f32[2, 3, 6, 7], w: f32[4, 3, 3, 2], ct: f32[2, 4, 3, 10]) =
    probe(|x, w| convolve(x, w, stride: [2, 1], padding: [1, 2]), x, w, ct)

export fn grouped(x: f32[2, 4, 6, 7], w: f32[6, 2, 3, 2], ct: f32[2, 6, 6, 9]) =
    probe(|x, w| convolve(x, w, dilation: 2, padding: 2, groups: 2), x, w, ct)

export fn depthwise(x: f32[2, 3, 6, 7], w: f32[6, 1, 3, 3], ct: f32[2, 6, 3, 4]) =
    probe(|x, w| convolve(x, w, stride: 2, padding: 1, groups: 3), x, w, ct)

export fn one_tap(x: f32[2, 3, 5, 4], w: f32[4, 3, 1, 1], ct: f32[2, 4, 3, 2]) =
    probe(|x, w| convolve(x, w, stride: 2), x, w, ct)

export fn three_axes(x: f32[1, 2, 4, 5, 4], w: f32[3, 2, 2, 3, 2], ct: f32[1, 3, 3, 5, 5]) =
    probe(|x, w| convolve(x, w, padding: [0, 1, 1]), x, w, ct)

export fn transposed(x: f32[2, 3, 5], w: f32[3, 4, 4], ct: f32[2, 4, 11]) =
    probe(|x, w| convolve_transposed(x, w, stride: 2, padding: 1, extra: 1), x, w, ct)

export fn transposed_groups(x: f32[2, 4, 3, 4], w: f32[4, 3, 2, 3], ct: f32[2, 6, 6, 8]) =
    probe(|x, w| convolve_transposed(x, w, stride: [2, 1], dilation: [1, 2], groups: 2), x, w, ct)

export fn transposed_three(x: f32[1, 2, 2, 3, 2], w: f32[2, 3, 2, 2, 3], ct: f32[1, 3, 3, 4, 4]) =
    probe(|x, w| convolve_transposed(x, w), x, w, ct)

model Line {
    layers { Conv1d(2, 3, 3, stride: 2, padding: 1, activation: relu) }
}

model Image {
    layers {
        Conv2d(2, 4, [3, 2], padding: [1, 0], activation: tanh)
        ConvSeparable2d(4, 3, 3, padding: 1)
        ConvTransposed2d(3, 2, 2, stride: 2)
    }
}

model Volume {
    layers { Conv3d(2, 3, 2, groups: 1, bias: false) }
}

export fn line(net: Line, x: f32[2, 2, 7], ct: f32[2, 3, 4]) = probe(|x, net| net(x), x, net, ct)

export fn image(net: Image, x: f32[2, 2, 4, 4], ct: f32[2, 2, 8, 6]) = probe(|x, net| net(x), x, net, ct)

export fn volume(net: Volume, x: f32[1, 2, 3, 3, 4], ct: f32[1, 3, 2, 2, 3]) =
    probe(|x, net| net(x), x, net, ct)
