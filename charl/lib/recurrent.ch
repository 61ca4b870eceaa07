//! Recurrent layers over [batch, time, features]: a loop over time with carried state, differentiated through time.
//!
//! `net(x)` starts at zero and gives the hidden state after every step; `net.run(x, …)` takes the first state and gives the last one too.

/// h' = tanh(x wx + h wh + b) (Elman, 1990): [B, T, i] to [B, T, h].
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

/// Long short-term memory (Hochreiter and Schmidhuber, 1997; forget gate: Gers et al., 2000): [B, T, i] to [B, T, h].
///
/// cell' = sigmoid(f) cell + sigmoid(a) tanh(g); h' = sigmoid(o) tanh(cell') with [a, f, g, o] = x wx + h wh + b, in PyTorch's order; our b is the
/// sum of its two.
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

/// Gated recurrent unit (Cho et al., 2014), as PyTorch and cuDNN have it: [B, T, i] to [B, T, h].
///
/// h' = (1 - z) n + z h with r and z the sigmoids of their parts of x wx + h wh + b, and n = tanh(x wx + b + r (h wh + bn)).
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

/// Two layers of one kind, one of which reads the sequence from its end, side by side: `Bidirectional(Lstm(8, 16))` gives [B, T, 32]
/// (Schuster and Paliwal, 1997).
model Bidirectional(layer) {
    ahead: layer
    back: layer

    fn forward(x) = concat([ahead(x), flip(back(flip(x, axis: 1)), axis: 1)], axis: -1)
}
