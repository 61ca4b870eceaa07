"""Numerical programs in plain JAX, in double precision. Parameters are the leaves of Charl's records, by path."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.scipy.special import logsumexp


def mixture(m: Any, x: Any) -> Any:
    """mixture.ch"""
    count, d = m["mean"].shape
    rows, columns = jnp.tril_indices(d, -1)
    q = jnp.zeros((count, d, d)).at[:, rows, columns].set(m["lower"])
    q = q + jnp.exp(m["logdiag"])[:, :, None] * jnp.eye(d)
    r = jnp.einsum("kij,nkj->nki", q, x[:, None] - m["mean"])
    logp = m["alpha"] + m["logdiag"].sum(-1) - 0.5 * (r**2).sum(-1)
    prior = 0.5 * ((jnp.exp(m["logdiag"]) ** 2).sum() + (m["lower"] ** 2).sum()) - m["logdiag"].sum()
    return logsumexp(logp, -1).sum() - len(x) * logsumexp(m["alpha"]) - prior


def diagonal_lstm(p: Any, start: Any, text: Any) -> Any:
    """diagonal_lstm.ch"""

    def gate(at: str, i: int, x: Any) -> Any:
        return x * p[f"{at}.scale"][i] + p[f"{at}.shift"][i]

    def step(states: Any, pair: Any) -> Any:
        x, following = pair
        y, kept = x * p["extra"][0], []
        for i, s in enumerate(states):
            at, sigmoid = f"layers.{i}", jax.nn.sigmoid
            change = jnp.tanh(gate(at, 3, s["hid"]))
            cell = s["cell"] * sigmoid(gate(at, 0, y)) + sigmoid(gate(at, 1, s["hid"])) * change
            y = sigmoid(gate(at, 2, y)) * jnp.tanh(cell)
            kept.append({"hid": y, "cell": cell})
        y = y * p["extra"][1] + p["extra"][2]
        return kept, jnp.sum(following * (y - jnp.log(jnp.exp(y).sum() + 2)))

    _, gained = lax.scan(step, start, (text[:-1], text[1:]))
    return -gained.sum() / text[1:].size
