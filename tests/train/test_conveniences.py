"""`charl train`: what a program or the names of its data decide, so that a user need not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import charl
from charl.cli import main
from charl.train.prepare import _best

PROGRAM = """
model Line { param w: f32[2] = zeros()
    param b: f32 = zeros() }
fn guess(line: Line, x: f32[N, 2]) -> f32[N] = x @ line.w + line.b
export fn fit(mut line: Line, x: f32[N, 2], y: f32[N], lr: f32 = 0.1, power: i32 = 2) -> f32 {
    let (loss, g) = value_and_grad(|line| mean((guess(line, x) - y) ** 2))(line)
    line = line - lr / (power as f32) * g
    loss
}
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(2).normal(size=(40, 2))
    rows = np.column_stack([x, x @ [2.0, -1.0] + 0.5])
    np.savetxt("table.csv", rows, delimiter=",", header="left,right,y", comments="")
    Path("line.ch").write_text(PROGRAM)
    return tmp_path


def train(*args: object) -> Result:
    columns = ["--data", "x=table.csv:left, right", "--data", "y=table.csv:y"]
    fixed = ["line.ch", *columns, "--backend", "evaluator", "--batch", "8"]
    return CliRunner().invoke(main, ["train", *fixed, *map(str, args)])


def state(folder: str) -> bytes:
    return (Path(folder) / "last.safetensors").read_bytes()


def test_columns_side_by_side_and_numbers_by_default(work: Path) -> None:
    assert train("--epochs", 3, "--out", "a").exit_code == 0
    assert train("--epochs", 3, "--out", "b", "--lr", 0.1, "--arg", "power=2").exit_code == 0
    a, b = (Path(f"{k}/history.jsonl").read_text() for k in "ab")
    assert a == b and '"lr": 0.1' in a
    assert train("--epochs", 3, "--out", "c", "--lr", 0.01).exit_code == 0
    assert Path("c/history.jsonl").read_text() != a


def test_columns_that_are_not_there(work: Path) -> None:
    result = CliRunner().invoke(main, ["train", "line.ch", "--data", "x=table.csv:left,middle"])
    assert result.exit_code == 1 and "table.csv holds no `middle`" in result.output


@pytest.mark.parametrize(
    "change", ["// said anew\n" + PROGRAM, PROGRAM.replace("(loss, g)", "(loss, slope)")]
)
def test_comments_and_names_may_change_before_a_run_goes_on(work: Path, change: str) -> None:
    assert train("--epochs", 2, "--out", "a").exit_code == 0
    Path("line.ch").write_text(change.replace("* g\n", "* slope\n") if "slope" in change else change)
    assert train("--epochs", 4, "--out", "a", "--resume").exit_code == 0
    assert train("--epochs", 4, "--out", "b").exit_code == 0
    assert state("a") == state("b")


@pytest.mark.parametrize("before, after", [("** 2", "** 4"), ("lr: f32 = 0.1", "lr: f32 = 0.2")])
def test_another_program_does_not_go_on(work: Path, before: str, after: str) -> None:
    assert train("--epochs", 2, "--out", "a").exit_code == 0
    Path("line.ch").write_text(PROGRAM.replace(before, after))
    result = train("--epochs", 4, "--out", "a", "--resume")
    assert result.exit_code == 1 and "belongs to another run" in result.output


def test_defaults_reach_the_loader(work: Path) -> None:
    package = charl.load(work / "line.ch", backend="evaluator")
    x, y = np.ones((8, 2), np.float32), np.ones(8, np.float32)
    one, other = package.Line.init(), package.Line.init()
    assert package.fit(one, x, y) == package.fit(other, x, y, 0.1, 2)
    np.testing.assert_array_equal(one.leaves()["w"], other.leaves()["w"])


class Request:
    def __init__(self, best: str | None) -> None:
        self.best = best


class Names:
    def __init__(self, *names: str) -> None:
        self.names = names


@pytest.mark.parametrize(
    "asked, names, wanted",
    [
        (None, [], ("loss", False)),
        (None, ["accuracy"], ("accuracy", True)),
        (None, ["accuracy", "val_loss"], ("val_loss", False)),
        (None, ["scores.0", "scores.1"], ("loss", False)),  # nothing says what they are
        (None, ["scores.0", "mse"], ("mse", False)),
        ("mse", ["accuracy", "mse"], ("mse", False)),
        ("scores.0", ["scores.0"], ("scores.0", True)),
        ("scores.0:min", ["scores.0"], ("scores.0", False)),
    ],
)
def test_what_makes_an_epoch_the_best(asked: str | None, names: list[str], wanted: tuple[str, bool]) -> None:
    found: Any = [Names(*names)]
    request: Any = Request(asked)
    assert _best(request, found) == wanted
