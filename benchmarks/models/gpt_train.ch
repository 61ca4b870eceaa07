//! The training step of gpt.ch alone.

from "gpt.ch" import GPT, train_step
from optim import AdamW

/// One step of AdamW. Returns the loss before it.
export fn train(mut net: GPT, mut adamw: AdamW<GPT>, ids: i32[B, T], next: i32[B, T]) -> f32 {
    train_step(mut net, mut adamw, ids, next)
}
