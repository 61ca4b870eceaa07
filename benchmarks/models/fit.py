"""The whole training of a small classifier: 1000 samples, 5 epochs, one call."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case
from benchmarks.models import mlp

ORDER = 3


def _arguments() -> dict[str, Any]:
    return {"start": mlp.weights(), **mlp.batch(1000)}


def _case(optimizer: str, rows: int, flush: bool = False) -> Case:
    title = {"sgd": "SGD", "adam": "Adam"}[optimizer] + mlp.FLUSHED * flush
    steps, copies = 5 * -(-1000 // rows), {"sgd": 1, "adam": 3}[optimizer]
    return Case(
        f"fit.{optimizer}", f"1000 samples, 5 epochs, batch {rows}, {title}", "training", "fit.ch",
        f"fit_{optimizer}_{rows}", _arguments, flops=5 * mlp.train_flops(1000),
        bytes=4.0 * steps * mlp.PARAMETERS * 2 * copies, touched=4.0 * mlp.PARAMETERS * copies, flush=flush,
        share=0.86 if (optimizer, rows) == ("sgd", 32) else 0.0, lead=1.5 if (optimizer, rows) == ("sgd", 1) else 1.0,
        options={"batch": rows, "optimizer": optimizer},
    )  # fmt: skip


KINDS = [("sgd", False), ("adam", False), ("adam", True)]
CASES = [_case(o, b, f) for b in (1, 32) for o, f in KINDS]
