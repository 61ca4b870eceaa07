//! ResNet-18 (He et al., 2016), for 224 x 224 images of 1000 classes and, with a smaller stem, for CIFAR's 32 x 32 of 10.

from conv import Conv2d, GlobalAveragePool, MaxPool2d
from nn import Dense
from norm import BatchNorm
from optim import Sgd
from resnet import BasicBlock

model Trunk(classes: int) {
    layers {
        BasicBlock(64, 64)
        BasicBlock(64, 64)
        BasicBlock(64, 128, stride: 2)
        BasicBlock(128, 128)
        BasicBlock(128, 256, stride: 2)
        BasicBlock(256, 256)
        BasicBlock(256, 512, stride: 2)
        BasicBlock(512, 512)
        GlobalAveragePool()
        Dense(512, classes)
    }
}

model ResNet18 {
    conv: Conv2d(3, 64, 7, stride: 2, padding: 3, bias: false)
    norm: BatchNorm(64)
    pool: MaxPool2d(3, stride: 2, padding: 1)
    trunk: Trunk(1000)

    fn forward(x: f32[N, 3, 224, 224]) -> f32[N, 1000] {
        x |> conv |> norm |> relu |> pool |> trunk
    }
}

model Cifar18 {
    conv: Conv2d(3, 64, 3, padding: 1, bias: false)
    norm: BatchNorm(64)
    trunk: Trunk(10)

    fn forward(x: f32[N, 3, 32, 32]) -> f32[N, 10] = x |> conv |> norm |> relu |> trunk
}

/// Scores of 1000 classes.
export fn predict(net: ResNet18, x: f32[1, 3, 224, 224]) -> f32[1, 1000] = net(x)

fn objective(mut net: Cifar18, x: f32[N, 3, 32, 32], y: i32[N], mut rng: Rng) -> f32 {
    cross_entropy(net(x, rng: mut rng), y)
}

/// One step of gradient descent with momentum 0.9. Returns the loss before it.
export fn train_step(
    mut net: Cifar18, mut sgd: Sgd<Cifar18>, mut rng: Rng, x: f32[N, 3, 32, 32], y: i32[N]
) -> f32 {
    let (loss, g) = value_and_grad(objective)(mut net, x, y, mut rng)
    sgd.update(mut net, g, lr: 1e-3, momentum: 0.9)
    loss
}
