"""Reference numbers of the library, from PyTorch in float64: `python make.py` writes an .npz for each program of ../programs.

Enters: nothing but random numbers of a fixed seed. Leaves: for every function of a program its inputs and results, named
`function/in/position.leaf` and `function/out/position.leaf`. What PyTorch lacks (LAMB, Lion, sharpness-aware steps, metrics)
is written out here from its paper. Knows nothing of the program under test.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
RNG = np.random.default_rng(20)

Tensor = torch.Tensor
Tree = Any  # a tensor, or names of leaves with tensors


def draw(*shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers that are floats too, so that both precisions read the same."""
    return torch.tensor((scale * RNG.standard_normal(shape)).astype(np.float32).astype(np.float64))


class File:
    """What one program is given and what it must return."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.arrays: dict[str, np.ndarray] = {}

    def case(self, function: str, inputs: Sequence[Tree], outputs: Sequence[Tree]) -> None:
        """One call, and what it must return; behind that, what it must leave in its arguments."""
        for side, trees in (("in", inputs), ("out", outputs)):
            for k, x in enumerate(trees):
                if isinstance(x, Mapping):
                    for leaf, array in x.items():
                        self.put(f"{function}/{side}/{k}.{leaf}", array)
                else:
                    self.put(f"{function}/{side}/{k}", x)

    def put(self, key: str, array: Any) -> None:
        self.arrays[key] = array.detach().numpy() if isinstance(array, Tensor) else np.asarray(array)

    def write(self) -> None:
        np.savez_compressed(HERE / f"{self.name}.npz", **self.arrays)


def gradients(f: Callable[..., Tensor], ct: Tensor, *leaves: Tensor) -> list[Tensor]:
    """f's value, and the gradients of sum(f * ct)."""
    asked = [x.detach().clone().requires_grad_(True) for x in leaves]
    y = f(*asked)
    return [y, *torch.autograd.grad((y * ct).sum(), asked)]


def fill(module: nn.Module, scale: float = 0.5) -> None:
    """Random parameters instead of the framework's."""
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(draw(*p.shape, scale=scale))


def module_case(
    file: File, name: str, module: Callable[..., Tensor], parameters: Mapping[str, tuple[Tensor, Callable[[Tensor], Tensor]]],
    x: Tensor, outputs: str = "yxn", state: Mapping[str, Tensor] | None = None, extra: Sequence[Tree] = (),
) -> None:  # fmt: skip
    """A layer: its parameters under our names, each with the change of layout from theirs."""
    x = x.requires_grad_(x.is_floating_point())
    y = module(x)
    ct = draw(*y.shape)
    sources = [t for t, _ in parameters.values()]
    asked = [x, *sources] if x.requires_grad else sources
    found = torch.autograd.grad((y * ct).sum(), asked)
    gx, gs = (found[0], found[1:]) if x.requires_grad else (None, found)
    grads = {k: change(g) for (k, (_, change)), g in zip(parameters.items(), gs, strict=True)}
    values = {k: change(t) for k, (t, change) in parameters.items()}
    values = {**values, **(state or {})}
    out = {"y": y, "x": gx, "n": grads, "l": (y * ct).sum()}
    file.case(name, [values, x, *extra, ct], [out[k] for k in outputs])


def same(t: Tensor) -> Tensor:
    return t


def turned(t: Tensor) -> Tensor:
    return t.T


# ---------------------------------------------------------------- activations


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


# ---------------------------------------------------------------- losses


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
        lambda x: F.relu(1 - x * y.sign()).mean(),
    ]
    pairs = [g for f in table for g in gradients(f, one, x)]
    file.case("distances", [x, y], [*pairs, F.l1_loss(x, y, reduction="none")])
    file.write()


# ---------------------------------------------------------------- convolutions and pools


