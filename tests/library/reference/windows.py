"""Convolutions and pools, as functions and as layers, from PyTorch."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from cases import File, Tensor, draw, fill, gradients, module_case, same, turned, whole
from torch import nn


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
    x = whole(-3, 4, 2, 3, 6, 7)  # with ties
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
