"""The least workspace of any order, and how near plans come to it."""

from __future__ import annotations

from pathlib import Path

import pytest

from charl import dims
from charl.backends.capabilities import PORTABLE_C
from charl.compile import Options, elaborated, read_source
from charl.plan.bound import lower_bound
from charl.plan.build import plan_export, plan_program
from tests.elaborate import programs

ROOT = Path(__file__).parents[2]
CHAIN = """
export fn f(x: f32[64, 64], w: f32[64, 64]) -> f32[64, 64] {
    let a = x @ w
    let b = a @ w
    let c = b @ w
    REST
}
"""


@pytest.mark.parametrize("rest, buffers", [("c @ w", 2), ("c @ a", 3), ("(c @ b) @ a", 4)])
def test_what_is_kept_for_later_counts_while_others_run(rest: str, buffers: int) -> None:
    plan = plan_export(programs.export(CHAIN.replace("REST", rest)), PORTABLE_C)
    assert lower_bound(plan) == buffers * 64 * 64 * 4 <= plan.arena_bytes


def test_a_loop_needs_what_its_turns_need_and_what_waits_around_it() -> None:
    text = """
export fn f(x: f32[64, 64], w: f32[64, 64]) -> f32[64, 64] {
    let kept = x @ w
    let mut h = kept
    for i in 0..50 { h = tanh(h @ w) @ w }
    h @ kept
}
"""
    plan = plan_export(programs.export(text), PORTABLE_C)
    assert 3 * 64 * 64 * 4 <= lower_bound(plan) <= plan.arena_bytes


def test_what_is_read_before_it_is_overwritten_keeps_an_order() -> None:
    text = """
export fn f(x: f32[64, 64], mut w: f32[64, 64]) -> f32[64, 64] {
    let old = tanh(x @ w)
    let new = old @ old
    w -= old @ x
    new @ new
}
"""
    plan = plan_export(programs.export(text), PORTABLE_C)
    assert lower_bound(plan) == 2 * 64 * 64 * 4 == plan.arena_bytes


@pytest.mark.parametrize(
    "program, size, sets, most",
    [
        ("tour/gmm", None, {}, 1.1),
        # No order of its kernels need reach the bound: 3.65 MB for 3.22 are 9 % less than when it stored what is made again.
        ("tour/convnet", 32, {}, 1.15),
        ("tour/convnet", None, {}, 1.15),
        ("tour/digits", None, {}, 1.1),
        ("tour/gpt", None, {"net.depth": "3", "net.vocab": "512"}, 1.1),
    ],
)
def test_plans_are_near_the_bound(program: str, size: int | None, sets: dict[str, str], most: float) -> None:
    options = Options(dims={"N": size} if size else {}, sets=sets)
    lowered = plan_program(elaborated(read_source(ROOT / "examples" / f"{program}.ch"), options), PORTABLE_C)
    for plan in lowered.plans:
        sizes = {d.name: 64 for d in plan.export.dims}
        assert dims.evaluate(plan.arena_bytes, sizes) <= most * lower_bound(plan, sizes)


def test_multiples_of_what_is_made_again_are_not_stored_either() -> None:
    """Those of x - mean, in the gradient of batch normalisation: with them the step would need 3.99 MB."""
    options = Options(dims={"N": 32})
    lowered = plan_program(elaborated(read_source(ROOT / "examples/tour/convnet.ch"), options), PORTABLE_C)
    (step,) = (p for p in lowered.plans if p.export.name == "train_step")
    assert dims.evaluate(step.arena_bytes, {}) < 3.7e6
