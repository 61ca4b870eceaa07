//! Recurrent layers and attention: values, and gradients of inputs and parameters.

from nn import Bidirectional, DecoderBlock, Gru, Lstm, MultiHeadAttention, Rnn, TransformerBlock
from transformer import FeedForward, positions

fn probe(f, net, x, ct) {
    let ((_, y), (gx, gn)) = value_and_grad(|x, net| {
        let y = f(net, x)
        (sum(y * ct), y)
    }, wrt: (0, 1))(x, net)
    (y, gx, gn)
}

export fn rnn(net: Rnn(3, 4), x: f32[2, 5, 3], ct: f32[2, 5, 4]) = probe(|n, x| n(x), net, x, ct)

export fn lstm(net: Lstm(3, 4), x: f32[2, 5, 3], ct: f32[2, 5, 4]) = probe(|n, x| n(x), net, x, ct)

export fn gru(net: Gru(3, 4), x: f32[2, 5, 3], ct: f32[2, 5, 4]) = probe(|n, x| n(x), net, x, ct)

/// From a given state, with the last one.
export fn lstm_states(net: Lstm(3, 4), x: f32[2, 5, 3], h: f32[2, 4], c: f32[2, 4]) = net.run(x, h, c)

export fn rnn_states(net: Rnn(3, 4), x: f32[2, 5, 3], h: f32[2, 4]) = net.run(x, h)

export fn gru_states(net: Gru(3, 4), x: f32[2, 5, 3], h: f32[2, 4]) = net.run(x, h)

model Bent {
    layers { Rnn(3, 4, activation: relu) }
}

export fn rnn_relu(net: Bent, x: f32[2, 5, 3], ct: f32[2, 5, 4]) = probe(|n, x| n(x), net, x, ct)

model Both {
    layers { Bidirectional(Lstm(3, 4)) }
}

export fn bidirectional(net: Both, x: f32[2, 5, 3], ct: f32[2, 5, 8]) = probe(|n, x| n(x), net, x, ct)

fn looked(f, q, k, v, ct) {
    let ((_, y), (gq, gk, gv)) = value_and_grad(|q, k, v| {
        let y = f(q, k, v)
        (sum(y * ct), y)
    }, wrt: (0, 1, 2))(q, k, v)
    (y, gq, gk, gv)
}

/// The function: plain, causal, and with keys of which only the first are seen.
export fn attended(
    q: f32[2, 2, 4, 3], k: f32[2, 2, 5, 3], v: f32[2, 2, 5, 3], length: i32, ct: f32[2, 2, 4, 3]
) =
    (
        looked(|q, k, v| attention(q, k, v), q, k, v, ct),
        looked(|q, k, v| attention(q, k, v, causal: true), q, k, v, ct),
        looked(|q, k, v| attention(q, k, v, length: length), q, k, v, ct),
    )

export fn heads_plain(
    net: MultiHeadAttention(6, 3, causal: true, bias: false), x: f32[2, 4, 6], ct: f32[2, 4, 6]
) = probe(|n, x| n(x), net, x, ct)

export fn fed(net: FeedForward(6, 8), x: f32[2, 4, 6], ct: f32[2, 4, 6]) = probe(|n, x| n(x), net, x, ct)

export fn heads(net: MultiHeadAttention(6, 2), x: f32[2, 4, 6], ct: f32[2, 4, 6]) =
    probe(|n, x| n(x), net, x, ct)

export fn causal_block(net: TransformerBlock(6, 2, 8, causal: true), x: f32[2, 4, 6], ct: f32[2, 4, 6]) =
    probe(|n, x| n(x), net, x, ct)

export fn decoder(
    net: DecoderBlock(6, 2, 8, activation: relu), x: f32[2, 4, 6], memory: f32[2, 3, 6], ct: f32[2, 4, 6]
) = probe(|n, x| n(x, memory), net, x, ct)

export fn encoding() -> f32[5, 6] = positions(5, 6)
