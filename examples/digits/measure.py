"""Accuracy of the digits after 30 epochs, seeds 0 to 4, on every backend that this machine has; writes reference/charl.json.

    python examples/digits/measure.py [--seeds 5] [--only c-avx2 ...]

The table goes into README.md, below PyTorch's figures on the same split.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import train as example  # noqa: E402

BACKENDS = {
    "evaluator": ("evaluator", "native"),
    "c-scalar": ("c", "scalar"),
    "c-avx2": ("c", "avx2"),
    "c-avx512": ("c", "avx512"),
    "wgsl": ("wgpu", "native"),
}
MARK = "<!-- accuracies -->"


def through_loader(backend: tuple[str, str], seeds: int) -> list[float]:
    """Accuracies through the Python loader."""
    import charl

    package = charl.load(example.PROGRAM, backend=backend[0], simd=backend[1])
    digits = example.read_digits()
    return [example.train(package, digits, seed).accuracies[-1] for seed in range(seeds)]


def through_c(seeds: int) -> list[float]:
    """Accuracies of train.c over the vendored package."""
    package = HERE.parents[1] / "generated" / "digits"
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "train"
        sources = [str(HERE / "train.c"), str(package / "digits.c")]
        call = ["cc", "-std=c99", "-O2", "-march=native", f"-I{package}", *sources, "-lm", "-o", str(program)]
        subprocess.run(call, check=True)
        found = []
        for seed in range(seeds):
            call = [str(program), str(seed), str(HERE / "data" / "digits.bin"), f"{folder}/weights"]
            said = subprocess.run(call, check=True, capture_output=True, text=True).stdout
            found.append(float(re.findall(r"accuracy ([\d.]+) %", said)[-1]) / 100)
    return found


def table(record: dict[str, Any]) -> str:
    """Markdown of all figures, PyTorch's first."""
    torch = json.loads((HERE / "reference" / "pytorch.json").read_text())
    rows = {
        f"PyTorch {torch['torch']}": {"accuracy": list(torch["accuracy"].values()), "mean": torch["mean"]},
        **record,
    }
    lines = ["| | mean | seeds | |", "|---|---|---|---|"]
    for name, row in rows.items():
        each = ", ".join(f"{100 * a:.1f}" for a in row["accuracy"])
        lines.append(f"| {name} | {100 * row['mean']:.2f} % | {len(row['accuracy'])} | {each} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=(*BACKENDS, "train.c"), default=(*BACKENDS, "train.c"))
    args = parser.parse_args()
    path = HERE / "reference" / "charl.json"
    record: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for name in args.only:
        began = time.perf_counter()
        found = through_c(args.seeds) if name == "train.c" else through_loader(BACKENDS[name], args.seeds)
        took = time.perf_counter() - began
        record[name] = {"accuracy": [round(a, 6) for a in found], "mean": round(float(np.mean(found)), 6)}
        print(f"{name}: mean {np.mean(found):.4f}, {found}, {took:.1f} s", flush=True)
    record = {name: record[name] for name in (*BACKENDS, "train.c") if name in record}
    path.write_text(json.dumps(record, indent=2) + "\n")
    readme = HERE / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(text[: text.index(MARK)] + f"{MARK}\n\n{table(record)}", encoding="utf-8")


if __name__ == "__main__":
    main()
