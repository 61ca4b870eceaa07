"""Activations and losses, from PyTorch."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
import torch
import torch.nn.functional as F
from cases import File, draw, gradients


def activations() -> None:
    file = File("activations")
    x = torch.tensor([-7.5, -3.0, -1.25, -1.0, -0.5, 0.0, 0.25, 1.0, 2.5, 3.0, 7.25])
    ct = draw(11)
    smooth = [
        torch.sigmoid, F.logsigmoid, torch.tanh, F.silu, F.softplus, F.mish, F.gelu,
        lambda t: F.gelu(t, approximate="tanh"),
    ]  # fmt: skip
    kinked = [
        lambda t: t * 1.0, F.relu, F.relu6, F.leaky_relu, lambda t: F.leaky_relu(t, 0.2), F.elu, lambda t: F.elu(t, 0.5), F.selu,
        F.hardtanh, F.hardsigmoid, F.hardswish,
    ]  # fmt: skip
    rows = draw(3, 4, scale=2)
    other = draw(3, 4)
    axes = [
        lambda t: F.softmax(t, -1), lambda t: F.softmax(t, 0), lambda t: F.log_softmax(t, -1), lambda t: F.log_softmax(t, 0),
    ]  # fmt: skip
    for name, table, a, c in (
        ("smooth", smooth, x, ct),
        ("kinked", kinked, x, ct),
        ("along_axes", axes, rows, other),
    ):
        file.case(name, [a, c], [torch.stack([torch.stack(gradients(f, c, a)) for f in table])])
    file.write()


def losses() -> None:
    file = File("losses")
    one = torch.tensor(1.0)
    x, t, w = draw(5, 4), torch.tensor([1, 0, 2, 3, 3]), draw(4).abs() + 0.25
    table = [
        lambda x: F.cross_entropy(x, t),
        lambda x: F.cross_entropy(x, t, label_smoothing=0.1),
        lambda x: F.cross_entropy(x, t, weight=w),
        lambda x: F.cross_entropy(x, t, ignore_index=2),
        lambda x: F.cross_entropy(x, t, weight=w, ignore_index=2, label_smoothing=0.2),
        lambda x: F.nll_loss(F.log_softmax(x, -1), t),
        lambda x: F.multi_margin_loss(x, t),
        lambda x: F.multi_margin_loss(x, t, margin=0.5, reduction="sum"),
    ]
    file.case("indices", [x, t.to(torch.int32), w], [g for f in table for g in gradients(f, one, x)])
    p = draw(5, 4).abs()
    p[1, 2] = 0.0
    p = (p / p.sum(-1, keepdim=True)).to(torch.float32).to(torch.float64)
    x = draw(5, 4)
    table = [
        (lambda x: F.cross_entropy(x, p), x),
        (lambda x: F.cross_entropy(x, p, label_smoothing=0.1), x),
        (lambda x: F.kl_div(F.log_softmax(x, -1), p, reduction="batchmean"), x),
        (lambda q: F.kl_div(F.log_softmax(x, -1), q, reduction="batchmean"), p),
        (lambda x: F.binary_cross_entropy_with_logits(x, p), x),
        (lambda x: F.binary_cross_entropy_with_logits(x, p, pos_weight=torch.tensor(3.0)), x),
    ]
    found = [gradients(f, one, a) for f, a in table]
    found[3][1] = torch.where(
        p > 0, found[3][1], 0.0
    )  # the slope of p log p at 0 is infinite; ours is 0 there, and that of the rest
    found[3][1][1, 2] = -F.log_softmax(x, -1)[1, 2] / 5
    file.case("probabilities", [x, p], [g for pair in found for g in pair])
    x, y = draw(5, 4), draw(5, 4)
    table = [
        lambda x: F.mse_loss(x, y),
        lambda x: F.mse_loss(x, y, reduction="sum"),
        lambda x: F.l1_loss(x, y),
        lambda x: F.huber_loss(x, y),
        lambda x: F.huber_loss(x, y, delta=0.5),
    ]
    pairs = [g for f in table for g in gradients(f, one, x)]

    def hinge(x: jax.Array) -> jax.Array:
        return optax.losses.hinge_loss(x, jnp.sign(y.numpy())).mean()

    pairs += jax.value_and_grad(hinge)(jnp.asarray(x.numpy()))
    file.case("distances", [x, y], [*pairs, F.l1_loss(x, y, reduction="none")])
    file.write()
