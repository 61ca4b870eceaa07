"""Values that are read at other places than the own element: computed again a few times, stored before it becomes many."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_file
from charl.graph.scalar import Expr
from charl.loops.ir import Kernel, Store
from charl.loops.walk import statements
from tests.support import needs_cc, needs_vulkan

PROGRAM = Path(__file__).with_name("butterflies.ch")


def size(e: Expr) -> int:
    """An expression as it is written out."""
    return 1 + sum(size(c) for c in e.children())


def longest(kernel: Kernel) -> int:
    return max(size(s.value) for nest in kernel.nests for s in statements(nest) if isinstance(s, Store))


@pytest.mark.parametrize("target", ["c", "wgsl"])
def test_stages_are_stored_before_they_multiply(target: str) -> None:
    """Six stages, each of which reads its predecessor four times: written out in one another they would be 4^6 reads."""
    lowered = compile_file(PROGRAM, Options(targets=(target,))).lowered[target]
    assert 2 <= len(lowered.kernels) <= 16
    assert max(map(longest, lowered.kernels)) < 600


@pytest.mark.parametrize(
    "backend",
    ["evaluator", pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)],
)
def test_butterflies(backend: str) -> None:
    package: Any = charl.load(PROGRAM, backend=backend)
    x = np.random.default_rng(0).standard_normal((2, 64)).astype(np.float32)
    order = [int(f"{i:06b}"[::-1], 2) for i in range(64)]
    found = package.fft(x[0][order], x[1][order])
    wanted = np.fft.fft(x[0] + 1j * x[1])
    np.testing.assert_allclose(found[0] + 1j * found[1], wanted, rtol=1e-4, atol=1e-4)
