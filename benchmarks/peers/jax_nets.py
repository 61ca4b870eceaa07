"""The networks in plain JAX. Parameters are the leaves of Charl's models, by path."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax


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
