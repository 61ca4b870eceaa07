//! A variational autoencoder (Kingma and Welling, 2014) of handwritten digits, 8 x 8 pixels: images from noise.

from nn import Dense
from optim import Adam

const LATENT = 8

model Encoder(hidden: int = 128) {
    body: Dense(64, hidden, activation: relu)
    mean: Dense(hidden, LATENT)
    logvar: Dense(hidden, LATENT)

    /// Mean and log-variance of the code of each image.
    fn forward(x: f32[N, 64]) -> (f32[N, LATENT], f32[N, LATENT]) {
        let h = body(x)
        (mean(h), logvar(h))
    }
}

model Decoder(hidden: int = 128) {
    layers {
        Dense(LATENT, hidden, activation: relu)
        Dense(hidden, 64)
    }
}

model Vae {
    encoder: Encoder
    decoder: Decoder

    /// Logits of the pixels that a code stands for.
    fn forward(z: f32[N, LATENT]) -> f32[N, 64] = decoder(z)
}

/// The negative evidence lower bound, per image: binary cross-entropy of the pixels, and the divergence from a standard normal.
fn bound(net: Vae, x: f32[N, 64], mut rng: Rng) -> (f32, f32, f32) {
    let (mean, logvar) = net.encoder(x)
    let z = mean + exp(0.5 * logvar) * normal([N, LATENT], mut rng)
    let logits = net.decoder(z)
    let pixels = sum(softplus(logits) - x * logits) / N
    let divergence = 0.5 * sum(mean ** 2 + exp(logvar) - logvar - 1.0) / N
    (pixels + divergence, pixels, divergence)
}

export fn train_step(
    mut net: Vae, mut adam: Adam<Vae>, mut rng: Rng, x: f32[N, 64], lr: f32
) -> (f32, f32, f32) {
    let (parts, g) = value_and_grad(bound)(net, x, mut rng)
    adam.update(mut net, g, lr: lr)
    parts
}

/// New images, pixels in 0..1.
export fn draw(net: Vae, mut rng: Rng) -> f32[16, 64] = sigmoid(net(normal([16, LATENT], mut rng)))

/// Images put together again from the means of their codes.
export fn restore(net: Vae, x: f32[N, 64]) -> f32[N, 64] = sigmoid(net.decoder(net.encoder(x).0))

fn main() {
    let images = (load("examples/digits/data/digits.npz").images as f32).reshape(1797, 64) / 16.0
    let seen = images[0:1437]
    let held = images[1437:]
    let mut rng = seeded(4)
    let mut net = Vae.init(mut rng)
    let mut adam = Adam.init(net)
    for epoch in 0..20 {
        let mut total = 0.0
        let mut count = 0.0
        for x in batches(seen, size: 32, rng: mut rng) {
            let (loss, _, _) = train_step(mut net, mut adam, mut rng, x, 1e-3)
            total = total + loss
            count = count + 1.0
        }
        if epoch % 5 == 4 { print("epoch", epoch + 1, "bound", total / count) }
    }
    print("error of a restored pixel", mean(abs(restore(net, held) - held)))
    print("error of the mean image  ", mean(abs(mean(seen, axis: 0) - held)))
    print("mean of the data", mean(held), "of what was drawn", mean(draw(net, mut rng)))
}
