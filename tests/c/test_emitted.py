"""The emitted code as somebody reads it: nothing is clamped that is known to lie inside, nothing is added to zeros."""

from __future__ import annotations

import re

from charl.compile import Options, compile_source
from charl.source import Source


def code(text: str) -> str:
    """The kernels of a program."""
    made = compile_source(Source("read.ch", text), Options(targets=("c",))).files["read.c"].decode()
    return "\n".join(re.findall(r"^static void read_\w+_.*?^}$", made, re.S | re.M))


RECURRENT = """
fn last(w: f32[16, 16], x: f32[T, 16]) -> f32 {
    let mut h = zeros(16)
    for t in 0..T { h = tanh(w @ h + x[t]) }
    sum(h ** 2)
}
export fn step(w: f32[16, 16], x: f32[T, 16]) -> (f32[16, 16], f32[T, 16]) = grad(last, wrt: (0, 1))(w, x)
export fn pick(x: f32[T, 16], i: i32) -> f32[16] = exp(x[i])
"""


def test_an_index_of_a_loop_is_not_brought_into_its_range() -> None:
    text = code(RECURRENT)
    assert text.count("i32_min") == 1, "of `pick` alone"
    assert "i32_min" in text[text.index("read_pick") :]


APART = """
export fn f(x: f32[N, 24]) -> f32[N, 24] = grad(|x| {
    let [q, k, v] = split(x, 3, axis: 1)
    sum(sin(q) * k * exp(v))
})(x)
export fn g(p: f32[5]) -> f32[5] = grad(|p| sin(p[0]) * exp(p[1]) + p[4] * cos(p[0]))(p)
export fn h(x: f32[9]) -> f32[9] = grad(|x| sum(x[0:4] ** 2) * sum(x[2:6] ** 3))(x)
"""


def test_gradients_of_parts_are_written_where_they_belong() -> None:
    text = code(APART)
    assert not re.search(r"\+ 0\.0f|0\.0f \+|vf32_add\(vf32_set1\(0\.0f|, vf32_set1\(0\.0f\)\)", text)
