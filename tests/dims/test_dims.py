"""Sizes: normal form, division, proofs and text, against plain integer arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charl import dims
from charl.dims import (
    Dim,
    ceildiv,
    evaluate,
    exact_div,
    floordiv,
    integral,
    mod,
    nonnegative,
    substitute,
    sym,
)

N, d, heads, i, j = (sym(n) for n in ("N", "d", "heads", "i", "j"))
VALUES = {"N": 6, "d": 12, "heads": 3, "i": 5, "j": 2}


@st.composite
def sizes(draw: st.DrawFn, depth: int = 3) -> tuple[int | Dim, int]:
    """A size and its value under VALUES."""
    if depth == 0 or draw(st.booleans()):
        if draw(st.booleans()):
            n = draw(st.integers(-9, 9))
            return n, n
        name = draw(st.sampled_from(sorted(VALUES)))
        return sym(name), VALUES[name]
    a, x = draw(sizes(depth - 1))
    b, y = draw(sizes(depth - 1))
    match draw(st.sampled_from(["+", "-", "*", "//", "down", "%", "ceil", "min", "max"])):
        case "+":
            return a + b, x + y
        case "-":
            return a - b, x - y
        case "*":
            return a * b, x * y
        case "//":
            return floordiv(a, 4), x // 4
        case "down":
            return dims.rounded_down(a, 3), x // 3
        case "%":
            return mod(a, 5), x % 5
        case "ceil":
            return ceildiv(a, 3), -(-x // 3)
        case "min":
            return dims.minimum(a, b), min(x, y)
        case _:
            return dims.maximum(a, b), max(x, y)


@settings(
    suppress_health_check=[HealthCheck.too_slow], deadline=None
)  # says nothing but how busy a machine is
@given(sizes())
def test_evaluates_like_integers_except_where_a_size_may_not_be_negative(pair: tuple[int | Dim, int]) -> None:
    size, value = pair
    assert evaluate(size, VALUES) == value


@given(sizes(), sizes())
def test_normal_form(a: tuple[int | Dim, int], b: tuple[int | Dim, int]) -> None:
    (x, _), (y, _) = a, b
    assert x + y == y + x
    assert x * y == y * x
    assert (x + y) * 2 == 2 * x + 2 * y
    assert x - x == 0


@given(sizes())
def test_proofs_never_lie(pair: tuple[int | Dim, int]) -> None:
    size, value = pair
    if nonnegative(size):
        assert value >= 0


@given(sizes())
def test_substitution_agrees_with_evaluation(pair: tuple[int | Dim, int]) -> None:
    size, value = pair
    half = substitute(size, {"N": VALUES["N"], "i": VALUES["i"]})
    assert evaluate(half, VALUES) == value


def test_division() -> None:
    assert exact_div(d, heads) * heads == d
    assert exact_div(d * (d - 1), 2) * 2 == d * d - d
    assert exact_div(N * N - 1, N + 1) == N - 1
    assert exact_div(N * N + 1, N + 1) is None
    assert exact_div(7, 2) is None and exact_div(N, 0) is None
    assert (
        integral(exact_div(d * (d - 1), 2))
        and not integral(exact_div(d, 2))
        and not integral(exact_div(d, heads))
    )


@pytest.mark.parametrize("n", [64, N])
def test_a_split_index_is_found_again(n: int | Dim) -> None:
    ranges = {"j": (0, n - 1), "i": (0, 9)}
    flat = i * n + j
    assert floordiv(flat, n, ranges) == i
    assert mod(flat, n, ranges) == j


def test_a_size_may_be_zero_outside_of_loops() -> None:
    assert nonnegative(N - 1) and not nonnegative(N - 1, least=0)
    assert nonnegative(N, least=0) and nonnegative(2 * N + d, least=0)


def test_bounds_of_loop_indices() -> None:
    ranges = {"i": (0, N - 1)}
    assert nonnegative(N - 1 - i, ranges)
    assert not nonnegative(N - 2 - i, ranges)
    assert dims.minimum(i, N, ranges) == i
    assert dims.maximum(i, N, ranges) == N


def test_quotients_are_less_than_what_they_divide() -> None:
    half, third, up = floordiv(N, 2), floordiv(N, 3), dims.ceildiv(N, 2)
    proved = [
        (N * N - 1 - floordiv(N * N, 2), True),
        (N - 1 - half, True),
        (N - up, True),
        (N - 1 - up, False),  # ceil(1 / 2) is 1
        (N - 2 * half, True),
        (N - 1 - 2 * half, False),
        (N - 1 - half - third, True),
        (N - half - half - third, False),
        (N * N - 1 - N * half, True),
        (d - 1 - mod(N, d), True),
        (d - 2 - mod(N, d), False),
        (N * d - 1 - floordiv(N * d, d + 1), True),
    ]
    for size, holds in proved:
        values = [evaluate(size, {"N": n, "d": k}) for n in range(1, 13) for k in range(1, 7)]
        assert nonnegative(size) == holds == (min(values) >= 0), str(size)
    assert not nonnegative(N - 1 - half, least=0)
    assert nonnegative(N - 1 - floordiv(N + i, 2), {"i": (0, N - 2)})
    assert not nonnegative(N - 1 - floordiv(N + i, 2), {"i": (0, N)})


def test_text() -> None:
    assert str(N * 3 + 2) == "3 * N + 2"
    assert str(exact_div(3 * d, heads) + 1) == "(heads + 3 * d) / heads"
    assert str(exact_div(d * (d - 1), 2)) == "(d * d - d) / 2"
    assert str(floordiv(N + 3, 4)) == "div(N + 3, 4)"


def test_evaluation_says_what_is_missing_or_not_whole() -> None:
    with pytest.raises(KeyError, match="heads"):
        evaluate(exact_div(d, heads), {"d": 12})
    with pytest.raises(ValueError, match="not an integer"):
        evaluate(exact_div(d, heads), {"d": 10, "heads": 3})
    with pytest.raises(ValueError, match="zero"):
        evaluate(exact_div(d, heads), {"d": 10, "heads": 0})


def test_strides() -> None:
    assert dims.coefficient(64 * i + j, "i") == 64
    assert dims.coefficient(N * i + j, "i") == N
    assert dims.coefficient(floordiv(i, 7), "i") is None
    assert dims.coefficient(j, "i") == 0


def test_quotient_and_remainder_are_put_together() -> None:
    k, n = sym("k"), sym("N")
    split = 25 * floordiv(k, 25) + 5 * mod(floordiv(k, 5), 5) + mod(k, 5)
    assert dims.recombined(400 * n + split) == 400 * n + k
    assert dims.recombined(n * floordiv(k, n) + mod(k, n)) == k
    alone = 25 * floordiv(k, 25) + mod(k, 5)
    assert dims.recombined(alone) == alone


def test_what_is_subtracted_is_bounded() -> None:
    ranges = {"k": (0, 9)}
    assert nonnegative(4 - floordiv(sym("k"), 2), ranges) and not nonnegative(
        3 - floordiv(sym("k"), 2), ranges
    )
    assert nonnegative(2 - mod(sym("N"), 3)) and not nonnegative(1 - mod(sym("N"), 3))
