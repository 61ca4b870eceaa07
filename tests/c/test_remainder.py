"""Lanes that fill no vector run along the sum: which do, and that results are those of the evaluator, for any threads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.backends.capabilities import AVX2, AVX512, Capabilities
from charl.compile import Options, compile_source
from charl.loops.ir import Accumulator, Horizontal, Simd
from charl.loops.walk import statements
from charl.passes import optimise
from charl.runtime.native import import_package, load_program
from charl.source import Source
from tests.c import build
from tests.elaborate.programs import program

PROGRAM = """
from conv import convolve

export fn places(w: f32[41, 70, 3, 3], x: f32[2, 70, 7, 7], b: f32[41]) =
    relu(convolve(x, w, padding: 1) + b[:, None, None])

export fn pieces(w: f32[24, 130, 3, 3], x: f32[1, 130, 14, 14], b: f32[24]) =
    tanh(convolve(x, w, padding: 1)) * b[:, None, None]

export fn product(w: f32[50, 200], x: f32[3, 200, 35], b: f32[50]) = (w @ x, exp(w @ x * 0.01) + b[:, None])

export fn double(w: f64[50, 90], x: f64[90, 25], b: f64[50]) = w @ x + b[:, None]

export fn turned(w: f32[60, 120], x: f32[33, 120], b: f32[60]) = w @ transpose(x) - b[:, None]
"""
SIZES = {
    "places": ((41, 70, 3, 3), (2, 70, 7, 7), (41,)),
    "pieces": ((24, 130, 3, 3), (1, 130, 14, 14), (24,)),
    "product": ((50, 200), (3, 200, 35), (50,)),
    "double": ((50, 90), (90, 25), (50,)),
    "turned": ((60, 120), (33, 120), (60,)),
}


@pytest.mark.parametrize("isa", build.ISA)
def test_results(isa: str) -> None:
    """Of windows, batches and layouts, with what is done to the sums; two threads give the bits of one."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    source = Source("remainder.ch", PROGRAM)
    module = import_package(compile_source(source, Options(targets=("c",), simd=isa)).files)
    _, _, wanted = load_program(source, Options(), "evaluator")
    got, shared = (module.load("c", simd=isa, threads=n) for n in (False, True))
    rng = np.random.default_rng(0)
    for name, sizes in SIZES.items():
        dtype = np.float64 if name == "double" else np.float32
        arrays = [rng.standard_normal(s).astype(dtype) for s in sizes]
        for w, g, s in zip(*(_flat(getattr(p, name)(*arrays)) for p in (wanted, got, shared)), strict=True):
            np.testing.assert_allclose(g, w, rtol=1e-3, atol=1e-3, err_msg=name)
            np.testing.assert_array_equal(g, s, err_msg=name)


def _flat(results: Any) -> tuple[Any, ...]:
    return results if isinstance(results, tuple) else (results,)


# (function, capabilities, columns behind the last whole vector that run along the sum)
SHAPES = [
    ("f(w: f32[64, 300], x: f32[300, 49]) = w @ x", AVX512, True),
    ("f(w: f32[64, 300], x: f32[300, 49]) = w @ x", AVX2, True),
    ("f(w: f32[64, 64, 3, 3], x: f32[1, 64, 7, 7]) = convolve(x, w, padding: 1)", AVX512, True),
    ("f(w: f32[64, 300], x: f32[300, 48]) = w @ x", AVX512, False),  # none are left
    ("f(w: f32[64, 300], x: f32[300, 62]) = w @ x", AVX512, False),  # nearly a vector
    ("f(w: f32[300, 64], x: f32[300, 49]) = transpose(w) @ x", AVX512, False),  # rows do not lie along the sum
    ("f(w: f32[64, 4], x: f32[4, 49]) = w @ x", AVX512, False),  # a short sum
]  # fmt: skip


@pytest.mark.parametrize(("function", "caps", "along"), SHAPES)
def test_few_lanes_run_along_the_sum(function: str, caps: Capabilities, along: bool) -> None:
    """In place of a vector that is nearly empty."""
    graph = optimise(program(f"from conv import convolve\nexport fn {function}").exports[0].graph)
    call = build.plan_graph(graph, caps).calls[-1]
    nests = [s for nest in call.kernel.nests for s in statements(nest)]
    assert any(isinstance(s, Horizontal) for s in nests) == along
    assert not along or all(s.count is None for s in nests if isinstance(s, Simd) and _accumulates(s))


def _accumulates(s: Simd) -> bool:
    return any(isinstance(x, Accumulator) for x in s.body)
