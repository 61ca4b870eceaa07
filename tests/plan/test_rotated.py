"""Updates that move to the next turn's product: the same bits, one kernel that updates and multiplies, and only where it may."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charl.backends.capabilities import AVX512, PORTABLE_C, WGSL, Capabilities
from charl.graph.evaluate import evaluate
from charl.plan import serial
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.ir import Choose, Plan, Repeat, every
from charl.plan.verify import verify
from tests.elaborate import programs

HEAD = "export fn f(mut w: f32[40, 50], mut m: f32[40, 50], x: f32[4, 50], z: f32[4, 40])"
LANES = 16
# What follows `let y = w @ x[t]` in a turn.
MOVED = {
    "plain": "w = w - 0.1 * y[:, None] * x[t][None, :]",
    "momentum": "m = 0.9 * m + (z[t] - y)[:, None] * x[t][None, :]\n w = w + 0.1 * m",
    "both old": "let old = m\n m = m + y[:, None] * w\n w = w - 0.1 * old + 0.01 * m",
    "decay": "w = 0.5 * w + 0.1 * z[t][:, None]",
    "read twice": "w = w - 0.1 * (w @ x[t] + y)[:, None] * x[t][None, :]",
    "row by row": "w = vmap(|row, e| 0.9 * row + e * x[0])(w, y)",
    "of the turn": "w = w - y[:, None] / (1.0 + (t as f32))",
}
STAY = {
    "a sum over more": 'w = w - 0.1 * einsum("ti,tj->ij", z + y[None, :], x)',
    "looked at": "w = w - 0.1 * y[:, None]\n m = m + sum(w)",
    "other rows": "w = cumsum(w, axis: 0) - 0.1 * y[:, None]",
}


@pytest.fixture(autouse=True)
def _loops_of_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "WORK", 64)  # scaled like these arrays: no loop is one kernel


def planned(turn: str, caps: Capabilities, first: str = "w @ x[t]") -> Plan:
    body = f"let y = {first}\n {turn}\n total = total + y"
    text = f"{HEAD} -> f32[40] {{\n let mut total = zeros(40)\n for t in 0..4 {{ {body} }}\n total\n}}"
    plan = plan_export(programs.export(text, "f"), replace(caps, cache=(64, *caps.cache[1:])))
    verify(plan)
    return plan


def turned(plan: Plan) -> list[Choose]:
    return [s for r in plan.steps if isinstance(r, Repeat) for s in r.body if isinstance(s, Choose)]


def check(plan: Plan) -> None:
    rng = np.random.default_rng(3)
    given = [rng.normal(size=[int(s) for s in p.shape]).astype(np.float32) for p in plan.export.graph.params]
    for found, wanted in zip(
        run_plan(plan, given, {}, LANES), evaluate(plan.export.graph, given), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=2e-5, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("caps", [PORTABLE_C, AVX512], ids=["scalar", "vectors"])
@pytest.mark.parametrize("turn", MOVED.values(), ids=MOVED)
def test_one_kernel_updates_and_multiplies(turn: str, caps: Capabilities) -> None:
    plan = planned(turn, caps)
    (choice,) = turned(plan)
    (call,) = choice.then
    roles = {p.name: b.role for p, b in zip(call.places, call.kernel.buffers, strict=True)}
    assert roles["w"] == "inout" and "output" in roles.values()
    assert not any(
        b.role != "input" and p.name == "w"
        for p, b in zip(choice.otherwise[0].places, choice.otherwise[0].kernel.buffers)
    )
    check(plan)


@pytest.mark.parametrize("turn", STAY.values(), ids=STAY)
def test_others_stay_where_they_are(turn: str) -> None:
    plan = planned(turn, PORTABLE_C)
    assert not turned(plan)
    check(plan)


def test_a_product_of_many_rows_reads_what_is_stored() -> None:
    plan = planned(MOVED["decay"], PORTABLE_C, "sum(x @ transpose(w), axis: 0)")
    assert not turned(plan)
    check(plan)


def test_small_arrays_and_grids_stay() -> None:
    text = f"{HEAD} -> f32[40] {{\n let mut y = zeros(40)\n for t in 0..4 {{ y = w @ x[t]\n {MOVED['decay']} }}\n y\n}}"
    export = programs.export(text, "f")
    assert not turned(plan_export(export, PORTABLE_C))  # 8000 bytes: the nearest cache has them
    assert not turned(plan_export(export, replace(WGSL, cache=(64, *WGSL.cache[1:]))))


def test_an_update_before_a_product_is_part_of_it() -> None:
    """Without any loop; a second reader gets what was stored."""
    text = f"{HEAD} -> (f32[40], f32[50]) {{ w = w - 0.1 * m\n (w @ x[0], z[0] @ w) }}"
    plan = plan_export(programs.export(text, "f"), AVX512)
    assert len(list(every(plan.steps))) == 2
    check(plan)


def test_what_is_not_read_is_not_checked() -> None:
    """A row of equal elements, wherever it lies: no kernel waits for the index, so none looks at it."""
    text = """fn loss(w: f32[20, 24], x: f32[4, 24]) -> f32 {
        let mut u = w
        let ys = for t in 0..4 {
            let y = u @ sin(x[t])
            u = u - 0.1 * y[:, None] * x[t][None, :]
            if sum(u) > 0.2 { u = 0.9 * u + x[t][None, :] }
            let v = w @ x[1]
            u = u - 0.1 * v[:, None] * x[t][None, :]
            yield sum(v)
        }
        sum(sin(u)) + sum(ys)
    }
    export fn f(w: f32[20, 24], x: f32[4, 24]) -> (f32[20, 24], f32[4, 24]) = grad(loss, wrt: (0, 1))(w, x)"""
    plan = plan_export(programs.export(text, "f"), replace(PORTABLE_C, cache=(64, *PORTABLE_C.cache[1:])))
    verify(plan)
