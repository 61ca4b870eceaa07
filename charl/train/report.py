"""What a person sees of a run: a live line on a terminal, a line per epoch elsewhere; the history and its curves.

Enters epochs and steps, leaves text, a JSON-lines file and an SVG. Nothing here changes what is computed.
"""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from charl.train import checkpoint

INTERVAL = 0.1  # seconds between two updates of the live line


class Report:
    """Use as a context around the loop."""

    def __init__(self, epochs: int, per_epoch: int, done: int, quiet: bool) -> None:
        self.epochs = epochs
        self.total = epochs * per_epoch
        self.done = done
        self.quiet = quiet
        self._progress: Any = None
        self._task: Any = None
        self._last = 0.0
        self._numbers = ""  # metrics of the last epoch

    def __enter__(self) -> Report:
        if sys.stderr.isatty() and not self.quiet:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn(
                    "{task.completed}/{task.total} steps  loss {task.fields[loss]}{task.fields[numbers]}"
                ),
                TimeRemainingColumn(),
            )
            self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
            self._task = self._progress.add_task(
                "", total=self.total, completed=self.done, loss="-", numbers=""
            )
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._progress is not None:
            self._progress.stop()

    def step(self, step: int, epoch: int, loss: float) -> None:
        """After every step."""
        if self._progress is None:
            return
        now = time.monotonic()
        if now - self._last >= INTERVAL or step == self.total:
            self._last = now
            description = f"epoch {epoch + 1}/{self.epochs}"
            shown = {"loss": f"{loss:.4f}", "numbers": self._numbers}
            self._progress.update(self._task, completed=step, description=description, **shown)

    def epoch(self, line: Mapping[str, Any], best: bool) -> None:
        """After every epoch."""
        metrics = [f"  {n} {v:.4g}" for n, v in line.items() if n not in ("epoch", "step", "loss", "lr")]
        self._numbers = "".join(metrics)
        if not self.quiet:
            text = describe(line, self.epochs) + ("  best" if best else "")
            (self._progress.console.print if self._progress is not None else _print)(text)


def _print(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def describe(line: Mapping[str, Any], epochs: int) -> str:
    """An epoch as a line of text."""
    numbers = "  ".join(f"{n} {v:.4g}" for n, v in line.items() if n not in ("epoch", "step", "lr"))
    rate = f"  lr {line['lr']:.3g}" if "lr" in line else ""
    return f"epoch {line['epoch']:>{len(str(epochs))}}/{epochs}  {numbers}{rate}"


def write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """One JSON object per epoch and line."""
    checkpoint.write(path, "".join(json.dumps(line) + "\n" for line in history).encode())


def write_curves(path: Path, history: Sequence[Mapping[str, Any]], title: str) -> None:
    """Every number of the history over the epochs: one panel for the loss, one for each metric."""
    if not history:
        return
    import matplotlib
    from matplotlib.figure import Figure

    names = [n for n in history[0] if n not in ("epoch", "step", "lr")]
    epochs = [line["epoch"] for line in history]
    with matplotlib.rc_context({"svg.hashsalt": "charl", "svg.fonttype": "none"}):
        figure = Figure(figsize=(4.2 * len(names), 3.2), layout="constrained")
        for i, name in enumerate(names):
            axes = figure.add_subplot(1, len(names), i + 1)
            axes.plot(epochs, [line[name] for line in history], color="#1f4e8c", linewidth=1.4)
            axes.set_xlabel("epoch")
            axes.set_ylabel(name)
            axes.spines[["top", "right"]].set_visible(False)
        figure.suptitle(title)
        out = io.BytesIO()
        figure.savefig(out, format="svg", metadata={"Date": None})
    checkpoint.write(path, out.getvalue())
