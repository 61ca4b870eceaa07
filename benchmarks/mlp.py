"""MLP 784-128-10, batch 32, forward pass and training step: Charl's C, NumPy, PyTorch and the machine's FMA limit.

    python -m benchmarks.mlp [--rounds 30] [--no-torch]

Enters: mlp.ch. Leaves: a table, and the same figures in benchmarks/results as JSON and Markdown.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import platform
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from benchmarks import measure, peers
from benchmarks.measure import Contender

Array: TypeAlias = "np.ndarray[Any, Any]"
HERE = Path(__file__).parent
BATCH, PIXELS, HIDDEN, CLASSES = 32, 784, 128, 10
FORWARD_FLOPS = 2 * BATCH * (PIXELS * HIDDEN + HIDDEN * CLASSES)
TRAIN_FLOPS = 2 * FORWARD_FLOPS + 2 * BATCH * HIDDEN * CLASSES  # weights' gradients, and the hidden layer's
TOLERANCE = 1e-4


def _pointer(array: Array) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


class Charl:
    """The emitted C of mlp.ch with N fixed, compiled here. Holds its own copy of the weights, w1 b1 w2 b2 in one array."""

    def __init__(self, folder: Path, weights: list[Array]) -> None:
        from charl.compile import Options, compile_file

        name, flags, _ = measure.instruction_set()
        options = Options(dims={"N": BATCH}, targets=("c",), simd=name)
        for path, data in compile_file(HERE / "mlp.ch", options).files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        library = folder / "mlp_bench.so"
        sources = [str(folder / "mlp.c"), str(HERE / "mlp_driver.c")]
        call = [
            measure.compiler(),
            "-std=c99",
            "-O2",
            "-fPIC",
            "-shared",
            *flags,
            f"-I{folder}",
            *sources,
            "-lm",
        ]
        subprocess.run([*call, "-o", str(library)], check=True)
        self.library = ctypes.CDLL(str(library))
        self.library.workspace_bytes.restype = self.library.network_bytes.restype = ctypes.c_size_t
        self.net = np.concatenate([w.ravel() for w in weights])
        assert self.net.nbytes == self.library.network_bytes()
        self.workspace = _aligned(self.library.workspace_bytes())
        self.scores = np.empty((BATCH, CLASSES), np.float32)
        self.loss = np.empty(1, np.float32)

    def forward(self, calls: int, x: Array) -> Array:
        bad = self.library.forward_many(
            ctypes.c_long(calls),
            _pointer(self.net),
            _pointer(x),
            _pointer(self.scores),
            _pointer(self.workspace),
        )
        assert bad == 0
        return self.scores

    def train_step(self, calls: int, x: Array, y: Array) -> float:
        bad = self.library.train_many(
            ctypes.c_long(calls),
            _pointer(self.net),
            _pointer(x),
            _pointer(y),
            _pointer(self.loss),
            _pointer(self.workspace),
        )
        assert bad == 0
        return float(self.loss[0])


def _aligned(size: int) -> Array:
    """`size` bytes that begin at a multiple of 64."""
    raw = np.empty(size + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size]


def _data() -> tuple[list[Array], Array, Array]:
    random = np.random.default_rng(0)
    w1 = random.uniform(-0.08, 0.08, (PIXELS, HIDDEN)).astype(np.float32)
    w2 = random.uniform(-0.2, 0.2, (HIDDEN, CLASSES)).astype(np.float32)
    weights = [w1, np.zeros(HIDDEN, np.float32), w2, np.zeros(CLASSES, np.float32)]
    x = random.uniform(0, 1, (BATCH, PIXELS)).astype(np.float32)
    return weights, x, random.integers(0, CLASSES, BATCH).astype(np.int32)


def _agree(what: str, got: Any, wanted: Any) -> float:
    """The largest difference, relative where values are above 1; ends the run where it is above the tolerance."""
    got, wanted = np.asarray(got, np.float64).ravel(), np.asarray(wanted, np.float64).ravel()
    off = float(np.max(np.abs(got - wanted) / np.maximum(1, np.abs(wanted))))
    if not off <= TOLERANCE:
        raise SystemExit(f"{what}: outputs differ by {off:.2e}, more than {TOLERANCE:g}; nothing was timed")
    return off


def _contenders(folder: Path, with_torch: bool) -> tuple[dict[str, list[Contender]], float]:
    """Contenders by task, after their outputs have been compared with NumPy's."""
    weights, x, y = _data()
    numpy, charl = peers.NumPy(weights), Charl(folder, weights)
    worst = _agree("forward", charl.forward(1, x), numpy.forward(x))
    worst = max(worst, _agree("loss", charl.train_step(1, x, y), numpy.train_step(x, y)))
    after = [numpy.w1, numpy.b1, numpy.w2, numpy.b2]
    worst = max(worst, _agree("weights after a step", charl.net, np.concatenate([w.ravel() for w in after])))
    tasks = {
        "forward": [
            Contender("Charl C", lambda calls: charl.forward(calls, x)),
            Contender("NumPy", lambda calls: [numpy.forward(x) for _ in range(calls)]),
        ],
        "training step": [
            Contender("Charl C", lambda calls: charl.train_step(calls, x, y)),
            Contender("NumPy", lambda calls: [numpy.train_step(x, y) for _ in range(calls)]),
        ],
    }
    if with_torch:
        torch = peers.Torch(weights)
        tx, ty = torch.torch.from_numpy(x), torch.torch.from_numpy(y).long()
        worst = max(worst, _agree("PyTorch forward", torch.forward(tx), peers.NumPy(weights).forward(x)))
        tasks["forward"].append(Contender("PyTorch", lambda calls: [torch.forward(tx) for _ in range(calls)]))
        tasks["training step"].append(
            Contender("PyTorch", lambda calls: [torch.train_step(tx, ty) for _ in range(calls)])
        )
    return tasks, worst


