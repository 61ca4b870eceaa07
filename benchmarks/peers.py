"""The network of mlp.ch in NumPy and in PyTorch, as their users write it. Same weights, same batch, plain gradient descent."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
RATE = np.float32(0.01)


class NumPy:
    """Forward pass and training step over arrays w1[784, 128], b1[128], w2[128, 10], b2[10]."""

    def __init__(self, weights: list[Array]) -> None:
        self.w1, self.b1, self.w2, self.b2 = (w.copy() for w in weights)

    def forward(self, x: Array) -> Array:
        return np.maximum(x @ self.w1 + self.b1, 0) @ self.w2 + self.b2

    def train_step(self, x: Array, y: Array) -> float:
        h = np.maximum(x @ self.w1 + self.b1, 0)
        z = h @ self.w2 + self.b2
        z -= z.max(1, keepdims=True)
        e = np.exp(z)
        total = e.sum(1, keepdims=True)
        rows = np.arange(len(y))
        loss = float(np.mean(np.log(total[:, 0]) - z[rows, y]))
        dz = e / total
        dz[rows, y] -= 1
        dz /= len(y)
        dh = (dz @ self.w2.T) * (h > 0)
        self.w2 -= RATE * (h.T @ dz)
        self.b2 -= RATE * dz.sum(0)
        self.w1 -= RATE * (x.T @ dh)
        self.b1 -= RATE * dh.sum(0)
        return loss


class Torch:
    """The same in PyTorch, eager, on one thread."""

    def __init__(self, weights: list[Array]) -> None:
        import torch

        torch.set_num_threads(1)
        self.torch = torch
        self.net = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
        with torch.no_grad():
            for layer, w, b in ((self.net[0], weights[0], weights[1]), (self.net[2], weights[2], weights[3])):
                layer.weight.copy_(torch.from_numpy(w.T.copy()))
                layer.bias.copy_(torch.from_numpy(b))
        self.sgd = torch.optim.SGD(self.net.parameters(), lr=float(RATE))

    def forward(self, x: Any) -> Any:
        with self.torch.no_grad():
            return self.net(x)

    def train_step(self, x: Any, y: Any) -> Any:
        self.sgd.zero_grad(set_to_none=True)
        loss = self.torch.nn.functional.cross_entropy(self.net(x), y)
        loss.backward()
        self.sgd.step()
        return loss
