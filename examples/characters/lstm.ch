//! A character model: an LSTM over an embedding.

from nn import Dense, Dropout, Embedding
from optim import Adam, clip_by_norm
from recurrent import Lstm

const CHARACTERS = 96

model Writer(d: int = 32, h: int = 128) {
    layers {
        Embedding(CHARACTERS, d)
        Lstm(d, h)
        Dropout(0.3)
        Dense(h, CHARACTERS)
    }
}

/// Of each character but the first: how surprising it is after those before it.
fn surprise(net: Writer, text: i32[B, L], mut rng: Rng) -> f32 {
    cross_entropy(net(text[:, 0:L-1], rng: mut rng), text[:, 1:L])
}

/// One step of Adam.
export fn train_step(mut net: Writer, mut adam: Adam<Writer>, mut rng: Rng, text: i32[B, L], lr: f32) -> f32 {
    let (loss, g) = value_and_grad(surprise)(net, text, mut rng)
    adam.update(mut net, clip_by_norm(g, 1.0), lr: lr)
    loss
}

/// The mean surprise of a character, in nats.
export fn valid_loss(net: Writer, text: i32[B, L]) -> f32 = cross_entropy(net(text[:, 0:L-1]), text[:, 1:L])

/// The probabilities of the character that follows a text.
export fn follow(net: Writer, text: i32[1, L]) -> f32[CHARACTERS] = softmax(net(text)[0, -1])