def convolutions() -> None:
    file = File("convolutions")

    def add(name: str, f: Callable[[Tensor, Tensor], Tensor], x: Tensor, w: Tensor) -> None:
        ct = draw(*f(x, w).shape)
        file.case(name, [x, w, ct], gradients(f, ct, x, w))

    image = (2, 3, 6, 7)
    add(
        "one_axis", lambda x, w: F.conv1d(x, w, stride=2, padding=1, dilation=2), draw(2, 3, 9), draw(4, 3, 3)
    )
    add("one_side", lambda x, w: F.conv1d(F.pad(x, (2, 0)), w), draw(2, 3, 9), draw(4, 3, 3))
    add("plain", F.conv2d, draw(*image), draw(4, 3, 3, 2))
    add("strided", lambda x, w: F.conv2d(x, w, stride=(2, 1), padding=(1, 2)), draw(*image), draw(4, 3, 3, 2))
    add(
        "grouped",
        lambda x, w: F.conv2d(x, w, dilation=2, padding=2, groups=2),
        draw(2, 4, 6, 7),
        draw(6, 2, 3, 2),
    )
    add(
        "depthwise",
        lambda x, w: F.conv2d(x, w, stride=2, padding=1, groups=3),
        draw(*image),
        draw(6, 1, 3, 3),
    )
    add("one_tap", lambda x, w: F.conv2d(x, w, stride=2), draw(2, 3, 5, 4), draw(4, 3, 1, 1))
    add(
        "three_axes", lambda x, w: F.conv3d(x, w, padding=(0, 1, 1)), draw(1, 2, 4, 5, 4), draw(3, 2, 2, 3, 2)
    )
    add(
        "transposed",
        lambda x, w: F.conv_transpose1d(x, w, stride=2, padding=1, output_padding=1),
        draw(2, 3, 5),
        draw(3, 4, 4),
    )
    add(
        "transposed_groups",
        lambda x, w: F.conv_transpose2d(x, w, stride=(2, 1), dilation=(1, 2), groups=2),
        draw(2, 4, 3, 4),
        draw(4, 3, 2, 3),
    )
    add("transposed_three", F.conv_transpose3d, draw(1, 2, 2, 3, 2), draw(2, 3, 2, 2, 3))
    line = nn.Conv1d(2, 3, 3, stride=2, padding=1)
    fill(line)
    names = {"0.w": (line.weight, same), "0.b": (line.bias, same)}
    module_case(file, "line", lambda x: F.relu(line(x)), names, draw(2, 2, 7))
    a, b = nn.Conv2d(2, 4, (3, 2), padding=(1, 0)), nn.Conv2d(4, 4, 3, padding=1, groups=4, bias=False)
    c, d = nn.Conv2d(4, 3, 1), nn.ConvTranspose2d(3, 2, 2, stride=2)
    for m in (a, b, c, d):
        fill(m)
    names = {
        "0.w": (a.weight, same), "0.b": (a.bias, same), "1.0.w": (b.weight, same), "1.1.w": (c.weight, same),
        "1.1.b": (c.bias, same),
        "2.w": (d.weight, same), "2.b": (d.bias, same),
    }  # fmt: skip
    module_case(file, "image", lambda x: d(c(b(torch.tanh(a(x))))), names, draw(2, 2, 4, 4))
    volume = nn.Conv3d(2, 3, 2, bias=False)
    fill(volume)
    module_case(file, "volume", volume, {"0.w": (volume.weight, same)}, draw(1, 2, 3, 3, 4))
    file.write()


