"""Small programs of odd sizes: their gradients of order 1 and 2 against central differences, in double precision."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops import odd
from tests.ops.cases import seeded
from tests.ops.test_evaluator import check_slope

SIZE = st.sampled_from([n for n in odd.SIZES if n <= 9])


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(odd.FAMILIES)), st.tuples(SIZE, SIZE, SIZE), st.integers(1, 2))
def test_gradients_of_odd_programs(family: str, sizes: tuple[int, int, int], order: int) -> None:
    lower, upper = odd.doubles(family, sizes, order)
    check_slope(lower, upper, seeded(f"{family} {sizes}"))
