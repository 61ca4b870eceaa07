"""WGSL on programs of odd sizes (1, primes, neighbours of powers of two) against the evaluator, orders 0 to 2."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from charl.backends.capabilities import WGSL
from charl.graph.evaluate import evaluate
from charl.plan.build import plan_export
from tests.ops import odd
from tests.ops.cases import Case, tolerance
from tests.wgsl.device import Batch, export_of

pytestmark = pytest.mark.needs_vulkan


@settings(
    max_examples=3,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(odd.cases(2), min_size=15, max_size=15, unique_by=lambda c: c.id))
def test_programs_of_odd_sizes(drawn: list[Case]) -> None:
    batch = Batch()
    for case in drawn:
        batch.add_plan(plan_export(export_of(case.graph), WGSL), case.arrays)
    for case, found in zip(drawn, batch.results(), strict=True):
        for got, wanted in zip(found, evaluate(case.graph, case.arrays), strict=True):
            bounds = tolerance(wanted.dtype, case.order)
            bounds["atol"] *= float(np.abs(wanted).max(initial=1))
            np.testing.assert_allclose(got.reshape(wanted.shape), wanted, err_msg=case.id, **bounds)
