"""Equal steps are lowered once, and planning stays fast for networks of many layers."""

from __future__ import annotations

import time

import numpy as np
import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL, Capabilities
from charl.elaborate import elaborate
from charl.loops.lower import Lowering
from charl.loops.verify import verify as verify_kernel
from charl.plan.build import plan_program
from charl.plan.evaluate import run_plan
from charl.plan.ir import Lowered
from charl.program import Program
from charl.source import Source

LAYERS = """
fn layer(x: f32[N, 8], w: f32[8, 8]) -> f32[N, 8] = x + tanh(x @ w)
fn loss(ws: f32[L, 8, 8], x: f32[N, 8]) -> f32 {
    let mut h = x
    for const i in 0..L { h = layer(h, ws[i]) }
    sum(h ** 2)
}
export fn step(ws: f32[L, 8, 8], x: f32[N, 8]) -> f32[L, 8, 8] = grad(loss)(ws, x)
""".replace("[L,", "[40,").replace("0..L", "0..40")


def _program(text: str) -> Program:
    return elaborate(Source("test.ch", text))


def _lowered(text: str, caps: Capabilities, monkeypatch: pytest.MonkeyPatch) -> tuple[Lowered, int]:
    """The plan, and how many steps were lowered for it."""
    count = [0]
    real = Lowering.kernel

    def counting(self: Lowering, *args: object) -> object:
        count[0] += 1
        return real(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Lowering, "kernel", counting)
    return plan_program(_program(text), caps), count[0]


@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])
def test_layers_are_lowered_once(caps: Capabilities, monkeypatch: pytest.MonkeyPatch) -> None:
    started = time.process_time()
    lowered, count = _lowered(LAYERS, caps, monkeypatch)
    assert time.process_time() - started < 20.0
    assert len(lowered.plans[0].calls) > 100
    # A weight is a slice of one tensor at an offset of its own, so what reads one is a kernel per layer; the rest repeats.
    assert count < 0.75 * len(lowered.plans[0].calls)


@pytest.mark.parametrize(
    "pair",
    [("x + 1.0", "x + 2.0"), ("x * 0.0 + x", "x * -0.0 + x"), ("x[0:3]", "x[1:4]"), ("exp(x)", "log(x)")],
)
def test_different_steps_are_not_taken_for_equal(pair: tuple[str, str]) -> None:
    """Kernels of the second program equal those that it has on its own."""
    head = "export fn {}(x: f32[4]) -> f32[{}] = exp({})\n"
    size = 3 if ":" in pair[0] else 4
    both = plan_program(_program("".join(head.format(n, size, e) for n, e in zip("fg", pair))), PORTABLE_C)
    assert len({id(c.kernel) for p in both.plans for c in p.calls}) == 2


def test_repeated_steps_bind_their_own_buffers() -> None:
    text = """
export fn f(a: f32[N, 3], b: f32[N, 3], u: f32[3, 3], v: f32[3, 3]) -> (f32[N, 3], f32[N, 3]) {
    (exp(a @ u), exp(b @ v) @ u)
}
"""
    plan = plan_program(_program(text), PORTABLE_C).plans[0]
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s).astype("f4") for s in ((5, 3), (5, 3), (3, 3), (3, 3))]
    a, b, u, v = arrays
    got = run_plan(plan, arrays, {"N": 5})
    np.testing.assert_allclose(got[0], np.exp(a @ u), rtol=1e-5)
    np.testing.assert_allclose(got[1], np.exp(b @ v) @ u, rtol=1e-5)


def test_a_wide_sum_and_many_updates_fit_the_bindings_of_a_shader() -> None:
    names = [f"p{i}" for i in range(14)]
    arguments = ", ".join(f"mut {n}: f32[N]" for n in names)
    body = f"let s = {' + '.join(names)}\n" + "\n".join(f"    {n} = {n} * s" for n in names)
    plan = plan_program(_program(f"export fn f({arguments}) {{\n    {body}\n}}\n"), WGSL).plans[0]
    assert max(len(c.kernel.buffers) for c in plan.calls) <= 8
    assert len(plan.calls) <= 12