def pools() -> None:
    file = File("pools")
    x = torch.tensor(RNG.integers(-3, 4, (2, 3, 6, 7)).astype(np.float64))  # with ties
    a, b, c = draw(2, 3, 3, 3), draw(2, 3, 3, 7), draw(2, 3, 5, 5)
    found = [
        gradients(lambda x: F.max_pool2d(x, 2), a, x),
        gradients(lambda x: F.max_pool2d(x, (3, 2), stride=(2, 1), padding=(1, 0)), b[..., 0:6], x),
        gradients(lambda x: F.max_pool2d(x, 2, stride=1, dilation=(1, 2)), c, x),
    ]
    file.case("largest", [x, a, b, c], [g for pair in found for g in pair])
    x, a, b = draw(2, 3, 6, 7), draw(2, 3, 3, 3), draw(2, 3, 4, 4)
    found = [
        gradients(lambda x: F.avg_pool2d(x, 2), a, x),
        gradients(lambda x: F.avg_pool2d(x, 3, stride=2, padding=1), b[:, :, 0:3], x),
        gradients(
            lambda x: F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False), b[:, :, 0:3], x
        ),
    ]
    file.case("means", [x, a, b], [g for pair in found for g in pair])
    x, a, b = draw(2, 3, 6, 7), draw(2, 3, 3, 4), draw(2, 3, 1, 5)
    found = [
        gradients(lambda x: F.adaptive_avg_pool2d(x, (3, 4)), a, x),
        gradients(lambda x: F.adaptive_max_pool2d(x, (3, 4)), a, x),
        gradients(lambda x: F.adaptive_avg_pool2d(x, (1, 5)), b, x),
        gradients(lambda x: F.adaptive_max_pool2d(x, (1, 5)), b, x),
    ]
    file.case("adaptive", [x, a, b], [g for pair in found for g in pair])

    def add(name: str, i: int, o: int, x: Tensor, f: Callable[[Tensor], Tensor]) -> None:
        dense = nn.Linear(i, o)
        fill(dense)
        names = {"0.w": (dense.weight, turned), "0.b": (dense.bias, same)}
        module_case(file, name, lambda x: f(dense(x)), names, x, outputs="yn")

    add("line", 8, 8, draw(2, 3, 8), lambda y: F.avg_pool1d(F.max_pool1d(y, 3, stride=1, padding=1), 2))
    add(
        "image",
        7,
        8,
        draw(2, 3, 6, 7),
        lambda y: F.adaptive_max_pool2d(F.avg_pool2d(F.max_pool2d(y, 2, stride=1), 2), 2).mean((2, 3)),
    )
    add(
        "volume",
        4,
        4,
        draw(2, 3, 3, 3, 4),
        lambda y: F.avg_pool3d(F.max_pool3d(y, 2, stride=1), (1, 2, 1)).amax((2, 3, 4)),
    )
    file.write()


# ---------------------------------------------------------------- layers


def layers() -> None:
    file = File("layers")
    dense = nn.Linear(4, 3)
    fill(dense)
    names = {"0.w": (dense.weight, turned), "0.b": (dense.bias, same)}
    module_case(file, "linear", lambda x: torch.tanh(dense(x)), names, draw(2, 3, 4))
    a, b, norm = nn.Linear(4, 3), nn.Linear(3, 4, bias=False), nn.LayerNorm(4)
    rms = nn.RMSNorm(4, eps=1e-6)
    for m in (a, b, norm, rms):
        fill(m)
    names = {
        "0.inner.one.w": (a.weight, turned), "0.inner.one.b": (a.bias, same), "0.inner.two.w": (b.weight, turned),
        "1.scale": (norm.weight, same), "1.shift": (norm.bias, same), "2.scale": (rms.weight, same),
    }  # fmt: skip
    module_case(file, "mixed", lambda x: rms(norm(x + b(F.silu(a(x))))), names, draw(2, 3, 4))
    group = nn.GroupNorm(2, 4)
    fill(group)
    names = {"0.scale": (group.weight, same), "0.shift": (group.bias, same)}
    module_case(file, "grouped", lambda x: group(x).reshape(2, 24), names, draw(2, 4, 3, 2))
    embedding = nn.Embedding(5, 3)
    fill(embedding)
    ids = torch.tensor([[0, 4, 4, 1], [2, 0, 4, 2]], dtype=torch.int32)
    module_case(file, "table", embedding, {"0.table": (embedding.weight, same)}, ids, outputs="ln")
    norm = nn.BatchNorm2d(3)
    fill(norm)
    with torch.no_grad():
        norm.running_mean.copy_(draw(3))
        norm.running_var.copy_(draw(3).abs() + 0.5)
    names = {"0.scale": (norm.weight, same), "0.shift": (norm.bias, same)}
    state = {"0.mean": norm.running_mean.clone(), "0.variance": norm.running_var.clone()}
    x = draw(4, 3, 2, 3)
    norm.eval()
    module_case(file, "batch_eval", norm, names, x.clone(), state=state)
    norm.train()
    stream = {"key": np.array([1, 2], np.uint32), "counter": np.uint32(0)}
    batch_train(file, norm, names, state, x.clone(), stream)
    file.write()


