"""Numerical programs with nested loops, updates in place and branches: their own tests on every backend, and debug builds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import charl
from charl.testing import run
from tests.language.backends import BACKENDS
from tests.support import needs_cc

HERE = Path(__file__).parent


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", ["heat", "jacobi", "searches", "sinkhorn"])
def test_programs(name: str, backend: str) -> None:
    """heat: a group of the plan, once merged, was forgotten; a constant start was an index below 0 in WGSL.

    sinkhorn: lanes stored a carried value before another value read what it was.
    """
    found = run(HERE / f"{name}.ch", ["wgsl" if backend == "wgpu" else backend], "", lambda _: None)
    assert [(o.status, *o.lines) for o in found] == [("passed",)]


@needs_cc
def test_a_debug_build_does_not_look_at_what_is_cut_for_a_turn_that_does_not_run() -> None:
    package = charl.load(HERE / "jacobi.ch", backend="c", debug=True)
    a = np.array([[2.0, 0.5, 0.1], [0.4, 1.0, -0.3], [0.2, -0.3, 3.0]], np.float32)
    assert np.isfinite(package.slopes(a)).all()
