"""What it costs to get there: transpiling, compiling, starting: `python -m benchmarks.costs REQUEST`.

Enters: a request, as in worker.py. Leaves: a line of JSON for each figure on standard output. Everything runs in new processes
and new folders, without caches, on one CPU.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks import machine, measure
from benchmarks.case import MODELS
from benchmarks.models import mlp
from benchmarks.peers import onnx_
from benchmarks.worker import Request

LONGEST = 120  # seconds of one command
ROOT = Path(__file__).parent.parent

# What a user's first answer takes: load the perceptron of mlp.ch, classify one image.
FIRST_ANSWERS = {
    "Charl, from Python": "import sys; sys.path.insert(0, '{folder}'); import mlp, numpy as np\n"
    "p = mlp.load('c', simd='{simd}'); p.predict(p.MLP(), np.zeros((1, 784), np.float32))",
    "NumPy alone": "import numpy",
    "ONNX Runtime": "import onnxruntime, numpy as np\n"
    "s = onnxruntime.InferenceSession('{onnx}'); s.run(None, {{s.get_inputs()[0].name: np.zeros((1, 784), np.float32)}})",
    "PyTorch": "import torch\n"
    "n = torch.nn.Sequential(torch.nn.Linear(784, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10)); n(torch.zeros(1, 784))",
    "JAX": "import os; os.environ['JAX_PLATFORMS'] = 'cpu'\nimport jax, jax.numpy as jnp\n"
    "jax.jit(lambda x, w, v: jax.nn.softmax(jax.nn.relu(x @ w) @ v))(\n"
    "    jnp.zeros((1, 784)), *(jnp.zeros(s) for s in ((784, 128), (128, 10))))",
}
MEMORY = "\nimport resource; print('RSS', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"


def main() -> None:
    """Serve one request."""
    request = Request(**json.loads(sys.argv[1]))
    measure.pin(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
        for what, work in _figures(folder, request):
            try:
                work()
            except Failed as e:  # costs its figure, and none of the others
                _say(what, str(e), 0.0)


def _figures(folder: Path, request: Request) -> Iterator[tuple[str, Callable[[], None]]]:
    """What is to be measured, and how."""
    perceptron = ["--target", "c", "--dim", "N=1"]
    yield "transpile mlp", partial(_package, folder, "", MODELS / "mlp.ch", "mlp", request.simd, perceptron)
    for who, text in FIRST_ANSWERS.items():
        needed = {"Charl, from Python": "Charl", "NumPy alone": "Charl"}.get(who, who)
        if needed == "Charl" or needed in request.peers:
            yield f"process, import, first answer: {who}", partial(_start, who, text, folder, request)
    digits, gpt = ROOT / "examples" / "digits" / "digits.ch", MODELS / "gpt_train.ch"
    fixed = ["--dim", "B=4", "--dim", "T=64", "--target", "c"]
    for what, source, options in (
        ("digits, C and WGSL, any batch", digits, []),
        ("GPT-2 124M, training step, 4 × 64", gpt, fixed),
    ):
        work = partial(_package, folder, what, source, source.stem, request.simd, options)
        yield f"transpile and compile {what}", work


def _say(what: str, value: str, seconds: float) -> None:
    print(json.dumps({"what": what, "value": value, "figure": round(seconds, 4)}), flush=True)


class Failed(Exception):
    """A command that failed, and what it said."""


def _timed(command: Sequence[str]) -> tuple[float, str]:
    began = time.perf_counter()
    try:
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=LONGEST)
    except subprocess.TimeoutExpired as e:
        raise Failed(f"stopped after {LONGEST} s") from e
    if ran.returncode != 0:
        raise Failed((ran.stderr.strip().splitlines() or [f"ended with {ran.returncode}"])[-1][:200])
    return time.perf_counter() - began, ran.stdout


def _package(folder: Path, what: str, source: Path, name: str, simd: str, options: list[str]) -> None:
    """Transpile and compile a program, as a user does, and say how long both took."""
    command = [
        sys.executable,
        "-m",
        "charl",
        "transpile",
        str(source),
        "--out",
        str(folder),
        "--simd",
        simd,
        *options,
    ]
    seconds, _ = _timed(command)
    where = folder / name
    sources = f"{(where / f'{name}.c').stat().st_size / 1024:.0f} KiB of C"
    call = [
        machine.compiler(),
        "-std=c99",
        "-O2",
        "-fPIC",
        *machine.FLAGS[simd],
        "-c",
        str(where / f"{name}.c"),
    ]
    compiled, _ = _timed([*call, "-o", str(where / f"{name}.o")])
    if what:
        _say(f"transpile {what}", f"{seconds:.2f} s", seconds)
        sizes = subprocess.run(
            ["size", str(where / f"{name}.o")], capture_output=True, text=True
        ).stdout.split()
        code = f", {int(sizes[6]) / 1024:.0f} KiB of code" if len(sizes) > 6 else ""
        _say(f"compile {what}", f"{compiled:.2f} s ({sources}{code})", compiled)


def _start(who: str, text: str, folder: Path, request: Request) -> None:
    """From a new process to the first answer: the least of three, the first of which fills the caches of files."""
    onnx = onnx_.path_of(mlp.CASES[0], Path(request.folder)) if who == "ONNX Runtime" else None
    if onnx is not None and not onnx.exists():
        raise Failed("the rows export the model, and did not run")
    script = text.format(folder=folder / "mlp", simd=request.simd, onnx=onnx) + MEMORY
    best, memory = float("inf"), 0
    for _ in range(4):
        seconds, said = _timed([sys.executable, "-c", script])
        best, memory = min(best, seconds), int(said.split()[-1])
    _say(f"process, import, first answer: {who}", f"{best * 1000:.0f} ms, {memory / 1024:.0f} MiB", best)


if __name__ == "__main__":
    main()
