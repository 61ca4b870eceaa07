"""Emitted C on programs of odd sizes (1, primes, neighbours of vector widths) against the evaluator, orders 0 to 2."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from charl.dtypes import f32, f64
from charl.graph.evaluate import evaluate
from tests.c import build
from tests.ops import odd
from tests.ops.cases import Case, tolerance


def compare(isa: str, drawn: list[Case]) -> None:
    """All cases in one library: planned, printed, compiled under the warning set, run."""
    with tempfile.TemporaryDirectory() as folder:
        library = build.Library("odd", Path(folder))
        for case in drawn:
            library.add_plan(case.id, build.plan_graph(case.graph))
        library.build(isa, ["-O1", *build.WARNINGS])
        for case in drawn:
            found = library.run_plan(isa, case.id, case.arrays)
            for got, wanted in zip(found, evaluate(case.graph, case.arrays), strict=True):
                bounds = tolerance(wanted.dtype, case.order)
                bounds["atol"] *= float(np.abs(wanted).max(initial=1))
                np.testing.assert_allclose(got, wanted, err_msg=case.id, **bounds)


# No shrinking: every attempt would compile a library, and the failing case names itself.
STEADY = settings(
    max_examples=2,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


CASE = st.sampled_from([f32, f64]).flatmap(lambda dtype: odd.cases(2, dtype))


@pytest.mark.parametrize("isa", build.ISA)
@STEADY
@given(data=st.data())
def test_programs_of_odd_sizes(isa: str, data: st.DataObject) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    compare(isa, data.draw(st.lists(CASE, min_size=12, max_size=12, unique_by=lambda c: c.id)))
