"""How long `charl fmt` and `charl check` take on a file of 1000 lines, after start-up.

    python benchmarks/tools.py

The files hold models, losses and metrics under numbered names, as a person would write them: one with one training step, one
with a step for each model. Start-up (imports, the tables of the parser, the prelude) is what a small file before them has
paid. Each run reads a text that was not read before. Prints medians of the time of this process.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from charl.check import check_file
from charl.format import format_source
from charl.source import Source

LINES, RUNS = 1000, 5
HEAD = """from nn import Dense, Dropout, LayerNorm
from optim import Adam, clip_by_norm

"""
PART = """/// A network of three layers, number {i}.
model Net{i}(hidden: int = {size}) {{
    norm: LayerNorm(64)
    first: Dense(64, hidden, activation: relu)
    drop: Dropout(0.2)
    second: Dense(hidden, 10)

    fn forward(x: f32[N, 64]) -> f32[N, 10] {{
        x |> norm |> first |> drop |> second
    }}

    fn weight_decay() -> f32 {{
        let mut total = 0.0
        for p in leaves(self) {{ total = total + sum(p ** 2) }}
        total
    }}
}}

/// Mean cross-entropy, with a penalty on large weights.
fn objective{i}(net: Net{i}, x: f32[N, 64], y: i32[N], mut rng: Rng) -> f32 {{
    let logits = net(x, rng: mut rng)
    let penalty = 1e-4 * net.weight_decay()
    cross_entropy(logits, y, label_smoothing: 0.1) + penalty
}}

/// The share that is right.
fn accuracy{i}(net: Net{i}, x: f32[N, 64], y: i32[N]) -> f32 {{
    let guess = argmax(net(x), axis: -1)
    mean((guess == y) as f32)
}}

"""
STEP = """/// A step of Adam, or a look at the accuracy.
fn step{i}(mut net: Net{i}, mut adam: Adam<Net{i}>, mut rng: Rng, x: f32[N, 64], y: i32[N], lr: f32) -> (f32, f32) {{
    let (loss, g) = value_and_grad(objective{i})(net, x, y, mut rng)
    adam.update(mut net, clip_by_norm(g, 1.0), lr: lr)
    (loss, accuracy{i}(net, x, y))
}}

"""
END = """export fn train_step(
    mut net: Net0, mut adam: Adam<Net0>, mut rng: Rng, x: f32[N, 64], y: i32[N], lr: f32
) -> (f32, f32) {
    step0(mut net, mut adam, mut rng, x, y, lr)
}
"""


def program(lines: int, steps: bool) -> str:
    """A program of at least so many lines; with `steps`, every network has a training step of its own."""
    parts = [HEAD, (PART + STEP).format(i=0, size=32)]
    while sum(p.count("\n") for p in parts) < lines - END.count("\n"):
        i = len(parts) - 1
        parts.append((PART + STEP if steps else PART).format(i=i, size=32 + i))
    return "".join(parts) + END


def median(path: Path, text: str, work: Callable[[], object]) -> float:
    """Milliseconds of this process."""
    times = []
    for i in range(RUNS):
        path.write_text(f"{text}// run {i}\n")  # a file is parsed once, however often it is asked for
        began = time.process_time()
        work()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "program.ch"
        path.write_text(program(1, True))
        check_file(path)
        format_source(Source("program.ch", path.read_text()))
        for steps in (False, True):
            text = program(LINES, steps)
            fmt = median(path, text, lambda: format_source(Source("program.ch", path.read_text())))
            check = median(path, text, lambda: check_file(path))
            number = text.count("value_and_grad")
            print(
                f"{text.count(chr(10))} lines, {number} training steps: fmt {fmt:.0f} ms, check {check:.0f} ms"
            )


if __name__ == "__main__":
    main()