def test_a_deep_chain_is_not_one_expression() -> None:
    """Compilers refuse brackets nested deeper than 256; C99 promises 63."""
    text = "export fn f(x: f32[N], w: f32[200]) -> f32[N] {\n    let mut h = x\n"
    text += "    for const i in 0..200 { h = tanh(h * w[i] + 0.1) }\n    h\n}\n"
    plan = plan_program(_program(text), PORTABLE_C).plans[0]
    from charl.backends.c.printer import print_kernel

    def nesting(line: str) -> int:
        level = deepest = 0
        for c in line:
            level += (c in "([") - (c in ")]")
            deepest = max(deepest, level)
        return deepest

    code = "".join(print_kernel(c.kernel, "t") for c in plan.calls)
    assert max(nesting(statement.replace("\n", " ")) for statement in code.split(";")) <= 63
    x, w = np.linspace(-1, 1, 5, dtype="f4"), np.linspace(0.5, 1, 200, dtype="f4")
    want = x.astype("f8")
    for k in w:
        want = np.tanh(want * k + 0.1)
    np.testing.assert_allclose(run_plan(plan, [x, w], {"N": 5})[0], want, rtol=1e-4)


UPDATES = """
struct Biases { PLACES: f32[96] }
export fn step(mut b: Biases, g: Biases, lr: f32) {
    let scale = lr / (1.0 + sqrt(TOTAL))
    UPDATED
}
"""


@pytest.mark.parametrize("many", [2, 8])
def test_many_small_updates_are_calls_of_one_function(many: int) -> None:
    names = [f"p{k}" for k in range(many)]
    text = UPDATES.replace("PLACES: f32[96]", ", ".join(f"{n}: f32[96]" for n in names))
    text = text.replace("TOTAL", " + ".join(f"sum(g.{n} ** 2)" for n in names))
    text = text.replace("UPDATED", "\n    ".join(f"b.{n} -= scale * g.{n}" for n in names))
    lowered = plan_program(_program(text), PORTABLE_C)
    kernels = [c.kernel.name for c in lowered.plans[0].calls]
    assert len(set(kernels)) <= 3 if many == 8 else len(kernels) == 1
    rng = np.random.default_rng(1)
    leaves = [rng.standard_normal(96).astype(np.float32) for _ in range(2 * many)]
    new = run_plan(lowered.plans[0], [*(x.copy() for x in leaves), np.float32(0.5)], {})
    scale = 0.5 / (1 + np.sqrt(sum((x.astype(float) ** 2).sum() for x in leaves[many:])))
    for got, old, g in zip(new[-many:], leaves[:many], leaves[many:], strict=True):
        np.testing.assert_allclose(got, old - scale * g, rtol=1e-5, atol=1e-6)


def test_a_loop_in_a_kernel_may_end_where_a_local_value_says() -> None:
    """The bound named the variable of another kernel with this text."""
    text = """
export fn f(m: f64[4, 4], mut a: f64[4], s: f64) {
    for i in 1..4 {
        for j in 0..i while s < 3.0 {
            a = 0.5 * a + cumsum(m[:, j], axis: 0)
            a[i] *= m[1, j]
        }
    }
}
"""
    lowered = plan_program(_program(text), PORTABLE_C)
    for kernel in lowered.kernels:
        verify_kernel(kernel)
    (found,) = run_plan(lowered.plans[0], [np.full((4, 4), 2.0), np.ones(4), np.array(1.0)], {})
    a = np.ones(4)
    for i in range(1, 4):
        for _ in range(i):
            a = 0.5 * a + 2.0 * np.arange(1, 5)
            a[i] *= 2.0
    np.testing.assert_allclose(found, a)
