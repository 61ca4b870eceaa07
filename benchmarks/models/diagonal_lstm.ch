//! The loss of an LSTM with diagonal weights on a sequence and its gradient, as in ADBench (Srajer et al., 2018): 2 layers of 14.

/// Weights and shifts of four gates.
struct Layer(B: int) {
    scale: f64[4, B]
    shift: f64[4, B]
}

struct Parameters(L: int, B: int) {
    layers: [Layer(B); L]
    extra: f64[3, B]  // scales of the input and of the output, shift of the output
}

struct State(B: int) {
    hid: f64[B]
    cell: f64[B]
}

fn gate(layer: Layer(B), i: int, x: f64[B]) -> f64[B] where i < 4 = x * layer.scale[i] + layer.shift[i]

/// What follows `x`; the state of every layer goes on.
fn predict(p: Parameters(L, B), mut states: [State(B); L], x: f64[B]) -> f64[B] {
    let mut y = x * p.extra[0]
    for (layer, s) in zip(p.layers, states) {
        let change = tanh(gate(layer, 3, s.hid))
        s.cell = s.cell * sigmoid(gate(layer, 0, y)) + sigmoid(gate(layer, 1, s.hid)) * change
        s.hid = sigmoid(gate(layer, 2, y)) * tanh(s.cell)
        y = s.hid
    }
    y * p.extra[1] + p.extra[2]
}

fn loss(p: Parameters(L, B), start: [State(B); L], text: f64[T, B]) -> f64 {
    let mut states = start
    let mut total: f64 = 0.0
    for t in 0..T - 1 {
        let y = predict(p, mut states, text[t])
        total = total + sum(text[t + 1] * (y - log(sum(exp(y)) + 2.0)))
    }
    -total / ((T - 1) * B)
}

export fn objective(p: Parameters(2, 14), start: [State(14); 2], text: f64[T, 14]) -> f64 =
    loss(p, start, text)

export fn gradient(
    p: Parameters(2, 14), start: [State(14); 2], text: f64[T, 14]
) -> (f64, Parameters(2, 14)) {
    value_and_grad(loss)(p, start, text)
}
