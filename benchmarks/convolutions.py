"""Convolutions of random shapes: what the sweep measures beside contractions.py.

Enters: a seed. Leaves: shapes, each with its Charl source, its arrays and its meaning in NumPy. Times nothing.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

FULL = 16  # channels or places below leave lanes or tiles unfilled
MOST = 4e8  # operations of one, so that a hundred are measured in a minute


@dataclass(frozen=True)
class Convolution:
    """[n, c, side, side] by [o, c / groups, taps, taps]."""

    n: int
    c: int
    o: int
    side: int
    taps: int
    stride: int = 1
    padding: int = 0
    dilation: int = 1
    groups: int = 1

    header = "from conv import convolve\n"
    family = "convolution"

    def __str__(self) -> str:
        more = [f"stride {self.stride}"] * (self.stride > 1) + [f"dilation {self.dilation}"] * (
            self.dilation > 1
        )
        more += [f"{self.groups} groups"] * (self.groups > 1) + ["no padding"] * (
            self.padding == 0 < self.taps - 1
        )
        text = f"{self.n}x{self.c}x{self.side}x{self.side} by {self.o}x{self.taps}x{self.taps}"
        return ", ".join([text, *more])

    @property
    def places(self) -> int:
        """Of the result, along an axis."""
        return (self.side + 2 * self.padding - self.dilation * (self.taps - 1) - 1) // self.stride + 1

    @property
    def flops(self) -> int:
        """Multiply-adds counted twice, those of the padding too."""
        return 2 * self.n * self.o * self.places**2 * self.c // self.groups * self.taps**2

    def operands(self) -> list[tuple[int, ...]]:
        """Shapes of image and weights."""
        weights = (self.o, self.c // self.groups, self.taps, self.taps)
        return [(self.n, self.c, self.side, self.side), weights]

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (self.n, self.o, self.places, self.places)

    def source(self, name: str, dtype: str) -> str:
        """An exported function of Charl that computes it."""
        x, w = (", ".join(map(str, s)) for s in self.operands())
        options = f"stride: {self.stride}, padding: {self.padding}, dilation: {self.dilation}, groups: {self.groups}"
        return f"export fn {name}(x: {dtype}[{x}], w: {dtype}[{w}]) = convolve(x, w, {options})\n"

    @property
    def unusual(self) -> str:
        """What leaves lanes or tiles unfilled."""
        each = {
            "output channels": self.o // self.groups,
            "input channels": self.c // self.groups,
            "places along an axis": self.places,
        }
        return ", ".join(f"{size} {name}" for name, size in each.items() if size < FULL)

    def filled(self) -> Convolution:
        """The same without strides and groups, and with sizes that leave no lane or tile unfilled."""
        side = max(self.side, FULL + self.dilation * (self.taps - 1))
        c, o = (max(x // self.groups, FULL) for x in (self.c, self.o))
        return replace(self, c=c, o=o, side=side, stride=1, groups=1)

    def compute(self, x: Any, w: Any) -> Any:
        """By NumPy."""
        wide = np.pad(x, [(0, 0), (0, 0), *[(self.padding, self.padding)] * 2])
        reach = self.dilation * (self.taps - 1) + 1
        seen = np.lib.stride_tricks.sliding_window_view(wide, (reach, reach), (2, 3))
        seen = seen[:, :, :: self.stride, :: self.stride, :: self.dilation, :: self.dilation]
        parts = seen.reshape(self.n, self.groups, -1, *seen.shape[2:])
        taps = w.reshape(self.groups, -1, *w.shape[1:])
        out = np.stack(
            [np.tensordot(taps[g], parts[:, g], ([1, 2, 3], [1, 4, 5])) for g in range(self.groups)]
        )
        return out.transpose(2, 0, 1, 3, 4).reshape(self.result)

    def jax(self) -> Any:
        """The function in JAX."""
        from jax import lax

        def f(x: Any, w: Any) -> Any:
            return lax.conv_general_dilated(
                x, w, (self.stride,) * 2, [(self.padding,) * 2] * 2, rhs_dilation=(self.dilation,) * 2,
                dimension_numbers=("NCHW", "OIHW", "NCHW"), feature_group_count=self.groups,
            )  # fmt: skip

        return f

    def onnx(self) -> tuple[str, dict[str, Any]]:
        """The operator of ONNX, and its attributes."""
        return "Conv", {
            "strides": [self.stride] * 2, "pads": [self.padding] * 4, "dilations": [self.dilation] * 2, "group": self.groups,
        }  # fmt: skip


def sweep(count: int, seed: int) -> list[Convolution]:
    """Random shapes: channels log-uniform in 1..512, sides in 7..112, 1 to 7 taps; some strided, dilated, grouped, depthwise."""
    rng = random.Random(seed)
    out: list[Convolution] = []
    while len(out) < count:
        c, o = (round(2 ** rng.uniform(0, 9)) for _ in range(2))
        side = round(7 * 2 ** rng.uniform(0, 4))
        taps = rng.choice((1, 1, 3, 3, 3, 3, 5, 7))
        stride = rng.choice((1, 1, 1, 2))
        dilation = 2 if taps > 1 and rng.random() < 0.1 else 1
        padding = dilation * (taps - 1) // 2 if rng.random() < 0.8 else 0
        n = 1 if rng.random() < 0.6 else round(2 ** rng.uniform(1, 5))
        form = rng.random()
        groups = 1
        if form < 0.15:
            groups = o = c
        elif form < 0.25:
            groups = rng.choice((2, 4, 8))
            c, o = -(-c // groups) * groups, -(-o // groups) * groups
        shape = Convolution(n, c, o, side, taps, stride, padding, dilation, groups)
        if shape.places > 0 and shape.flops <= MOST:
            out.append(shape)
    return out