def _versions(with_torch: bool) -> dict[str, str]:
    import charl

    compiler = subprocess.run([measure.compiler(), "--version"], capture_output=True, text=True).stdout
    found = {"charl": charl.__version__, "python": platform.python_version(), "numpy": np.__version__}
    if with_torch:
        import torch

        found["torch"] = torch.__version__
    return {**found, "compiler": compiler.splitlines()[0]}


def _rows(tasks: dict[str, list[Contender]], operations: int) -> list[dict[str, Any]]:
    """One row per task and contender. `operations`: of one call of the limit."""
    rows = []
    for task, flops in (("forward", FORWARD_FLOPS), ("training step", TRAIN_FLOPS)):
        ours = tasks[task][0].median
        for c in tasks[task]:
            rows.append(
                {
                    "task": task,
                    "by": c.name,
                    "microseconds": round(c.median * 1e6, 2),
                    "gflops": round(flops / c.median / 1e9, 1),
                    "share_of_peak": round(flops / operations / c.limits_per_call, 4),
                    "charl_is_faster_by": round(c.median / ours, 3),
                }
            )
    return rows


def _markdown(record: dict[str, Any]) -> str:
    head = (
        f"MLP 784-128-10, batch 32, {record['date']}, {record['cpu']}, one thread, C for {record['simd']}; "
    )
    head += f"FMA limit {record['fma_gflops']} GFLOP/s\n\n"
    head += "| task | by | µs | GFLOP/s | share of the limit | time / Charl's |\n|---|---|---|---|---|---|\n"
    for r in record["rows"]:
        head += f"| {r['task']} | {r['by']} | {r['microseconds']} | {r['gflops']} | {r['share_of_peak']:.1%} "
        head += f"| {r['charl_is_faster_by']:.2f} |\n"
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    disturbed = f"{record['samples_disturbed']} of {record['samples']} samples stayed disturbed by other load"
    return f"{head}\nLargest difference of outputs {record['largest_difference']:.1e}; {disturbed}; {versions}.\n"


def _print(record: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"MLP 784-128-10, batch {BATCH}; FMA limit {record['fma_gflops']} GFLOP/s ({record['simd']})"
    )
    for column in ("task", "by", "µs", "GFLOP/s", "share of the limit", "time / Charl's"):
        table.add_column(column, justify="left" if column in ("task", "by") else "right")
    for r in record["rows"]:
        cells = (
            f"{r['microseconds']:.1f}",
            f"{r['gflops']:.1f}",
            f"{r['share_of_peak']:.1%}",
            f"{r['charl_is_faster_by']:.2f}",
        )
        table.add_row(r["task"], r["by"], *cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=30, help="samples of every contender")
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    parser.add_argument("--out", type=Path, default=HERE / "results")
    args = parser.parse_args()
    cpu = measure.pin()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        limit, operations = measure.fma_peak(folder)
        tasks, worst = _contenders(folder, not args.no_torch)
        quality = measure.measure([c for task in tasks.values() for c in task], limit, args.rounds)
    now = datetime.now(UTC)
    record: dict[str, Any] = {
        "benchmark": "mlp",
        "date": now.strftime("%Y-%m-%d"),
        "cpu": measure.cpu_name(),
        "pinned_to": cpu,
        "system": f"{platform.system()} {platform.release()}",
        "simd": measure.instruction_set()[0],
        "versions": _versions(not args.no_torch),
        "rounds": args.rounds,
        "samples": args.rounds * sum(map(len, tasks.values())),
        "samples_taken_again": quality.again,
        "samples_disturbed": quality.disturbed,
        "fma_gflops": round(operations / limit.median / 1e9, 1),
        "largest_difference": worst,
        "rows": _rows(tasks, operations),
    }
    _print(record)
    args.out.mkdir(parents=True, exist_ok=True)
    stem = args.out / f"mlp-{now.strftime('%Y%m%d-%H%M%S')}"
    stem.with_suffix(".json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(_markdown(record), encoding="utf-8")
    print(f"written to {stem}.json and .md")


if __name__ == "__main__":
    main()
