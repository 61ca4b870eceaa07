//! What follows one more token, by gpt.ch.

from "gpt.ch" import GPT, Cache

/// Scores of what follows one more token at position `t`.
export fn token(
    net: GPT, id: i32[1], mut caches: [Cache(1, L, net.d, net.heads); net.depth], t: i32
) -> f32[1, net.vocab] {
    net.step(id, mut caches, t)
}
