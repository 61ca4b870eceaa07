"""Chains of contractions in blocks: the same values, nothing large in the workspace, and only chains that pay."""

from __future__ import annotations

import numpy as np
import pytest

from charl import dims
from charl.backends.capabilities import PORTABLE_C, WGSL
from charl.graph.evaluate import evaluate
from charl.plan import blocks, serial
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.ir import Repeat
from charl.plan.verify import verify
from tests.elaborate import programs

BATCH, HEADS, TIME, WIDTH = 2, 2, 16, 2
SHAPE = f"f32[{BATCH}, {HEADS}, {TIME}, {WIDTH}]"
CALLS = {
    "plain": "attention(q, k, v)",
    "causal": "attention(q, k, v, causal: true)",
    "length": "attention(q, k, v, length: 11)",
    "mask": 'einsum("bhqk,bhkd->bhqd", softmax(einsum("bhqd,bhkd->bhqk", q, k) + m), v)',
    "no softmax": 'einsum("bhqk,bhkd->bhqd", normal(einsum("bhqd,bhkd->bhqk", q, k)), v)',
}
TEXT = """
fn normal(s) = s / (1.0 + sum(s * s, axis: -1, keepdims: true))
fn value(q: {shape}, k: {shape}, v: {shape}, w: {shape}, m: f32[{time}, {time}]) -> f32 = sum(({call}) ** 2 * w)
export fn forward(q: {shape}, k: {shape}, v: {shape}, m: f32[{time}, {time}]) = {call}
export fn step(q: {shape}, k: {shape}, v: {shape}, w: {shape}, m: f32[{time}, {time}]) {{
    value_and_grad(value, wrt: (0, 1, 2))(q, k, v, w, m)
}}
"""


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "BLOCK", 8 * TIME)
    monkeypatch.setattr(blocks, "ROWS", 8)
    monkeypatch.setattr(blocks, "OPEN", 8)
    monkeypatch.setattr(blocks, "SMALL", 0)
    monkeypatch.setattr(serial, "WORK", 64)  # scaled like these: a loop over blocks is not one kernel


def arrays(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    shape = (BATCH, HEADS, TIME, WIDTH)
    return [rng.normal(size=shape).astype(np.float32) for _ in range(count)] + [
        rng.normal(size=(TIME, TIME)).astype(np.float32)
    ]


@pytest.mark.parametrize("name", ["forward", "step"])
@pytest.mark.parametrize("call", list(CALLS))
def test_same_values_in_less_memory(call: str, name: str) -> None:
    text = TEXT.format(shape=SHAPE, time=TIME, call=CALLS[call])
    export = programs.export(text, name)
    plan = plan_export(export, PORTABLE_C)
    verify(plan)
    given = arrays(3 if name == "forward" else 4)
    expected = evaluate(export.graph, given)
    for found, wanted in zip(run_plan(plan, given, {}), expected, strict=True):
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)
    assert any(isinstance(s, Repeat) for s in plan.steps)
    largest = max(p.size for c in plan.calls for p in c.places if p.kind == "arena")
    assert largest <= BATCH * HEADS * TIME * WIDTH


def test_a_batch_of_any_size() -> None:
    text = TEXT.format(shape=SHAPE.replace("2,", "N,", 1), time=TIME, call=CALLS["causal"])
    export = programs.export(text, "step")
    plan = plan_export(export, PORTABLE_C)
    given = arrays(4)
    expected = evaluate(export.graph, given)
    for found, wanted in zip(run_plan(plan, given, {"N": BATCH}), expected, strict=True):
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)
    assert any(isinstance(s, Repeat) for s in plan.steps)


def test_a_small_loop_is_one_kernel_that_fills_its_own_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serial, "WORK", 2048)
    text = TEXT.format(shape=SHAPE, time=TIME, call=CALLS["causal"])
    export = programs.export(text, "forward")
    plan = plan_export(export, PORTABLE_C)
    verify(plan)
    assert any(
        b.role == "inout" and p.kind == "arena"
        for c in plan.calls
        for b, p in zip(c.kernel.buffers, c.places)
    )
    rng = np.random.default_rng(1)
    shapes = [n.shape for n in export.graph.params]
    given = [rng.normal(size=s).astype(np.float32) for s in shapes]
    expected = evaluate(export.graph, given)
    for found, wanted in zip(run_plan(plan, given, {}), expected, strict=True):
        np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=2e-4, atol=2e-5)


