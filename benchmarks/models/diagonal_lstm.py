"""An LSTM with diagonal weights: a long chain of small steps, and its gradient."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, rng

ORDER = 11
T, B, LAYERS = 1024, 14, 2


def _arguments() -> dict[str, Any]:
    r = rng()
    p = {"extra": r.standard_normal((3, B))}
    for i in range(LAYERS):
        p |= {f"layers.{i}.{name}": r.standard_normal((4, B)) for name in ("scale", "shift")}
    start = [{name: r.standard_normal(B) for name in ("hid", "cell")} for _ in range(LAYERS)]
    return {"p": p, "start": start, "text": r.integers(0, 2, (T, B)).astype(float)}


def _case(export: str) -> Case:
    return Case(
        f"diagonal_lstm.{export}", f"diagonal LSTM of 2 × {B}, {T} steps, f64: {export}", "program", "diagonal_lstm.ch",
        export, _arguments, flops=0.0, bytes=8.0 * T * B, dims={"T": T},
    )  # fmt: skip


CASES = [_case("objective"), _case("gradient")]
