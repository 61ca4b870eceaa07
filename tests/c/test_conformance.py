"""Every operation × instruction set × gradient order: planned, lowered, printed, compiled without a warning, run, compared.

The evaluator is the oracle. Buffers have guard words behind them. In double precision the gradients are compared with
central differences too, both computed by the emitted code.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph
from charl.graph.scalar import FUNCTIONS
from charl.ops import OPS
from tests.c import build, graphs
from tests.c.conftest import SUITES
from tests.ops.cases import Case, as_double, in_lanes, seeded, tolerance

ISAS = tuple(build.ISA)
SAMPLED = [op.name for op in OPS.values() if op.samples is not None]


@pytest.mark.parametrize("precision", list(SUITES))
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("op", SAMPLED)
def test_operation(suites: Any, op: str, isa: str, precision: str) -> None:
    suite = suites(precision)
    library = suite.on(isa, op)
    assert suite.cases.get(op) or precision in ("half", "integer")  # which some operations have not
    for case in suite.cases.get(op, ()):
        found = library.run_plan(isa, case.id, case.arrays)
        expected = suite.expected[case.id]
        for i, (got, want, node) in enumerate(zip(found, expected, case.graph.results, strict=True)):
            assert got.shape == want.shape and got.dtype == want.dtype
            limits = tolerance(node.dtype, case.order)
            np.testing.assert_allclose(got, want, err_msg=f"{case.id} result {i}", **limits)


def test_every_scalar_function_is_covered() -> None:
    special = {"threefry", "threefry1"}  # through random_bits
    assert set(FUNCTIONS) - special <= set(SAMPLED)


# ---------------------------------------------------------------- lanes


def test_operations_and_gradients_in_lanes(tmp_path: Any) -> None:
    """What `vmap` makes of an operation and of its gradient, of every sample."""
    if reason := build.missing("scalar"):
        pytest.skip(reason)
    library = build.Library("lanes", tmp_path)
    cases = list(in_lanes())
    for i, case in enumerate(cases):
        library.add_plan(f"f{i}", build.plan_graph(case.graph))
    library.build("scalar", ["-O0"])
    for i, case in enumerate(cases):
        with np.errstate(all="ignore"):
            wanted = evaluate(case.graph, case.arrays)
        for got, expected in zip(library.run_plan("scalar", f"f{i}", case.arrays), wanted, strict=True):
            limits = tolerance(got.dtype, case.order)
            np.testing.assert_allclose(got, expected, err_msg=case.id, **limits)


# ---------------------------------------------------------------- finite differences


def _smooth_cases() -> list[tuple[Case, Graph]]:
    """First-order cases in double precision with the graph of the function they differentiate."""
    return [c for c in graphs.separate(as_double, (1,)) if c[0].sample is not None and c[0].sample.smooth]


def test_gradients_equal_finite_differences(tmp_path: Any) -> None:
    """(f(x + h d) - f(x - h d)) / 2h against the gradient along d, each evaluated by emitted C."""
    if reason := build.missing("scalar"):
        pytest.skip(reason)
    library = build.Library("differences", tmp_path)
    pairs = [(g, f) for g, f in _smooth_cases() if all(a.size for a in g.arrays)]
    for i, (gradient, function) in enumerate(pairs):
        library.add_plan(f"g{i}", build.plan_graph(gradient.graph))
        library.add_plan(f"f{i}", build.plan_graph(function))
    library.build("scalar", ["-O1"])
    compared = 0
    for i, (gradient, function) in enumerate(pairs):
        inputs = gradient.arrays[: len(function.params)]
        cotangents = gradient.arrays[len(function.params) :]
        rng = seeded(f"direction {gradient.id}")
        found = library.run_plan("scalar", f"g{i}", gradient.arrays)
        h = 1e-6
        for which, g in zip(gradient.wrt, found):
            d = rng.uniform(0.5, 1.0, inputs[which].shape)
            sides = []
            for sign in (1, -1):
                moved = [a + sign * h * d if k == which else a for k, a in enumerate(inputs)]
                values = library.run_plan("scalar", f"f{i}", moved)
                sides.append(sum(float(np.sum(v * c)) for v, c in zip(values, cotangents)))
            slope, along = (sides[0] - sides[1]) / (2 * h), float(np.sum(g * d))
            if np.isfinite(slope) and np.isfinite(along):
                scale = max(1.0, abs(slope), abs(sides[0]))
                assert abs(slope - along) < 2e-5 * scale, f"{gradient.id}: {slope} and {along}"
                compared += 1
    assert compared > 60
