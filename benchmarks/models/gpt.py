"""Decoders: a small one over characters, and GPT-2 with 124 million parameters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Array, Case, Leaves, dense, normal, rng

ORDER = 6
GPT2 = {"vocab": 50257, "context": 1024, "d": 768, "heads": 12, "depth": 12}
CHARS = {"vocab": 65, "context": 64, "d": 128, "heads": 4, "depth": 4}
CACHE = 192  # positions that the cache of a decoder has room for


def weights(shape: dict[str, int]) -> Leaves:
    """Leaves of a decoder."""
    r, d = rng(1), shape["d"]
    out = {
        "wte.table": normal(r, shape["vocab"], d, std=0.02),
        "wpe.table": normal(r, shape["context"], d, std=0.02),
    }
    norm = lambda path: {  # noqa: E731
        f"{path}.scale": 1 + normal(r, d, std=0.02), f"{path}.shift": normal(r, d, std=0.02)
    }  # fmt: skip
    for i in range(shape["depth"]):
        at = f"blocks.{i}"
        out |= (
            norm(f"{at}.ln1")
            | dense(r, f"{at}.attn.qkv", d, 3 * d, 0.02)
            | dense(r, f"{at}.attn.out", d, d, 0.02)
        )
        out |= (
            norm(f"{at}.ln2") | dense(r, f"{at}.fc", d, 4 * d, 0.02) | dense(r, f"{at}.proj", 4 * d, d, 0.02)
        )
    return out | norm("ln_f")


def prompt_arguments(shape: dict[str, int], length: int) -> dict[str, Any]:
    """A text, and the network that goes on from it."""
    return {"net": weights(shape), "ids": _text(shape, 1, length)}


def _text(shape: dict[str, int], rows: int, length: int) -> Any:
    return rng(2).integers(0, shape["vocab"], (rows, length)).astype(np.int32)


def token_arguments(shape: dict[str, int], t: int, room: int) -> dict[str, Any]:
    """A token after a text of `t`, and caches with room for `room` positions that hold those of the text."""
    net, text = weights(shape), _text(shape, 1, t)[0]
    caches = []
    for k, v in _keys_and_values(net, text, shape):
        filled = {n: np.zeros((1, len(x), room, x.shape[2]), np.float32) for n, x in (("k", k), ("v", v))}
        filled["k"][0, :, :t], filled["v"][0, :, :t] = k, v
        caches.append(filled)
    return {"net": net, "id": np.array([11], np.int32), "caches": caches, "t": np.int32(t), "text": text}


def _keys_and_values(net: Leaves, text: Array, shape: dict[str, int]) -> Iterator[tuple[Array, Array]]:
    """Of every layer, [heads, time, d / heads]: gpt.ch in NumPy."""

    def norm(at: str, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        power = (centred**2).mean(-1, keepdims=True)
        out: Array = centred / np.sqrt(power + 1e-5) * net[f"{at}.scale"] + net[f"{at}.shift"]
        return out

    def layer(at: str, x: Array) -> Array:
        out: Array = x @ net[f"{at}.w"] + net[f"{at}.b"]
        return out

    def gelu(x: Array) -> Array:
        out: Array = 0.5 * x * (1 + np.tanh((2 / np.pi) ** 0.5 * (x + 0.044715 * x**3)))
        return out

    x = net["wte.table"][text] + net["wpe.table"][: len(text)]
    for i in range(shape["depth"]):
        at = f"blocks.{i}"
        parts = np.split(layer(f"{at}.attn.qkv", norm(f"{at}.ln1", x)), 3, -1)
        q, k, v = (p.reshape(len(text), shape["heads"], -1).transpose(1, 0, 2) for p in parts)
        yield k, v
        scores = np.where(
            np.tri(len(text), dtype=bool), q @ k.transpose(0, 2, 1) / q.shape[2] ** 0.5, -np.inf
        )
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        seen = (shares / shares.sum(-1, keepdims=True)) @ v
        x = x + layer(f"{at}.attn.out", seen.transpose(1, 0, 2).reshape(x.shape))
        x = x + layer(f"{at}.proj", gelu(layer(f"{at}.fc", norm(f"{at}.ln2", x))))


def train_arguments(shape: dict[str, int], rows: int, length: int) -> dict[str, Any]:
    """A batch of texts, and what follows each of their tokens."""
    text = _text(shape, rows, length + 1)
    ids, following = np.ascontiguousarray(text[:, :-1]), np.ascontiguousarray(text[:, 1:])
    return {"net": weights(shape), "ids": ids, "next": following}


def parameters(shape: dict[str, int]) -> int:
    """How many numbers a decoder learns."""
    d = shape["d"]
    return shape["depth"] * (12 * d * d + 13 * d) + 2 * d + (shape["vocab"] + shape["context"]) * d


def flops(shape: dict[str, int], rows: int, length: int, scored: int) -> float:
    """Multiply-adds of a forward pass, counted twice; `scored` positions of each row get scores of the next token."""
    d = shape["d"]
    each = shape["depth"] * (
        24.0 * d * d * length + 2.0 * d * length * (length + 1)
    )  # causal: half of the square
    return rows * (each + 2.0 * d * shape["vocab"] * scored)


def _sets(shape: dict[str, int]) -> dict[str, str]:
    return {f"net.{k}": str(v) for k, v in shape.items()} if shape is not GPT2 else {}


def _training(title: str, shape: dict[str, int], rows: int, length: int, heavy: bool, share: float) -> Case:
    return Case(
        "gpt.train", title, "training", "gpt_train.ch", "train_step", partial(train_arguments, shape, rows, length),
        flops=3 * flops(shape, rows, length, length), bytes=4.0 * 6 * parameters(shape), touched=4.0 * 3 * parameters(shape),
        dims={"B": rows, "T": length},
        sets=_sets(shape), share=share, calls=2, heavy=heavy, options=shape,
    )  # fmt: skip


CASES = [
    Case(
        "gpt.prompt", "GPT-2 124M, prompt of 128 tokens", "inference", "gpt_prompt.ch", "prompt",
        partial(prompt_arguments, GPT2, 128),
        flops=flops(GPT2, 1, 128, 1), bytes=4.0 * parameters(GPT2), dims={"B": 1, "T": 128}, share=0.86, heavy=True, options=GPT2,
    ),
    Case(
        "gpt.token", "GPT-2 124M, one token after 128", "inference", "gpt_token.ch", "token",
        partial(token_arguments, GPT2, 128, CACHE),
        flops=flops(GPT2, 1, 1, 1), bytes=4.0 * (parameters(GPT2) - 1023 * 768), dims={"L": CACHE},
        share=0.96, heavy=True, options=GPT2,
    ),
    _training("characters: 4 layers of 128, 12 × 64 tokens, AdamW", CHARS, 12, 64, False, 0.70),
    _training("GPT-2 124M, 4 × 64 tokens, AdamW", GPT2, 4, 64, True, 0.82),
]  # fmt: skip
