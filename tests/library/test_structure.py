"""What convolutions and pools become: contractions and reductions over windows, which nothing stores."""

from __future__ import annotations

import pytest

from charl.backends.capabilities import SCALAR
from charl.graph.ir import Graph
from charl.loops.text import print_kernel
from charl.passes import optimise
from charl.plan.build import plan_program
from tests.elaborate.programs import program

CONVOLUTION = """
from conv import convolve
export fn f(x: f32[2, 3, 9, 8], w: f32[4, 3, 3, 2], ct: f32[2, 4, {places}]) -> (f32[2, 3, 9, 8], f32[4, 3, 3, 2]) {{
    grad(|x, w| sum(convolve(x, w, {how}) * ct), wrt: (0, 1))(x, w)
}}
"""


def optimised(text: str) -> Graph:
    return optimise(program(text).exports[0].graph)


@pytest.mark.parametrize(
    "how, places", [("stride: 1", "7, 7"), ("padding: 1", "9, 9"), ("dilation: [1, 3]", "7, 5")]
)
def test_the_gradients_of_a_convolution_are_contractions_over_windows(how: str, places: str) -> None:
    graph = optimised(CONVOLUTION.format(how=how, places=places))
    ops = [n.op for n in graph.nodes()]
    assert ops.count("contract") == 2 and ops.count("windows") == 2 and "overlap_add" not in ops


def test_a_strided_convolution_adds_up_what_overlaps() -> None:
    ops = [n.op for n in optimised(CONVOLUTION.format(how="stride: 2", places="4, 4")).nodes()]
    assert ops.count("overlap_add") == 1 and ops.count("contract") == 2


def test_a_convolution_of_one_tap_has_no_windows() -> None:
    text = """
    from conv import convolve
    export fn f(x: f32[2, 3, 9, 8], w: f32[4, 3, 1, 1]) -> f32[2, 4, 9, 8] = convolve(x, w)
    """
    assert "windows" not in [n.op for n in optimised(text).nodes()]


@pytest.mark.parametrize(
    "body, limit",
    [
        ("convolve(x, w)", 4 * 2 * 4 * 7 * 7),  # the product, before its axes are in order
        ("max_pool(x, 3, stride: 1)", 0),
        ("average_pool(x, 3, stride: 2)", 0),
    ],
)
def test_windows_are_never_stored(body: str, limit: int) -> None:
    out = program(f"""
        from conv import average_pool, convolve, max_pool
        export fn f(x: f32[2, 3, 9, 9], w: f32[4, 3, 3, 3]) = {body}
        """)
    for export in out.exports:
        export.graph = optimise(export.graph)
    (plan,) = plan_program(out, SCALAR, lambda export, reason: None).plans
    assert plan.arena_bytes <= limit


@pytest.mark.parametrize("activation", ["gelu", "gelu_tanh", "silu"])
def test_a_gradient_keeps_one_number_for_each_element_of_an_activation(activation: str) -> None:
    out = program(f"""
        export fn f(x: f32[64, 16], w: f32[16, 64], v: f32[64, 16]) -> f32[16, 64] {{
            grad(|w| sum(sin({activation}(x @ w) @ v)))(w)
        }}
        """)
    for export in out.exports:
        export.graph = optimise(export.graph)
    (plan,) = plan_program(out, SCALAR, lambda export, reason: None).plans
    # while the second product runs: the activation, its derivative and the product; then what goes back through it
    assert plan.arena_bytes <= 4 * (2 * 64 * 64 + 64 * 16)


def test_what_is_multiplied_by_a_reciprocal_is_divided_where_nobody_else_wants_that() -> None:
    out = program("""
        export fn f(x: f32[64]) -> f32[64] = silu(x)
        export fn g(x: f32[64], y: f32[64]) -> (f32[64], f32[64]) {
            let r = 1.0 / x
            (y * r, r)
        }
        """)
    f, g = (
        print_kernel(p.calls[0].kernel) for p in plan_program(out, SCALAR, lambda export, reason: None).plans
    )
    assert " mul(" not in f and f.count("div(") == 1
    assert " mul(" in g and g.count("div(") == 1
