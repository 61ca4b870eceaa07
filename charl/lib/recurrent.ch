//! Recurrent layers over [batch, time, features]: a loop over time with carried state, differentiated through time.
//!
//! `net(x)` starts at zero and gives the hidden state after every step; `net.run(x, …)` takes the first state and gives the last one too.

/// h' = activation(x wx + h wh + b).
///
/// Shapes: [B, T, i] to [B, T, h]. Source: Elman (1990); torch.nn.RNN.
model Rnn(i: int, h: int, activation: fn(f32[*S]) -> f32[*S] = tanh) {
    param wx: f32[i, h] = glorot_uniform()
    param wh: f32[h, h] = orthogonal()
    param b: f32[h] = zeros()

    fn forward(x: f32[B, T, i]) -> f32[B, T, h] = run(x, zeros(B, h))[0]

    /// All hidden states, and the last.
    fn run(x: f32[B, T, i], start: f32[B, h]) -> (f32[B, T, h], f32[B, h]) {
        let pre = x @ wx + b
        let mut hid = start
        let hs = for t in 0..T {
            hid = activation(pre[:, t] + hid @ wh)
            yield hid
        }
        (hs.transpose(1, 0, 2), hid)
    }
}

/// Long short-term memory with a forget gate: cell' = sigmoid(f) * cell + sigmoid(a) * tanh(g) and h' = sigmoid(o) *
/// tanh(cell').
///
/// [a, f, g, o] = x wx + h wh + b, in PyTorch's order; our b is the sum of its two.
///
/// Shapes: [B, T, i] to [B, T, h]. Source: Hochreiter and Schmidhuber (1997); Gers et al. (2000); torch.nn.LSTM.
model Lstm(i: int, h: int) {
    param wx: f32[i, 4 * h] = glorot_uniform()
    param wh: f32[h, 4 * h] = orthogonal()
    param b: f32[4 * h] = zeros()

    fn forward(x: f32[B, T, i]) -> f32[B, T, h] = run(x, zeros(B, h), zeros(B, h))[0]

    /// All hidden states, the last, and the last cell.
    fn run(x: f32[B, T, i], start: f32[B, h], memory: f32[B, h]) -> (f32[B, T, h], f32[B, h], f32[B, h]) {
        let pre = x @ wx + b
        let mut hid = start
        let mut cell = memory
        let hs = for t in 0..T {
            let [a, f, g, o] = split(pre[:, t] + hid @ wh, 4, axis: -1)
            cell = sigmoid(f) * cell + sigmoid(a) * tanh(g)
            hid = sigmoid(o) * tanh(cell)
            yield hid
        }
        (hs.transpose(1, 0, 2), hid, cell)
    }
}

/// Gated recurrent unit: h' = (1 - z) * n + z * h with r and z the sigmoids of their parts of x wx + h wh + b, and n = tanh(x
/// wx + b + r * (h wh + bn)), as PyTorch and cuDNN have it.
///
/// Shapes: [B, T, i] to [B, T, h]. Source: Cho et al. (2014), equations 5 to 8; torch.nn.GRU.
model Gru(i: int, h: int) {
    param wx: f32[i, 3 * h] = glorot_uniform()
    param wh: f32[h, 3 * h] = orthogonal()
    param b: f32[3 * h] = zeros()
    param bn: f32[h] = zeros()

    fn forward(x: f32[B, T, i]) -> f32[B, T, h] = run(x, zeros(B, h))[0]

    /// All hidden states, and the last.
    fn run(x: f32[B, T, i], start: f32[B, h]) -> (f32[B, T, h], f32[B, h]) {
        let pre = x @ wx + b
        let mut hid = start
        let hs = for t in 0..T {
            let [xr, xz, xn] = split(pre[:, t], 3, axis: -1)
            let [hr, hz, hn] = split(hid @ wh, 3, axis: -1)
            let z = sigmoid(xz + hz)
            let n = tanh(xn + sigmoid(xr + hr) * (hn + bn))
            hid = n + z * (hid - n)
            yield hid
        }
        (hs.transpose(1, 0, 2), hid)
    }
}

/// concat(ahead(x), flip(back(flip(x)))): two layers of one kind side by side, one of which reads the sequence from its end:
/// `Bidirectional(Lstm(8, 16))` gives [B, T, 32].
///
/// Shapes: [B, T, i] to [B, T, 2 h]. Source: Schuster and Paliwal (1997); torch.nn.LSTM(bidirectional=True).
model Bidirectional(layer) {
    ahead: layer
    back: layer

    fn forward(x) = concat([ahead(x), flip(back(flip(x, axis: 1)), axis: 1)], axis: -1)
}
