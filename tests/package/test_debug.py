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
export fn ordered(x: f32[5]) -> f32[5] = sort(x)
export fn again(x: f32[5], t: i32) -> f32 = x[t]
"""

X = np.arange(5, dtype=np.float32)
X9 = np.arange(9, dtype=np.float32)
X2 = np.arange(10, dtype=np.float32).reshape(2, 5)
ELEMENT = "index out of range: it must be at least 0 and below 5"
WINDOW = "slice out of range: its start must be at least 0 and at most 6"


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
