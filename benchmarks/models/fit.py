"""The whole training of a small classifier: 1000 samples, 5 epochs, one call."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case
from benchmarks.models import mlp

ORDER = 3


def _arguments() -> dict[str, Any]:
    return {"net": mlp.weights(), **mlp.batch(1000)}


def _case(optimizer: str, rows: int) -> Case:
    title = {"sgd": "SGD", "adam": "Adam"}[optimizer]
    steps = 5 * -(-1000 // rows)
    return Case(
        f"fit.{optimizer}", f"1000 samples, 5 epochs, batch {rows}, {title}", "training", "fit.ch",
        f"fit_{optimizer}_{rows}", _arguments, flops=5 * mlp.train_flops(1000),
        bytes=4.0 * steps * mlp.PARAMETERS * {"sgd": 2, "adam": 6}[optimizer], options={"batch": rows, "optimizer": optimizer},
    )  # fmt: skip


CASES = [_case(o, b) for b in (1, 32) for o in ("sgd", "adam")]
