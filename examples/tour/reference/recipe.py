"""Numbers that two programs make alike without sharing a file: a hash of the position (Knuth, 6.4), as floats in -1/2..1/2.

Exact in float32, so that both precisions begin with the same numbers.
"""

from __future__ import annotations

import math

import numpy as np


def numbers(seed: int, *shape: int, scale: float = 1.0) -> np.ndarray:
    """float64[shape] in -scale / 2..scale / 2: 16 bits of the hash of (i, seed) each. `scale` is a power of two."""
    i = np.arange(math.prod(shape), dtype=np.uint64)
    mixed = (i + np.uint64(seed * 1_000_003)) * np.uint64(2654435761)
    mixed = (mixed ^ (mixed >> np.uint64(15))) * np.uint64(2246822519)
    bits = (mixed >> np.uint64(13)) & np.uint64(0xFFFF)
    return ((bits.astype(np.float64) / 65536 - 0.5) * scale).reshape(shape)


def indices(seed: int, below: int, *shape: int) -> np.ndarray:
    """int32[shape] in 0..below."""
    return np.floor((numbers(seed, *shape) + 0.5) * below).astype(np.int32)


def digest(array: np.ndarray) -> np.ndarray:
    """Six numbers that stand for an array: its first, its sum, that of its squares, and its products with three others."""
    x = np.asarray(array, dtype=np.float64).reshape(-1)
    products = [x @ numbers(900 + k, x.size) for k in range(3)]
    return np.array([x[0], x.sum(), x @ x, *products])


def weights(shapes: dict[str, tuple[int, ...]], scale: float = 0.5) -> dict[str, np.ndarray]:
    """An array for each name, in the order of the names."""
    return {
        name: numbers(i + 1, *shape, scale=scale) for i, (name, shape) in enumerate(sorted(shapes.items()))
    }
