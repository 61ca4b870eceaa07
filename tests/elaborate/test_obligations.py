"""What an export demands of its sizes, so that no emitted code reads outside its arguments."""

from __future__ import annotations

import pytest

from charl.dims import sym
from tests.elaborate.programs import export


@pytest.mark.parametrize(
    ("text", "low"),
    [
        ("export fn f(x: f32[N]) -> f32 = x[0]", 1),
        ("export fn f(x: f32[N]) -> f32 = x[N - 1]", 1),
        ("export fn f(x: f32[N]) -> f32[N - 1] = x[1:] - x[:-1]", 1),
        ("export fn f(x: f32[N], i: i32[]) -> f32 = x[i]", 1),
        ("export fn f(x: f32[N], i: i32[5]) -> f32[5] = x[i]", 1),
        ("export fn f(x: f32[N], t: i32[]) -> f32[4] = x[t:t+4]", 4),
        ("export fn f(mut x: f32[N], t: i32[]) { x[t:t+3] = 0.0 }", 3),
        ("export fn f(x: f32[N]) -> f32 where N >= 7 = x[0]", 7),
        # nothing is demanded where nothing can go wrong
        ("export fn f(x: f32[N], i: i32[N]) -> f32[N] = x[i]", 0),
        ("export fn f(x: f32[N]) -> f32[ceil_div(N, 2)] = x[::2]", 0),
        ("export fn f(x: f32[N], t: f32[3], i: i32[N]) -> f32[N] = x * t[i]", 0),
        ("export fn f(x: f32[N, 3]) -> f32[3, 3] = transpose(x) @ x", 0),
    ],
)
def test_least_size(text: str, low: int) -> None:
    made = export(text)
    assert [d.low for d in made.dims] == [low]
    assert all(text == "N >= 7" for text, *_ in made.constraints)


def test_a_quotient_is_checked_on_entry_once() -> None:
    made = export("export fn f(x: f32[T], h: f32[H]) -> f32[H, T / H] = x.reshape(H, T / H) + h[:, None]")
    assert [c[:3] for c in made.constraints] == [("T is a multiple of H", sym("H"), "divides")]


def test_a_quotient_that_where_proves_is_not_checked_again() -> None:
    made = export("export fn f(x: f32[T]) -> f32[T / 4] where T % 4 == 0 = sum(x.reshape(T / 4, 4), axis: 1)")
    assert [c[0] for c in made.constraints] == ["T % 4 == 0"]
