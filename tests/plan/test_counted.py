"""Windows that a loop counts are read where they lie; others, and those of what the loop changes, are copied."""

from __future__ import annotations

import numpy as np
import pytest

from charl.backends.capabilities import AVX512, PORTABLE_C, Capabilities
from charl.graph.evaluate import evaluate
from charl.plan import serial
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.ir import Plan, every
from charl.plan.verify import verify
from tests.elaborate import programs

STEP = "let b = x[{at}]\n t = t + sum(tanh(b @ w), axis: 0)"
IN_PLACE = ["16 * i:16 * i + 16", "80 - 16 * i:96 - 16 * i", "i:i + 8"]
COPIED = ["20 * i:20 * i + 16", "n * i:n * i + 16"]  # beyond the end, and where a value says


def planned(turn: str, caps: Capabilities, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setattr(serial, "WORK", 64)  # scaled like these arrays: no loop is one kernel
    head = "export fn f(mut x: f32[100, 40], w: f32[40, 24], n: i32) -> f32[24]"
    body = f"let mut t = zeros(24)\n for i in 0..6 {{ {turn} }}\n t"
    plan = plan_export(programs.export(f"{head} {{ {body} }}"), caps)
    verify(plan)
    rng = np.random.default_rng(5)
    given = [rng.normal(size=(100, 40)), rng.normal(size=(40, 24)), np.asarray(3)]
    arrays = [a.astype(p.dtype.numpy) for a, p in zip(given, plan.export.graph.params, strict=True)]
    for found, wanted in zip(
        run_plan(plan, arrays, {}, 16), evaluate(plan.export.graph, arrays), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5)
    return plan


def copies(plan: Plan) -> bool:
    """Whether some kernel only copies rows of `x`."""
    return any(
        c.kernel.flops == 0 and any(p.name == "x" and p.kind != "arena" for p in c.places)
        for c in every(plan.steps)
    )


@pytest.mark.parametrize("caps", [PORTABLE_C, AVX512], ids=["scalar", "vectors"])
@pytest.mark.parametrize("at", IN_PLACE)
def test_products_read_windows_where_they_lie(
    at: str, caps: Capabilities, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not copies(planned(STEP.format(at=at), caps, monkeypatch))


@pytest.mark.parametrize("at", COPIED)
def test_other_windows_are_copied(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copies(planned(STEP.format(at=at), AVX512, monkeypatch))


def test_windows_of_what_the_loop_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    turn = STEP.format(at=IN_PLACE[0]) + "\n x[16 * i + 8] = tanh(x[16 * i + 8]) + t[0]"
    planned(turn, AVX512, monkeypatch)