def test_training_computes_the_scores_again_from_what_is_kept_of_their_rows() -> None:
    """The second part of the graph makes no sums over rows of the scores: it has those of the first."""
    export = programs.export(TEXT.format(shape=SHAPE, time=TIME, call=CALLS["causal"]), "step")
    steps = plan_export(export, PORTABLE_C).steps
    loops = [s for s in steps if isinstance(s, Repeat)]
    assert len(loops) == 2


@pytest.mark.parametrize("rows", ["N", TIME])
def test_what_lies_between_chains_is_computed_once(rows: int | str) -> None:
    """Each layer is reached through all before it: made again for every chain, they would be quadratic in number."""

    def kernels(depth: int) -> int:
        shape = f"f32[{BATCH}, {HEADS}, {rows}, {WIDTH}]"
        square = f"f32[{WIDTH}, {WIDTH}]"
        layers = "".join(
            f"    let x = x + attention(x, x, tanh(x @ w), causal: true) * {k}.5\n" for k in range(depth)
        )
        text = f"fn value(x: {shape}, w: {square}) -> f32 {{\n{layers}    sum(x * x)\n}}\n"
        text += f"export fn f(x: {shape}, w: {square}) = value_and_grad(value)(x, w)\n"
        return len(plan_export(programs.export(text), PORTABLE_C).calls)

    one, two, three = kernels(1), kernels(2), kernels(3)
    assert three - two == two - one


@pytest.mark.parametrize("time", [1, 7, 8, 16, 19])
@pytest.mark.parametrize("known", [False, True])
def test_blocks_and_what_they_leave(time: int, known: bool) -> None:
    """A number of rows that is not known, or that no block divides: the same values, and no square in the workspace."""
    shape = f"f32[{BATCH}, {HEADS}, {time if known else 'N'}, {WIDTH}]"
    text = TEXT.format(shape=shape, time=time if known else "N", call=CALLS["causal"])
    export = programs.export(text, "step")
    plan = plan_export(export, PORTABLE_C)
    verify(plan)
    env = {} if known else {"N": time}
    rng = np.random.default_rng(1)
    given = [rng.normal(size=(BATCH, HEADS, time, WIDTH)).astype(np.float32) for _ in range(4)]
    given.append(rng.normal(size=(time, time)).astype(np.float32))
    expected = evaluate(export.graph, given, env)
    for found, wanted in zip(run_plan(plan, given, env), expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    if not known:
        need = [dims.evaluate(plan.arena_bytes, {"N": n}) for n in (800, 1600, 3200)]
        assert need[2] - need[1] == pytest.approx(
            2 * (need[1] - need[0]), rel=0.01
        )  # grows with N, not with its square


@pytest.mark.parametrize(
    "result",
    [
        "(y, p)",  # what is large is asked for
        "sum(p)",  # nothing ends the chain
    ],
)
def test_other_graphs_stay(result: str) -> None:
    text = f"""
export fn f(q: {SHAPE}, k: {SHAPE}, v: {SHAPE}) {{
    let p = softmax(einsum("bhqd,bhkd->bhqk", q, k))
    let y = einsum("bhqk,bhkd->bhqd", p, v)
    {result}
}}
"""
    export = programs.export(text)
    assert not any(isinstance(s, Repeat) for s in plan_export(export, PORTABLE_C).steps)


def test_a_product_of_two_layers_stays() -> None:
    text = "export fn f(x: f32[64, 8], a: f32[8, 4], b: f32[4, 8]) = softmax(x @ a) @ b"
    export = programs.export(text)
    assert not any(isinstance(s, Repeat) for s in plan_export(export, PORTABLE_C).steps)


def test_a_grid_has_no_loops_of_kernels() -> None:
    export = programs.export(TEXT.format(shape=SHAPE, time=TIME, call=CALLS["causal"]), "forward")
    assert not any(isinstance(s, Repeat) for s in plan_export(export, WGSL).steps)
