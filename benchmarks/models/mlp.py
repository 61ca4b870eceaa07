"""A perceptron 784-128-10: inference and single training steps."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.case import Case, Leaves, dense, rng

ORDER = 2
FLUSHED = ", subnormal numbers as zero"
STEPS = 2000  # of Adam before it is timed: on one batch, moments become subnormal numbers with time
PARAMETERS = 784 * 128 + 128 + 128 * 10 + 10


def weights() -> Leaves:
    """Leaves of the network."""
    r = rng(1)
    return dense(r, "0", 784, 128) | dense(r, "1", 128, 10)


def batch(rows: int) -> dict[str, Any]:
    """Inputs in 0..1 and labels."""
    r = rng(2)
    x = r.uniform(0, 1, (rows, 784)).astype(np.float32)
    return {"x": x, "y": r.integers(0, 10, rows).astype(np.int32)}


def _predict(rows: int) -> dict[str, Any]:
    return {"net": weights(), "x": batch(rows)["x"]}


def _train(rows: int) -> dict[str, Any]:
    return {"net": weights(), **batch(rows)}


def forward_flops(rows: int) -> float:
    """Multiply-adds of the forward pass, counted twice."""
    return 2.0 * rows * (784 * 128 + 128 * 10)


def train_flops(rows: int) -> float:
    """Forward, gradients of the weights, and of the hidden layer."""
    return 2 * forward_flops(rows) + 2.0 * rows * 128 * 10


def _inference(rows: int, share: float) -> Case:
    return Case(
        "mlp.predict", f"MLP 784-128-10, batch {rows}", "inference", "mlp.ch", "predict", partial(_predict, rows),
        flops=forward_flops(rows), bytes=4.0 * (PARAMETERS + rows * 784), dims={"N": rows},
        share=share,
    )  # fmt: skip


def _training(optimizer: str, rows: int = 32, flush: bool = False) -> Case:
    copies = {"sgd": 1, "adam": 3}[optimizer]  # weights and moments, read and written
    title = {"sgd": "SGD", "adam": "Adam"}[optimizer] + FLUSHED * flush
    return Case(
        f"mlp.train_{optimizer}", f"MLP 784-128-10, batch {rows}, {title}", "training", "mlp.ch", f"train_{optimizer}",
        partial(_train, rows), flops=train_flops(rows), bytes=4.0 * (2 * copies * PARAMETERS + rows * 784),
        touched=4.0 * (copies * PARAMETERS + rows * 784), dims={"N": rows}, calls=3, flush=flush,
        share={"sgd": 0.88, "adam": 0.0}[optimizer], lead={"sgd": 1.0, "adam": 1.95}[optimizer],
        before=STEPS if optimizer == "adam" else 0, options={"optimizer": optimizer},
    )  # fmt: skip


CASES = [
    _inference(1, 0.86),
    _inference(32, 0.89),
    _training("sgd"),
    _training("adam"),
    _training("adam", flush=True),
]
