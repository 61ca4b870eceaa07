"""The digits, trained end to end on every backend: as accurate as PyTorch, and step for step what the evaluator computes."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import support
from tests.support import needs_cc

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "digits"
REFERENCE = json.loads((EXAMPLE / "reference" / "pytorch.json").read_text())
ENOUGH = REFERENCE["mean"] - 0.01

_spec = importlib.util.spec_from_file_location("digits_train", EXAMPLE / "train.py")
assert _spec is not None and _spec.loader is not None
example = importlib.util.module_from_spec(_spec)
sys.modules["digits_train"] = example
_spec.loader.exec_module(example)

CURVE = 200  # steps
C = [
    pytest.param(("c", "scalar"), marks=needs_cc, id="c-scalar"),
    pytest.param(("c", "avx2"), marks=[needs_cc, support.needs_cpu("avx2", "fma")], id="c-avx2"),
    pytest.param(("c", "avx512"), marks=[needs_cc, support.needs_cpu("avx512f", "avx512dq")], id="c-avx512"),
]
WGSL = pytest.param(("wgpu", "native"), marks=support.needs_vulkan, id="wgsl")
EVALUATOR = pytest.param(("evaluator", "native"), id="evaluator")

_packages: dict[tuple[str, str], Any] = {}


def package(backend: tuple[str, str]) -> Any:
    """The digits on a backend, loaded once."""
    import charl

    if backend not in _packages:
        _packages[backend] = charl.load(EXAMPLE / "digits.ch", backend=backend[0], simd=backend[1])
    return _packages[backend]


@pytest.fixture(scope="module")
def digits() -> Any:
    return example.read_digits()


class _Enough(Exception):
    pass


def first_losses(backend: tuple[str, str], digits: Any) -> list[float]:
    """The loss at each of the first CURVE steps from seed 0."""
    losses: list[float] = []

    def tell(step: int, loss: float) -> None:
        losses.append(loss)
        if step == CURVE:
            raise _Enough

    with pytest.raises(_Enough):
        example.train(package(backend), digits, seed=0, tell=tell)
    return losses


@pytest.fixture(scope="module")
def oracle(digits: Any) -> list[float]:
    return first_losses(("evaluator", "native"), digits)


@pytest.mark.parametrize("backend", [*C, WGSL])
def test_curve_is_the_evaluators(backend: tuple[str, str], digits: Any, oracle: list[float]) -> None:
    tolerance = 1e-3 if backend[0] == "wgpu" else 1e-4
    np.testing.assert_allclose(first_losses(backend, digits), oracle, rtol=tolerance)


@pytest.mark.parametrize("backend", [EVALUATOR, *C, WGSL])
def test_accuracy_is_pytorchs(backend: tuple[str, str], digits: Any) -> None:
    found = [example.train(package(backend), digits, seed).accuracies[-1] for seed in range(5)]
    assert np.mean(found) >= ENOUGH, found


def run_example(*args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """train.py in a process of its own."""
    environment = {**os.environ, "CC": "", **environment}
    return subprocess.run(
        [sys.executable, EXAMPLE / "train.py", *args],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_without_compiler_and_gpu_the_example_says_so_and_finishes(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "CHARL_ADAPTER": "an adapter that nobody has"}
    ran = run_example("--epochs", "2", "--out", tmp_path / "out", **bare)
    assert ran.returncode == 0, ran.stderr
    assert "no C compiler" in ran.stderr and "evaluator" in ran.stdout
    assert re.search(r"accuracy: [\d.]+%", ran.stdout)
    made = {p.name for p in (tmp_path / "out").iterdir()}
    assert {"digits.safetensors", "loss.svg", "predictions.png"} <= made


def test_a_backend_that_was_asked_for_must_be_there(tmp_path: Path) -> None:
    ran = run_example("--backend", "c", "--out", tmp_path / "out", PATH=str(tmp_path))
    assert ran.returncode == 1 and "no C compiler" in ran.stderr and "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory, cc: str) -> Path:
    """train.c over the vendored package."""
    out = tmp_path_factory.mktemp("train") / "train"
    vendored = ROOT / "generated" / "digits"
    warnings = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"]
    call = [
        cc,
        "-std=c99",
        "-O2",
        *warnings,
        f"-I{vendored}",
        EXAMPLE / "train.c",
        vendored / "digits.c",
        "-lm",
        "-o",
        out,
    ]
    subprocess.run(call, check=True)
    return out


def run_c(program: Path, seed: int, weights: Path) -> list[tuple[float, float]]:
    """(mean loss, accuracy in percent) of every epoch; the accuracy after reloading comes last, with the last loss."""
    call = [program, str(seed), EXAMPLE / "data" / "digits.bin", weights]
    said = subprocess.run(call, check=True, capture_output=True, text=True).stdout
    epochs = [(float(a), float(b)) for a, b in re.findall(r"loss ([\d.]+)  accuracy ([\d.]+) %", said)]
    again = re.search(r"reloaded: accuracy ([\d.]+) %", said)
    assert again is not None and len(epochs) == 30
    return [*epochs, (epochs[-1][0], float(again[1]))]


@needs_cc
def test_train_c_is_as_accurate(program: Path, tmp_path: Path) -> None:
    found = []
    for seed in range(5):
        epochs = run_c(program, seed, tmp_path / "w.safetensors")
        assert epochs[-1] == epochs[-2], "reloaded weights give another accuracy"
        found.append(epochs[-1][1] / 100)
    assert np.mean(found) >= ENOUGH, found


def xorshift_orders(seed: int, epochs: int) -> list[list[int]]:
    """The shuffles of train.c."""
    state = 2463534242 + seed
    out = []
    for _ in range(epochs):
        order: list[int] = []
        for i in range(example.TRAIN):
            state ^= state << 13 & 0xFFFFFFFF
            state ^= state >> 17
            state ^= state << 5 & 0xFFFFFFFF
            k = state % (i + 1)
            order.append(i)
            order[i], order[k] = order[k], i
        out.append(order)
    return out


@needs_cc
def test_train_c_computes_what_the_evaluator_computes(program: Path, tmp_path: Path, digits: Any) -> None:
    oracle = package(("evaluator", "native"))
    rng = oracle.Rng.init(3)
    net, adam = oracle.Digits.init(rng), oracle.Adam()
    wanted = []
    for order in xorshift_orders(3, 3):
        picks = [
            order[s : s + example.BATCH] for s in range(0, example.TRAIN - example.BATCH + 1, example.BATCH)
        ]
        wanted.append(np.mean([oracle.train_step(net, adam, rng, digits.x[p], digits.y[p]) for p in picks]))
    got = [loss for loss, _ in run_c(program, 3, tmp_path / "w.safetensors")[:3]]
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=5e-5)  # four digits are printed


@needs_cc
def test_weights_of_train_c_open_elsewhere(program: Path, tmp_path: Path, digits: Any) -> None:
    safetensors = pytest.importorskip("safetensors.numpy", reason="pip install safetensors")
    path = tmp_path / "w.safetensors"
    *_, (_, percent) = run_c(program, 0, path)
    tensors = safetensors.load_file(path)
    assert {k: v.shape for k, v in tensors.items()} == {
        "0.w": (64, 64),
        "0.b": (64,),
        "2.w": (64, 10),
        "2.b": (10,),
    }
    oracle = package(("evaluator", "native"))
    net = oracle.Digits.load(path)
    for name, array in net.leaves().items():
        np.testing.assert_array_equal(array, tensors[name])
    assert 100 * example.accuracy(oracle, net, digits) == pytest.approx(percent, abs=0.01)
