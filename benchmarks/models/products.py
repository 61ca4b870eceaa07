"""Matrix products: square ones, a layer's, both gradients' of a layer, a row times a matrix."""

from __future__ import annotations

from functools import partial
from typing import Any

from benchmarks.case import Case, normal, rng

ORDER = 1


def _arguments(a: tuple[int, int], b: tuple[int, int], k: int) -> dict[str, Any]:
    r = rng()
    return {"a": normal(r, *a), "b": normal(r, *b, std=k**-0.5)}  # so that sums stay near 1


def _case(m: int, n: int, k: int, layout: str = "", share: float = 0.0, simd: str = "") -> Case:
    export = {"": "product", "A'B": "product_left_transposed", "AB'": "product_right_transposed"}[layout]
    a = (k, m) if layout == "A'B" else (m, k)
    b = (n, k) if layout == "AB'" else (k, n)
    title = f"{layout or 'AB'} {m} × {n} × {k}{simd and f', {simd}'}"
    return Case(
        f"products.{export}", title, "product", "products.ch", export, partial(_arguments, a, b, k),
        flops=2.0 * m * n * k, bytes=4.0 * (m * k + k * n + m * n), dims={"M": m, "N": n, "K": k},
        share=share, lead=0.0 if simd else 1.0, simd=simd,
    )  # fmt: skip


CASES = [
    _case(64, 64, 64, share=0.92),
    _case(128, 128, 784, share=0.95),
    _case(512, 512, 512, share=0.93),
    _case(512, 512, 512, share=0.93, simd="avx2"),
    _case(2048, 2048, 2048, share=0.88),
    _case(128, 3072, 768, share=0.88),
    _case(784, 128, 32, "A'B", 0.94),
    _case(32, 784, 128, "AB'", 0.93),
    _case(1, 3072, 768, share=0.90),
]
