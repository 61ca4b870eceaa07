"""What draws: JAX's Threefry for the bits, PyTorch's and JAX's arithmetic behind them.

Element i of the c-th draw is the cipher of (i, c) under the key of the stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import torch
from cases import File, Tensor, draw, gradients, turned
from jax.extend.random import threefry_2x32
from torch import nn


class Stream:
    """A stream of random numbers from JAX's Threefry-2x32."""

    def __init__(self, key: tuple[int, int], counter: int = 0) -> None:
        self.key, self.counter = key, counter
        self.start = self.state()

    def state(self) -> dict[str, Any]:
        return {"key": np.array(self.key, np.uint32), "counter": np.uint32(self.counter)}

    def words(self, counter: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """Both words of every element."""
        n = int(np.prod(shape, dtype=int))
        counts = np.concatenate([np.arange(n), np.full(n, counter)]).astype(np.uint32)
        out = np.asarray(threefry_2x32(jnp.array(self.key, jnp.uint32), jnp.asarray(counts)))
        return out[:n].reshape(shape), out[n:].reshape(shape)

    def bits(self, *shape: int) -> tuple[np.ndarray, np.ndarray]:
        """Those of the next draw."""
        self.counter += 1
        return self.words(self.counter - 1, *shape)

    def split(self, i: int) -> dict[str, Any]:
        own = self.words(self.counter ^ 0xFFFFFFFF, 2)[0]
        key = Stream((int(own[0]), int(own[1]))).words(i, 2)[0]
        return {"key": key, "counter": np.uint32(0)}

    def unit(self, *shape: int) -> Tensor:
        """In [0, 1), with 24 bits."""
        return unit(self.bits(*shape)[0])

    def normal(self, *shape: int) -> Tensor:
        """By Box and Muller."""
        u, v = map(unit, self.bits(*shape))
        return torch.sqrt(-2 * torch.log1p(-u)) * torch.cos(2 * torch.pi * v)

    def permutation(self, n: int) -> Tensor:
        return torch.tensor(np.argsort(self.bits(n)[0], kind="stable"))


def unit(bits: np.ndarray) -> Tensor:
    return torch.tensor((bits >> 8).astype(np.float64) / 2**24)


def randomness() -> None:
    """The program `randomness`."""
    file = File("randomness")
    r = Stream((9, 7))
    values = [
        r.unit(3, 4),
        3 * r.unit(5) - 1,
        r.normal(3, 4),
        1 + 0.5 * r.normal(6),
        (r.unit(20) < 0.3).to(torch.int32),
    ]
    values.append(r.permutation(9).to(torch.int32))
    file.case("drawn", [r.start], [*values, r.state()])
    r = Stream((9, 7), 5)
    file.case("parted", [r.start, np.uint32(3)], [r.split(3)])
    dropped(file)
    initial(file)
    u = torch.tensor([-0.9375, -0.5, -0.125, 0.0, 0.25, 0.75, 0.96875])
    ct = draw(7)

    def quantile(u: Tensor) -> Tensor:
        low, high = torch.erf(torch.tensor([-2.0, 2.0]) / 2**0.5)
        return 2**0.5 * torch.erfinv(low + (0.5 * u + 0.5) * (high - low))

    file.case("quantiles", [u, ct], gradients(quantile, ct, u))
    x, y = draw(6, 3), torch.arange(6)
    r = Stream((1, 2))
    order = r.permutation(6)
    file.case("order", [x, y.to(torch.int32), r.start], [x[order], y[order].to(torch.int32), r.state()])
    augmented(file)
    file.write()


def masked(x: Tensor, r: Stream, rate: float) -> Tensor:
    """Dropout with given bits."""
    kept = r.unit(*x.shape) < 1 - rate
    return torch.where(kept, x / (1 - rate), 0.0)


def dropped(file: File) -> None:
    """The function, and the layers with it; each call of the gradient draws the same numbers."""
    x, ct = draw(4, 3), draw(4, 3)
    r = Stream((3, 4))
    kept = masked(torch.ones(4, 3), r, 0.25)
    file.case("dropout_of", [x, r.start, ct], [*gradients(lambda x: x * kept, ct, x), r.state()])
    r = Stream((3, 4))
    w, b, wide = draw(3, 2), draw(2), draw(4, 2)
    kept, weights = masked(torch.ones(4, 3), r, 0.25), masked(torch.ones(3, 2), r, 0.5)
    y, gx, gw, gb = gradients(lambda x, w, b: torch.relu((x * kept) @ (w * weights) + b), wide, x, w, b)
    names = {"1.w": w, "1.b": b}
    file.case("layers", [names, r.start, x, wide], [y, gx, {"1.w": gw, "1.b": gb}, names, r.state()])
    file.case("still", [names, x], [torch.relu(x @ w + b)])


def scale(init: Callable[[Tensor], Any], shape: tuple[int, ...], uniform: bool) -> float:
    """How much wider an initializer of PyTorch draws than the plain distribution, from the same generator."""
    found, plain = torch.empty(shape), torch.empty(shape)
    torch.manual_seed(1)
    init(found)
    torch.manual_seed(1)
    plain.uniform_(-1, 1) if uniform else plain.normal_()
    ratio = found / plain
    assert float(ratio.std()) < 1e-9
    return float(ratio.mean())


def initial(file: File) -> None:
    """Initializers: our draws, as wide as PyTorch's. A dense weight is [i, o] here and [o, i] there."""
    r = Stream((5, 6))
    dense, taps = (6, 4), (8, 3, 5, 5)
    i = nn.init
    found = [
        (2 * r.unit(4, 6) - 1) * scale(i.xavier_uniform_, dense, True),
        r.normal(4, 6) * scale(i.xavier_normal_, dense, False),
        (2 * r.unit(4, 6) - 1) * scale(lambda w: i.kaiming_uniform_(w, nonlinearity="relu"), dense, True),
        r.normal(4, 6) * scale(lambda w: i.kaiming_normal_(w, nonlinearity="relu"), dense, False),
        (2 * r.unit(*taps) - 1) * scale(lambda w: i.xavier_uniform_(w, 2.0), taps, True),
        r.normal(*taps) * scale(lambda w: i.kaiming_normal_(w, nonlinearity="relu"), taps, False),
    ]
    low, high = torch.erf(torch.tensor([-2.0, 2.0]) / 2**0.5)
    z = 2**0.5 * torch.erfinv(low + r.unit(3, 4) * (high - low))  # as torch.nn.init.trunc_normal_
    found += [1 + 0.5 * z, turned(orthogonal(turned(r.normal(5, 3))))]
    found.append(2.0 * orthogonal(turned(r.normal(75, 8))).reshape(taps))
    found += [i.constant_(torch.empty(2, 3), 0.25), i.zeros_(torch.empty(2, 3)), i.ones_(torch.empty(2, 3))]
    file.case("initial", [r.start], [*found, r.state()])
    a, ct = draw(3, 5), draw(3, 5)
    file.case("orthonormal", [a, ct], gradients(orthogonal, ct, a))


def orthogonal(a: Tensor) -> Tensor:
    """What torch.nn.init.orthogonal_ makes of normal numbers: the Q of a QR whose R has a positive diagonal."""
    q, r = torch.linalg.qr(turned(a))
    return turned(q * torch.diagonal(r).sign())


def augmented(file: File) -> None:
    """Mixup with a weight by Joehnk's method, cutout around a pixel."""
    r = Stream((8, 1))
    x, y = draw(4, 2, 3), draw(4, 3)
    a = b = 1.0
    while a + b > 1 or a + b == 0:
        a, b = (float((1 - r.unit()) ** (1 / 0.4)) for _ in range(2))
    order, lam = r.permutation(4), a / (a + b)
    mix = [torch.lerp(t[order], t, lam) for t in (x, y)]
    file.case("mixed_up", [x, y, r.start], [*mix, r.state()])
    r = Stream((8, 2))
    x = draw(5, 2, 6, 7)
    rows, columns = torch.floor(r.unit(5) * 6).int(), torch.floor(r.unit(5) * 7).int()
    cut = x.clone()
    for n, (row, column) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        cut[n, :, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2] = 0
    file.case("cut", [x, r.start], [cut, r.state()])
