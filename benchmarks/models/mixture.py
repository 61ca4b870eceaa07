"""A Gaussian mixture: a numerical program that is no network, and its gradient."""

from __future__ import annotations

from typing import Any

from benchmarks.case import Case, rng

ORDER = 10
N, K, D = 1000, 25, 64


def _arguments() -> dict[str, Any]:
    r = rng()
    sizes = {"alpha": (K,), "mean": (K, D), "logdiag": (K, D), "lower": (K, D * (D - 1) // 2)}
    return {"m": {k: 0.1 * r.standard_normal(s) for k, s in sizes.items()}, "x": r.standard_normal((N, D))}


def _case(export: str, products: int) -> Case:
    # Multiply-adds of f64 count twice: a vector holds half as many.
    return Case(
        f"mixture.{export}", f"Gaussian mixture of {K} in {D} dimensions, {N} points, f64: {export}", "program", "mixture.ch",
        export, _arguments, flops=2 * products * 1.0 * N * K * D * (D + 1), bytes=8.0 * (N * D + K * D * (D + 3) / 2),
        dims={"N": N},
    )  # fmt: skip


CASES = [_case("objective", 1), _case("gradient", 3)]
