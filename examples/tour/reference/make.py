"""Reference numbers of the programs beside this folder, from JAX and PyTorch in float64: `python make.py` writes reference.json.

Enters: nothing; weights and data come from `recipe`. Leaves: for every function its results, large arrays as digests. Knows
nothing of the programs under test but what their sources say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import torch.nn.functional as F
from recipe import digest, indices, numbers, weights

jax.config.update("jax_enable_x64", True)
torch.set_default_dtype(torch.float64)
FOUND: dict[str, Any] = {}


def keep(name: str, value: Any) -> None:
    """A number, a small array as it is, or leaves as digests."""
    if isinstance(value, dict):
        FOUND[name] = {k: digest(np.asarray(v)).tolist() for k, v in sorted(value.items())}
    else:
        FOUND[name] = np.asarray(value, dtype=np.float64).tolist()


# ---------------------------------------------------------------- JAX


def gmm() -> None:
    d = 16

    def log_likelihood(m: dict[str, Any], x: Any) -> Any:
        def factor(logdiag: Any, lower: Any) -> Any:
            return jnp.diag(jnp.exp(logdiag)).at[jnp.tril_indices(d, -1)].add(lower)

        q = jax.vmap(factor)(m["logdiag"], m["lower"])
        r = jnp.einsum("kij,nkj->nki", q, x[:, None] - m["mean"])
        logp = m["alpha"] + m["logdiag"].sum(-1) - 0.5 * (r**2).sum(-1)
        return jax.nn.logsumexp(logp, axis=-1).sum() - len(x) * jax.nn.logsumexp(m["alpha"])

    shapes = {"alpha": (10,), "mean": (10, d), "logdiag": (10, d), "lower": (10, d * (d - 1) // 2)}
    m = {k: jnp.asarray(v) for k, v in weights(shapes).items()}
    v = {k: jnp.asarray(numbers(50 + i, *s)) for i, (k, s) in enumerate(sorted(shapes.items()))}
    x = jnp.asarray(numbers(60, 37, d, scale=2))
    value, gradient = jax.value_and_grad(log_likelihood)(m, x)
    keep("gmm.value", value)
    keep("gmm.gradient", gradient)
    keep("gmm.hvp", jax.jvp(lambda p: jax.grad(log_likelihood)(p, x), (m,), (v,))[1])


def pendulum() -> None:
    def slope(p: Any, s: Any) -> Any:
        return jnp.stack([s[1], -9.81 / p["length"] * jnp.sin(s[0]) - p["friction"] * s[1]])

    def step(p: Any, s: Any, dt: float) -> Any:
        a = slope(p, s)
        b = slope(p, s + 0.5 * dt * a)
        c = slope(p, s + 0.5 * dt * b)
        d = slope(p, s + dt * c)
        return s + dt / 6 * (a + 2 * b + 2 * c + d)

    def misfit(p: Any, start: Any, dt: float, seen: Any) -> Any:
        def one(s: Any, _: None) -> Any:
            s = step(p, s, dt)
            return s, s[0]

        _, angles = jax.lax.scan(one, start, None, length=len(seen))
        return ((angles - seen) ** 2).mean()

    p = {"length": jnp.asarray(1.25), "friction": jnp.asarray(0.125)}
    start, seen = jnp.asarray([0.5, 0.0]), jnp.asarray(numbers(70, 40))
    losses = []
    for _ in range(3):
        loss, g = jax.value_and_grad(misfit)(p, start, 0.03125, seen)
        p = {k: p[k] - 0.0625 * g[k] for k in p}
        losses.append(loss)
    keep("pendulum.losses", losses)
    keep("pendulum.p", [p["length"], p["friction"]])


def threefry(key: tuple[int, int], counter: int, count: int) -> np.ndarray:
    """Word 0 of JAX's Threefry-2x32 of (i, counter) for i below count, as numbers in [0, 1) of 24 bits."""
    from jax.extend.random import threefry_2x32

    i = np.arange(count, dtype=np.uint32)
    pairs = jnp.concatenate(
        [jnp.asarray(i), jnp.full(count, counter, np.uint32)]
    )  # the first half are words 0
    words = np.asarray(threefry_2x32(jnp.asarray(key, np.uint32), pairs))[:count]
    return (words >> 8).astype(np.float64) * 2.0**-24


