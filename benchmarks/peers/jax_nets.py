"""The networks in plain JAX. Parameters are the leaves of Charl's models, by path."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from benchmarks.models.mobilenet import blocks
from benchmarks.models.resnet import BLOCKS


def dense(p: Any, path: str, x: Any) -> Any:
    """A dense layer."""
    return x @ p[f"{path}.w"] + p[f"{path}.b"]


def norm(p: Any, path: str, x: Any) -> Any:
    """Layer norm over the last axis."""
    centred = x - x.mean(-1, keepdims=True)
    power = jnp.mean(centred**2, -1, keepdims=True)
    return centred * lax.rsqrt(power + 1e-5) * p[f"{path}.scale"] + p[f"{path}.shift"]


def mlp(p: Any, x: Any) -> Any:
    """mlp.ch"""
    return dense(p, "1", jax.nn.relu(dense(p, "0", x)))


def lstm(p: Any, x: Any, at: str = "") -> Any:
    """lstm.ch: outputs at every step."""
    pre = jnp.swapaxes(x @ p[f"{at}wx"] + p[f"{at}b"], 0, 1)
    zero = jnp.zeros((x.shape[0], p[f"{at}wh"].shape[0]))

    def step(carry: Any, t: Any) -> Any:
        hid, cell = carry
        a, f, g, o = jnp.split(t + hid @ p[f"{at}wh"], 4, -1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(a) * jnp.tanh(g)
        hid = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (hid, cell), hid

    return jnp.swapaxes(lax.scan(step, (zero, zero), pre)[1], 0, 1)


def classify(p: Any, x: Any) -> Any:
    """lstm.ch: classes of the last output."""
    return dense(p, "out", lstm(p, x, "lstm.")[:, -1])


def attention(q: Any, k: Any, v: Any) -> Any:
    """Causal, over [batch, heads, time, d]."""
    scores = q @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5
    n = scores.shape[-1]
    scores = jnp.where(jnp.tril(jnp.ones((n, n), bool)), scores, -jnp.inf)
    return jax.nn.softmax(scores) @ v


def _heads(x: Any, heads: int) -> Any:
    rows, time, d = x.shape
    return [
        part.reshape(rows, time, heads, d // 3 // heads).transpose(0, 2, 1, 3) for part in jnp.split(x, 3, -1)
    ]


def _merged(x: Any) -> Any:
    rows, heads, time, d = x.shape
    return x.transpose(0, 2, 1, 3).reshape(rows, time, heads * d)


def _feed(p: Any, at: str, x: Any) -> Any:
    return x + dense(p, f"{at}.proj", jax.nn.gelu(dense(p, f"{at}.fc", norm(p, f"{at}.ln2", x))))


def hidden(p: Any, ids: Any, shape: dict[str, int]) -> Any:
    """gpt.ch: what the last block leaves, normalised."""
    x = p["wte.table"][ids] + p["wpe.table"][: ids.shape[1]]
    for i in range(shape["depth"]):
        at = f"blocks.{i}"
        q, k, v = _heads(dense(p, f"{at}.attn.qkv", norm(p, f"{at}.ln1", x)), shape["heads"])
        x = _feed(p, at, x + dense(p, f"{at}.attn.out", _merged(attention(q, k, v))))
    return norm(p, "ln_f", x)


def token(p: Any, ids: Any, caches: Any, t: Any, shape: dict[str, int]) -> Any:
    """gpt.ch: one position, keys and values in a cache of fixed length."""
    x = p["wte.table"][ids][:, None] + p["wpe.table"][t]
    kept = []
    for i, cache in enumerate(caches):
        at = f"blocks.{i}"
        q, k, v = _heads(dense(p, f"{at}.attn.qkv", norm(p, f"{at}.ln1", x)), shape["heads"])
        k = lax.dynamic_update_slice(cache["k"], k, (0, 0, t, 0))
        v = lax.dynamic_update_slice(cache["v"], v, (0, 0, t, 0))
        kept.append({"k": k, "v": v})
        scores = q @ k.swapaxes(2, 3) * q.shape[-1] ** -0.5
        scores = jnp.where(jnp.arange(k.shape[2]) <= t, scores, -jnp.inf)
        x = _feed(p, at, x + dense(p, f"{at}.attn.out", _merged(jax.nn.softmax(scores) @ v)))
    return (norm(p, "ln_f", x) @ p["wte.table"].T)[:, 0], kept


# ---------------------------------------------------------------- convolutions, channels first as in the programs


def conv(p: Any, path: str, x: Any, stride: int = 1, padding: int = 0, groups: int = 1) -> Any:
    """A convolution without bias."""
    w = p[f"{path}.w"]
    pads = [(padding, padding)] * 2
    layout = ("NCHW", "OIHW", "NCHW")
    return lax.conv_general_dilated(
        x, w, (stride, stride), pads, dimension_numbers=layout, feature_group_count=groups
    )


def max_pool(x: Any, size: int, stride: int, padding: int = 0) -> Any:
    """Maxima of windows."""
    pads = [(0, 0), (0, 0), (padding, padding), (padding, padding)]
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 1, size, size), (1, 1, stride, stride), pads)


def batch_norm(p: Any, path: str, x: Any, moved: dict[str, Any] | None = None) -> Any:
    """By the running moments; in training by those of the batch, towards which the running ones are `moved`."""
    mean, power = p[f"{path}.mean"], p[f"{path}.variance"]
    if moved is not None:
        count = x.size // x.shape[1]
        old, (mean, power) = (mean, power), (x.mean((0, 2, 3)), x.var((0, 2, 3)))
        moved[f"{path}.mean"] = 0.9 * old[0] + 0.1 * mean
        moved[f"{path}.variance"] = 0.9 * old[1] + 0.1 * power * (count / (count - 1))
    over = (slice(None), None, None)
    scale = p[f"{path}.scale"] * lax.rsqrt(power + 1e-5)
    return (x - mean[over]) * scale[over] + p[f"{path}.shift"][over]


def lenet(p: Any, x: Any) -> Any:
    """lenet.ch"""
    over = (slice(None), None, None)
    x = max_pool(jax.nn.relu(conv(p, "0", x, padding=2) + p["0.b"][over]), 2, 2)
    x = max_pool(jax.nn.relu(conv(p, "2", x) + p["2.b"][over]), 2, 2).reshape(x.shape[0], -1)
    return dense(p, "7", jax.nn.relu(dense(p, "6", jax.nn.relu(dense(p, "5", x)))))


def resnet(p: Any, x: Any, small: bool, moved: dict[str, Any] | None = None) -> Any:
    """resnet.ch; in training the running moments go to `moved`."""
    x = conv(p, "conv", x, 1 if small else 2, 1 if small else 3)
    x = jax.nn.relu(batch_norm(p, "norm", x, moved))
    if not small:
        x = max_pool(x, 3, 2, 1)
    for n, (_, _, stride) in enumerate(BLOCKS):
        at = f"trunk.{n}"
        y = jax.nn.relu(batch_norm(p, f"{at}.norm1", conv(p, f"{at}.conv1", x, stride, 1), moved))
        y = batch_norm(p, f"{at}.norm2", conv(p, f"{at}.conv2", y, 1, 1), moved)
        if f"{at}.conv3.w" in p:
            x = batch_norm(p, f"{at}.norm3", conv(p, f"{at}.conv3", x, stride), moved)
        x = jax.nn.relu(y + x)
    return dense(p, "trunk.9", x.mean((2, 3)))


def mobilenet(p: Any, x: Any) -> Any:
    """mobilenet.ch"""

    def unit(at: str, x: Any, stride: int = 1, padding: int = 0) -> Any:
        return jnp.clip(batch_norm(p, f"{at}.norm", conv(p, f"{at}.conv", x, stride, padding)), 0, 6)

    x = unit("0", x, 2, 1)
    for n, (i, o, stride, t) in enumerate(blocks(), 1):
        y = unit(f"{n}.expand", x) if t != 1 else x
        taps = {"w.w": p[f"{n}.spread.w"][:, None]}
        y = conv(taps, "w", y, stride, 1, groups=i * t)
        y = jnp.clip(batch_norm(p, f"{n}.spread.norm", y), 0, 6)
        y = batch_norm(p, f"{n}.norm", conv(p, f"{n}.conv", y))
        x = x + y if stride == 1 and i == o else y
    return dense(p, "20", unit("18", x).mean((2, 3)))
