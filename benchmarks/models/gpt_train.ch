//! A training step of gpt.ch.

from "gpt.ch" import GPT, objective
from optim import AdamW

/// One step of AdamW. Returns the loss before it.
export fn train_step(mut net: GPT, mut adamw: AdamW<GPT>, ids: i32[B, T], next: i32[B, T]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, ids, next)
    adamw.update(mut net, g, lr: 1e-4)
    loss
}
