"""Single layers, and AdamW over as many parameters as GPT-2 has."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, normal, rng

ORDER = 7
MANY = 124_439_808


def _attend() -> dict[str, Any]:
    r = rng()
    return {name: normal(r, 1, 12, 64, 64) for name in ("q", "k", "v")}


def _normalise() -> dict[str, Any]:
    r = rng()
    return {"norm": {"scale": 1 + normal(r, 768, std=0.1), "shift": normal(r, 768)}, "x": normal(r, 64, 768)}


def _adamw() -> dict[str, Any]:
    r = rng()
    return {"net": {"w": normal(r, MANY)}, "g": {"w": normal(r, MANY)}}


CASES = [
    Case(
        "kernels.attend", "causal attention, 12 heads, 64 × 64", "layer", "kernels.ch", "attend", _attend,
        flops=2.0 * 12 * 64 * 65 * 64, bytes=4.0 * 4 * 12 * 64 * 64, dims={"B": 1, "H": 12, "T": 64, "D": 64},
        share=0.58,
    ),
    Case(
        "kernels.normalise", "layer norm, 64 × 768", "layer", "kernels.ch", "normalise", _normalise,
        flops=0.0, bytes=4.0 * 2 * 64 * 768, dims={"N": 64}, lead=3.7,
    ),
    Case(
        "kernels.activate", "gelu (tanh), 64 × 3072", "layer", "kernels.ch", "activate",
        lambda: {"x": normal(rng(), 64, 3072)}, flops=0.0, bytes=4.0 * 2 * 64 * 3072, dims={"N": 64, "M": 3072},
        lead=3.3,
    ),
    Case(
        "kernels.adamw", "AdamW, 124 million parameters", "layer", "kernels.ch", "adamw", _adamw,
        flops=0.0, bytes=4.0 * 7 * MANY, touched=4.0 * 4 * MANY, heavy=True,
    ),
]  # fmt: skip
