"""What is fused, in which order kernels run, and how much memory they share."""

from __future__ import annotations

import numpy as np
import pytest

from charl import dims, ops
from charl.backends.capabilities import PORTABLE_C, SCALAR, WGSL
from charl.dtypes import f32, f64
from charl.graph.evaluate import evaluate
from charl.graph.scalar import Apply
from charl.loops.ir import For, Simd, Stmt
from charl.loops.walk import expressions, statements
from charl.plan.access import Facts, nodes_of
from charl.plan.build import plan_export
from charl.plan.evaluate import run_plan
from charl.plan.ir import Plan
from charl.program import DimVar
from tests.elaborate import programs
from tests.plan.graphs import export, full, layer_norm, linear, parameter, softmax

N = dims.sym("N")


def names(plan: Plan) -> list[list[str]]:
    """The buffers of each kernel."""
    return [[p.name for p in call.places] for call in plan.calls]


@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])
@pytest.mark.parametrize("n", [N, 33])
def test_bias_and_activation_are_the_epilogue_of_a_product(caps, n) -> None:
    x, w, b = parameter("x", n, 20), parameter("w", 20, 30), parameter("b", 30)
    y = ops.max_(linear(x, w, b), full(0.0, (n, 30)))
    plan = plan_export(export([x, w, b], [y], dims=["N"]), caps)
    assert len(plan.calls) == 1
    assert plan.arena_bytes == 0


@pytest.mark.parametrize(("dtype", "kernels"), [(f32, 1), (f64, 2)], ids=["f32", "f64"])
def test_a_mask_of_another_width_does_not_take_a_product_off_the_vectors(dtype, kernels) -> None:
    x, w = parameter("x", 16, 20, dtype=dtype), parameter("w", 20, 16, dtype=dtype)
    product = ops.contract(x, w, sum=((1,), (0,)))
    lower = ops.le(ops.iota(product.shape, 1), ops.iota(product.shape, 0))
    y = ops.select(lower, product, full(0.0, product.shape, dtype))
    assert len(plan_export(export([x, w], [y]), PORTABLE_C).calls) == kernels


@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])
@pytest.mark.parametrize("function", [softmax, layer_norm])
def test_a_row_with_reductions_is_one_kernel(caps, function) -> None:
    x = parameter("x", N, 30)
    plan = plan_export(export([x], [function(x)], dims=["N"]), caps)
    assert len(plan.calls) == 1
    assert plan.arena_bytes == 0


def _functions(nest: tuple[Stmt, ...], name: str) -> int:
    """How often a function stands in a nest."""
    found = [e for s in statements(nest) for root in expressions(s) for e in nodes_of(root)]
    return sum(isinstance(e, Apply) and e.fn == name for e in found)


@pytest.mark.parametrize(
    ("n", "length", "together"), [(64, 768, 4), (6, 30, 2), (7, 30, 1), (64, 4096, 1), (N, 30, 1)]
)
@pytest.mark.parametrize("function", [softmax, layer_norm])
def test_short_rows_are_computed_several_at_once(function, n, length, together) -> None:
    x = parameter("x", n, length)
    (call,) = plan_export(export([x], [function(x)], dims=["N"]), PORTABLE_C).calls
    ((rows,),) = call.kernel.nests
    assert isinstance(rows, For) and rows.step == together


def test_what_two_passes_of_a_row_read_is_computed_once() -> None:
    x = parameter("x", 4, 64)
    (call,) = plan_export(export([x], [softmax(x)]), SCALAR).calls
    assert sum(_functions(n, "exp") for n in call.kernel.nests) == 1


@pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])
def test_what_is_made_of_stored_values_is_made_again_by_each_user(caps) -> None:
    x, w = parameter("x", 64, 64), parameter("w", 64, 64)
    a = ops.contract(x, w, sum=((1,), (0,)))
    b = ops.contract(w, a, sum=((1,), (0,)))  # needs all of a
    scaled = ops.mul(b, a)  # is in the epilogue of b
    total = ops.reduce_sum(scaled, (1,))
    both = ops.mul(a, ops.sub(b, ops.broadcast(total, b.shape, (0,))))
    plan = plan_export(export([x, w], [both]), caps)
    assert plan.arena_bytes == 4 * 2 * 64 * 64  # a and b


def test_what_a_product_reads_is_stored_first() -> None:
    x, w = parameter("x", 8, 8), parameter("w", 8, 8)
    y = ops.contract(ops.exp(ops.sin(x)), w, batch=((), ()), sum=((1,), (0,)))
    plan = plan_export(export([x, w], [y]), PORTABLE_C)
    assert len(plan.calls) == 2
    assert plan.arena_bytes == 8 * 8 * 4


