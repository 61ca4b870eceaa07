"""Half floats of products: converted once where they are read often, at their use where they are read once."""

from __future__ import annotations

import pytest

from charl import ops
from charl.backends.capabilities import PORTABLE_C, WGSL
from charl.dtypes import f16, f32
from charl.graph.ir import Node, Size
from charl.graph.scalar import Apply, Load
from charl.loops.walk import expressions, statements
from charl.plan.build import plan_export
from charl.plan.ir import Plan
from tests.plan.graphs import export, parameter


def product(rows: Size, columns: Size) -> tuple[list[Node], Node]:
    a, b = parameter("a", rows, 64, dtype=f16), parameter("b", 64, columns, dtype=f16)
    return [a, b], ops.contract(a, b, sum=((1,), (0,)))


def converting(plan: Plan) -> list[bool]:
    """For each kernel, whether it loads half floats."""
    return [
        any(
            isinstance(x, Load) and x.source.dtype == f16 and x.dtype == f32
            for nest in call.kernel.nests
            for s in statements(nest)
            for e in expressions(s)
            for x in e.walk()
        )
        for call in plan.calls
    ]


def test_operands_of_large_products_are_converted_first() -> None:
    params, result = product(32, 48)
    plan = plan_export(export(params, [result]), PORTABLE_C)
    assert converting(plan)[-1] is False and any(converting(plan)[:-1])
    (last,) = plan.calls[-1].kernel.nests
    stored = [s.value for s in statements(last) if hasattr(s, "value") and isinstance(s.value, Apply)]
    assert any(e.fn == "f16_round" for e in stored)  # the sum is rounded once, where it is stored


@pytest.mark.parametrize("rows, columns", [(1, 512), (512, 1), ("N", 512)])
def test_what_is_read_seldom_is_converted_at_its_use(rows: Size, columns: Size) -> None:
    from charl import dims

    params, result = product(dims.sym(rows) if isinstance(rows, str) else rows, columns)
    plan = plan_export(export(params, [result], dims=["N"] if rows == "N" else []), PORTABLE_C)
    assert converting(plan)[-1] is True


def test_words_need_no_conversion() -> None:
    params, result = product(32, 48)
    assert len(plan_export(export(params, [result]), WGSL).calls) == 1


def test_weights_that_a_program_converts_are_read_as_they_are_stored() -> None:
    """One row times weights: no copy of the weights in the wider type."""
    x, w = parameter("x", 1, 64), parameter("w", 64, 512, dtype=f16)
    plan = plan_export(export([x, w], [ops.contract(x, ops.cast(w, f32), sum=((1,), (0,)))]), PORTABLE_C)
    assert converting(plan) == [True] and plan.arena_bytes == 0
