//! What follows a text, by gpt.ch.

from "gpt.ch" import GPT

/// Scores of what follows a text.
export fn prompt(net: GPT, ids: i32[B, T]) -> f32[B, net.vocab] = net.hidden(ids)[:, -1] @ net.wte.table.T
