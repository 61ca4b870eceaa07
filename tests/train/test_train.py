"""`charl train`: any program, whatever its names; what stops a run, and going on from there to the same bytes."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

import charl
from charl.cli import main
from charl.runtime import safetensors
from charl.train.dataset import order
from charl.train.schedule import schedule

PROGRAM = Path(__file__).with_name("body.ch")
FILES = ("last.safetensors", "best.safetensors", "history.jsonl", "body.safetensors", "curves.svg")
SIZE = 50


def _arrays(n: int = SIZE) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    lengths, mass = rng.normal(size=(n, 3)).astype("f4"), rng.normal(size=n).astype("f4")
    return {
        "lengths": lengths,
        "mass": mass,
        "age": (lengths @ np.float32([0.5, -1, 0.2]) + mass).astype("f4"),
    }


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data.npz to train in."""
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", **_arrays())
    return tmp_path


def _train(*args: object, program: Path = PROGRAM, backend: str = "evaluator", lr: str = "0.02") -> Result:
    fixed = [str(program), "--data", "data.npz", "--backend", backend, "--batch", "8", "--out", "run"]
    rate = ["--lr", lr] if lr else []
    return CliRunner().invoke(main, ["train", *fixed, *rate, *map(str, args)])


def _history(folder: str = "run") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (Path(folder) / "history.jsonl").read_text().splitlines()]


def _bytes(folder: str) -> dict[str, bytes]:
    return {name: (Path(folder) / name).read_bytes() for name in FILES}


# ---------------------------------------------------------------- what it does


