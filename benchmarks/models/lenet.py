"""LeNet-5: inference and a training step."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case, Leaves, conv, dense, normal, rng

ORDER = 4
PARAMETERS = 61_706


def _weights() -> Leaves:
    r = rng(1)
    out = conv(r, "0", 1, 6, 5, bias=True) | conv(r, "2", 6, 16, 5, bias=True)
    return out | dense(r, "5", 400, 120) | dense(r, "6", 120, 84) | dense(r, "7", 84, 10)


def _images(rows: int) -> Any:
    return normal(rng(2), rows, 1, 28, 28)


def _predict(rows: int) -> dict[str, Any]:
    return {"net": _weights(), "x": _images(rows)}


def _train(rows: int) -> dict[str, Any]:
    return {**_predict(rows), "y": rng(3).integers(0, 10, rows).astype(np.int32)}


def _flops(rows: int, first: float = 1.0) -> float:
    """Multiply-adds counted twice; `first` times those of the first layer."""
    return 2.0 * rows * (first * 6 * 28 * 28 * 25 + 16 * 100 * 150 + 400 * 120 + 120 * 84 + 840)


def _inference(rows: int, share: float) -> Case:
    return Case(
        "lenet.predict", f"LeNet-5, batch {rows}", "inference", "lenet.ch", "predict", partial(_predict, rows),
        flops=_flops(rows), bytes=4.0 * (PARAMETERS + rows * 784), dims={"N": rows},
        share=share,
    )  # fmt: skip


CASES = [
    _inference(1, 0.60),
    _inference(32, 0.80),
    Case(
        "lenet.train", "LeNet-5, batch 32, SGD", "training", "lenet.ch", "train_step", partial(_train, 32),
        flops=3 * _flops(32, 2 / 3), bytes=4.0 * (2 * PARAMETERS + 32 * 784), touched=4.0 * (PARAMETERS + 32 * 784),
        dims={"N": 32}, calls=3, share=0.68,
    ),
]  # fmt: skip