def digits() -> None:
    shapes = {"0.b": (64,), "0.w": (64, 64), "2.b": (10,), "2.w": (64, 10)}
    net = {k: jnp.asarray(v) for k, v in weights(shapes).items()}
    x, y = jnp.asarray(numbers(80, 6, 64) + 0.5), indices(81, 10, 6)

    def logits(net: Any, x: Any, mask: Any) -> Any:
        return jax.nn.relu(x @ net["0.w"] + net["0.b"]) * mask @ net["2.w"] + net["2.b"]

    keep("digits.predict", jax.nn.softmax(logits(net, x, 1.0)))
    m = {k: jnp.zeros_like(v) for k, v in net.items()}
    v = dict(m)
    losses = []
    for t in range(1, 4):
        mask = jnp.asarray((threefry((11, 12), t - 1, 6 * 64) < 0.8) / 0.8).reshape(6, 64)

        def loss(net: Any, mask: Any = mask) -> Any:
            return -jnp.take_along_axis(jax.nn.log_softmax(logits(net, x, mask)), y[:, None], 1).mean()

        value, g = jax.value_and_grad(loss)(net)
        losses.append(value)
        m = {k: 0.9 * m[k] + 0.1 * g[k] for k in m}
        v = {k: 0.999 * v[k] + 0.001 * g[k] ** 2 for k in v}
        rate = {k: m[k] / (1 - 0.9**t) / (jnp.sqrt(v[k] / (1 - 0.999**t)) + 1e-8) for k in m}
        net = {k: net[k] - 1e-3 * rate[k] for k in net}
    keep("digits.losses", losses)
    keep("digits.net", net)


# ---------------------------------------------------------------- PyTorch


