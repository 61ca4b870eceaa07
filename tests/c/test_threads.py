"""Threads change no bit: every program with each of its loops on threads, one and two of them, against the serial code."""

from __future__ import annotations

import ctypes
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charl import ops
from charl.backends.capabilities import AVX512, PORTABLE_C, Capabilities
from charl.dims import sym
from charl.dtypes import f32
from charl.graph.ir import Graph, TensorType
from charl.loops.ir import For, Kernel, Local, Transpose
from charl.loops.walk import statements
from charl.plan.build import plan_program
from tests import support
from tests.c import build, graphs
from tests.c.test_contractions import Case, large_cases, thin_cases, tiny
from tests.elaborate import programs

ALWAYS = replace(PORTABLE_C, thread_work=0)
# Weights whose rows a step divides among threads, as it multiplies and as it updates.
STEP = """
export fn step(mut w: f32[96, 40], x: f32[5, 96]) -> (f32[5, 40], f32[96, 40]) {
    let y = x @ w
    w = w - 0.01 * (x.T @ y)
    (y, w)
}
"""


def _parallel(kernel: Kernel) -> list[For]:
    found = [s for nest in kernel.nests for s in statements(nest) if isinstance(s, For)]
    return [s for s in found if s.kind == "parallel"]


def step_arrays() -> list[np.ndarray[Any, Any]]:
    rng = np.random.default_rng(7)
    return [rng.normal(size=shape).astype(np.float32) for shape in ((96, 40), (5, 96))]


def _product(m: int, caps: Capabilities = PORTABLE_C) -> Kernel:
    case = Case(1, m, 64, 64, (False, False), "none", f32)
    return build.plan_graph(case.graph(), caps).calls[0].kernel


def test_small_work_stays_with_one_thread() -> None:
    assert not _parallel(_product(8))
    assert len(_parallel(_product(4096))) == 1


def test_no_parallel_loop_in_another() -> None:
    for loop in _parallel(_product(40, ALWAYS)):
        assert not any(isinstance(s, For) and s.kind == "parallel" for s in statements(loop.body))


@pytest.mark.parametrize("case", [*thin_cases()], ids=str)
def test_each_thread_takes_its_part_of_every_row(case: Case) -> None:
    """The sum of a few rows by a matrix is the outer loop, which all threads run; what they divide stands in it."""
    caps = replace(tiny(AVX512), thread_work=0)
    (call,) = build.plan_graph(case.graph(), caps).calls
    loops = [s for nest in call.kernel.nests for s in statements(nest) if isinstance(s, For)]
    outer = [s for s in loops if s.kind == "each"]
    inner = [x for s in outer for x in statements(s.body) if isinstance(x, For) and x.kind == "divided"]
    assert outer and inner and len(inner) == sum(s.kind == "divided" for s in loops)
    alone = build.plan_graph(case.graph(), replace(caps, thread_work=1 << 30)).calls[0].kernel
    assert all(s.kind == "serial" for n in alone.nests for s in statements(n) if isinstance(s, For))


def test_unknown_sizes_decide_when_they_run() -> None:
    x = ops.parameter("x", TensorType(f32, (sym("N"),)))
    (call,) = build.plan_graph(Graph("double", [x], [ops.tanh(ops.tanh(x))])).calls
    loop, *_ = _parallel(call.kernel)
    assert loop.pays != 0


@pytest.mark.parametrize("sizes", [(32, 784, 128), (40, 1000, 256)])
def test_arrays_that_threads_fill_are_their_own(sizes: tuple[int, int, int]) -> None:
    """Tiles of a b' wait in an array until they leave transposed: one array for each iteration."""
    m, n, k = sizes
    case = Case(1, m, n, k, (False, True), "none", f32)
    kernel = build.plan_graph(case.graph(), replace(AVX512, thread_work=0)).calls[0].kernel
    loops = _parallel(kernel)
    turned = [s for nest in kernel.nests for s in statements(nest) if isinstance(s, Transpose)]
    assert loops and any(s.source.name == "sums" for s in turned)
    for loop in loops:
        inside = list(statements(loop.body))
        own = {s.buffer for s in inside if isinstance(s, Local)}
        assert all(s.source in own for s in inside if isinstance(s, Transpose) and s.source.name == "sums")


@pytest.mark.skipif(support.missing_cc() is not None, reason=str(support.missing_cc()))
def test_results_do_not_depend_on_the_number_of_threads(tmp_path: Path) -> None:
    drawn = [(c.id, c.graph, c.arrays) for c in graphs.merged(orders=(1,))]
    rng = random.Random(3)
    for i in range(8):
        m, n, k = (rng.choice([3, 17, 40, 64]) for _ in range(3))
        case = Case(
            1 + i % 3, m, n, k, (bool(i & 1), bool(i & 2)), ("none", "bias", "long", "two")[i % 4], f32
        )
        drawn.append((f"product {i}", case.graph(), case.arrays()))
    plans = [(name, build.plan_graph(graph, ALWAYS), arrays) for name, graph, arrays in drawn]
    plans.append(("step", plan_program(programs.program(STEP), tiny(ALWAYS)).plans[0], step_arrays()))
    cases = [*large_cases(), *thin_cases()]  # threads share what is packed, or the rows of a matrix
    for i, case in enumerate(cases):
        plans.append((f"case {i}", build.plan_graph(case.graph(), tiny(ALWAYS)), case.arrays()))
    results = []
    for flags in ((), ("-fopenmp",)):
        library = build.Library(f"threads{len(flags)}", tmp_path)
        for name, plan, _ in plans:
            library.add_plan(name, plan)
        library.build("scalar", ["-O1", *build.WARNINGS, *flags], "gcc")
        for threads in (1, 2)[: 1 + len(flags)]:
            if flags:
                ctypes.CDLL("libgomp.so.1").omp_set_num_threads(threads)
            results.append([library.run_plan("scalar", name, arrays) for name, _, arrays in plans])
    for (name, _, _), serial, *others in zip(plans, *results, strict=True):
        for other in others:
            for a, b in zip(serial, other, strict=True):
                np.testing.assert_array_equal(a, b, err_msg=name)
