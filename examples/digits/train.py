"""Trains digits.ch on real handwritten digits, with the code that Charl emits for it.

    python examples/digits/train.py [--backend c|wgpu|evaluator] [--simd native|scalar|avx2|avx512] [--seed 0] [--epochs 30]

Transpiles the program, trains through the Python loader, prints the accuracy on the 360 images kept for testing, saves the
weights, and draws the loss curve and a sheet of predictions into examples/digits/out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = "np.ndarray[Any, Any]"
HERE = Path(__file__).resolve().parent
PROGRAM = HERE / "digits.ch"
TRAIN, BATCH, EPOCHS = 1437, 32, 30
BACKENDS = {"c": "emitted C", "wgpu": "emitted WGSL", "evaluator": "the evaluator"}


@dataclass
class Digits:
    """Pixels f32[., 64] in 0..1 and labels i32, as the committed split has them."""

    x: Array
    y: Array
    test_x: Array
    test_y: Array


@dataclass
class Trained:
    """A network, its loss at every step, and its accuracy on the test images after every epoch."""

    net: Any
    losses: list[float] = field(default_factory=list)
    accuracies: list[float] = field(default_factory=list)


def read_digits() -> Digits:
    """The images of data/digits.npz."""
    with np.load(HERE / "data" / "digits.npz") as file:
        x = file["images"].reshape(-1, 64).astype(np.float32) / np.float32(16)
        y = file["labels"].astype(np.int32)
    return Digits(x[:TRAIN], y[:TRAIN], x[TRAIN:], y[TRAIN:])


def batches(seed: int, epochs: int) -> Iterator[list[Array]]:
    """For every epoch, which images make each batch: a new shuffle, the last 29 images left out."""
    shuffle = np.random.default_rng(seed)
    for _ in range(epochs):
        order = shuffle.permutation(TRAIN)
        yield [order[start : start + BATCH] for start in range(0, TRAIN - BATCH + 1, BATCH)]


def accuracy(package: Any, net: Any, digits: Digits) -> float:
    """Share of the test images that the network gets right."""
    guess = package.predict(net, digits.test_x).argmax(1)
    return float(np.mean(guess == digits.test_y))


def train(
    package: Any,
    digits: Digits,
    seed: int = 0,
    epochs: int = EPOCHS,
    tell: Callable[[int, float], None] = lambda step, loss: None,
) -> Trained:
    """Train a new network through the functions of a loaded package. `tell(step, loss)` hears of every step."""
    rng = package.Rng.init(seed)
    out = Trained(package.Digits.init(rng))
    adam = package.Adam()
    for epoch in batches(seed, epochs):
        for pick in epoch:
            out.losses.append(package.train_step(out.net, adam, rng, digits.x[pick], digits.y[pick]))
            tell(len(out.losses), out.losses[-1])
        out.accuracies.append(accuracy(package, out.net, digits))
    return out


def draw(trained: Trained, probabilities: Array, digits: Digits, folder: Path, title: str) -> list[Path]:
    """The loss curve and a sheet of predictions (mistakes first), as loss.svg and predictions.png; both in one digits.png."""
    from matplotlib.figure import Figure

    folder.mkdir(parents=True, exist_ok=True)
    guess = probabilities.argmax(1)
    wrong_first = np.argsort(guess == digits.test_y, kind="stable")

    def curve(axes: Any) -> None:
        smooth = np.convolve(trained.losses, np.ones(25) / 25, "valid")
        axes.semilogy(trained.losses, color="#b8c4d6", linewidth=0.6, label="one batch")
        axes.semilogy(np.arange(len(smooth)) + 24, smooth, color="#1f4e8c", linewidth=1.6, label="mean of 25")
        axes.set(xlabel="step", ylabel="cross-entropy", title=title)
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)

    def sheet(figure: Any, rows: int, columns: int) -> None:
        for axes, i in zip(figure.subplots(rows, columns).flat, wrong_first):
            right = guess[i] == digits.test_y[i]
            axes.imshow(digits.test_x[i].reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            said = f"{guess[i]}" if right else f"{guess[i]}, is {digits.test_y[i]}"
            axes.set_title(said, fontsize=8, color="#222222" if right else "#b3261e", pad=2)
            axes.axis("off")

    loss, predictions, both = (
        Figure((6, 4), layout="constrained"),
        Figure((6, 6.4)),
        Figure((10, 4), layout="constrained"),
    )
    curve(loss.subplots())
    sheet(predictions, 8, 8)
    left, right = both.subfigures(1, 2)
    curve(left.subplots())
    sheet(right, 5, 8)
    paths = [folder / "loss.svg", folder / "predictions.png", folder / "digits.png"]
    for figure, path in zip((loss, predictions, both), paths):
        figure.savefig(path, dpi=110)
    return paths


def load(backend: str | None, simd: str) -> tuple[Any, str]:
    """The package on the wanted backend. With none wanted: C, else the GPU, else NumPy, the first that runs here, saying so."""
    import charl

    if backend is not None:
        return charl.load(PROGRAM, backend=backend, simd=simd), backend
    for name in ("c", "wgpu"):
        try:
            return charl.load(PROGRAM, backend=name, simd=simd), name
        except RuntimeError as e:  # what loaders raise where a backend cannot run on this machine
            print(f"no backend {name} here: {e}", file=sys.stderr)
    print("training with the evaluator in NumPy, which needs neither", file=sys.stderr)
    return charl.load(PROGRAM, backend="evaluator"), "evaluator"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--backend", choices=tuple(BACKENDS), help="default: the first that runs here")
    parser.add_argument("--simd", default="native", choices=("native", "scalar", "avx2", "avx512"))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--out", type=Path, default=HERE / "out")
    args = parser.parse_args()

    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    digits = read_digits()
    began = time.perf_counter()
    try:
        package, backend = load(args.backend, args.simd)
    except RuntimeError as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"digits.ch on backend {backend}, ready in {time.perf_counter() - began:.2f} s")
    steps = args.epochs * (TRAIN // BATCH)
    columns = (TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[loss]}"))
    began = time.perf_counter()
    with Progress(*columns, TimeRemainingColumn()) as progress:
        task = progress.add_task("training", total=steps, loss="")
        trained = train(
            package,
            digits,
            args.seed,
            args.epochs,
            lambda step, loss: progress.update(task, completed=step, loss=f"loss {loss:.4f}"),
        )
    took = time.perf_counter() - began
    probabilities = package.predict(trained.net, digits.test_x)
    right = int(np.sum(probabilities.argmax(1) == digits.test_y))
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "digits.safetensors").write_bytes(trained.net.to_bytes())
    print(f"{steps} steps in {took:.1f} s; weights in {args.out / 'digits.safetensors'}")
    try:
        title = f"{steps} steps with {BACKENDS[backend]}: {right / len(digits.test_y):.1%} of the test images"
        for path in draw(trained, probabilities, digits, args.out, title):
            print(f"drawn: {path}")
    except ImportError:
        print("no pictures: pip install matplotlib", file=sys.stderr)
    print(f"accuracy: {right / len(digits.test_y):.2%} ({right} of {len(digits.test_y)} test images)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