def batch_train(file: File, norm: nn.BatchNorm2d, names: Any, state: Any, x: Tensor, stream: Any) -> None:
    x.requires_grad_(True)
    y = norm(x)
    ct = draw(*y.shape)
    gx, *gs = torch.autograd.grad((y * ct).sum(), [x, norm.weight, norm.bias])
    before = {"0.scale": norm.weight, "0.shift": norm.bias, **state}
    after = {
        "0.scale": norm.weight,
        "0.shift": norm.bias,
        "0.mean": norm.running_mean,
        "0.variance": norm.running_var,
    }
    grads = dict(zip(names, gs, strict=True))
    file.case("batch_train", [before, stream, x, ct], [y, gx, grads, after])


# ---------------------------------------------------------------- sequences


def cell(module: nn.RNNBase, suffix: str = "") -> dict[str, Any]:
    """Our names for a recurrent layer of PyTorch. Its two biases are one of ours."""
    w, u = getattr(module, f"weight_ih_l0{suffix}"), getattr(module, f"weight_hh_l0{suffix}")
    return {"wx": (w, turned), "wh": (u, turned), "b": (getattr(module, f"bias_ih_l0{suffix}"), same)}


def still(module: nn.RNNBase) -> None:
    """No second biases."""
    with torch.no_grad():
        for name, p in module.named_parameters():
            if name.startswith("bias_hh"):
                p.zero_()


def sequences() -> None:
    file = File("sequences")
    x = draw(2, 5, 3)
    rnn, lstm, gru = (kind(3, 4, batch_first=True) for kind in (nn.RNN, nn.LSTM, nn.GRU))
    both = nn.LSTM(3, 4, batch_first=True, bidirectional=True)
    for m in (rnn, lstm, gru, both):
        fill(m)
        still(m)
    module_case(file, "rnn", lambda x: rnn(x)[0], cell(rnn), x.clone())
    module_case(file, "lstm", lambda x: lstm(x)[0], cell(lstm), x.clone())
    with torch.no_grad():
        gru.bias_hh_l0[8:].copy_(draw(4))
    names = {**cell(gru), "bn": (gru.bias_hh_l0, lambda t: t[8:])}
    module_case(file, "gru", lambda x: gru(x)[0], names, x.clone())
    h, c = draw(2, 4), draw(2, 4)
    hs, (last, memory) = lstm(x, (h[None], c[None]))
    values = {k: change(t) for k, (t, change) in cell(lstm).items()}
    file.case("lstm_states", [values, x, h, c], [hs, last[0], memory[0]])
    ahead = {f"0.ahead.{k}": p for k, p in cell(both).items()}
    back = {f"0.back.{k}": p for k, p in cell(both, "_reverse").items()}
    module_case(file, "bidirectional", lambda x: both(x)[0], {**ahead, **back}, x.clone())
    attention_cases(file)
    p, k = np.arange(5)[:, None], np.arange(3)
    angle = p / 10000 ** (2 * k / 6)
    file.case("encoding", [], [np.stack([np.sin(angle), np.cos(angle)], -1).reshape(5, 6)])
    file.write()


def projections(m: nn.MultiheadAttention, prefix: str = "") -> dict[str, Any]:
    """Our names for PyTorch's joint projection of queries, keys and values."""
    names: dict[str, Any] = {}
    for i, k in enumerate("qkv"):
        names[f"{prefix}w{k}"] = (m.in_proj_weight, lambda t, i=i: t[6 * i : 6 * i + 6].T)
    names[f"{prefix}wo"] = (m.out_proj.weight, turned)
    for i, k in enumerate("qkv"):
        names[f"{prefix}b{k}"] = (m.in_proj_bias, lambda t, i=i: t[6 * i : 6 * i + 6])
    names[f"{prefix}bo"] = (m.out_proj.bias, same)
    return names


