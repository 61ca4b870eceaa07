//! Residual blocks of convolutional networks (He et al., 2016) over [batch, channels, height, width].

from conv import Conv2d
from norm import BatchNorm

/// relu(x + f(x)) with two 3 x 3 convolutions with batch norm as f. Where the shape changes, the input goes through a 1 x 1
/// convolution (`project`: shortcut B).
///
/// Shapes: [N, i, H, W] to [N, o, H / stride, W / stride]. Source: He et al. (2016), equation 2 and figure 5; torchvision's
/// BasicBlock.
model BasicBlock(i: int, o: int, stride: int = 1, project: bool = i != o or stride != 1) {
    conv1: Conv2d(i, o, 3, stride: stride, padding: 1, bias: false)
    norm1: BatchNorm(o)
    conv2: Conv2d(o, o, 3, padding: 1, bias: false)
    norm2: BatchNorm(o)
    conv3: Conv2d(i, o, 1, stride: stride, bias: false) if project
    norm3: BatchNorm(o) if project

    fn forward(x: f32[N, i, H, W]) {
        let y = x |> conv1 |> norm1 |> relu |> conv2 |> norm2
        relu(y + (if project { x |> conv3 |> norm3 } else { x }))
    }
}

/// relu(x + f(x)) with a 1 x 1 convolution to `width` channels, a 3 x 3 one that carries the stride (as in PyTorch), and a 1 x
/// 1 one to `o`, each with batch norm, as f.
///
/// Shapes: [N, i, H, W] to [N, o, H / stride, W / stride]. Source: He et al. (2016), equation 2 and figure 5; torchvision's
/// Bottleneck.
model Bottleneck(i: int, width: int, o: int, stride: int = 1, project: bool = i != o or stride != 1) {
    conv1: Conv2d(i, width, 1, bias: false)
    norm1: BatchNorm(width)
    conv2: Conv2d(width, width, 3, stride: stride, padding: 1, bias: false)
    norm2: BatchNorm(width)
    conv3: Conv2d(width, o, 1, bias: false)
    norm3: BatchNorm(o)
    conv4: Conv2d(i, o, 1, stride: stride, bias: false) if project
    norm4: BatchNorm(o) if project

    fn forward(x: f32[N, i, H, W]) {
        let y = x |> conv1 |> norm1 |> relu |> conv2 |> norm2 |> relu |> conv3 |> norm3
        relu(y + (if project { x |> conv4 |> norm4 } else { x }))
    }
}
