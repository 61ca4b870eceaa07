"""Self-tests of packages: what is too large for a reference, or never a number, is left out, and names are the user's."""

from __future__ import annotations

from pathlib import Path

from charl.compile import Options, compile_source
from charl.source import Source
from tests.package.build import compiled_selftest

PROGRAM = """
export fn sum_of(x: f32[4096, 8192]) -> f32 = sum(x)
export fn zeros_of(x: f32[2]) -> f32[4096, 8192] = zeros(4096, 8192) + x[0]
export fn small(x: f32[2]) -> f32 = sum(x)
"""


def test_large_arguments_and_results_have_no_reference() -> None:
    options = Options(targets=("c",))
    text = compile_source(Source("large.ch", PROGRAM), options).files["large_selftest.c"].decode()
    left_out = [line for line in text.splitlines() if "too large for a reference" in line]
    assert len(left_out) == 2
    assert "large_sum_of" in left_out[0] and "large_zeros_of" in left_out[1]
    assert "large_small(" in text


LOOP = """
export fn settled(w: f32[2, 2], x: f32[2]) -> f32 {{
    let mut h = x
    for i in 0..{steps} {{ h = tanh(w @ h + x) }}
    sum(h)
}}
"""


def test_a_long_loop_has_no_reference_as_transpiling_would_run_it() -> None:
    for steps, wanted in ((10, 0), (100_000, 1)):
        source = Source("loop.ch", LOOP.format(steps=steps))
        text = compile_source(source, Options(targets=("c",))).files["loop_selftest.c"].decode()
        assert text.count("too large for a reference") == wanted


def test_a_self_test_without_a_reference_holds_nothing_that_is_not_used(tmp_path: Path) -> None:
    text = "\n".join(PROGRAM.splitlines()[:3])
    files = compile_source(Source("large.ch", text), Options(targets=("c",))).files
    status, said = compiled_selftest(tmp_path, files)
    assert (status, said) == (0, "large: 0 exports compute what Charl computed\n")


STEEP = """
export fn grows(x: f32[8]) -> f32[8] = exp(200.0 * x)
export fn never(x: f32[2]) -> f32 = sum(log(-x * x - 1.0))
export fn masked(x: f32[2]) -> f32[2] = where(x > -9.0, -infinity, x)
"""


def test_arguments_are_such_that_results_are_numbers(tmp_path: Path) -> None:
    """What overflows f32, though not the f64 of the reference, was told as a wrong answer."""
    files = compile_source(Source("steep.ch", STEEP), Options(targets=("c",))).files
    left_out = [x for x in files["steep_selftest.c"].decode().splitlines() if "Left out" in x]
    assert len(left_out) == 1 and "steep_never" in left_out[0]
    status, said = compiled_selftest(tmp_path, files)
    assert (status, said) == (0, "steep: 2 exports compute what Charl computed\n")


NAMES = """
export fn named(test: f32[N], mut i: f32[N], mut sum: f32[N], bad: f32, expected: i32[N], failures: f32[2]) -> f32[N] {
    i = i + test * bad + (expected as f32)
    sum = sum * i + failures[0]
    sum + 1.0
}

test "what it calls its own" {
    let assertions = 2.0
    assert assertions + 1.0 == 3.0
}
"""


def test_a_self_test_leaves_users_their_names(tmp_path: Path) -> None:
    """An argument called `test` did not compile, one called `i` was another's."""
    files = compile_source(Source("names.ch", NAMES), Options(targets=("c",))).files
    status, said = compiled_selftest(tmp_path, files)
    assert (status, said) == (0, "names: 1 exports compute what Charl computed, 1 tests pass\n")
