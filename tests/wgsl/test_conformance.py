"""Every operation on every sample, with its gradients of order 1 and 2, and in lanes, on the adapter against the evaluator.

All samples of an operation and order are submitted together. What needs an element type that the target lacks is left
out; the list of operations that are left out altogether is asserted.
"""

from __future__ import annotations

import numpy as np
import pytest

from charl.backends.capabilities import WGSL
from charl.graph.evaluate import evaluate
from charl.ops import OPS
from charl.plan.build import plan_export
from tests.ops import cases
from tests.wgsl.device import Batch, export_of

SAMPLED = sorted(name for name, op in OPS.items() if op.samples is not None)


def held(case: cases.Case) -> bool:
    """Whether the target has the element types of a case."""
    return all(n.dtype.name in WGSL.dtypes for n in case.graph.everywhere() if not n.regions)


@pytest.mark.needs_vulkan
@pytest.mark.parametrize("name", SAMPLED)
def test_operation_is_what_the_evaluator_says(name: str) -> None:
    batch = Batch()
    own = (*cases.graphs(only=[name]), *cases.in_lanes(only=[name]))
    others = (*cases.retyped(cases.HALVES, (0, 1), [name]), *cases.retyped(cases.INTEGERS, (0,), [name]))
    chosen = [c for c in (*own, *others) if held(c)]
    for case in chosen:
        batch.add_plan(plan_export(export_of(case.graph), WGSL), case.arrays)
    wrong: list[str] = []
    for case, got in zip(chosen, batch.results(), strict=True):
        with np.errstate(all="ignore"):
            wanted = evaluate(case.graph, case.arrays)
        assert len(got) == len(wanted), case.id
        for have, want, node in zip(got, wanted, case.graph.results, strict=True):
            try:
                tolerance = cases.tolerance(node.dtype, case.order)
                np.testing.assert_allclose(have.reshape(want.shape), want, **tolerance)
            except AssertionError as e:
                wrong.append(f"{case.id}: {e}")
    assert not wrong, "\n".join(wrong)


def test_every_operation_has_samples_that_the_target_holds() -> None:
    for name in SAMPLED:
        assert any(held(c) for c in cases.graphs([0], [name])), name
