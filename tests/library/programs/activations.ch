//! Every activation: its values, and its gradient for a given cotangent, side by side.

fn probe(f, x, ct) {
    let ((_, y), g) = value_and_grad(|x| {
        let y = f(x)
        (sum(y * ct), y)
    })(x)
    stack([y, g])
}

export fn smooth(x: f32[11], ct: f32[11]) =
    stack(
        [
            probe(sigmoid, x, ct),
            probe(log_sigmoid, x, ct),
            probe(tanh, x, ct),
            probe(silu, x, ct),
            probe(softplus, x, ct),
            probe(mish, x, ct),
            probe(gelu, x, ct),
            probe(gelu_tanh, x, ct),
        ]
    )

export fn kinked(x: f32[11], ct: f32[11]) =
    stack(
        [
            probe(identity, x, ct),
            probe(relu, x, ct),
            probe(relu6, x, ct),
            probe(leaky_relu, x, ct),
            probe(|x| leaky_relu(x, slope: 0.2), x, ct),
            probe(elu, x, ct),
            probe(|x| elu(x, alpha: 0.5), x, ct),
            probe(selu, x, ct),
            probe(hard_tanh, x, ct),
            probe(hard_sigmoid, x, ct),
            probe(hard_silu, x, ct),
        ]
    )

export fn along_axes(x: f32[3, 4], ct: f32[3, 4]) =
    stack(
        [
            probe(softmax, x, ct),
            probe(|x| softmax(x, axis: 0), x, ct),
            probe(log_softmax, x, ct),
            probe(|x| log_softmax(x, axis: 0), x, ct),
        ]
    )
