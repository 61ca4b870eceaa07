"""Makes references.json: what PyTorch gives for the cases of small.py. Run it where PyTorch is installed:

python -m tests.benchmarks.reference
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers
from tests.benchmarks.small import cases

FILE = Path(__file__).parent / "references.json"
SHOWN = 6


def summary(values: Any) -> list[float]:
    """The first numbers of an array, their sum and the sum of their squares: enough to notice any other array."""
    flat = np.asarray(values, np.float64).ravel()
    return [round(float(x), 7) for x in (*flat[:SHOWN], flat.sum(), (flat**2).sum())]


def outputs(peer: Any, calls: int) -> dict[str, list[float]]:
    """Summaries of what so many calls gave, and of the state after them."""
    out = {}
    for i in range(calls):
        value = peer.result(peer.step())
        if value is not None and np.size(value):
            out[f"result {i}"] = summary(value)
    return out | {k: summary(v) for k, v in peer.state().items()}


def main() -> None:
    record = {}
    for case in cases():
        peer = peers.peer("PyTorch", case, case.arguments(), 1, FILE.parent, "")
        assert peer is not None, case.name
        record[f"{case.stem}.{case.export}"] = outputs(peer, case.calls)
    FILE.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