def test_a_grid_never_runs_a_long_row_in_one_invocation() -> None:
    x = parameter("x", 4, 5000)
    plan = plan_export(export([x], [softmax(x)]), WGSL)
    for call in plan.calls:
        for nest in call.kernel.nests:
            points, stmt = 1, nest[0]
            while getattr(stmt, "kind", "") == "parallel":
                points *= stmt.stop
                stmt = stmt.body[0]
            assert points in (4, 4 * 5000)
    assert len(plan.calls) == 4  # the largest, the exponentials, their sums, the quotients


def test_an_update_in_place_is_one_kernel_without_workspace() -> None:
    w, g = parameter("w", 100), parameter("g", 100)
    new = ops.sub(w, ops.mul(full(0.1, (100,)), g))
    plan = plan_export(export([w, g], [], mut=[(w, new)]), PORTABLE_C)
    assert [sorted(n) for n in names(plan)] == [["g", "w"]]
    assert sorted(b.role for b in plan.calls[0].kernel.buffers) == ["inout", "input"]


def test_a_parameter_is_overwritten_after_its_last_reader() -> None:
    w, x = parameter("w", 9, 9), parameter("x", 9, 9)
    y = ops.contract(x, w, batch=((), ()), sum=((1,), (0,)))
    new = ops.sub(w, ops.contract(x, x, batch=((), ()), sum=((0,), (0,))))
    plan = plan_export(export([w, x], [y], mut=[(w, new)]), PORTABLE_C)
    assert [sorted(n) for n in names(plan)] == [["result", "w", "x"], ["w", "x"]]


def test_values_that_exchange_places_go_through_a_copy() -> None:
    a, b = parameter("a", 5), parameter("b", 5)
    one = full(1.0, (5,))
    plan = plan_export(
        export([a, b], [], mut=[(a, ops.add(b, one)), (b, ops.mul(a, full(3.0, (5,))))]), PORTABLE_C
    )
    written = [p.name for c in plan.calls for p, q in zip(c.places, c.kernel.buffers) if q.role != "input"]
    assert sorted(n for n in written if n in "ab") == ["a", "b"]
    assert plan.arena_bytes == 64  # one of the two waits in the workspace


def test_a_value_that_reads_other_elements_is_not_computed_in_place() -> None:
    a = parameter("a", 6)
    plan = plan_export(export([a], [], mut=[(a, ops.reverse(a, (0,)))]), PORTABLE_C)
    assert len(plan.calls) == 2
    assert plan.arena_bytes == 64


def test_an_unchanged_mut_parameter_costs_nothing() -> None:
    a, x = parameter("a", 6), parameter("x", 6)
    plan = plan_export(export([a, x], [ops.add(a, x)], mut=[(a, a)]), PORTABLE_C)
    assert [sorted(n) for n in names(plan)] == [["a", "result", "x"]]


def test_results_that_are_parameters_or_equal_are_copied() -> None:
    x = parameter("x", 6)
    y = ops.exp(x)
    plan = plan_export(export([x], [x, y, y]), PORTABLE_C)
    written = {p.name for c in plan.calls for p, q in zip(c.places, c.kernel.buffers) if q.role != "input"}
    assert written == {"result_0", "result_1", "result_2"}


# ---------------------------------------------------------------- memory, counted by hand


def chain(n: object) -> tuple[list, list]:
    """x → a = x w → b = sin(a) w → c = sin(b) w: each product reads a stored value, two live at once."""
    x, w = parameter("x", n, 16), parameter("w", 16, 16)
    v = x
    for _ in range(3):
        v = ops.contract(ops.sin(v), w, batch=((), ()), sum=((1,), (0,)))
    return [x, w], [v]


def test_memory_of_a_chain() -> None:
    plan = plan_export(export(*chain(32)), PORTABLE_C)
    # sin(x), then its product's sine, …: three operands of 32 × 16 floats, of which two are live at a time
    assert plan.live_bytes == 2 * 32 * 16 * 4
    assert plan.arena_bytes == plan.live_bytes


def test_memory_of_a_chain_of_any_length() -> None:
    plan = plan_export(export(*chain(N), dims=["N"]), PORTABLE_C)
    assert plan.arena_bytes == 2 * 16 * 4 * N


def test_memory_of_a_bounded_chain_is_that_of_the_bound() -> None:
    plan = plan_export(export(*chain(N), dims=[DimVar("N", 1, 64)]), PORTABLE_C)
    assert plan.arena_bytes == 2 * 64 * 16 * 4


