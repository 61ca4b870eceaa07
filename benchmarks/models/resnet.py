"""ResNet-18: inference on an image, and a training step on small ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case, Leaves, batch_norm, conv, dense, normal, rng

ORDER = 8
BLOCKS = (
    (64, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
)


def weights(kernel: int, classes: int) -> Leaves:
    """Leaves of the network, its stem with `kernel` taps along an axis."""
    r = rng(1)
    out = conv(r, "conv", 3, 64, kernel) | batch_norm(r, "norm", 64)
    for n, (i, o, stride) in enumerate(BLOCKS):
        at = f"trunk.{n}"
        out |= conv(r, f"{at}.conv1", i, o, 3) | batch_norm(r, f"{at}.norm1", o)
        out |= conv(r, f"{at}.conv2", o, o, 3) | batch_norm(r, f"{at}.norm2", o)
        if i != o or stride != 1:
            out |= conv(r, f"{at}.conv3", i, o, 1) | batch_norm(r, f"{at}.norm3", o)
    return out | dense(r, "trunk.9", 512, classes)


def _predict() -> dict[str, Any]:
    return {"net": weights(7, 1000), "x": normal(rng(2), 1, 3, 224, 224)}


def _train() -> dict[str, Any]:
    r = rng(2)
    x, y = normal(r, 32, 3, 32, 32), r.integers(0, 10, 32).astype(np.int32)
    return {"net": weights(3, 10), "rng": {"key": np.zeros(2, np.uint32)}, "x": x, "y": y}


def _flops(side: int, stem: int) -> float:
    """Of one image; `side`: of what enters the first block, `stem`: multiply-adds of the stem."""
    total = float(stem)
    for i, o, stride in BLOCKS:
        side //= stride
        total += side * side * o * (9 * i + 9 * o + (i if i != o else 0))
    return 2 * total


CASES = [
    Case(
        "resnet.predict", "ResNet-18, 224 × 224, batch 1", "inference", "resnet.ch", "predict", _predict,
        flops=_flops(56, 112 * 112 * 64 * 147), bytes=4.0 * 11_689_512, share=0.95, heavy=True,
    ),
    Case(
        "resnet.train", "ResNet-18 for 32 × 32, batch 32, SGD with momentum", "training", "resnet.ch", "train_step", _train,
        flops=3 * 32 * _flops(32, 32 * 32 * 64 * 27), bytes=4.0 * 4 * 11_173_962, touched=4.0 * 2 * 11_173_962,
        dims={"N": 32}, share=0.90, heavy=True, calls=2,
    ),
]  # fmt: skip
