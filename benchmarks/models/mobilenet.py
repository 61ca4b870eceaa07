"""MobileNetV2: inference on an image."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, Leaves, batch_norm, conv, dense, normal, rng

ORDER = 9
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def blocks() -> list[tuple[int, int, int, int]]:
    """(channels in, channels out, stride, expansion) of every inverted residual block."""
    out, i = [], 32
    for t, o, count, stride in STAGES:
        for n in range(count):
            out.append((i, o, stride if n == 0 else 1, t))
            i = o
    return out


def _weights() -> Leaves:
    r = rng(1)
    out = conv(r, "0.conv", 3, 32, 3) | batch_norm(r, "0.norm", 32)
    for n, (i, o, _, t) in enumerate(blocks(), 1):
        at, wide = f"{n}", i * t
        if t != 1:
            out |= conv(r, f"{at}.expand.conv", i, wide, 1) | batch_norm(r, f"{at}.expand.norm", wide)
        out |= {f"{at}.spread.w": normal(r, wide, 3, 3, std=0.5)} | batch_norm(r, f"{at}.spread.norm", wide)
        out |= conv(r, f"{at}.conv", wide, o, 1) | batch_norm(r, f"{at}.norm", o)
    out |= conv(r, "18.conv", 320, 1280, 1) | batch_norm(r, "18.norm", 1280)
    return out | dense(r, "20", 1280, 1000)


def _predict() -> dict[str, Any]:
    return {"net": _weights(), "x": normal(rng(2), 1, 3, 224, 224)}


def _flops() -> float:
    side, total = 112, 112.0 * 112 * 32 * 27
    for i, o, stride, t in blocks():
        total += side * side * i * i * t * (t != 1)
        side //= stride
        total += side * side * i * t * (9 + o)
    return 2 * (total + 49 * 320 * 1280 + 1280 * 1000)


CASES = [
    Case(
        "mobilenet.predict", "MobileNetV2, 224 × 224, batch 1", "inference", "mobilenet.ch", "predict", _predict,
        flops=_flops(), bytes=4.0 * 3_504_872, share=0.76, heavy=True,
    ),
]  # fmt: skip
