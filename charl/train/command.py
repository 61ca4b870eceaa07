"""The command line of `charl train`. Heavy imports come after the options are read."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from charl import console
from charl.console import Sizes, reporting

if TYPE_CHECKING:
    from charl.train.loop import Run


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    file: Path
    data: tuple[str, ...]
    valid: tuple[str, ...]
    epochs: int
    batch: int
    lr: float | None
    schedule: str
    step: str | None
    metrics: tuple[str, ...]
    best: str | None
    numbers: Mapping[str, float]
    initial: Mapping[str, Path]
    seed: int
    backend: str
    dims: Mapping[str, Sizes]
    sets: Mapping[str, str]
    out: Path
    resume: bool
    overwrite: bool
    save_every: float
    valid_batch: int | None
    flush: bool
    quiet: bool


def _numbers(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Mapping[str, float]:
    """NAME=NUMBER."""
    out: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            out[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"{text!r} is not NAME=NUMBER (dt=0.01)", ctx, param) from None
    return out


def _initial(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Mapping[str, Path]:
    """NAME=FILE."""
    out: dict[str, Path] = {}
    for text in given:
        name, _, path = text.partition("=")
        if not path or re.fullmatch(r"[^\W\d]\w*", name) is None:
            raise click.BadParameter(f"{text!r} is not NAME=FILE (net=trained.safetensors)", ctx, param)
        out[name] = Path(path)
    return out


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="FILE",
    help="Arrays to train on: FILE, NAME=FILE (of one array), NAME=FILE:ARRAY or NAME=FILE:A,B,C (columns); several times.",
)
@click.option(
    "--valid",
    multiple=True,
    metavar="FILE",
    help="Arrays for metrics after every epoch, as --data; or a share (0.1) or number (360) of the last samples of --data.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    help="How often to go through the data.",
)
@click.option("--batch", type=click.IntRange(1), default=32, show_default=True, help="Samples of a step.")
@click.option(
    "--lr",
    type=float,
    help="The learning rate, for an export with a parameter `lr`; with a schedule, its peak.",
)
@click.option(
    "--schedule",
    default="constant",
    show_default=True,
    metavar="NAME[:OPTION=VALUE,…]",
    help="constant, warm-up, step, exponential, cosine or one-cycle: see below.",
)
@click.option("--step", metavar="NAME", help="The export that trains, where several could.")
@click.option(
    "--metrics", multiple=True, metavar="NAME", help="Exports that give metrics; all that can by default."
)
@click.option(
    "--best",
    metavar="NAME[:max|min]",
    help="What makes an epoch the best: the loss or a metric, and whether more or less of it is better.",
)
@click.option(
    "--arg",
    "numbers",
    multiple=True,
    metavar="NAME=NUMBER",
    callback=_numbers,
    help="The value of another number that the export takes.",
)
@click.option(
    "--init",
    "initial",
    multiple=True,
    metavar="NAME=FILE",
    callback=_initial,
    help="Begin with what a .safetensors file holds rather than with the initializer: state, or a model that is kept as it is.",
)
@click.option(
    "--seed",
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    show_default=True,
    help="Of the initial state, of the program's random numbers and of the order of samples.",
)
@click.option(
    "--backend",
    type=click.Choice(("c", "wgpu", "evaluator")),
    default="c",
    show_default=True,
    help="What computes: an emitted C library, emitted shaders, or NumPy.",
)
@click.option(
    "--flush-subnormals/--keep-subnormals",
    "flush",
    default=True,
    show_default=True,
    help="Whether C code takes subnormal numbers (f32 below 1.2e-38) for zero: moments of optimizers decay into them, and "
    "processors slow down on them.",
)
@console.dim_option
@console.set_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the files of the run go; by default FILE's name with `.run` in this folder.",
)
@click.option(
    "--resume", is_flag=True, help="Go on from the last checkpoint, to the numbers of an uninterrupted run."
)
@click.option("--overwrite", is_flag=True, help="Begin anew in a folder that holds a run.")
@click.option(
    "--save-every",
    type=click.FloatRange(0),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to write a checkpoint.",
)
@click.option(
    "--valid-batch",
    type=click.IntRange(1),
    metavar="SIZE",
    help="Run metrics in parts of this size and average them, rather than on all validation data at once.",
)
@click.option("--quiet", is_flag=True, help="Show mistakes only.")
def train(file: Path, out: Path | None, **options: Any) -> None:
    """Train the program FILE, without a loop to write.

    Any export trains that takes `mut` state (networks, optimizers, random streams) and data, and returns the loss. Arrays bind to
    its parameters by their names; the batch is the dimension that they share. Models that are not `mut` are kept as they are.
    After each epoch the exports that take the state and return numbers are run on the validation data.

    \b
    Examples:
      charl train digits.ch --data digits.npz --epochs 30 --batch 32
      charl train digits.ch --data digits.npz --valid 0.1 --lr 1e-3 --schedule cosine:warmup=100
      charl train mnist.ch --data x=train-images-idx3-ubyte.gz --data y=train-labels-idx1-ubyte.gz
      charl train digits.ch --data digits.npz --resume

    \b
    Schedules, with the values that their options have by default (each also takes warmup=STEPS):
      constant                        warm-up:steps=100
      step:every=10,factor=0.1        exponential:factor=0.95      (epochs; a factor per epoch)
      cosine:final=0                  one-cycle:rise=0.3,start=25,end=1e4

    \b
    The folder of the run:
      last.safetensors      the last checkpoint: state, random streams, position in the data
      best.safetensors      the same after the best epoch
      NET.safetensors       the weights of the best epoch, for each model of the state
      history.jsonl         a line per epoch      curves.svg   its curves

    Ctrl-C saves and says how to go on. What remains of an uneven division into batches waits for the next epoch's shuffle.
    """
    request = Request(file, out=out or Path(f"{file.stem}.run"), **options)
    try:
        with reporting("train", file) as tell:
            from charl.train.prepare import prepare

            run = prepare(request, tell)
            from charl.train.loop import Interrupted
            from charl.train.loop import train as train_run

            tell("training")
    except KeyboardInterrupt:
        click.echo("interrupted before the first step; nothing has changed", err=True)
        sys.exit(130)
    interrupted = False
    with reporting("train", file, live=False):
        try:
            train_run(run)
        except Interrupted:
            interrupted = True
    if interrupted:
        click.echo(_stopped(run), err=True)
        sys.exit(130)
    if not request.quiet:
        click.echo(f"{file} -> {run.out}: {_outcome(run)}")


def _stopped(run: Run) -> str:
    """Where a run was interrupted, and the command that goes on."""
    at = run.position
    words = [a for a in sys.argv[1:] if a not in ("--resume", "--overwrite")]
    again = shlex.join(["charl", *words, "--resume"])
    return f"stopped after step {at.step} (epoch {at.epoch + 1}), saved in {run.out}; to go on:\n  {again}"


def _outcome(run: Run) -> str:
    """How far a run went, and the best epoch."""
    at = run.position
    best = f"; best {run.best_by[0]} {at.best:.4g} in epoch {at.best_epoch}" if at.best is not None else ""
    return f"{at.epoch} epochs, {at.step} steps{best}"
