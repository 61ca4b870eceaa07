//! A character model: a small transformer with positions that are learnt.

from nn import Dense, Dropout, Embedding
from norm import LayerNorm
from optim import AdamW, clip_by_norm
from transformer import TransformerBlock

const CHARACTERS = 96
const CONTEXT = 32

model Writer(d: int = 64, heads: int = 4, depth: int = 2) {
    character: Embedding(CHARACTERS, d)
    position: Embedding(CONTEXT, d)
    drop: Dropout(0.1)
    blocks: [TransformerBlock(d, heads, 4 * d, causal: true); depth]
    norm: LayerNorm(d)
    head: Dense(d, CHARACTERS)

    fn forward(text: i32[B, T]) -> f32[B, T, CHARACTERS] {
        let mut x = drop(0.1 * (character(text) + position(iota(T))))
        for block in blocks { x = block(x) }
        x |> norm |> drop |> head
    }
}

/// Of each character but the first: how surprising it is after those before it.
fn surprise(net: Writer, text: i32[B, L], mut rng: Rng) -> f32 {
    cross_entropy(net(text[:, 0:L-1], rng: mut rng), text[:, 1:L])
}

/// One step of AdamW.
export fn train_step(
    mut net: Writer, mut adam: AdamW<Writer>, mut rng: Rng, text: i32[B, L], lr: f32
) -> f32 {
    let (loss, g) = value_and_grad(surprise)(net, text, mut rng)
    adam.update(mut net, clip_by_norm(g, 1.0), lr: lr, weight_decay: 0.1)
    loss
}

/// The mean surprise of a character, in nats.
export fn valid_loss(net: Writer, text: i32[B, L]) -> f32 = cross_entropy(net(text[:, 0:L-1]), text[:, 1:L])

/// The probabilities of the character that follows a text of at most CONTEXT characters.
export fn follow(net: Writer, text: i32[1, L]) -> f32[CHARACTERS] = softmax(net(text)[0, -1])
