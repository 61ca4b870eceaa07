"""An LSTM of 256 units over 64 steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case, Leaves, dense, normal, rng

ORDER = 5
H, T = 256, 64
PARAMETERS = 2 * H * 4 * H + 4 * H


def _cell(path: str) -> Leaves:
    r = rng(1)
    out = {"wx": normal(r, H, 4 * H, std=H**-0.5), "wh": normal(r, H, 4 * H, std=H**-0.5)}
    out["b"] = normal(r, 4 * H, std=0.1)
    return {path + k: v for k, v in out.items()}


def _run() -> dict[str, Any]:
    return {"net": _cell(""), "x": normal(rng(2), 1, T, H)}


def _train() -> dict[str, Any]:
    r = rng(2)
    y = r.integers(0, 10, 32).astype(np.int32)
    return {"net": _cell("lstm.") | dense(r, "out", H, 10), "x": normal(r, 32, T, H), "y": y}


def _flops(rows: int) -> float:
    return 2.0 * rows * T * 2 * H * 4 * H


CASES = [
    Case(
        "lstm.run", "LSTM 256, 64 steps, batch 1", "inference", "lstm.ch", "run", _run,
        flops=_flops(1), bytes=4.0 * T * H * 4 * H, touched=4.0 * H * 4 * H, share=0.84,
        dims={"B": 1, "T": T},
    ),
    Case(
        "lstm.train", "LSTM 256, 64 steps, batch 32, Adam", "training", "lstm.ch", "train_step", _train,
        flops=3 * _flops(32) - 2.0 * 32 * T * H * 4 * H, bytes=4.0 * 6 * PARAMETERS, touched=4.0 * 3 * PARAMETERS,
        dims={"B": 32, "T": T}, calls=2, share=0.89,
    ),
]  # fmt: skip
