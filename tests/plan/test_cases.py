"""Every operation, sample and gradient order through planning and lowering, run without a compiler."""

from __future__ import annotations

import numpy as np
import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL, Capabilities
from charl.dtypes import bf16, f16, f32, i8, i32, u64
from charl.graph.evaluate import evaluate
from charl.loops.verify import verify as verify_kernel
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.verify import verify
from charl.program import Argument, Export, Field, Record
from tests.ops.cases import Case, graphs, retyped

CASES = [*graphs(), *retyped(({f32: f16}, {f32: bf16}, {i32: i8}, {i32: u64}))]
OPS = sorted({c.op for c in CASES})


def run(case: Case, caps: Capabilities, lanes: int) -> list[np.ndarray]:
    arguments = tuple(Argument(p.name or "", p.type) for p in case.graph.params)
    fields = tuple(Field(str(i), r.type) for i, r in enumerate(case.graph.results))
    plan = plan_export(Export("f", "", arguments, Record("", "tuple", fields), case.graph, ()), caps)
    verify(plan)
    for call in plan.calls:
        verify_kernel(call.kernel)
    return run_plan(plan, case.arrays, {}, lanes)


@pytest.mark.parametrize("caps, lanes", [(PORTABLE_C, 8), (WGSL, 1)], ids=["vectors", "grid"])
@pytest.mark.parametrize("op", OPS)
def test_kernels_compute_what_the_graph_means(op: str, caps: Capabilities, lanes: int) -> None:
    for case in (c for c in CASES if c.op == op):
        wanted = evaluate(case.graph, case.arrays)
        if any(n.dtype.name not in caps.dtypes for n in case.graph.nodes()):
            continue
        found = run(case, caps, lanes)
        for a, b, node in zip(wanted, found, case.graph.results, strict=True):
            finite = np.abs(a[np.isfinite(a)]) if a.dtype.kind == "f" else np.zeros(0)
            bound = {"bf16": 1e-2, "f16": 3e-3, "f32": 2e-4}.get(node.dtype.name, 1e-10)
            scale = float(finite.max(initial=1.0))
            np.testing.assert_allclose(b, a, rtol=bound, atol=bound * scale, err_msg=case.id)