def normed(m: nn.LayerNorm, prefix: str) -> dict[str, Any]:
    return {f"{prefix}scale": (m.weight, same), f"{prefix}shift": (m.bias, same)}


def fed(first: nn.Linear, second: nn.Linear) -> dict[str, Any]:
    pairs = (("1", first), ("2", second))
    return {
        f"feed.{k}{n}": p for n, m in pairs for k, p in (("w", (m.weight, turned)), ("b", (m.bias, same)))
    }


def attention_cases(file: File) -> None:
    x = draw(2, 4, 6)
    heads = nn.MultiheadAttention(6, 2, batch_first=True)
    fill(heads)
    module_case(
        file, "heads", lambda x: heads(x, x, x, need_weights=False)[0], projections(heads), x.clone()
    )  # fmt: skip
    block = nn.TransformerEncoderLayer(
        6, 2, 8, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
    )
    fill(block)
    block.train()
    mask = nn.Transformer.generate_square_subsequent_mask(4)
    names = {
        **normed(block.norm1, "norm1."), **projections(block.self_attn, "attend."), **normed(block.norm2, "norm2."),
        **fed(block.linear1, block.linear2),
    }  # fmt: skip
    module_case(file, "causal_block", lambda x: block(x, src_mask=mask), names, x.clone())
    decoder = nn.TransformerDecoderLayer(
        6, 2, 8, dropout=0.0, activation="relu", batch_first=True, norm_first=True
    )
    fill(decoder)
    memory = draw(2, 3, 6)
    names = {
        **normed(decoder.norm1, "norm1."), **projections(decoder.self_attn, "attend."), **normed(decoder.norm2, "norm2."),
        **projections(decoder.multihead_attn, "look."), **normed(decoder.norm3, "norm3."),
        **fed(decoder.linear1, decoder.linear2),
    }  # fmt: skip
    module_case(
        file, "decoder", lambda x: decoder(x, memory, tgt_mask=mask), names, x.clone(), extra=[memory]
    )  # fmt: skip


# ---------------------------------------------------------------- residual blocks


