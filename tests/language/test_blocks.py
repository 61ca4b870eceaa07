"""`test` blocks on every backend, on the command line and in the self-test of a package."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from charl.cli import main
from charl.compile import Options, compile_source, read_source
from charl.errors import CharlError
from charl.graph.evaluate import Evaluator
from charl.source import Source
from charl.testing import Outcome, blocks_of, run
from tests.language.backends import BACKENDS
from tests.package.build import compiled_selftest
from tests.support import needs_cc

PROGRAM = Path(__file__).with_name("blocks.ch")
IN_A_LOOP = "elements of a stack are written in a loop"
PASS = {"powers", "network", "double", "chosen functions", "stacks of a type parameter", IN_A_LOOP}
FAIL = {"fails by value", "fails in a loop", "wrong gradient", "compile time"}


@pytest.fixture(scope="module", params=BACKENDS)
def outcomes(request: pytest.FixtureRequest) -> dict[str, Outcome]:
    backend = "wgsl" if request.param == "wgpu" else request.param
    return {o.test: o for o in run(PROGRAM, [backend], "", lambda _: None)}


def test_which_pass(outcomes: dict[str, Outcome]) -> None:
    skipped = {name for name, o in outcomes.items() if o.status == "skipped"}
    assert skipped <= {"double"}, "only a shader has no f64"
    assert {name for name, o in outcomes.items() if o.status == "passed"} == PASS - skipped
    assert {name for name, o in outcomes.items() if o.status == "failed"} == FAIL


def test_what_is_shown(outcomes: dict[str, Outcome]) -> None:
    lines = outcomes["fails by value"].lines
    assert lines[0].endswith(":23:12: close(g(x), [1.682942, 1.8, 0.28224])")
    assert lines[1] == "the sine"
    assert lines[2].startswith("left   [1.68294") and lines[3].startswith("right  [1.68294")
    assert lines[4].startswith("the largest difference is 0.01859") and lines[4].endswith(" at [1]")
    lines = outcomes["fails in a loop"].lines
    assert lines[0].endswith(": s < 6") and lines[1] == "in a loop, a branch or a lane, where it failed first"
    assert lines[2:4] == ("left   6", "right  6")
    labels = [line.split()[0] for line in outcomes["wrong gradient"].lines[1:3]]
    assert labels == ["derivative", "difference"]


NESTED = """
test "nested" {
    let x = tensor([[1.0, 2.0], [3.0, 4.0]])
    let mut n = 0
    while n < 4 {
        for i in 0..2 {
            if i + n > 1 {
                assert n < 9
                assert close(x[i] * (n as f32), [6.0, 8.0])
            } else {
                assert x[i, 0] < 4.0
            }
        }
        n += 1
    }
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_values_of_the_turn_that_fails_first(backend: str, tmp_path: Path) -> None:
    (tmp_path / "nested.ch").write_text(NESTED)
    backend = "wgsl" if backend == "wgpu" else backend
    (outcome,) = run(tmp_path / "nested.ch", [backend], "", lambda _: None)
    assert outcome.lines[0].split(": ")[1].startswith("close(x[i] * (n")
    shown = "in a loop, a branch or a lane, where it failed first", "left   [3. 4.]", "right  [6. 8.]"
    assert outcome.lines[1:4] == shown


LANES = """
test "lanes" {
    let xs = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
    let y = vmap(|x| {
        assert sum(x) < 20.0
        vmap(|e| {
            assert e != 9.0
            assert abs(e - 3.5) >= 0.5, "far"
            assert e <= 3.0, "small"
            e })(x)
    })(xs)
    assert sum(y) == 0.0
}

test "empty" {
    let y = vmap(|x| { assert x > 9.0
        x })(zeros(0))
    assert sum(y) == 0.0
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_assertions_of_lanes(backend: str, tmp_path: Path) -> None:
    """What the first lane compared in which one failed; no lane asserts nothing."""
    (tmp_path / "lanes.ch").write_text(LANES)
    backend = "wgsl" if backend == "wgpu" else backend
    lanes, empty = run(tmp_path / "lanes.ch", [backend], "", lambda _: None)
    assert lanes.lines[0].endswith(": e <= 3.0") and empty.status == "passed"
    assert lanes.lines[1:5] == (
        "small", "in a loop, a branch or a lane, where it failed first", "left   4", "right  3"
    )  # fmt: skip


def test_command_line() -> None:
    runner = CliRunner()
    good = runner.invoke(main, ["test", str(PROGRAM), "--backend", "evaluator", "-k", "powers"])
    assert good.exit_code == 0 and good.output.splitlines()[-1] == "1 passed"
    bad = runner.invoke(main, ["test", str(PROGRAM), "--backend", "evaluator"])
    assert bad.exit_code == 1 and bad.output.splitlines()[-1] == "6 passed, 4 failed"
    none = runner.invoke(main, ["test", str(PROGRAM), "-k", "nothing of that name"])
    assert none.exit_code == 1 and "E0623" in none.output


@needs_cc
def test_self_test(tmp_path: Path) -> None:
    """The self-test runs the blocks: it fails as they do, and passes without those that fail."""
    source = read_source(PROGRAM)
    code, output = compiled_selftest(tmp_path / "a", compile_source(source, Options(targets=("c",))).files)
    assert code == 1
    told = [line.removeprefix("FAILED test ") for line in output.splitlines()]
    assert {line.split(":")[0] for line in told if not line.startswith(" ")} == FAIL
    at = next(i for i, line in enumerate(told) if line.startswith("fails by value"))
    assert told[at].endswith(": close(g(x), [1.682942, 1.8, 0.28224]): the sine")
    assert told[at + 1].startswith("    left 1.81859") and told[at + 1].endswith(
        ", right 1.79999995 at element 1"
    )
    assert "    left 6, right 6" in told and "    left 1025, right 1024" not in told
    cut = source.text.replace("1.8,", "1.818595,").replace("s < 6", "s < 11").replace("1025", "1024")
    cut = cut.replace("stop_gradient(x) * x", "x * x")
    good = Source("blocks.ch", cut)
    code, output = compiled_selftest(tmp_path / "b", compile_source(good, Options(targets=("c",))).files)
    assert code == 0 and output.rstrip().endswith("10 tests pass")


def test_numbers_of_a_test_are_arguments_of_its_graph() -> None:
    """Else everything would be computed before it runs, and every backend would agree with itself."""
    (case,) = blocks_of(Source("a.ch", 'test "a" { assert sum(exp([1.0, 2.0]) * zeros(2)) == 0.0 }'))
    assert len(case.given) == 2 and all(n.op != "constant" for n in case.graph.params)
    (case,) = blocks_of(Source("a.ch", 'test "a" { assert exp(0.5 as f32) < 2.0 }'))
    assert "exp" in {n.op for n in case.graph.nodes()}


def test_primitives_called_in_a_test_are_differentiated() -> None:
    """Where the variable was no number of the test itself, its function was taken for one: the gradient was 0."""
    text = 'fn half() -> f32 = 0.5\ntest "a" { assert close(grad(|x| cos(x))(half()), -0.4794255) }'
    (case,) = blocks_of(Source("a.ch", text))
    assert int(Evaluator(case.graph)(case.given)[0]) == 0


def test_outside_a_test_only_what_is_known_is_asserted() -> None:
    with pytest.raises(CharlError) as error:
        blocks_of(Source("a.ch", "fn f(x: f32) -> f32 {\n    assert x > 0.0\n    x\n}\n"))
    assert [d.code for d in error.value.diagnostics] == ["E0319"]


@pytest.mark.parametrize(
    "function, argument, fails",
    [
        ("|x| sum((x as f64) ** 2)", "[0.5, 1.0]", False),
        ("|x| (x as f64) ** 3", "[0.5, 1.0]", False),
        ("|x| sum((x as f32) ** 2)", "[0.5, 1.0] as f64", False),
        ("|x| sum((stop_gradient(x) * x) as f64)", "[0.5, 1.0]", True),
    ],
)
def test_functions_to_another_type_have_checked_gradients(function: str, argument: str, fails: bool) -> None:
    text = f'test "a" {{ check_grad({function}, {argument}, order: 2) }}'
    (case,) = blocks_of(Source("a.ch", text))
    assert bool(Evaluator(case.graph)(case.given)[0]) == fails
