"""`charl profile`: every kernel is timed where it runs, and bad input is one diagnostic."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from charl.cli import main
from charl.compile import Options, compile_source
from charl.source import Source
from tests.support import needs_cc

PROGRAM = """
from nn import Dense
from optim import Adam

model Net { layers { Dense(6, 8, activation: relu)
                     Dense(8, 3) } }

export fn predict(net: Net, x: f32[N, 6]) -> f32[N, 3] = softmax(net(x))

fn objective(net: Net, x: f32[N, 6], y: i32[N]) -> f32 = cross_entropy(net(x), y)

export fn train(mut net: Net, mut adam: Adam<Net>, x: f32[N, 6], y: i32[N]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g)
    loss
}

/// A loop over something large: its kernels run once a turn.
export fn settle(x: f32[4096]) -> f32 {
    let mut y = x
    for _ in 0..7 { y = sin(y) / (1.0 + sum(y ** 2)) }
    sum(y)
}
"""


def _profile(tmp_path: Path, *options: str, program: str = PROGRAM) -> Result:
    file = tmp_path / "net.ch"
    file.write_text(program, encoding="utf-8")
    return CliRunner().invoke(main, ["profile", str(file), *options])


@needs_cc
def test_json_accounts_for_every_kernel(tmp_path: Path) -> None:
    ran = _profile(tmp_path, "--dim", "N=4", "--repeat", "5", "--json")
    assert ran.exit_code == 0, ran.output
    exports = {e["name"]: e for e in json.loads(ran.stdout)["exports"]}
    assert list(exports) == ["predict", "train", "settle"]
    lowered = compile_source(Source("net.ch", PROGRAM), Options(dims={"N": 4}, targets=("c",))).lowered["c"]
    for plan in lowered.plans:
        if plan.export.role != "export":
            continue
        export = exports[plan.export.name]
        assert {k["kernel"] for k in export["kernels"]} == {c.kernel.name for c in plan.calls}
        assert export["repeats"] == 5
        assert abs(sum(k["share"] for k in export["kernels"]) - 1) < 1e-6
        assert 0 < sum(k["seconds"] for k in export["kernels"]) <= export["seconds"]
        if plan.export.name != "settle":
            assert sum(k["calls"] for k in export["kernels"]) == len(plan.calls)
            assert abs(sum(k["flops"] for k in export["kernels"]) - plan.flops) < 1e-6
    assert max(k["calls"] for k in exports["settle"]["kernels"]) == 7


@needs_cc
def test_table_names_kernels_and_lines(tmp_path: Path) -> None:
    data = tmp_path / "batch.npz"
    np.savez(data, **{"x": np.ones((3, 6), np.float32), "net.0.b": np.zeros(8, np.float32)})
    ran = _profile(tmp_path, "--export", "predict", "--repeat", "2", "--data", str(data))
    assert ran.exit_code == 0, ran.output
    assert "predict (N = 3)" in ran.output
    assert "net.ch:8" in ran.output
    assert "train" not in ran.output


def test_without_profile_no_clock_is_in_the_code() -> None:
    files = compile_source(Source("net.ch", PROGRAM), Options(targets=("c",))).files
    assert not any(b"profile" in content for name, content in files.items() if name.endswith((".c", ".h")))


@needs_cc
@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--export", "nothing"), "E0852"),
        (("--dim", "M=4"), "E0603"),
        (("--data", "wrong.npz", "--repeat", "1"), "E0851"),
        (("--data", "shape.npz", "--repeat", "1"), "E0851"),
        (("--data", "rank.npz", "--repeat", "1"), "E0850"),
        (("--data", "missing.npz"), "missing.npz"),
    ],
)
def test_bad_input_is_one_diagnostic(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...], said: str
) -> None:
    np.savez(tmp_path / "wrong.npz", z=np.ones(3, np.float32))
    np.savez(tmp_path / "shape.npz", **{"net.0.b": np.zeros(9, np.float32)})
    np.savez(tmp_path / "rank.npz", x=np.zeros(6, np.float32))
    monkeypatch.chdir(tmp_path)
    ran = _profile(tmp_path, *options)
    assert ran.exit_code == 1
    assert said in ran.output
    assert "Traceback" not in ran.output
    assert ran.output.count("error[") == 1


FADING = """
export fn fade(x: f32[65536]) -> f32[65536] = x * 1e-30 * x
export fn stay(x: f32[65536]) -> f32[65536] = x * x + 1.0
"""


@needs_cc
def test_kernels_that_meet_subnormal_numbers_are_named(tmp_path: Path) -> None:
    data = tmp_path / "small.npz"
    np.savez(data, x=np.full(1 << 16, 1e-5, np.float32))
    ran = _profile(tmp_path, "--repeat", "3", "--data", str(data), program=FADING)
    assert ran.exit_code == 0, ran.output
    assert "fade: kernels with 100% of the time met subnormal numbers" in " ".join(ran.output.split())
    assert "stay: kernels" not in ran.output
    flushed = _profile(tmp_path, "--repeat", "3", "--data", str(data), "--flush-subnormals", program=FADING)
    assert flushed.exit_code == 0 and "subnormal" not in flushed.output
    ran = _profile(tmp_path, "--repeat", "3", "--data", str(data), "--json", program=FADING)
    found = {e["name"]: sum(k["underflows"] for k in e["kernels"]) for e in json.loads(ran.stdout)["exports"]}
    assert found == {"fade": 1.0, "stay": 0.0}
