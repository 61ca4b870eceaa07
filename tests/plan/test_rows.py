"""Loops for targets whose kernels bind few buffers: groups are cut where other targets have one, between rows for example."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from charl import dims, ops
from charl.backends.capabilities import WGSL
from charl.compile import Options, elaborated, read_source
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node
from charl.ops.regions import counter, item, over
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.verify import verify
from charl.program import Program
from tests.plan.graphs import export, parameter

PROGRAMS = sorted((Path(__file__).parents[1] / "loops_runtime").glob("*.ch"))
LONG = {("cholesky", "second")}  # to plan; its test in `loops_runtime` has it


def kept(times: int, carried: int) -> tuple[list[Node], list[Node]]:
    """A loop that multiplies x by y and leaves one value of each turn several times, and the last one where it is carried."""
    x, y = parameter("x", 5), parameter("y", 5)
    start, factor = parameter("start", 5), parameter("factor", 5)
    grown = ops.mul(start, factor)
    row = grown if carried else ops.add(ops.exp(start), factor)
    body = Graph("body", [counter(), start, factor], [grown, *[row] * times])
    loop = over(3, 1, body, [x, y], False, -1)
    return [x, y], [item(loop, k) for k in range(1 + times)]


@pytest.mark.parametrize("limit", [2, 3, 4, 5, 8])
@pytest.mark.parametrize("carried", [0, 1], ids=["new", "carried"])
def test_a_value_that_is_left_more_than_once(limit: int, carried: int) -> None:
    params, results = kept(6, carried)
    plan = plan_export(export(params, results), replace(WGSL, max_buffers=limit))
    verify(plan)
    arrays = [np.random.default_rng(k).random(5, dtype=np.float32) for k in range(2)]
    wanted = evaluate(plan.export.graph, arrays)
    for a, b in zip(wanted, run_plan(plan, arrays, {}), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6)


@cache
def program(path: Path) -> Program:
    return elaborated(read_source(path), Options(floats={"f64": "f32"}))


@pytest.mark.parametrize("limit", [5, 6, 7, 8, 9])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda p: p.stem)
@pytest.mark.filterwarnings(
    "ignore::RuntimeWarning"
)  # arguments are what they are, roots of negative numbers among them
def test_loops_mean_the_same_whatever_a_kernel_binds(path: Path, limit: int) -> None:
    for e in program(path).exports:
        if (path.stem, e.name) in LONG:
            continue
        rng, sizes = np.random.default_rng(0), {d.name: 5 for d in e.dims}
        arrays = []
        for p in e.graph.params:
            values = 0.5 + rng.random([dims.evaluate(n, sizes) for n in p.shape])
            values += 5 * np.eye(5) if values.shape == (5, 5) else 0  # one that can be factored
            arrays.append((values if p.dtype.kind == "f" else 2 * values).astype(p.dtype.memory))
        found = run_plan(plan_export(e, replace(WGSL, max_buffers=limit)), arrays, sizes)
        for a, b in zip(evaluate(e.graph, arrays), found, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5, err_msg=e.name)
