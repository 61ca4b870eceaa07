"""The convolutional networks in PyTorch, as its users write them, with the weights of Charl's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.models.mobilenet import blocks
from benchmarks.models.resnet import BLOCKS
from benchmarks.peers.torch_nets import Places, linear


def conv(path: str, layer: nn.Conv2d, leaf: str = "w") -> Places:
    """Places of a convolution."""
    return {f"{path}.{leaf}": (layer.weight, False)} | (
        {f"{path}.b": (layer.bias, False)} if layer.bias is not None else {}
    )


def norm(path: str, layer: nn.BatchNorm2d) -> Places:
    """Places of a batch norm, its running moments included."""
    return {
        f"{path}.scale": (layer.weight, False),
        f"{path}.shift": (layer.bias, False),
        f"{path}.mean": (layer.running_mean, False),  # type: ignore[dict-item]
        f"{path}.variance": (layer.running_var, False),  # type: ignore[dict-item]
    }


def lenet() -> tuple[nn.Module, Places]:
    """lenet.ch"""
    net = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    places = conv("0", net[0]) | conv("2", net[3])
    return net, places | linear("5", net[7]) | linear("6", net[9]) | linear("7", net[11])


class Block(nn.Module):
    """A residual block."""

    def __init__(self, i: int, o: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.BatchNorm2d(o)
        self.conv2, self.norm2 = nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o)
        self.conv3 = nn.Conv2d(i, o, 1, stride, bias=False) if i != o or stride != 1 else None
        self.norm3 = nn.BatchNorm2d(o) if self.conv3 is not None else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, o, height / stride, width / stride]"""
        y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
        if self.conv3 is not None and self.norm3 is not None:
            x = self.norm3(self.conv3(x))
        return F.relu(y + x)


def resnet(small: bool) -> tuple[nn.Module, Places]:
    """resnet.ch"""
    stem = nn.Conv2d(3, 64, 3, 1, 1, bias=False) if small else nn.Conv2d(3, 64, 7, 2, 3, bias=False)
    first = nn.BatchNorm2d(64)
    inner = [Block(*shape) for shape in BLOCKS]
    last = nn.Linear(512, 10 if small else 1000)
    pool = [] if small else [nn.MaxPool2d(3, 2, 1)]
    net = nn.Sequential(stem, first, nn.ReLU(), *pool, *inner, nn.AdaptiveAvgPool2d(1), nn.Flatten(), last)
    places = conv("conv", stem) | norm("norm", first) | linear("trunk.9", last)
    for n, b in enumerate(inner):
        at = f"trunk.{n}"
        places |= conv(f"{at}.conv1", b.conv1) | norm(f"{at}.norm1", b.norm1)
        places |= conv(f"{at}.conv2", b.conv2) | norm(f"{at}.norm2", b.norm2)
        if b.conv3 is not None and b.norm3 is not None:
            places |= conv(f"{at}.conv3", b.conv3) | norm(f"{at}.norm3", b.norm3)
    return net, places


class Inverted(nn.Module):
    """An inverted residual block, its places under `at`."""

    def __init__(self, i: int, o: int, stride: int, t: int, at: str) -> None:
        super().__init__()
        wide, self.same = i * t, stride == 1 and i == o
        layers: list[nn.Module] = []
        self.places: Places = {}
        if t != 1:
            layers += [nn.Conv2d(i, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()]
            self.places |= conv(f"{at}.expand.conv", layers[0]) | norm(f"{at}.expand.norm", layers[1])  # type: ignore
        spread = nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False)
        project, norms = nn.Conv2d(wide, o, 1, bias=False), (nn.BatchNorm2d(wide), nn.BatchNorm2d(o))
        self.places |= conv(f"{at}.spread", spread) | norm(f"{at}.spread.norm", norms[0])
        self.places |= conv(f"{at}.conv", project) | norm(f"{at}.norm", norms[1])
        self.layers = nn.Sequential(*layers, spread, norms[0], nn.ReLU6(), project, norms[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[rows, o, height / stride, width / stride]"""
        y: torch.Tensor = self.layers(x)
        return x + y if self.same else y


def mobilenet() -> tuple[nn.Module, Places]:
    """mobilenet.ch"""
    stem, first = nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32)
    inner = [Inverted(*shape, f"{n}") for n, shape in enumerate(blocks(), 1)]
    widen, second, last = nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.Linear(1280, 1000)
    net = nn.Sequential(
        stem,
        first,
        nn.ReLU6(),
        *inner,
        widen,
        second,
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        last,
    )
    places = conv("0.conv", stem) | norm("0.norm", first) | conv("18.conv", widen) | norm("18.norm", second)
    for b in inner:
        places |= b.places
    return net, _depthwise(places) | linear("20", last)


def _depthwise(places: Places) -> Places:
    """The program's taps of a depthwise convolution are [channels, 3, 3]."""
    return {
        k: (nn.Parameter(p.data[:, 0], requires_grad=False), t) if k.endswith("spread.w") else (p, t)
        for k, (p, t) in places.items()
    }
