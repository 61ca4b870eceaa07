"""The networks in PyTorch, as its users write them, with the weights of Charl's.

Enters: leaves by Charl's paths. Leaves: modules that hold them, and where each leaf is in the module.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.case import Leaves

Tensor: TypeAlias = torch.Tensor
Places: TypeAlias = (
    "dict[str, tuple[nn.Parameter, bool]]"  # by path: the parameter, and whether it is transposed
)


def fill(places: Places, leaves: Leaves) -> None:
    """Copy leaves to where they belong."""
    with torch.no_grad():
        for path, (parameter, transposed) in places.items():
            value = torch.from_numpy(leaves[path])
            parameter.copy_(value.T if transposed else value)


def leaves(places: Places) -> Leaves:
    """The leaves as Charl holds them."""
    return {k: (p.detach().T if t else p.detach()).numpy() for k, (p, t) in places.items()}


def linear(path: str, layer: nn.Linear) -> Places:
    """Places of a dense layer."""
    return {f"{path}.w": (layer.weight, True), f"{path}.b": (layer.bias, False)}


def norm(path: str, layer: nn.LayerNorm | nn.BatchNorm2d) -> Places:
    """Places of a normalisation."""
    return {f"{path}.scale": (layer.weight, False), f"{path}.shift": (layer.bias, False)}


def mlp() -> tuple[nn.Module, Places]:
    """mlp.ch"""
    net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return net, linear("0", net[0]) | linear("1", net[2])


class Classifier(nn.Module):
    """lstm.ch. The second bias of the library's LSTM is zero and does not learn."""

    def __init__(self, out: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(256, 256, batch_first=True)
        self.out = nn.Linear(256, 10) if out else None
        with torch.no_grad():
            self.lstm.bias_hh_l0.zero_()
        self.lstm.bias_hh_l0.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        """All outputs, or the classes of the last one."""
        y = self.lstm(x)[0]
        return y if self.out is None else self.out(y[:, -1])


def lstm(out: bool) -> tuple[nn.Module, Places]:
    """lstm.ch"""
    net = Classifier(out)
    cell, at = net.lstm, "lstm." if out else ""
    places: Places = {
        f"{at}wx": (cell.weight_ih_l0, True),
        f"{at}wh": (cell.weight_hh_l0, True),
        f"{at}b": (cell.bias_ih_l0, False),
    }
    return net, places | (linear("out", net.out) if net.out is not None else {})


class Block(nn.Module):
    """A layer of a decoder."""

    def __init__(self, d: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.ln1, self.ln2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.out = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.fc, self.proj = nn.Linear(d, 4 * d), nn.Linear(4 * d, d)

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """Output, and keys and values with the earlier ones."""
        rows, time, d = x.shape
        q, k, v = (
            part.view(rows, time, self.heads, d // self.heads).transpose(1, 2)
            for part in self.qkv(self.ln1(x)).split(d, 2)
        )
        if past is not None:
            k, v = torch.cat((past[0], k), 2), torch.cat((past[1], v), 2)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=past is None)
        x = x + self.out(y.transpose(1, 2).reshape(rows, time, d))
        return x + self.proj(F.gelu(self.fc(self.ln2(x)), approximate="tanh")), torch.stack((k, v))


class Gpt(nn.Module):
    """gpt.ch"""

    def __init__(self, vocab: int, context: int, d: int, heads: int, depth: int) -> None:
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, d), nn.Embedding(context, d)
        self.blocks = nn.ModuleList(Block(d, heads) for _ in range(depth))
        self.ln_f = nn.LayerNorm(d)

    def forward(self, ids: Tensor) -> Tensor:
        """Scores at every position."""
        return self.hidden(ids) @ self.wte.weight.T

    def hidden(self, ids: Tensor) -> Tensor:
        """What the last block leaves, normalised."""
        x = self.wte(ids) + self.wpe(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x, _ = block(x, None)
        out: Tensor = self.ln_f(x)
        return out


class Prompt(nn.Module):
    """Scores of what follows a text."""

    def __init__(self, net: Gpt) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor) -> Tensor:
        """[rows, vocab]"""
        return self.net.hidden(ids)[:, -1] @ self.net.wte.weight.T


class Token(nn.Module):
    """Scores of what follows one more token; keys and values grow by concatenation."""

    def __init__(self, net: Gpt) -> None:
        super().__init__()
        self.net = net

    def forward(self, ids: Tensor, *past: Tensor) -> tuple[Tensor, ...]:
        """[1, vocab], and keys and values of every layer."""
        net = self.net
        x = net.wte(ids)[:, None] + net.wpe.weight[past[0].shape[3]]
        kept = []
        for block, earlier in zip(net.blocks, past):
            x, both = block(x, earlier)
            kept.append(both)
        return (net.ln_f(x)[:, 0] @ net.wte.weight.T, *kept)


def gpt(shape: dict[str, int]) -> tuple[Gpt, Places]:
    """gpt.ch"""
    net = Gpt(**shape)
    places: Places = {"wte.table": (net.wte.weight, False), "wpe.table": (net.wpe.weight, False)}
    for i, b in enumerate(net.blocks):
        assert isinstance(b, Block)
        at = f"blocks.{i}"
        places |= norm(f"{at}.ln1", b.ln1) | norm(f"{at}.ln2", b.ln2)
        places |= linear(f"{at}.attn.qkv", b.qkv) | linear(f"{at}.attn.out", b.out)
        places |= linear(f"{at}.fc", b.fc) | linear(f"{at}.proj", b.proj)
    return net, places | norm("ln_f", net.ln_f)


class Soft(nn.Module):
    """Probabilities of a network's scores."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Along the last axis."""
        return torch.softmax(self.net(x), -1)


def inference(
    key: str, a: dict[str, Any], options: dict[str, Any]
) -> tuple[nn.Module, tuple[Any, ...]] | None:
    """The module of an inference case, and its inputs; None where there is none."""
    tensor = torch.from_numpy
    if key == "mlp.predict":
        net, places = mlp()
        inputs: tuple[Any, ...] = (tensor(a["x"]),)
        out: nn.Module = Soft(net)
    elif key == "lstm.run":
        out, places = lstm(False)
        inputs = (tensor(a["x"]),)
    elif key in ("gpt.prompt", "gpt.token"):
        net, places = gpt(options)
        if key == "gpt.prompt":
            out, inputs = Prompt(net), (tensor(a["ids"]).long(),)
        else:
            t = int(a["t"])
            past = [torch.stack([tensor(c[n][:, :, :t].copy()) for n in ("k", "v")]) for c in a["caches"]]
            out, inputs = Token(net), (tensor(a["id"]).long(), *past)
    elif key in ("lenet.predict", "resnet.predict", "mobilenet.predict"):
        from benchmarks.peers import torch_conv

        made = {
            "lenet.predict": torch_conv.lenet,
            "resnet.predict": lambda: torch_conv.resnet(False),
            "mobilenet.predict": torch_conv.mobilenet,
        }
        net, places = made[key]()
        inputs = (tensor(a["x"]),)
        out = Soft(net) if key == "lenet.predict" else net
    else:
        return None
    fill(places, a["net"])
    return out.eval(), inputs


def trained(key: str, options: dict[str, Any]) -> tuple[nn.Module, Places] | None:
    """The network that a training case trains."""
    if key.startswith("mlp.train"):
        return mlp()
    if key == "lstm.train":
        return lstm(True)
    if key in ("lenet.train", "resnet.train"):
        from benchmarks.peers import torch_conv

        return torch_conv.lenet() if key == "lenet.train" else torch_conv.resnet(True)
    return gpt(options) if key == "gpt.train" else None
