"""`charl run` from the outside: output, status, files, every backend."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROGRAM = """
from nn import Dense
from optim import Adam

model Line() {
    layers { Dense(2, 1) }
}

fn objective(net: Line, x: f32[N, 2], y: f32[N, 1]) -> f32 {
    mean((net(x) - y) ** 2)
}

fn step(mut net: Line, mut adam: Adam<Line>, x: f32[N, 2], y: f32[N, 1]) -> f32 {
    let (loss, g) = value_and_grad(objective)(net, x, y)
    adam.update(mut net, g, lr: 0.05)
    loss
}

fn main() {
    let data = load("line.npz")
    let mut rng = seeded(1)
    let mut net = Line.init(mut rng)
    let mut adam = Adam.init(net)
    for epoch in 0..60 {
        for (x, y) in batches(data.x, data.y, size: 16, rng: mut rng) {
            let loss = step(mut net, mut adam, x, y)
        }
    }
    let loss = objective(net, data.x, data.y)
    print("loss", loss)
    save(net, "net.safetensors")
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 2)).astype(np.float32)
    y = (x @ np.array([[2.0], [-1.0]]) + 0.5).astype(np.float32)
    np.savez(tmp_path / "line.npz", x=x, y=y)
    (tmp_path / "train.ch").write_text(PROGRAM)
    return tmp_path


def run(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    root = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    return subprocess.run(
        [sys.executable, "-m", "charl", "run", *args],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(folder / "cache")},
    )


def loss(done: subprocess.CompletedProcess[str]) -> float:
    assert done.returncode == 0, done.stderr
    name, number = done.stdout.split()
    assert name == "loss"
    return float(number)


def test_trains_on_the_evaluator(folder: Path) -> None:
    assert loss(run(folder, "train.ch")) < 0.05
    assert (folder / "net.safetensors").stat().st_size > 3 * 4


@pytest.mark.needs_cc
def test_trains_in_c_as_on_the_evaluator(folder: Path) -> None:
    expected = loss(run(folder, "train.ch"))
    assert loss(run(folder, "train.ch", "--backend", "c")) == pytest.approx(expected, rel=1e-2, abs=1e-5)


@pytest.mark.needs_vulkan
def test_trains_on_a_gpu_as_on_the_evaluator(folder: Path) -> None:
    expected = loss(run(folder, "train.ch"))
    assert loss(run(folder, "train.ch", "--backend", "wgpu")) == pytest.approx(expected, rel=1e-2, abs=1e-5)


def test_missing_data(folder: Path) -> None:
    (folder / "line.npz").unlink()
    done = run(folder, "train.ch")
    assert done.returncode == 1 and "cannot read line.npz" in done.stderr and "train.ch:20:16" in done.stderr
    assert "Traceback" not in done.stderr and not (folder / "net.safetensors").exists()


def test_data_of_another_shape(folder: Path) -> None:
    np.savez(folder / "line.npz", x=np.zeros((64, 3), np.float32), y=np.zeros((64, 1), np.float32))
    done = run(folder, "train.ch")
    assert done.returncode == 1 and done.stderr.startswith("error[E") and "Traceback" not in done.stderr
    assert "f32[16, 3]" in done.stderr


def test_no_main(folder: Path) -> None:
    (folder / "train.ch").write_text("export fn f(x: f32) -> f32 = x\n")
    done = run(folder, "train.ch")
    assert done.returncode == 1 and done.stderr.startswith("error[E06") and "main" in done.stderr


def test_unknown_backend(folder: Path) -> None:
    assert run(folder, "train.ch", "--backend", "abacus").returncode == 2


def test_a_call_is_traced_once_per_signature(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers without parameters have nothing that could differ from call to call."""
    from charl.elaborate.host import Host
    from charl.run import run_file

    traced: list[object] = []
    trace = Host._trace
    monkeypatch.setattr(Host, "_trace", lambda self, *args: traced.append(args) or trace(self, *args))
    text = PROGRAM.replace("Dense(2, 1)", "Dense(2, 1)\n        Dropout(0.5)").replace(
        "import Dense", "import Dense, Dropout"
    )
    assert text.count("Dropout") == 2
    (folder / "train.ch").write_text(text)
    monkeypatch.chdir(folder)
    run_file(folder / "train.ch", "evaluator", lambda stage: None)
    assert len(traced) == 4  # two inits, a step, the objective


LOADING = """
fn main() {
    let table = load("table.csv")
    let images = load("images.idx.gz")
    let named = load("named.safetensors")
    print(sum(table.x as f32), sum(table.label), sum(images.data as i32), sum(named.w))
}
"""


def test_load_reads_tables_idx_and_safetensors(tmp_path: Path) -> None:
    import gzip

    from charl.run import run_file
    from charl.runtime import safetensors

    (tmp_path / "a.ch").write_text(LOADING)
    (tmp_path / "table.csv").write_text("x.0,x.1,label\n1.5,2,3\n4,5,6\n")
    (tmp_path / "images.idx.gz").write_bytes(gzip.compress(b"\0\0\x08\x01\0\0\0\x03\x01\x02\x03"))
    tensors = {"w": np.array([1, 2.5], np.float32)}
    (tmp_path / "named.safetensors").write_bytes(safetensors.dump(tensors))
    lines: list[str] = []
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        run_file(tmp_path / "a.ch", "evaluator", lambda stage: None, lines.append)
    finally:
        os.chdir(before)
    assert lines == ["12.5 9 6 3.5"]


DERIVATIVES = """
struct Spring { length: f32[3], stiffness: f32 }

fn f(x: f32[3]) -> f32[3] = x * sum(x)
fn energy(s: Spring) -> f32 = s.stiffness * sum(s.length ** 2)
fn made(length: f32[3], stiffness: f32) -> Spring = Spring(length: length, stiffness: stiffness)

fn main() {
    let x = tensor([1.0, 2.0, 3.0])
    let (y, pull) = vjp(f)(x)
    print(y)
    print(pull(x))
    print(jacobian(checkpoint(f))(x)[0])
    print(hessian(energy)(made(x, 2.0)).length.stiffness)
    print(vmap(energy)(vmap(made)(tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), tensor([1.0, 2.0]))))
}
"""


def test_operators_on_functions_in_main(tmp_path: Path) -> None:
    (tmp_path / "main.ch").write_text(DERIVATIVES)
    done = run(tmp_path, "main.ch", "--backend", "evaluator")
    assert done.returncode == 0, done.stderr
    wanted = ["6. 12. 18.", "20. 26. 32.", "7. 1. 1.", "2. 4. 6.", "14. 154."]
    assert [" ".join(line.strip("[]").split()) for line in done.stdout.splitlines()] == wanted