def residual() -> None:
    file = File("residual")

    def norm(n: int) -> nn.BatchNorm2d:
        m = nn.BatchNorm2d(n)
        fill(m)
        with torch.no_grad():
            m.running_mean.copy_(draw(n))
            m.running_var.copy_(draw(n).abs() + 0.5)
        return m.eval()

    def conv(i: int, o: int, k: int, stride: int = 1) -> nn.Conv2d:
        m = nn.Conv2d(i, o, k, stride=stride, padding=k // 2, bias=False)
        fill(m)
        return m

    def names(
        convs: Sequence[nn.Conv2d], norms: Sequence[nn.BatchNorm2d]
    ) -> tuple[dict[str, Any], dict[str, Tensor]]:
        out: dict[str, Any] = {}
        state = {}
        for k, (c, n) in enumerate(zip(convs, norms, strict=True), 1):
            out |= {
                f"conv{k}.w": (c.weight, same),
                f"norm{k}.scale": (n.weight, same),
                f"norm{k}.shift": (n.bias, same),
            }
            state |= {f"norm{k}.mean": n.running_mean, f"norm{k}.variance": n.running_var}
        return out, state

    c, n = [conv(3, 3, 3), conv(3, 3, 3)], [norm(3), norm(3)]
    params, state = names(c, n)
    module_case(
        file, "same", lambda x: F.relu(n[1](c[1](F.relu(n[0](c[0](x))))) + x), params, draw(1, 3, 4, 4), state=state
    )  # fmt: skip
    d, m = [conv(2, 3, 3, 2), conv(3, 3, 3), conv(2, 3, 1, 2)], [norm(3), norm(3), norm(3)]
    params, state = names(d, m)
    module_case(
        file, "halved", lambda x: F.relu(m[1](d[1](F.relu(m[0](d[0](x))))) + m[2](d[2](x))), params,
        draw(1, 2, 4, 4), state=state,
    )  # fmt: skip
    e = [conv(2, 2, 1), conv(2, 2, 3, 2), conv(2, 4, 1), conv(2, 4, 1, 2)]
    o = [norm(2), norm(2), norm(4), norm(4)]
    params, state = names(e, o)
    module_case(
        file, "bottleneck",
        lambda x: F.relu(o[2](e[2](F.relu(o[1](e[1](F.relu(o[0](e[0](x)))))))) + o[3](e[3](x))), params,
        draw(1, 2, 4, 4), state=state,
    )  # fmt: skip
    file.write()


# ---------------------------------------------------------------- optimizers


def optimizers() -> None:
    file = File("optimizers")
    start = {"w": draw(3), "b": draw(2, 2)}
    grads = [{"w": draw(3), "b": draw(2, 2)} for _ in range(3)]
    run = {f"{i}.{k}": g[k] for i, g in enumerate(grads) for k in g}

    def steps(
        name: str, step: Callable[[dict[str, Tensor], dict[str, Tensor]], None], p: dict[str, Tensor]
    ) -> None:
        for g in grads:
            step(p, g)
        file.case(name, [start, run], [p])

    def torch_steps(name: str, make: Callable[[list[Tensor]], torch.optim.Optimizer]) -> None:
        p = {k: t.clone().requires_grad_(True) for k, t in start.items()}
        optimizer = make(list(p.values()))

        def step(p: dict[str, Tensor], g: dict[str, Tensor]) -> None:
            for k in p:
                p[k].grad = g[k].clone()
            optimizer.step()

        steps(name, step, p)

    torch_steps("sgd", lambda p: torch.optim.SGD(p, lr=0.1))
    torch_steps("momentum", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01))
    torch_steps(
        "nesterov", lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True)
    )
    torch_steps("adam", lambda p: torch.optim.Adam(p, lr=0.1, betas=(0.8, 0.9)))
    torch_steps("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1))
    torch_steps("rmsprop", lambda p: torch.optim.RMSprop(p, lr=0.1))
    torch_steps("adagrad", lambda p: torch.optim.Adagrad(p, lr=0.1))
    steps("lamb", Lamb(), {k: t.clone() for k, t in start.items()})
    steps("lion", Lion(), {k: t.clone() for k, t in start.items()})
    sharpness(file, start)
    treatments(file, grads, run)
    file.write()


class Lamb:
    """You et al. (2020), algorithm 2, with bias correction and a trust ratio of |w| / |r|."""

    def __init__(self) -> None:
        self.t = 0
        self.m: dict[str, Any] = {}
        self.v: dict[str, Any] = {}

    def __call__(self, p: dict[str, Tensor], g: dict[str, Tensor]) -> None:
        self.t += 1
        for k in p:
            self.m[k] = 0.9 * self.m.get(k, 0) + 0.1 * g[k]
            self.v[k] = 0.999 * self.v.get(k, 0) + 0.001 * g[k] ** 2
            m, v = self.m[k] / (1 - 0.9**self.t), self.v[k] / (1 - 0.999**self.t)
            r = m / (v.sqrt() + 1e-6) + 0.1 * p[k]
            p[k] = p[k] - 0.1 * p[k].norm() / r.norm() * r


class Lion:
    """Chen et al. (2023), algorithm 2."""

    def __init__(self) -> None:
        self.m: dict[str, Any] = {}

    def __call__(self, p: dict[str, Tensor], g: dict[str, Tensor]) -> None:
        for k in p:
            m = self.m.get(k, torch.zeros_like(p[k]))
            p[k] = p[k] - 0.1 * ((0.9 * m + 0.1 * g[k]).sign() + 0.1 * p[k])
            self.m[k] = 0.99 * m + 0.01 * g[k]


def sharpness(file: File, start: dict[str, Tensor]) -> None:
    """Foret et al. (2021), algorithm 1, two steps of 0.1 with a radius of 0.1."""

    def slope(p: dict[str, Tensor]) -> dict[str, Tensor]:
        asked = {k: t.detach().clone().requires_grad_(True) for k, t in p.items()}
        loss = (asked["w"] ** 4).sum() + asked["b"].exp().sum()
        return dict(zip(asked, torch.autograd.grad(loss, list(asked.values())), strict=True))

    p = {k: t.clone() for k, t in start.items()}
    for _ in range(2):
        g = slope(p)
        long = torch.cat([t.flatten() for t in g.values()]).norm()
        up = slope({k: p[k] + 0.1 * g[k] / long for k in p})
        p = {k: p[k] - 0.1 * up[k] for k in p}
    file.case("sam", [start], [p])


def treatments(file: File, grads: list[dict[str, Tensor]], run: Any) -> None:
    def parameters(g: dict[str, Tensor]) -> dict[str, Tensor]:
        out = {k: torch.zeros_like(t).requires_grad_(True) for k, t in g.items()}
        for k, t in out.items():
            t.grad = g[k].clone()
        return out

    g = grads[0]
    whole, value = parameters(g), parameters(g)
    norm = nn.utils.clip_grad_norm_(whole.values(), 1.5)
    nn.utils.clip_grad_value_(value.values(), 0.5)
    each = parameters(g)
    for t in each.values():
        nn.utils.clip_grad_norm_([t], 1.0)
    grad_of = [{k: t.grad for k, t in p.items()} for p in (whole, each, value)]
    file.case("clipped", [g], [*grad_of, norm])
    mean = {k: (grads[0][k] + grads[1][k] + grads[2][k]) / 3 for k in g}
    file.case("accumulated", [run], [mean, grads[1]])


# ---------------------------------------------------------------- numbers


def numbers() -> None:
    file = File("numbers")
    for t in (0, 2, 3, 5, 11):
        file.case(f"schedules@{t}", [np.int32(t)], [schedules(t)])
    x, t = draw(9, 4), torch.tensor([0, 1, 2, 3, 3, 2, 2, 0, 1])
    y, seen = draw(9), draw(9)
    file.case("metrics", [x, t.to(torch.int32), y, seen], metrics(x, t, y, seen))
    i, o = 4, 6
    fans = [math.sqrt(6 / (i + o)), math.sqrt(2 / (i + o)), math.sqrt(6 / i), math.sqrt(2 / i)]
    stream = {"key": np.array([1, 2], np.uint32), "counter": np.uint32(0)}
    weight = torch.empty(8, 3, 5, 5)
    deviation = nn.init.calculate_gain("relu") / math.sqrt(nn.init._calculate_correct_fan(weight, "fan_in"))
    file.case("scales", [stream], [np.array([*fans, deviation])])
    u = torch.tensor([-0.9375, -0.5, -0.125, 0.0, 0.25, 0.75, 0.96875])
    low, high = math.erf(-math.sqrt(2)), math.erf(math.sqrt(2))
    quantile = math.sqrt(2) * torch.erfinv(low + (0.5 * u + 0.5) * (high - low))
    file.case("quantiles", [u], [torch.stack([quantile, *gradients(torch.erfinv, torch.ones(7), u)])])
    augmented(file)
    file.write()


def schedules(t: int) -> np.ndarray:
    """PyTorch's schedulers after t steps; its one-cycle ends after its last."""

    def rate(make: Callable[[torch.optim.Optimizer], Any], lr: float = 0.5, limit: int = 1000) -> float:
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
        scheduler = make(optimizer)
        for _ in range(min(t, limit)):
            optimizer.step()
            scheduler.step()
        return float(optimizer.param_groups[0]["lr"])

    s = torch.optim.lr_scheduler
    warm = rate(lambda o: s.LinearLR(o, start_factor=0.25, total_iters=4))
    cosine = rate(lambda o: s.CosineAnnealingLR(o, 8), limit=8)
    return np.array(
        [
            rate(lambda o: s.StepLR(o, 3, 0.1)),
            rate(lambda o: s.ExponentialLR(o, 0.9)),
            rate(lambda o: s.CosineAnnealingLR(o, 8, eta_min=0.1), limit=8),
            warm,
            rate(lambda o: s.LinearLR(o, start_factor=1.0, end_factor=0.1, total_iters=8)),
            rate(lambda o: s.OneCycleLR(o, 0.5, total_steps=12), limit=11),
            cosine * min(t / 4, 1),
        ]
    )


def metrics(x: Tensor, t: Tensor, y: Tensor, seen: Tensor) -> list[Any]:
    c = x.argmax(-1)
    confusion = np.zeros((4, 4), np.int32)
    for a, b in zip(t.tolist(), c.tolist(), strict=True):
        confusion[a, b] += 1
    hits, predicted, there = confusion.diagonal(), confusion.sum(0), confusion.sum(1)
    two = (x.topk(2, -1).indices == t[:, None]).any(-1).double().mean()

    def macro(above: Any, below: Any) -> float:
        return float(np.mean([a / b if b else 0.0 for a, b in zip(above, below, strict=True)]))

    scores = [
        (c == t).double().mean(), two, macro(hits, predicted), hits.sum() / predicted.sum(), macro(hits, there),
        hits.sum() / there.sum(), macro(2 * hits, predicted + there), hits.sum() / there.sum(), F.mse_loss(y, seen),
        F.l1_loss(y, seen),
        1 - ((y - seen) ** 2).sum() / ((seen - seen.mean()) ** 2).sum(),
    ]  # fmt: skip
    return [np.array([float(s) for s in scores]), confusion]


def augmented(file: File) -> None:
    x, y = draw(3, 2, 4, 5), draw(3, 2)
    order, lam = [2, 0, 1], 0.25
    row, column = [0, 2, 3], [1, 4, 2]
    erased = x.clone()
    for n in range(3):
        top, left = row[n] - 1, column[n] - 1
        erased[n, :, max(top, 0) : top + 3, max(left, 0) : left + 3] = 0
    inputs = [x, y, np.int32(order), np.float64(lam), np.int32(row), np.int32(column), np.int32(1)]
    mix = [lam * a + (1 - lam) * a[order] for a in (x, y)]
    file.case("augmented", inputs, [*mix, erased, y[1:3]])


# ---------------------------------------------------------------- axes


def axes() -> None:
    file = File("axes")
    a, b = nn.Conv1d(4, 4, 3, padding=1, groups=4, bias=False), nn.Conv1d(4, 3, 1)
    c = nn.ConvTranspose1d(3, 4, 3, stride=2, padding=1, output_padding=1)
    d, e = nn.Conv3d(2, 2, 2, stride=(1, 2, 1), groups=2, bias=False), nn.Conv3d(2, 3, 1)
    g = nn.ConvTranspose3d(3, 2, (1, 2, 2), stride=(1, 2, 1), bias=False)
    for m in (a, b, c, d, e, g):
        fill(m)
    names = {"0.0.w": (a.weight, same), "0.1.w": (b.weight, same), "0.1.b": (b.bias, same)}
    names |= {"1.w": (c.weight, same), "1.b": (c.bias, same)}
    module_case(file, "signal", lambda x: torch.tanh(c(b(a(x)))), names, draw(2, 4, 5))
    names = {
        "0.0.w": (d.weight, same),
        "0.1.w": (e.weight, same),
        "0.1.b": (e.bias, same),
        "1.w": (g.weight, same),
    }
    module_case(file, "solid", lambda x: g(e(d(x))), names, draw(1, 2, 3, 4, 3))
    file.write()


if __name__ == "__main__":
    for make in (
        activations, losses, convolutions, pools, layers, sequences, residual, optimizers, numbers, axes,
    ):  # fmt: skip
        make()
