//! Residual blocks, evaluated: values, and gradients of inputs and parameters.

from nn import BasicBlock, Bottleneck

fn probe(net, x, ct) {
    let ((_, y), (gx, gn)) = value_and_grad(|x, net| {
        let y = net(x)
        (sum(y * ct), y)
    }, wrt: (0, 1))(x, net)
    (y, gx, gn)
}

export fn same(net: BasicBlock(3, 3), x: f32[1, 3, 4, 4], ct: f32[1, 3, 4, 4]) = probe(net, x, ct)

export fn halved(net: BasicBlock(2, 3, stride: 2), x: f32[1, 2, 4, 4], ct: f32[1, 3, 2, 2]) =
    probe(net, x, ct)

export fn bottleneck(net: Bottleneck(2, 2, 4, stride: 2), x: f32[1, 2, 4, 4], ct: f32[1, 4, 2, 2]) =
    probe(net, x, ct)
