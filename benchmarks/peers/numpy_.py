"""NumPy, as its users write it."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case, Peer


def make(name: str, case: Case, a: dict[str, Any], threads: int, folder: Any) -> Peer | None:
    """See `benchmarks.peers`."""
    if case.key.startswith("products."):
        x, y = a["a"], a["b"]
        x, y = (x.T if "left" in case.key else x), (y.T if "right" in case.key else y)
        out = np.empty((x.shape[0], y.shape[1]), np.float32)
        return Peer(name, lambda: np.matmul(x, y, out=out), lambda z: z)
    if case.key == "mlp.predict":
        net = Mlp(a["net"])
        return Peer(name, lambda: net.predict(a["x"]), lambda z: z)
    if case.key == "mlp.train_sgd":
        net = Mlp(a["net"])
        return Peer(name, lambda: net.train(a["x"], a["y"]), lambda z: z, lambda: net.p)
    return None


class Mlp:
    """The network of mlp.ch."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.p = {k: v.copy() for k, v in weights.items()}

    def predict(self, x: Any) -> Any:
        """Class probabilities."""
        p = self.p
        z = np.maximum(x @ p["0.w"] + p["0.b"], 0) @ p["1.w"] + p["1.b"]
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    def train(self, x: Any, y: Any) -> float:
        """A step of gradient descent; the loss before it."""
        p, rate = self.p, np.float32(0.01)
        h = np.maximum(x @ p["0.w"] + p["0.b"], 0)
        z = h @ p["1.w"] + p["1.b"]
        z -= z.max(1, keepdims=True)
        e = np.exp(z)
        total = e.sum(1, keepdims=True)
        rows = np.arange(len(y))
        loss = float(np.mean(np.log(total[:, 0]) - z[rows, y]))
        dz = e / total
        dz[rows, y] -= 1
        dz /= len(y)
        dh = (dz @ p["1.w"].T) * (h > 0)
        p["1.w"] -= rate * (h.T @ dz)
        p["1.b"] -= rate * dz.sum(0)
        p["0.w"] -= rate * (x.T @ dh)
        p["0.b"] -= rate * dh.sum(0)
        return loss
