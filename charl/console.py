"""What the commands share: how options are read, progress is shown, and mistakes become text and an exit status."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from charl.errors import CharlError, InternalError, render
from charl.progress import Progress

if TYPE_CHECKING:
    from charl.errors import Diagnostic

Sizes = int | tuple[int, int]

# ---------------------------------------------------------------- options


def dims(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Mapping[str, Sizes]:
    """NAME=SIZE fixes, NAME=LOW..HIGH bounds."""
    out: dict[str, Sizes] = {}
    for text in given:
        found = re.fullmatch(r"([^\W\d]\w*)=(\d+)(?:\.\.(\d+))?", text)
        if found is None:
            what = f"{text!r} is neither NAME=SIZE (N=32) nor NAME=LOW..HIGH (N=1..64)"
            raise click.BadParameter(what, ctx, param)
        name, low, high = found.groups()
        if high is not None and int(high) < int(low):
            raise click.BadParameter(f"{text!r} is an empty range", ctx, param)
        value = int(low) if high is None else (int(low), int(high))
        if out.setdefault(name, value) != value:
            raise click.BadParameter(f"{name} is given twice", ctx, param)
    return out


def sets(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> Mapping[str, str]:
    """PATH=VALUE overrides a default."""
    out: dict[str, str] = {}
    for text in given:
        path, _, value = text.partition("=")
        if not value or re.fullmatch(r"[^\W\d]\w*(\.\w+)*", path) is None:
            raise click.BadParameter(f"{text!r} is not PATH=VALUE (net.hidden=32)", ctx, param)
        if out.setdefault(path, value) != value:
            raise click.BadParameter(f"{path} is given twice", ctx, param)
    return out


dim_option = click.option(
    "--dim",
    "dims",
    metavar="NAME=SIZE",
    multiple=True,
    callback=dims,
    help="Fix a dimension variable of the exports (N=32: best code) or bound it (N=1..64: constant workspace).",
)
set_option = click.option(
    "--set",
    "sets",
    metavar="PATH=VALUE",
    multiple=True,
    callback=sets,
    help="Override a default of a model parameter: net.hidden=32.",
)

flush_option = click.option(
    "--flush-subnormals",
    "flush",
    is_flag=True,
    help="The C code takes subnormal numbers (f32 below 1.2e-38) for zero: processors slow down on them.",
)


# ---------------------------------------------------------------- what went wrong


def show(diagnostics: list[Diagnostic]) -> None:
    """Diagnostics on standard error, in colour on a terminal."""
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    if diagnostics:
        click.echo("\n\n".join(render(d, colour) for d in diagnostics), err=True)


@contextmanager
def reporting(
    command: str, file: Path, leave: bool = True, live: bool = True
) -> Iterator[Callable[[str], None]]:
    """Shows progress while the body runs, and turns what it raises into text and an exit status.

    With `leave` false, a CharlError goes on to the caller; with `live` false, the body shows its progress itself.
    """
    progress = Progress()
    try:
        with progress if live else nullcontext():
            yield progress
    except CharlError as e:
        if not leave:
            raise
        show(e.diagnostics)
        sys.exit(1)
    except (click.ClickException, click.exceptions.Exit, click.Abort):
        raise
    except Exception as e:
        if os.environ.get("CHARL_DEBUG") == "1":
            raise
        from charl.reproducer import write_reproducer

        stage = e.stage if isinstance(e, InternalError) else progress.stage or command
        where = write_reproducer(file, sys.argv, e)
        what = (
            str(e) if isinstance(e, InternalError) else f"internal error in {stage}: {type(e).__name__}: {e}"
        )
        click.echo(f"{what}\nThis is a defect of Charl, not of your program. {where}", err=True)
        sys.exit(1)