def test_a_program_with_names_of_its_own(work: Path) -> None:
    result = _train("--epochs", 12, "--valid", "0.2", "--schedule", "cosine:warmup=5")
    assert result.exit_code == 0, result.output
    history = _history()
    assert [line["epoch"] for line in history] == list(range(1, 13))
    assert history[-1]["step"] == 12 * (40 // 8)
    assert set(history[0]) == {"epoch", "step", "loss", "error", "worst", "lr"}
    assert history[-1]["loss"] < 0.6 * history[0]["loss"] and history[-1]["error"] < history[0]["error"]
    assert history[-1]["lr"] < 0.001
    assert sorted(p.name for p in Path("run").iterdir()) == sorted(FILES)
    assert Path("run/curves.svg").read_text().lstrip().startswith("<?xml")


@pytest.mark.parametrize("backend", ["c", "wgpu"])
def test_backends_agree(work: Path, backend: str) -> None:
    assert _train("--epochs", 3, "--valid", 10).exit_code == 0
    expected = _history()
    result = _train("--epochs", 3, "--valid", 10, "--overwrite", backend=backend)
    assert result.exit_code == 0, result.output
    for line, other in zip(expected, _history(), strict=True):
        assert line == pytest.approx(other, rel=1e-4)


def test_the_weights_are_those_of_the_best_epoch(work: Path) -> None:
    result = _train("--epochs", 6, "--valid", 10, "--best", "worst:min", lr="0.3")
    assert result.exit_code == 0, result.output
    worst = [line["worst"] for line in _history()]
    package = charl.load(PROGRAM, backend="evaluator")
    body = package.Body.load("run/body.safetensors")
    held = {n: a[-10:] for n, a in _arrays().items()}
    assert package.judge(body, held["lengths"], held["mass"], held["age"]).worst == pytest.approx(min(worst))


def test_data_from_other_files(work: Path) -> None:
    assert _train("--epochs", 2).exit_code == 0
    expected = _history()
    a = _arrays()
    columns = {"mass": a["mass"], **{f"lengths.{i}": a["lengths"][:, i] for i in range(3)}}
    rows = [",".join(columns), *(",".join(repr(float(c[i])) for c in columns.values()) for i in range(SIZE))]
    Path("table.csv.gz").write_bytes(gzip.compress("\n".join(rows).encode()))
    idx = b"\0\0\x0d\x01" + SIZE.to_bytes(4, "big") + a["age"].astype(">f4").tobytes()
    Path("age.idx1").write_bytes(idx)
    Path("one.safetensors").write_bytes(safetensors.dump({"years": a["age"]}))
    for more in (["age=age.idx1"], ["age=one.safetensors:years"], ["age=one.safetensors"]):
        command = [
            "train",
            str(PROGRAM),
            "--data",
            "table.csv.gz",
            "--data",
            *more,
            "--lr",
            "0.02",
            "--batch",
            "8",
        ]
        result = CliRunner().invoke(
            main, [*command, "--epochs", "2", "--backend", "evaluator", "--out", "run", "--overwrite"]
        )
        assert result.exit_code == 0, result.output
        assert _history() == expected


def test_state_to_begin_with(work: Path) -> None:
    assert _train("--epochs", 4).exit_code == 0
    trained = _history()[-1]["loss"]
    os.rename("run/body.safetensors", "start.safetensors")
    assert _train("--epochs", 1, "--overwrite", "--init", "body=start.safetensors").exit_code == 0
    assert _history()[0]["loss"] < 1.2 * trained
    assert "E0750" in _train("--overwrite", "--init", "memory=start.safetensors").output


STUDENT = """
from nn import Dense
from optim import Adam
model Teacher(width: int = 4) { layers { Dense(3, width, activation: tanh), Dense(width, 1) } }
model Student { layers { Dense(3, 1) } }
fn objective(student: Student, teacher: Teacher, lengths: f32[N, 3]) -> f32 = mse(student(lengths), teacher(lengths))
export fn learn(mut student: Student, teacher: Teacher, mut adam: Adam<Student>, lengths: f32[N, 3], lr: f32) -> f32 {
    let (loss, g) = value_and_grad(objective)(student, teacher, lengths)
    adam.update(mut student, g, lr: lr)
    loss
}
export fn apart(teacher: Teacher, student: Student, lengths: f32[N, 3]) -> f32 = objective(student, teacher, lengths)
export fn answers(teacher: Teacher, lengths: f32[N, 3]) -> f32[N, 1] = teacher(lengths)
"""


@pytest.mark.parametrize("backend", ["evaluator", "c", "wgpu"])
def test_a_model_that_is_kept_as_it_is(work: Path, backend: str) -> None:
    program = work / "distil.ch"
    program.write_text(STUDENT)
    rng = np.random.default_rng(3)
    shapes = {"0.w": (3, 4), "0.b": (4,), "1.w": (4, 1), "1.b": (1,)}
    teacher = {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    (work / "teacher.safetensors").write_bytes(safetensors.dump(teacher))

    def train(*args: object) -> Result:
        return _train("--save-every", "0", *args, program=program, backend=backend)

    given = ("--init", "teacher=teacher.safetensors", "--valid", "0.2")
    result = train("--epochs", 4, *given)
    assert result.exit_code == 0, result.output
    whole = Path("run/last.safetensors").read_bytes()
    history = _history()
    assert history[-1]["apart"] < 0.8 * history[0]["apart"]
    tensors = safetensors.parse(whole)
    assert not any(name.startswith("teacher") for name in tensors)
    assert sorted(p.name for p in Path("run").glob("*.safetensors")) == [
        "best.safetensors", "last.safetensors", "student.safetensors",
    ]  # fmt: skip
    assert train("--epochs", 2, *given, "--overwrite").exit_code == 0
    assert train("--epochs", 4, *given, "--resume").exit_code == 0
    assert Path("run/last.safetensors").read_bytes() == whole
    other = train("--epochs", 5, "--valid", "0.2", "--resume")
    assert other.exit_code == 1 and "E0746" in other.output and "`teacher`: values" in other.output

    hidden = np.tanh(_arrays()["lengths"] @ teacher["0.w"] + teacher["0.b"])
    apart = np.mean((np.load("data.npz")["lengths"] @ tensors["student.0.w"] + tensors["student.0.b"]
                     - hidden @ teacher["1.w"] - teacher["1.b"])[-10:] ** 2)  # fmt: skip
    assert history[-1]["apart"] == pytest.approx(float(apart), rel=1e-4)


def test_a_kept_model_without_values_or_with_others(work: Path) -> None:
    program = work / "distil.ch"
    program.write_text(STUDENT)
    assert _train("--epochs", 1, program=program).exit_code == 0
    (work / "teacher.safetensors").write_bytes(safetensors.dump({"0.w": np.zeros((3, 5), "f4")}))
    told = _train("--overwrite", "--init", "teacher=teacher.safetensors", program=program).output
    assert "does not fit `teacher`: its `0.w` is float32[3, 5], not float32[3, 4]" in told
    told = _train("--overwrite", "--init", "x=teacher.safetensors", program=program).output
    assert "there are student, teacher, adam" in told


def test_an_order_is_a_permutation_of_its_own() -> None:
    first, second, other = order(3, 0, 100), order(3, 1, 100), order(4, 0, 100)
    for x in (first, second, other):
        assert sorted(x) == list(range(100))
    assert not np.array_equal(first, second) and not np.array_equal(first, other)
    assert first[:5].tolist() == order(3, 0, 100)[:5].tolist()


def test_schedules() -> None:
    def rates(text: str) -> list[float]:
        s = schedule(text, 1.0, 10, 100)
        return [s.rate(i) for i in range(100)]

    assert rates("constant") == [1.0] * 100
    assert rates("constant:warmup=4")[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates("warm-up:steps=2")[:3] == [0.5, 1.0, 1.0]
    assert rates("step:every=2,factor=0.5")[::10] == [
        1,
        1,
        0.5,
        0.5,
        0.25,
        0.25,
        0.125,
        0.125,
        0.0625,
        0.0625,
    ]
    assert rates("exponential:factor=0.5")[::10] == [0.5**i for i in range(10)]
    cosine = rates("cosine:final=0.1")
    assert cosine[0] == 1.0 and cosine[50] == pytest.approx(0.55) and cosine == sorted(cosine, reverse=True)
    cycle = rates("one-cycle")  # PyTorch's OneCycleLR with its defaults
    assert cycle[0] == pytest.approx(0.04) and max(cycle) == cycle[29] == pytest.approx(1.0)
    assert cycle[-1] == pytest.approx(0.04 / 1e4)


# ---------------------------------------------------------------- what stops it


def _saved_step() -> int:
    """The step of the last checkpoint; -1 where there is none."""
    last = Path("run/last.safetensors")
    if not last.exists():
        return -1
    return int(json.loads(safetensors.metadata(last.read_bytes())["position"])["step"])


def _killed(args: list[object], step: int, after: float) -> None:
    """Train in a child, and kill it without mercy some seconds after a step has been saved."""
    child = os.fork()
    if child == 0:
        try:
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stderr(nowhere):
                _train(*args)
        finally:
            os._exit(0)
    while _saved_step() < step and os.waitpid(child, os.WNOHANG) == (0, 0):
        time.sleep(0.001)
    time.sleep(after)
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_killed_ten_times_it_ends_with_the_same_bytes(work: Path) -> None:
    options: list[object] = [
        "--epochs",
        40,
        "--valid",
        "0.2",
        "--schedule",
        "one-cycle",
        "--save-every",
        0.01,
    ]
    assert _train(*options).exit_code == 0
    whole = _bytes("run")
    os.rename("run", "whole")
    rng = random.Random(7)
    steps = []
    for step in [-1, *sorted(rng.sample(range(190), 9))]:
        _killed([*options, "--resume"], step, rng.uniform(0, 0.02))
        steps.append(_saved_step())
    assert len(set(steps)) > 4 and any(0 < s < 200 for s in steps)  # it was somewhere else each time
    result = _train(*options, "--resume")
    assert result.exit_code == 0, result.output
    assert _bytes("run") == whole
    assert not list(Path("run").glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(
    work: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    options: list[object] = ["--epochs", 4, "--save-every", 1000]
    assert _train(*options).exit_code == 0
    whole = _bytes("run")
    from charl.train.state import Loaded

    call, calls = Loaded.call, []

    def interrupted(self: Any, spec: Any, values: Any) -> Any:
        calls.append(spec.name)
        if calls.count("learn") == 9:
            os.kill(os.getpid(), number)
        return call(self, spec, values)

    monkeypatch.setattr(Loaded, "call", interrupted)
    monkeypatch.setattr(sys, "argv", ["charl", "train", "body.ch", "--lr", "0.02"])
    result = _train(*options, "--overwrite")
    assert result.exit_code == 130
    assert "stopped after step 9 (epoch 2)" in result.output and "--lr 0.02 --resume" in result.output
    monkeypatch.setattr(Loaded, "call", call)
    assert _train(*options, "--resume").exit_code == 0
    assert _bytes("run") == whole


def test_a_full_disk_keeps_what_was_saved(work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[object] = ["--epochs", 3, "--save-every", 0]
    assert _train(*options).exit_code == 0
    whole = _bytes("run")
    fsync, calls = os.fsync, []

    def full(handle: int) -> None:
        calls.append(handle)
        if len(calls) > 14:
            raise OSError(28, "No space left on device")
        fsync(handle)

    monkeypatch.setattr(os, "fsync", full)
    result = _train(*options, "--overwrite")
    assert result.exit_code == 1
    assert "E0747" in result.output and "No space left" in result.output and "--resume" in result.output
    assert not list(Path("run").glob(".*"))
    monkeypatch.setattr(os, "fsync", fsync)
    assert _train(*options, "--resume").exit_code == 0
    assert _bytes("run") == whole


def test_a_loss_that_is_no_number(work: Path) -> None:
    data = _arrays()
    data["age"][17] = np.nan
    np.savez("data.npz", **data)
    result = _train("--epochs", 3, "--save-every", 0)
    assert result.exit_code == 1
    assert (
        "E0745" in result.output
        and "the loss is nan at step" in result.output
        and "(epoch 1, batch" in result.output
    )
    kept = safetensors.parse(Path("run/last.safetensors").read_bytes())
    assert all(np.isfinite(a).all() for a in kept.values())


def test_a_run_is_not_overwritten_by_mistake(work: Path) -> None:
    assert _train("--epochs", 1).exit_code == 0
    before = _bytes("run")
    result = _train("--epochs", 1)
    assert result.exit_code == 1 and "E0751" in result.output and "--resume" in result.output
    assert _bytes("run") == before
    assert _train("--epochs", 3, "--resume").exit_code == 0  # a longer run goes on
    assert len(_history()) == 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--seed", 1], "seed: 0 there, 1 here"),
        (["--schedule", "exponential"], "schedule: constant there"),
        (["--set", "body.width=9"], "the program is not the same"),
        (["--valid", 5], "the data are not the same"),
    ],
)
def test_a_checkpoint_of_another_run(work: Path, changed: list[object], said: str) -> None:
    assert _train("--epochs", 1).exit_code == 0
    result = _train("--epochs", 2, "--resume", *changed)
    assert result.exit_code == 1 and "E0746" in result.output and said in result.output


def test_a_checkpoint_of_another_version_or_none_at_all(work: Path) -> None:
    assert _train("--epochs", 1).exit_code == 0
    last = Path("run/last.safetensors")
    data = last.read_bytes()
    last.write_bytes(data.replace(charl.__version__.encode(), b"9.9.9", 1))
    result = _train("--epochs", 2, "--resume")
    assert result.exit_code == 1 and "E0746" in result.output and "9.9.9" in result.output
    for broken in (data[: len(data) // 2], b"junk"):
        last.write_bytes(broken)
        result = _train("--epochs", 2, "--resume")
        assert result.exit_code == 1 and "E0747" in result.output and "Traceback" not in result.output


# ---------------------------------------------------------------- bad input


def _table(result: Result) -> str:
    assert result.exit_code == 1, result.output
    assert "Traceback" not in result.output and not Path("run").exists()
    return " ".join(result.output.split())


def test_arrays_that_do_not_fit_are_listed(work: Path) -> None:
    a = _arrays()
    np.savez("data.npz", lengths=a["lengths"][:, :2], age=np.arange(SIZE) > 3, weight=a["mass"])
    said = _table(_train())
    assert "E0743" in said and "parameter wanted in the data" in said
    assert "lengths f32[M, 3] f32[50, 2] axis 1 is 2, not 3" in said
    assert "mass f32[M] - missing" in said
    assert "age f32[M] bool[50] values that are no f32" in said
    assert "(weight) - f32[50] not asked for" in said
    np.savez("data.npz", **{**a, "mass": a["mass"][:-1]})
    assert "axis 0 is 49, but M is 50 above" in _table(_train())


def test_labels_that_no_class_has_are_warned_of(work: Path) -> None:
    program = work / "labels.ch"
    program.write_text(
        "export fn f(mut w: f32[3], label: i32[N]) -> f32 {\n"
        "    let (loss, g) = value_and_grad(|w| cross_entropy(w * ones(N, 1), label))(w)\n"
        "    w = w - 0.1 * g\n    loss\n}\n"
    )
    for labels, said in (
        (range(3), ""),
        (range(1, 4), "holds 1 to 3, and indexes an axis of 3"),
        ((-1, 0, 1), "holds -1 to 1"),
    ):
        np.savez("data.npz", label=np.array(labels, "i4"))
        result = _train("--epochs", 1, "--batch", "3", "--overwrite", program=program, lr="")
        assert (
            result.exit_code == 0
            and ("warning[W0748]" in result.output) == bool(said)
            and said in result.output
        )


def test_too_little_data(work: Path) -> None:
    np.savez("data.npz", **{n: x[:0] for n, x in _arrays().items()})
    assert "E0744" in _table(_train())
    np.savez("data.npz", **{n: x[:7] for n, x in _arrays().items()})
    assert "a batch of 8 samples cannot be filled: the training data have 7" in _table(_train())
    assert "sets 7 of 7 samples aside" in _table(_train("--valid", 7))


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--step", "judge"], "`judge` cannot train: it changes nothing"),
        (["--step", "lern"], "exports no `lern`"),
        (["--schedule", "linear"], "there is no schedule `linear`"),
        (["--schedule", "step:size=3"], "`size=3` is no option of the schedule `step`"),
        (["--arg", "dt=1"], "takes no number `dt`"),
        (["--valid", "0.2", "--metrics", "learn"], "no export gives metrics"),
        (["--valid", "0.2", "--best", "accuracy"], "names no number of an epoch"),
        (["--metrics", "judge"], "needs data to run on"),
        (["--data", "missing.npz"], "cannot read missing.npz"),
        (["--data", "data.npz"], "is given twice"),
        (["--resume", "--overwrite"], "goes on"),
    ],
)
def test_options_that_make_no_sense(work: Path, args: list[object], said: str) -> None:
    assert said in _table(_train(*args))


def test_a_rate_is_asked_for(work: Path) -> None:
    assert "pass `--lr 1e-3`" in _table(_train(lr=""))


def test_programs_that_do_not_train(work: Path) -> None:
    path = work / "a.ch"
    path.write_text("export fn f(x: f32[N]) -> f32 = sum(x)\n")
    assert "`f`: it changes nothing" in _table(_train(program=path))
    path.write_text("export fn f(mut w: f32, x: f32[N]) -> f32 {\n    w = sum(x)\n    w\n}\n"
                    "export fn g(mut w: f32, x: f32[N]) -> f32 {\n    w = sum(x)\n    w\n}\n")  # fmt: skip
    assert "several exports can train: `f`, `g`" in _table(_train(program=path))
    path.write_text("export fn f(mut w: f32, x: f32[N]) -> f32 {\n    w = sum(y)\n    w\n}\n")
    assert "E0301" in _train(program=path).output


# ---------------------------------------------------------------- files of data


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("a.csv", b"", "it is empty"),
        ("a.csv", b"x,y\n1,2\n3\n", "line 3 has 1 cells, the first has 2"),
        ("a.csv", b"x,y\n1,2\n3,four\n", "`four` in line 3, column `y`, is no number"),
        ("a.csv", b"x,x\n1,2\n", "the column `x` occurs twice"),
        ("a.csv", b"x.0,x.2\n1,2\n", "are not `x.0` to `x.1`"),
        ("a.idx", b"\0\0\x08\x01\0\0\0\x05abc", "3 bytes follow"),
        ("a.idx", b"\0\0\x08\x03\0\0", "ends inside its header"),
        ("a.npz", b"PK\x03\x04junk", "no whole .npz"),
        ("a.safetensors", b"junk", "too short"),
        ("a.csv.gz", b"junk", "cannot read"),
        ("a.bin", b"junk", "it is no .npz"),
    ],
)
def test_files_that_are_malformed(work: Path, name: str, data: bytes, said: str) -> None:
    (work / name).write_bytes(data)
    output = _table(_train("--data", name))
    assert "E0731" in output and said in output


def test_tables(work: Path) -> None:
    from charl.data import read_arrays

    (work / "a.tsv").write_text("n\tx.1\tx.0\tlabel\n1\t2\t3.5\t7\n4\t5\t6\t8\n")
    found = read_arrays(work / "a.tsv")
    assert {n: (str(a.dtype), a.tolist()) for n, a in found.items()} == {
        "n": ("int64", [1, 4]),
        "x": ("float64", [[3.5, 2.0], [6.0, 5.0]]),
        "label": ("int64", [7, 8]),
    }
    (work / "b.csv").write_text("1,2\n3,4\n")
    assert read_arrays(work / "b.csv")["data"].tolist() == [[1, 2], [3, 4]]
    out = io.BytesIO()
    np.save(out, np.arange(3))
    (work / "c.npy.gz").write_bytes(gzip.compress(out.getvalue()))
    assert read_arrays(work / "c.npy.gz")["data"].tolist() == [0, 1, 2]
