"""How a reference is written down: the inputs and results of the functions of one program, in float64, as one .npz.

Enters: what PyTorch, JAX or scikit-learn computed. Leaves: arrays named `function/in/position.leaf` and
`function/out/position.leaf`. Knows nothing of the program under test.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from torch import nn

HERE = Path(__file__).resolve().parent
torch.set_default_dtype(torch.float64)
jax.config.update("jax_enable_x64", True)

Tensor = torch.Tensor
Tree = Any  # an array, or names of leaves with arrays
_random = np.random.default_rng()


def draw(*shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers that are floats too, so that both precisions read the same."""
    return torch.tensor((scale * _random.standard_normal(shape)).astype(np.float32).astype(np.float64))


def whole(low: int, high: int, *shape: int) -> Tensor:
    """Whole numbers from `low` to `high` - 1."""
    return torch.tensor(_random.integers(low, high, shape).astype(np.float64))


class File:
    """What one program is given and what it must return. Each draws its own numbers."""

    def __init__(self, name: str) -> None:
        global _random
        self.name = name
        self.arrays: dict[str, np.ndarray] = {}
        _random = np.random.default_rng(zlib.crc32(name.encode()))
        torch.manual_seed(0)

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
        self.arrays[key] = np.array(array.detach() if isinstance(array, Tensor) else array)

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
