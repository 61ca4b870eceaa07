"""The loop of training: epochs of batches through an export, with checkpoints to go on from.

Enters a `Run`: everything that was decided before. Leaves the files of its folder. Whatever stops it (a signal, a loss that is
no number, a full disk), the last checkpoint is whole; a run that goes on from it computes what it would have computed.
"""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from charl.errors import CharlError, fail
from charl.program import Record
from charl.runtime import safetensors
from charl.train import checkpoint, metrics, report
from charl.train import state as states
from charl.train.checkpoint import Position
from charl.train.codes import E_LOSS
from charl.train.dataset import Dataset, order
from charl.train.metrics import Metric
from charl.train.program import Step
from charl.train.schedule import Schedule

LAST, BEST, HISTORY, CURVES = "last.safetensors", "best.safetensors", "history.jsonl", "curves.svg"


class Interrupted(Exception):
    """A signal stopped the run; what it had computed is saved."""


@dataclass
class Run:
    """A run, ready to go."""

    loaded: states.Loaded
    step: Step
    data: Dataset
    metrics: list[Metric]
    state: dict[str, Any]
    kept: Mapping[str, Any]  # records that no step changes
    numbers: Mapping[str, Any]  # of parameters other than the learning rate
    schedule: Schedule | None
    epochs: int
    batch: int
    seed: int
    out: Path
    identity: Mapping[str, Any]
    save_every: float  # seconds
    valid_batch: int | None = None
    best_by: tuple[str, bool] = ("loss", False)  # a name, and whether more is better
    quiet: bool = False
    position: Position = field(default_factory=Position)

    @property
    def per_epoch(self) -> int:
        """Whole batches in an epoch: what is left of an uneven division waits for the next shuffle."""
        return self.data.size // self.batch


def train(run: Run) -> None:
    """Train to the end. Raises Interrupted, or CharlError."""
    done = run.position.step
    with _signals() as stopped, report.Report(run.epochs, run.per_epoch, done, run.quiet) as shown:
        _Loop(run, shown, stopped).run()


class _Loop:
    def __init__(self, run: Run, shown: report.Report, stopped: Callable[[], bool]) -> None:
        self.run_ = run
        self.shown = shown
        self.stopped = stopped
        self.spec = run.loaded.spec(run.step.export.name)
        self.best: bytes | None = None  # a best state that is not written yet
        self.saved = time.monotonic()

    def run(self) -> None:
        run, at = self.run_, self.run_.position
        if at.step == 0:
            self.save()
        while at.epoch < run.epochs:
            self.epoch()
            self.close_epoch()
        self.save()
        self.finish()

    def epoch(self) -> None:
        """The rest of an epoch."""
        run, at = self.run_, self.run_.position
        samples = order(run.seed, at.epoch, run.data.size)
        while at.batch < run.per_epoch:
            if self.stopped():
                self.save()
                raise Interrupted
            if time.monotonic() - self.saved >= run.save_every:
                self.save()
            start = at.batch * run.batch
            loss = self.call(run.data.take(samples[start : start + run.batch]))
            if not math.isfinite(loss):
                raise self.not_finite(loss)
            at.total += loss
            at.batch += 1
            at.step += 1
            self.shown.step(at.step, at.epoch, loss)

    def call(self, batch: Mapping[str, Any]) -> float:
        run = self.run_
        values = {**run.state, **run.kept, **run.numbers, **batch}
        if run.schedule is not None:
            values["lr"] = run.schedule.rate(run.position.step)
        result = run.loaded.call(self.spec, values)
        return float(result[0] if isinstance(result, tuple) else result)

    def close_epoch(self) -> None:
        """Metrics, history, and whether this was the best epoch so far."""
        run, at = self.run_, self.run_.position
        line: dict[str, Any] = {"epoch": at.epoch + 1, "step": at.step, "loss": at.total / run.per_epoch}
        for metric in run.metrics:
            line |= metrics.evaluate(run.loaded, metric, {**run.state, **run.kept}, run.valid_batch)
        if run.schedule is not None:
            line["lr"] = run.schedule.rate(at.step - 1)
        at.history.append(line)
        name, more = run.best_by
        value = line[name]
        better = math.isfinite(value) and (at.best is None or (value > at.best if more else value < at.best))
        at.epoch, at.batch, at.total = at.epoch + 1, 0, 0.0
        if better:
            at.best, at.best_epoch = value, at.epoch
            self.best = self.packed()
        self.shown.epoch(line, better)

    def packed(self) -> bytes:
        return checkpoint.pack(states.tensors(self.run_.state), self.run_.position, self.run_.identity)

    def save(self) -> None:
        """The best state first, so that the last one never tells of a best one that is not there."""
        run = self.run_
        if self.best is not None:
            checkpoint.write(run.out / BEST, self.best)
            self.best = None
        checkpoint.write(run.out / LAST, self.packed())
        report.write_history(run.out / HISTORY, run.position.history)
        self.saved = time.monotonic()

    def finish(self) -> None:
        """The weights of the best epoch, for other tools, and the curves."""
        run = self.run_
        best = run.out / BEST
        kept = checkpoint.load(best if best.exists() else run.out / LAST).tensors
        for argument in run.step.states:
            if isinstance(argument.type, Record) and argument.type.kind == "model":
                begin = f"{argument.name}."
                own = {n.removeprefix(begin): a for n, a in kept.items() if n.startswith(begin)}
                checkpoint.write(run.out / f"{argument.name}.safetensors", safetensors.dump(own))
        report.write_curves(run.out / CURVES, run.position.history, run.loaded.program.name)

    def not_finite(self, loss: float) -> CharlError:
        at = self.run_.position
        where = f"step {at.step + 1} (epoch {at.epoch + 1}, batch {at.batch + 1})"
        kept = checkpoint.load(self.run_.out / LAST).position.step
        note = f"the state after step {kept} is kept in {self.run_.out / LAST}"
        help_ = "try a smaller `--lr`, a warm-up, clipped gradients; look for log(0), 0/0 and infinite data"
        return fail(E_LOSS, f"the loss is {loss} at {where}", notes=(note,), help=help_)


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked to stop: Ctrl-C, or a polite kill. The present step is finished first."""
    asked: list[int] = []
    before = {
        s: signal.signal(s, lambda number, _: asked.append(number)) for s in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
