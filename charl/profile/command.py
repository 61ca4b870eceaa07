"""The command line of `charl profile`. Heavy imports come after the options are read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from charl import console
from charl.console import Sizes, reporting, show

SIMD = ("native", "scalar", "avx2", "avx512")


def _names(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[str, ...]:
    for text in given:
        if re.fullmatch(r"[^\W\d]\w*", text) is None:
            raise click.BadParameter(f"{text!r} is not the name of an export", ctx, param)
    return given


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--dim",
    "dims",
    metavar="NAME=SIZE",
    multiple=True,
    callback=console.dims,
    help="Fix a dimension variable of the exports (N=32); one that nothing fixes is 32.",
)
@click.option(
    "--set",
    "sets",
    metavar="PATH=VALUE",
    multiple=True,
    callback=console.sets,
    help="Override a default of a model parameter: net.hidden=32.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    multiple=True,
    metavar="FILE",
    help="Arrays (.npz, .safetensors) named as arguments (x) or their parts (net.0.w); others are random.",
)
@click.option("--export", "only", metavar="NAME", multiple=True, callback=_names, help="Only this export.")
@click.option(
    "--repeat",
    type=click.IntRange(1),
    metavar="N",
    help="Calls of every export; by default as many as take a third of a second.",
)
@click.option(
    "--simd",
    type=click.Choice(SIMD),
    default="native",
    show_default=True,
    help="Instructions of the C code; native takes what this machine has.",
)
@console.flush_option
@click.option(
    "--top", type=click.IntRange(1), default=20, show_default=True, help="Kernels shown of every export."
)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def profile(
    file: Path, dims: Mapping[str, Sizes], sets: Mapping[str, str], data: tuple[Path, ...], only: tuple[str, ...],
    repeat: int | None, simd: str, flush: bool, top: int, as_json: bool,
) -> None:  # fmt: skip
    """Show where the time of the exports of FILE goes: by kernel, with its source line.

    Compiles the program to C with clocks around its kernels, and calls every export on random inputs.

    \b
    Examples:
      charl profile net.ch --dim N=32
      charl profile net.ch --dim N=32 --export train_step --data batch.npz
      charl profile net.ch --json > profile.json
    """
    with reporting("profile", file) as tell:
        exports, warnings = _measured(file, dims, sets, data, only, repeat, simd, flush, tell)
    show(warnings)
    from charl.profile import report

    if as_json:
        click.echo(report.as_json(exports), nl=False)
        return
    from rich.console import Console

    for table in report.tables(exports, top):
        Console().print(table)
    for note in () if flush else report.notes(exports):
        Console().print(note)


def _measured(
    file: Path, dims: Mapping[str, Sizes], sets: Mapping[str, str], data: tuple[Path, ...], only: tuple[str, ...],
    repeat: int | None, simd: str, flush: bool, tell: Any,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    import tempfile

    from charl.compile import Options, compile_file
    from charl.data import read_arrays
    from charl.errors import fail
    from charl.profile.measure import E_RUN
    from charl.profile.measure import profile as run
    from charl.runtime.native import import_package

    level = "auto" if simd == "native" else simd
    options = Options(dims=dims, sets=sets, targets=("c",), simd=level, profile=True, flush=flush)
    arrays = {name: array for path in data for name, array in read_arrays(path).items()}
    compiled = compile_file(file, options, tell)
    with tempfile.TemporaryDirectory(prefix="charl-profile-") as folder:
        module = import_package(compiled.files, Path(folder))
        tell("compiling the C code")
        try:
            package = module.load("c", simd=simd)
        except module.CharlBackendError as e:
            raise fail(E_RUN, str(e), help="install gcc or clang, or name one in CC") from e
        tell("running")
        return list(run(compiled, package, module, arrays, only, repeat)), compiled.warnings
