//! Handwritten digits, 8 x 8 pixels, by a small convolutional network.

from conv import Conv2d, MaxPool2d
from nn import Dense, Dropout, Flatten
from norm import BatchNorm
from optim import Adam

model Cnn(channels: int = 32) {
    layers {
        Conv2d(1, channels, kernel: 3, padding: 1)
        BatchNorm(channels)
        relu
        Conv2d(channels, channels, kernel: 3, padding: 1)
        BatchNorm(channels)
        relu
        MaxPool2d(2)
        Dropout(0.25)
        Conv2d(channels, 2 * channels, kernel: 3, padding: 1)
        BatchNorm(2 * channels)
        relu
        MaxPool2d(2)
        Flatten()
        Dropout(0.5)
        Dense(2 * channels * 2 * 2, 10)
    }
}

/// Pixels are 0 to 16; the network sees 0 to 1, and one channel.
fn logits(net: Cnn, images: f32[N, 8, 8]) -> f32[N, 10] = net(images[:, None] / 16.0)

/// Class probabilities.
export fn predict(net: Cnn, images: f32[N, 8, 8]) -> f32[N, 10] = softmax(logits(net, images))

/// The share of images that the network gets right.
export fn accuracy(net: Cnn, images: f32[N, 8, 8], labels: i32[N]) -> f32 {
    mean((argmax(logits(net, images), axis: -1) == labels) as f32)
}

fn objective(mut net: Cnn, images: f32[N, 8, 8], labels: i32[N], mut rng: Rng) -> f32 {
    cross_entropy(net(images[:, None] / 16.0, rng: mut rng), labels)
}

/// One step of Adam.
export fn train_step(
    mut net: Cnn, mut adam: Adam<Cnn>, mut rng: Rng, images: f32[N, 8, 8], labels: i32[N], lr: f32
) -> f32 {
    let (loss, g) = value_and_grad(objective)(mut net, images, labels, mut rng)
    adam.update(mut net, g, lr: lr)
    loss
}