def leaves(shapes: dict[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {k: torch.tensor(v).requires_grad_(True) for k, v in weights(shapes).items()}


def train(
    name: str, net: dict[str, torch.Tensor], loss: Callable[[], torch.Tensor], optimizer: torch.optim.Optimizer,
    clip: Callable[[], Any],
) -> None:  # fmt: skip
    losses = []
    for _ in range(2):
        optimizer.zero_grad()
        value = loss()
        value.backward()
        clip()
        optimizer.step()
        losses.append(value.item())
    keep(f"{name}.losses", losses)
    keep(f"{name}.net", {k: v.detach().numpy() for k, v in net.items()})


def lstm() -> None:
    h, vocab = 256, 96
    shapes = {
        "0.table": (vocab, h),
        "1.wx": (h, 4 * h),
        "1.wh": (h, 4 * h),
        "1.b": (4 * h,),
        "2.w": (h, vocab),
        "2.b": (vocab,),
    }
    net = leaves(shapes)
    ids, following = (torch.tensor(indices(90 + k, vocab, 2, 5)).long() for k in (0, 1))

    def loss() -> torch.Tensor:
        x = net["0.table"][ids]
        hid = cell = torch.zeros(2, h)
        hs = []
        for t in range(5):
            a, f, g, o = (x[:, t] @ net["1.wx"] + net["1.b"] + hid @ net["1.wh"]).chunk(4, -1)
            cell = torch.sigmoid(f) * cell + torch.sigmoid(a) * torch.tanh(g)
            hid = torch.sigmoid(o) * torch.tanh(cell)
            hs.append(hid)
        logits = torch.stack(hs, 1) @ net["2.w"] + net["2.b"]
        return F.cross_entropy(logits.reshape(-1, vocab), following.reshape(-1))

    optimizer = torch.optim.RMSprop(net.values(), lr=2e-3)
    train("lstm", net, loss, optimizer, lambda: torch.nn.utils.clip_grad_value_(net.values(), 5.0))


def convnet() -> None:
    shapes = {
        "0.w": (8, 1, 5, 5), "0.b": (8,), "1.scale": (8,), "1.shift": (8,), "4.w": (16, 8, 5, 5), "4.b": (16,),
        "5.scale": (16,), "5.shift": (16,),
        "9.w": (400, 120), "9.b": (120,), "10.w": (120, 84), "10.b": (84,), "11.w": (84, 10), "11.b": (10,),
    }  # fmt: skip
    net = leaves(shapes)
    state = {
        "1.mean": numbers(30, 8),
        "1.variance": numbers(31, 8) + 1,
        "5.mean": numbers(32, 16),
        "5.variance": numbers(33, 16) + 1,
    }
    running = {k: torch.tensor(v) for k, v in state.items()}
    x, y = torch.tensor(numbers(34, 4, 1, 28, 28) + 0.5), torch.tensor(indices(35, 10, 4)).long()

    def logits(training: bool) -> torch.Tensor:
        def norm(k: str, t: torch.Tensor) -> torch.Tensor:
            return F.batch_norm(
                t,
                running[f"{k}.mean"],
                running[f"{k}.variance"],
                net[f"{k}.scale"],
                net[f"{k}.shift"],
                training,
            )

        a = F.max_pool2d(F.relu(norm("1", F.conv2d(x, net["0.w"], net["0.b"], padding=2))), 2)
        b = F.max_pool2d(F.relu(norm("5", F.conv2d(a, net["4.w"], net["4.b"]))), 2).flatten(1)
        c = F.relu(F.relu(b @ net["9.w"] + net["9.b"]) @ net["10.w"] + net["10.b"])
        return c @ net["11.w"] + net["11.b"]

    keep("convnet.predict", F.softmax(logits(False), -1).detach())
    optimizer = torch.optim.SGD(net.values(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    clip = lambda: torch.nn.utils.clip_grad_norm_(net.values(), 1.0)  # noqa: E731
    train("convnet", net, lambda: F.cross_entropy(logits(True), y, label_smoothing=0.1), optimizer, clip)
    keep("convnet.state", {k: v.numpy() for k, v in running.items()})


def gpt(depth: int = 2) -> None:
    vocab, context, d, heads = 17, 8, 12, 3
    shapes: dict[str, tuple[int, ...]] = {
        "wte.table": (vocab, d),
        "wpe.table": (context, d),
        "ln_f.scale": (d,),
        "ln_f.shift": (d,),
    }
    for i in range(depth):
        for k, (a, b) in {
            "attn.qkv": (d, 3 * d),
            "attn.out": (d, d),
            "fc": (d, 4 * d),
            "proj": (4 * d, d),
        }.items():
            shapes |= {f"blocks.{i}.{k}.w": (a, b), f"blocks.{i}.{k}.b": (b,)}
        for k in ("ln1", "ln2"):
            shapes |= {f"blocks.{i}.{k}.scale": (d,), f"blocks.{i}.{k}.shift": (d,)}
    net = leaves(shapes)
    ids, following = (torch.tensor(indices(40 + k, vocab, 2, 6)).long() for k in (0, 1))

    def forward(ids: torch.Tensor) -> torch.Tensor:
        b, t = ids.shape
        x = net["wte.table"][ids] + net["wpe.table"][:t]

        def norm(k: str, x: torch.Tensor) -> torch.Tensor:
            return F.layer_norm(x, (d,), net[f"{k}.scale"], net[f"{k}.shift"])

        def dense(k: str, x: torch.Tensor) -> torch.Tensor:
            return x @ net[f"{k}.w"] + net[f"{k}.b"]

        for i in range(depth):
            k = f"blocks.{i}"
            parts = (
                dense(f"{k}.attn.qkv", norm(f"{k}.ln1", x))
                .reshape(b, t, 3, heads, d // heads)
                .permute(2, 0, 3, 1, 4)
            )
            seen = F.scaled_dot_product_attention(*parts, is_causal=True).transpose(1, 2).reshape(b, t, d)
            x = x + dense(f"{k}.attn.out", seen)
            x = x + dense(f"{k}.proj", F.gelu(dense(f"{k}.fc", norm(f"{k}.ln2", x)), approximate="tanh"))
        return norm("ln_f", x) @ net["wte.table"].T

    keep(f"gpt{depth}.forward", forward(ids[:1])[0].detach())
    optimizer = torch.optim.AdamW(net.values(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    clip = lambda: torch.nn.utils.clip_grad_norm_(net.values(), 1.0)  # noqa: E731
    train(
        f"gpt{depth}",
        net,
        lambda: F.cross_entropy(forward(ids).reshape(-1, vocab), following.reshape(-1)),
        optimizer,
        clip,
    )


if __name__ == "__main__":
    assert math.isclose(numbers(1, 3)[0], float(np.float32(numbers(1, 3)[0])))
    for make in (gmm, pendulum, digits, lstm, convnet, gpt, lambda: gpt(1)):
        make()
    (Path(__file__).parent / "reference.json").write_text(json.dumps(FOUND, indent=1) + "\n")