def test_memory_of_a_value_that_stays() -> None:
    x, w = parameter("x", 10, 10), parameter("w", 10, 10)
    first = ops.exp(x)
    second = ops.contract(first, w, batch=((), ()), sum=((1,), (0,)))
    third = ops.contract(ops.sin(second), w, batch=((), ()), sum=((1,), (0,)))
    y = ops.contract(third, first, batch=((), ()), sum=((1,), (0,)))
    plan = plan_export(export([x, w], [y]), PORTABLE_C)
    # 400 bytes round up to 448; exp(x) lives to the end, beside one or two of the others
    assert plan.live_bytes == 3 * 448
    assert plan.arena_bytes == plan.live_bytes


def test_memory_of_rows_kept_for_two_reductions() -> None:
    x = parameter("x", 7, 5)
    e = ops.exp(ops.sin(x))
    columns = ops.reduce_sum(e, (0,))
    y = ops.div(e, ops.broadcast(columns, (7, 5), (1,)))
    plan = plan_export(export([x], [y]), PORTABLE_C)
    # e is read again after its column sums are known: 140 → 192 bytes, and the sums 20 → 64
    assert plan.live_bytes == 192 + 64
    assert plan.arena_bytes == plan.live_bytes


def test_constants_that_are_expanded_and_those_that_are_not() -> None:
    """What is like what: a number may be a value of its own for one question and part of the expression for another."""
    x, half = parameter("x", 4), ops.constant(0.5, f32)
    y = ops.mul(x, ops.broadcast(half, (4,), ()))
    for stored in ({x, half}, {x}):
        assert [r.node for r in Facts(y, lambda n, stored=stored: n not in stored).reads] == [x]


@pytest.mark.parametrize(
    "value",
    ["tanh(m @ m[0])", "tanh(sum(m, axis: 1))", "softmax(m)", "m @ m"],
    ids=["product", "sum", "softmax", "matrix"],
)
def test_sums_of_which_parts_are_overwritten(value: str) -> None:
    """Under the condition that says which part, no loop stands: the sums are a kernel of their own."""
    text = f"""
export fn f(m: f64[N, N]) where N >= 3 {{
    let mut c = {value}
    c[1:] += 0.5 * concat([c[1:], c[:1]])[:-1]
    c[0] = m[0, 0] * c[0]
    c
}}
"""
    found = programs.export(text)
    m = np.random.default_rng(0).normal(size=(5, 5))
    (wanted,) = evaluate(found.graph, [m], {"N": 5})
    for caps in (PORTABLE_C, SCALAR):
        (got,) = run_plan(plan_export(found, caps), [m], {"N": 5})
        np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-12)


@pytest.mark.parametrize(("depth", "kernels"), [(32, 1), (2048, 2)])
def test_deep_sums_grow_in_an_array_of_their_own_rather_than_beside_what_they_update(depth, kernels) -> None:
    w, x, y = parameter("w", 64, 96), parameter("x", depth, 64), parameter("y", depth, 96)
    new = ops.sub(w, ops.contract(x, y, sum=((0,), (0,))))
    plan = plan_export(export([w, x, y], [], mut=[(w, new)]), PORTABLE_C)
    assert len(plan.calls) == kernels


def test_windows_of_a_sum_are_read_of_the_sum_as_it_is_stored() -> None:
    text = """
fn smooth(x: f32[H, W], k: f32[5]) where H >= 5, W >= 5 {
    let down = sum(windows(x, [5], axes: [0]) * k, axis: -1)
    sum(windows(down, [5], axes: [1]) * k, axis: -1)
}
export fn f(x: f32[40, 50], k: f32[5]) -> f32[36, 46] = smooth(x, k)
"""
    found = programs.export(text)
    r = np.random.default_rng(0)
    arrays = [r.normal(size=(40, 50)).astype(np.float32), r.normal(size=5).astype(np.float32)]
    plan = plan_export(found, PORTABLE_C)
    (got,), (wanted,) = run_plan(plan, arrays, {}), evaluate(found.graph, arrays)
    np.testing.assert_allclose(got.reshape(wanted.shape), wanted, rtol=1e-5, atol=1e-5)
    assert plan.arena_bytes <= 36 * 50 * 4 + 64


@pytest.mark.parametrize(("classes", "lanes"), [(10, True), (100, True), (50000, False)])
def test_places_of_extremes_are_found_for_several_short_rows_at_once(classes, lanes) -> None:
    x = parameter("x", 64, classes)
    (call,) = plan_export(export([x], [ops.argmax(x, 1)]), PORTABLE_C).calls
    found = [s for nest in call.kernel.nests for s in statements(nest) if isinstance(s, Simd)]
    assert bool(found) == lanes
