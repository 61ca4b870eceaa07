//! MobileNetV2 (Sandler et al., 2018) for 224 x 224 images.

from conv import Conv2d, GlobalAveragePool
from nn import Dense
from norm import BatchNorm

fn relu6(x: f32[*S]) -> f32[*S] = clip(x, 0.0, 6.0)

/// Convolution, batch norm, relu6.
model Unit(i: int, o: int, kernel: int, stride: int = 1) {
    conv: Conv2d(i, o, kernel, stride: stride, padding: div(kernel, 2), bias: false)
    norm: BatchNorm(o)

    fn forward(x: f32[N, i, H, W]) = x |> conv |> norm |> relu6
}

/// The same with 3 x 3 taps, each channel by itself.
model Depthwise(c: int, stride: int) {
    param w: f32[c, 3, 3] = he_uniform()
    norm: BatchNorm(c)

    fn forward(x: f32[N, c, H, W]) {
        let seen = windows(x, [3, 3], stride: stride, padding: 1)
        einsum("cuv,ncpquv->ncpq", w, seen) |> norm |> relu6
    }
}

/// Expansion by `t`, a depthwise convolution, projection; added to the input where the shape stays.
model Inverted(
    i: int, o: int, stride: int, t: int, wider: bool = t != 1, same: bool = stride == 1 and i == o
) {
    expand: Unit(i, i * t, 1) if wider
    spread: Depthwise(i * t, stride)
    conv: Conv2d(i * t, o, 1, bias: false)
    norm: BatchNorm(o)

    fn forward(x: f32[N, i, H, W]) {
        let y = (if wider { expand(x) } else { x }) |> spread |> conv |> norm
        if same { x + y } else { y }
    }
}

model MobileNetV2 {
    layers {
        Unit(3, 32, 3, stride: 2)
        Inverted(32, 16, 1, 1)
        Inverted(16, 24, 2, 6)
        Inverted(24, 24, 1, 6)
        Inverted(24, 32, 2, 6)
        Inverted(32, 32, 1, 6)
        Inverted(32, 32, 1, 6)
        Inverted(32, 64, 2, 6)
        Inverted(64, 64, 1, 6)
        Inverted(64, 64, 1, 6)
        Inverted(64, 64, 1, 6)
        Inverted(64, 96, 1, 6)
        Inverted(96, 96, 1, 6)
        Inverted(96, 96, 1, 6)
        Inverted(96, 160, 2, 6)
        Inverted(160, 160, 1, 6)
        Inverted(160, 160, 1, 6)
        Inverted(160, 320, 1, 6)
        Unit(320, 1280, 1)
        GlobalAveragePool()
        Dense(1280, 1000)
    }
}

/// Scores of 1000 classes.
export fn predict(net: MobileNetV2, x: f32[1, 3, 224, 224]) -> f32[1, 1000] = net(x)
