"""Debug builds report run-time indices that are out of range, at their place in the source."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from charl.compile import Options, compile_source
from charl.runtime.native import write
from charl.source import Source
from tests.support import needs_cc

from .conftest import module

PROGRAM = """
export fn read(x: f32[5], t: i32) -> f32 = x[t]
export fn window(x: f32[9], t: i32) -> f32[3] = x[t:t+3] * 2.0
export fn put(x: f32[5], t: i32) -> f32[5] {
    let mut y = x
    y[t] = 9.0
    return y
}
export fn put_window(x: f32[9], t: i32) -> f32[9] {
    let mut y = x
    y[t:t+3] = 1.0
    return y
}
export fn many(x: f32[5], t: i32[2]) -> f32[2] = x[t] + 1.0
export fn write(x: f32[5], t: i32[2]) -> f32[5] {
    let mut y = x
    y[t] = 7.0
    return y
}
export fn bins(x: f32[5], t: i32[2]) -> f32[5] {
    let mut y = x
    y[t] += 1.0
    return y
}
export fn picked(x: f32[2, 5], t: i32[2]) -> f32[2] = pick(x, t)
export fn along(x: f32[2, 5], t: i32[2, 1]) -> f32[2, 1] = take_along_axis(x, t)
export fn shifted(x: f32[5], t: i32) -> f32 = x[t * 2 + 1]
export fn walk(x: f32[5], t: i32) -> f32 {
    let mut s = 0.0
    let mut k = 0
    while k <= t {
        s += x[k]
        k += 1
    }
    return s
}
export fn chosen(x: f32[5], t: i32) -> f32 {
    if t >= 0 and t < 5 {
        return x[t]
    }
    return 0.0
}
export fn guarded(x: f32[5], t: i32) -> f32[5] {
    let mut y = x
    if t < 5 {
        y[t] = 3.0
    }
    return y
}
export fn two(x: f32[5, 5], t: i32[2]) -> f32[2] = x[t, t]
export fn mixed(x: f32[5, 5], t: i32) -> f32[2] = x[t, [0, 1]]
export fn write_two(x: f32[5, 5], t: i32[2]) -> f32[5, 5] {
    let mut y = x
    y[t, t] = 7.0
    return y
}
export fn bins_two(x: f32[5, 5], t: i32[2]) -> f32[5, 5] {
    let mut y = x
    y[t, t] += 1.0
    return y
}
export fn lanes(x: f32[2, 9], t: i32[2]) -> f32[2, 3] = vmap(|x, t| x[t:t+3])(x, t)
export fn lanes_put(x: f32[2, 9], t: i32[2]) -> f32[2, 9] = vmap(ones_at)(x, t)
fn ones_at(x: f32[9], t: i32) -> f32[9] {
    let mut y = x
    y[t:t+3] = 1.0
    return y
}
export fn lanes_row(x: f32[2, 5], t: i32[2]) -> f32[2] = vmap(|x, t| x[t])(x, t)
export fn summed(x: f32[5], t: i32[2]) -> f32 = x[sum(t)]
export fn sums(x: f32[5], t: i32[2, 1]) -> f32[2] = x[sum(t, axis: 1)] * 2.0
export fn single(x: f32[1], t: i32) -> f32 = x[t]
export fn single_put(x: f32[1], t: i32) -> f32[1] {
    let mut y = x
    y[t] = 3.0
    return y
}
export fn single_summed(x: f32[1], t: i32[2]) -> f32 = x[sum(t)] + 1.0
export fn single_lanes(x: f32[2, 1], t: i32[2]) -> f32[2] = vmap(|x, t| x[t])(x, t)
export fn whole(x: f32[5], t: i32) -> f32[5] = x[t:t+5] * 2.0
export fn whole_put(x: f32[5], t: i32) -> f32[5] {
    let mut y = x
    y[t:t+5] = 1.0
    return y
}
fn triangle(a: f32, x: f32[5]) -> f32 {
    let mut y = x
    for j in 0..5 {
        for i in j + 1..5 { y[i] = sin(a * y[i] * y[j]) }
    }
    return sum(y)
}
export fn bent(x: f32[5], t: i32) -> f32 = hessian(|a| triangle(a, x))(t as f32)
export fn ordered(x: f32[5]) -> f32[5] = sort(x)
export fn again(x: f32[5], t: i32) -> f32 = x[t]
"""

X = np.arange(5, dtype=np.float32)
X9 = np.arange(9, dtype=np.float32)
X2 = np.arange(10, dtype=np.float32).reshape(2, 5)
X55 = np.arange(25, dtype=np.float32).reshape(5, 5)
X29 = np.arange(18, dtype=np.float32).reshape(2, 9)
ELEMENT = "index out of range: it must be at least 0 and below 5"
WINDOW = "slice out of range: its start must be at least 0 and at most 6"
ONE = "index out of range: it must be at least 0 and below 1"
WHOLE = "slice out of range: its start must be at least 0 and at most 0"


def i32(*indices: int) -> Any:
    return np.array(indices, np.int32)


# export → x, an index in range and one outside, what the release build gives for that, place, message
CASES = {
    "read": (X, 4, 7, 4.0, "x[t]", ELEMENT),
    "window": (X9, 6, 7, [12, 14, 16], "x[t:t+3]", WINDOW),
    "put": (X, 0, -1, X, "y[t] = 9.0", ELEMENT),
    "put_window": (X9, 0, -2, [1, 1, 1, *range(3, 9)], "y[t:t+3] = 1.0", WINDOW),
    "many": (X, i32(0, 4), i32(-3, 9), [1, 5], "x[t] + 1.0", ELEMENT),
    "write": (X, i32(0, 4), i32(0, 5), [7, 1, 2, 3, 4], "y[t] = 7.0", ELEMENT),
    "bins": (X, i32(0, 4), i32(-1, 1), [0, 2, 2, 3, 4], "y[t] += 1.0", ELEMENT),
    "picked": (X2, i32(0, 4), i32(0, 5), [0, 9], "pick(x, t)", ELEMENT),
    "along": (X2, i32(0, 4)[:, None], i32(-1, 2)[:, None], [[0], [7]], "take_along_axis(x, t)", ELEMENT),
    "shifted": (X, 1, 2, 4.0, "x[t * 2 + 1]", ELEMENT),
    "walk": (X, 4, 5, 14.0, "x[k]", ELEMENT),
    "guarded": (X, 4, -1, X, "y[t] = 3.0", ELEMENT),
    "two": (X55, i32(0, 4), i32(-1, 5), [0, 24], "x[t, t]", ELEMENT),
    "mixed": (X55, 4, 5, [20, 21], "x[t, [0, 1]]", ELEMENT),
    "write_two": (X55, i32(0, 4), i32(9, -1), X55, "y[t, t] = 7.0", ELEMENT),
    "bins_two": (X55, i32(0, 4), i32(9, -1), X55, "y[t, t] += 1.0", ELEMENT),
    "lanes": (X29, i32(0, 6), i32(-1, 7), [[0, 1, 2], [15, 16, 17]], "x[t:t+3]", WINDOW),
    "lanes_put": (
        X29,
        i32(0, 6),
        i32(0, 9),
        [[1, 1, 1, *range(3, 9)], [*range(9, 15), 1, 1, 1]],
        "y[t:t+3] = 1.0",
        WINDOW,
    ),
    "lanes_row": (X2, i32(0, 4), i32(1, 5), [1, 9], "x[t]", ELEMENT),
    "summed": (X, i32(1, 3), i32(2, 3), 4, "x[sum(t)]", ELEMENT),
    "sums": (X, i32(0, 4)[:, None], i32(-1, 5)[:, None], [0, 8], "x[sum(t, axis: 1)]", ELEMENT),
    "single": (X[1:2], 0, 1, 1, "x[t]", ONE),
    "single_put": (X[1:2], 0, 1, [1], "y[t] = 3.0", ONE),
    "single_summed": (X[1:2], i32(-1, 1), i32(1, 1), 2, "x[sum(t)]", ONE),
    "single_lanes": (X2[:, :1], i32(0, 0), i32(0, -1), [0, 5], "x[t]", ONE),
    "whole": (X, 0, 2, 2 * X, "x[t:t+5]", WHOLE),
    "whole_put": (X, 0, 1, [1, 1, 1, 1, 1], "y[t:t+5] = 1.0", WHOLE),
}


@pytest.fixture(scope="module")
def loader(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("indices")
    made = compile_source(Source("indices.ch", PROGRAM), Options(targets=("c",)))
    write(made.files, folder)
    return module(folder, "indices")


@pytest.fixture(scope="module")
def debug(loader: Any) -> Any:
    return loader.load("c", debug=True)


def places(name: str, code: str) -> set[str]:
    """Where code stands in an export, as a report may name it."""
    start = PROGRAM.index(f"export fn {name}(")
    at = PROGRAM.index(code, PROGRAM.index(") ->", start))
    line, column = PROGRAM.count("\n", 0, at) + 1, at - PROGRAM.rfind("\n", 0, at)
    return {f"indices.ch:{line}:{column}"}


@needs_cc
@pytest.mark.parametrize("name", CASES)
def test_an_index_outside_is_reported(loader: Any, debug: Any, name: str) -> None:
    x, inside, outside, expected, code, said = CASES[name]
    within = getattr(debug, name)(x.copy(), inside)
    assert np.array_equal(within, getattr(loader, name)(x.copy(), inside))
    assert np.array_equal(getattr(loader, name)(x.copy(), outside), expected)
    with pytest.raises(loader.CharlCheckError, match=re.escape(said)) as caught:
        getattr(debug, name)(x.copy(), outside)
    assert places(name, code) <= set(re.findall(r"indices\.ch:\d+:\d+", str(caught.value)))


@needs_cc
def test_what_another_side_would_read_is_not_reported(debug: Any) -> None:
    assert [debug.chosen(X, t) for t in (-1, 2, 5)] == [0, 2, 0]
    assert np.array_equal(debug.guarded(X, 5), X)
    assert np.isfinite(
        debug.bent(X, 1)
    )  # what a Hessian keeps of a loop that ended: in lanes, and its tangent


@needs_cc
def test_what_the_library_indexes_by_itself_is_not_reported(debug: Any) -> None:
    assert np.array_equal(debug.ordered(X[::-1].copy()), X)


@needs_cc
def test_calls_that_share_code_name_each_place(loader: Any, debug: Any) -> None:
    with pytest.raises(loader.CharlCheckError) as caught:
        debug.again(X, 5)
    assert places("read", "x[t]") | places("again", "x[t]") <= set(
        str(caught.value).replace(": ", " ").split()
    )


ROWS = """
export fn slope(x: f32[700], w: f32[700, 700]) -> f32[700] = grad(|x| {
    let mut h = x
    for t in 0..50 { h = tanh(w @ h + x) }
    sum(h)
})(x)
"""


def test_rows_of_a_loop_are_looked_at_when_all_are_written() -> None:
    """What lies in the rows of later turns, before them, was told as a NaN where its bits look like one."""
    text = compile_source(Source("rows.ch", ROWS), Options(targets=("c",))).files["rows.c"].decode()
    looked = [line for line in text.splitlines() if "ROWS_NAN_F32(" in line and not line.startswith("#")]
    inside = [line for line in looked if line.startswith(" " * 8)]
    assert inside and not any(", 35000," in line for line in inside)
    assert any(", 35000," in line for line in looked)
