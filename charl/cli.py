"""The command line: `charl transpile`, `check`, `fmt`, `run`, `repl`, `test`, `train`, `profile`.

Enters: arguments. Leaves: files, text, and an exit status: 0, 1 where the program or the machine is at fault (with rendered
diagnostics on standard error), 2 for wrong usage. Never a traceback: a defect of Charl itself leaves one sentence and the
path of a reproducer, unless CHARL_DEBUG=1 asks for more. What is slow to import is imported where it is used.
"""

from __future__ import annotations

import atexit
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from charl import console
from charl.collecting import ending
from charl.console import Sizes, reporting, show
from charl.errors import CharlError
from charl.profile.command import profile
from charl.train.command import train

SIMD = ("auto", "scalar", "avx2", "avx512")
TARGETS = ("c", "wgsl")
BACKENDS = ("evaluator", "c", "wgpu")

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}


def _version(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if not value or ctx.resilient_parsing:
        return
    from importlib import metadata

    try:
        number = metadata.version("charl")
    except metadata.PackageNotFoundError:
        number = "(not installed)"
    click.echo(f"charl {number}")
    ctx.exit()


@click.group(context_settings=SETTINGS)
@click.option(
    "--version", is_flag=True, callback=_version, expose_value=False, is_eager=True, help="Print the version."
)
def main() -> None:
    """Compile small differentiable programs to standalone C and WebGPU shaders.

    \b
    A first run:
      charl check digits.ch                    is it right?
      charl fmt digits.ch                      put it into the canonical form
      charl transpile digits.ch --out build/   build/digits: C, Python and WebGPU
      charl run train.ch                       run its `fn main()`
      charl repl                               try things out
      charl train digits.ch --data digits.npz  train its `export fn train_step`

    `charl COMMAND --help` explains each.
    """
    atexit.register(ending)


# ---------------------------------------------------------------- options


def _c_name(ctx: click.Context, param: click.Parameter, given: str | None) -> str | None:
    if given is not None and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", given) is None:
        raise click.BadParameter(f"{given!r} cannot begin a C name", ctx, param)
    return given


def _codes(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> frozenset[str]:
    """Codes of warnings, or `warnings`."""
    for text in given:
        if text != "warnings" and re.fullmatch(r"W\d{4}", text) is None:
            raise click.BadParameter(f"{text!r} is neither `warnings` nor a code such as W0740", ctx, param)
    return frozenset(given)


# ---------------------------------------------------------------- commands


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The package goes to the folder of its name in this one.",
)
@console.dim_option
@console.set_option
@click.option(
    "--target",
    "targets",
    type=click.Choice(TARGETS),
    multiple=True,
    help="What to make; all that can hold the program by default.",
)
@click.option(
    "--simd",
    type=click.Choice(SIMD),
    default="auto",
    show_default=True,
    help="Instructions of the C code; auto takes what the C compiler offers.",
)
@click.option(
    "--embed",
    type=click.Path(path_type=Path),
    metavar="WEIGHTS",
    help="Put trained weights (.safetensors) into the code as constants.",
)
@click.option(
    "--prefix", metavar="NAME", callback=_c_name, help="Beginning of all C names; the file's name by default."
)
@click.option("--f64", type=click.Choice(("f32",)), help="Compute f64 as f32, for targets that lack it.")
@click.option(
    "--f32", type=click.Choice(("f64",)), help="Compute f32 as f64, to tell rounding from mistakes."
)
@click.option(
    "--dump",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Write every stage of the compilation as text.",
)
@console.flush_option
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    metavar="N",
    help="The most threads of C that have room for arrays of their own in the workspace; 1 makes it smallest.",
)
@click.option(
    "--report",
    is_flag=True,
    help="Print kernels, operations, workspace, source and code of every export; compiles the C to measure it.",
)
def transpile(
    file: Path, out: Path, dims: Mapping[str, Sizes], sets: Mapping[str, str], targets: tuple[str, ...],
    simd: str, embed: Path | None, prefix: str | None, f64: str | None, f32: str | None, dump: Path | None, flush: bool,
    threads: int | None, report: bool,
) -> None:  # fmt: skip
    """Make a package from FILE: C99 code, WebGPU shaders, a Python loader, build files.

    \b
    Examples:
      charl transpile digits.ch --out build/
      charl transpile digits.ch --out build/ --dim N=32 --simd avx512
      charl transpile digits.ch --out build/ --dim N=1..64 --target c
      charl transpile digits.ch --out build/ --set net.hidden=32 --embed trained.safetensors

    Files of an earlier run are replaced; other files in the folder are left alone. Where anything is wrong, nothing is written.
    """
    with reporting("transpile", file) as tell:
        from charl.compile import Options, compile_file
        from charl.output import write_package

        options = Options(
            dims=dims, sets=sets, targets=targets or None, simd=simd, embed=embed, prefix=prefix,
            floats={a: b for a, b in (("f64", f64), ("f32", f32)) if b}, dump=dump, flush=flush, threads=threads,
        )  # fmt: skip
        compiled = compile_file(file, options, tell)
        tell("writing")
        out /= compiled.name
        write_package(compiled.files, out)
        text = compiled.report if report else ""
    show(compiled.warnings)
    if text:
        click.echo(text, nl=False)
    size = sum(map(len, compiled.files.values()))
    click.echo(f"{file} -> {out}: {len(compiled.files)} files, {(size + 1023) // 1024} KiB")


@main.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--deny",
    multiple=True,
    metavar="CODE",
    callback=_codes,
    help="Fail for this warning, or for all `warnings`.",
)
@click.option("--allow", multiple=True, metavar="CODE", callback=_codes, help="Leave this warning out.")
def check(paths: tuple[Path, ...], deny: frozenset[str], allow: frozenset[str]) -> None:
    """Check programs without making anything; every mistake of all of them is shown.

    PATHS are files and folders (every `.ch` below them). What is no mistake but hardly meant is a warning: names that nothing
    uses, a `mut` that nothing changes, a dimension that another name hides, a random stream that is used twice, code that is
    never reached. A name that begins with `_` says that it is meant. The exit status is 1 for a mistake or a denied warning.

    \b
    Examples:
      charl check digits.ch nets/
      charl check --deny warnings .
      charl check --deny W0746 --allow W0741 train.ch
    """
    failed = False
    for file in _paths(paths):
        try:
            with reporting("check", file, leave=False) as tell:
                from charl.check import check_file

                tell("checking")
                found = check_file(file)
        except CharlError as e:
            show(e.diagnostics)
            failed = True
            continue
        warnings = [d for d in found.warnings if d.code not in allow]
        denied = [d for d in warnings if d.code in deny or "warnings" in deny]
        show([replace(d, severity="error") if d in denied else d for d in warnings])
        failed = failed or bool(denied)
        exports = f"; exports {', '.join(found.exports)}" if found.exports else ""
        count = f"{len(warnings)} warning{'s' if len(warnings) > 1 else ''}" if warnings else "no mistakes"
        click.echo(f"{file}: {count}{exports}")
    if failed:
        sys.exit(1)


@main.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option(
    "--check", "only_check", is_flag=True, help="Change nothing; exit with 1 where a file would change."
)
@click.option(
    "--diff", is_flag=True, help="Change nothing; print what would change, exit with 1 where anything."
)
def fmt(paths: tuple[Path, ...], only_check: bool, diff: bool) -> None:
    """Put programs into the canonical form.

    PATHS are files, folders (every `.ch` below them) or `-` (standard input to standard output). Comments and single empty
    lines stay; a file with a syntax error stays as it is. There is nothing to configure: lines of 110 columns.

    \b
    Examples:
      charl fmt .
      charl fmt --check --diff src/ train.ch
      charl fmt - < train.ch
    """
    changed = 0
    failed = False
    count = 0
    for path in _paths(paths):
        name = "<stdin>" if str(path) == "-" else str(path)
        try:
            with reporting("fmt", path, leave=False):
                before, after = _format(path, name)
                if before != after and not (only_check or diff or name == "<stdin>"):
                    from charl.format.files import rewrite

                    rewrite(path, after.encode())
        except CharlError as e:
            show(e.diagnostics)
            failed = True
            continue
        count += 1
        changed += before != after
        if diff:
            from charl.format.files import difference

            click.echo(difference(before, after, name), nl=False)
        elif name == "<stdin>" and not only_check:
            click.echo(after, nl=False)
        elif before != after:
            click.echo(f"{'would change' if only_check else 'formatted'} {name}", err=name == "<stdin>")
    if count > 1:
        verb = "would change" if only_check or diff else "changed"
        click.echo(f"{changed} of {count} files {verb}", err=True)
    if failed or (changed and (only_check or diff)):
        sys.exit(1)


def _paths(paths: tuple[Path, ...]) -> list[Path]:
    from charl.format.files import programs

    try:
        return list(programs(paths))
    except CharlError as e:
        show(e.diagnostics)
        sys.exit(1)


def _format(path: Path, name: str) -> tuple[str, str]:
    """The text of a file and its canonical form."""
    from charl.compile import decode, read_source
    from charl.format import format_source

    source = decode(sys.stdin.buffer.read(), name) if str(path) == "-" else read_source(path)
    return source.text, format_source(source)


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    default="evaluator",
    show_default=True,
    help="What computes: NumPy, an emitted C library, or emitted shaders.",
)
@console.flush_option
def run(file: Path, backend: str, flush: bool) -> None:
    """Run `fn main()` of FILE: load data, train, print, save.

    \b
    Examples:
      charl run train.ch
      charl run train.ch --backend c
    """  # fmt: skip
    with reporting("run", file) as tell:
        from charl.run import run_file

        run_file(file, backend, tell, flush=flush)


@main.command()
@click.argument("paths", type=click.Path(path_type=Path), nargs=-1)
@click.option(
    "--backend",
    type=click.Choice(("evaluator", "c", "wgsl", "all")),
    default="all",
    show_default=True,
    help="What computes: NumPy, emitted C, emitted shaders; all that can run here.",
)
@click.option("-k", "pattern", metavar="NAME", default="", help="Only tests whose name holds NAME.")
@click.option("--f64", type=click.Choice(("f32",)), help="Compute f64 as f32, for targets that lack it.")
def test(paths: tuple[Path, ...], backend: str, pattern: str, f64: str | None) -> None:
    """Run the `test` blocks of PATHS, files or folders; of every file below this folder by default.

    \b
    Examples:
      charl test
      charl test kalman.ch --backend c -k innovation
    """  # fmt: skip
    from charl.testing import BACKENDS as RUNNERS
    from charl.testing import Totals, nothing, run

    chosen = RUNNERS if backend == "all" else (backend,)
    totals = Totals()
    broken = False
    files = _paths(paths or (Path(),))
    for file in files:
        try:
            with reporting("test", file, leave=False) as tell:
                for outcome in run(file, chosen, pattern, tell, backend == "all", f64):
                    for line in totals.add(outcome):
                        click.echo(_coloured(line))
        except CharlError as e:
            show(e.diagnostics)
            broken = True
    if totals.summary:
        click.echo(totals.summary)
    elif not broken:
        show(nothing(files, pattern).diagnostics)
        broken = True
    if broken or totals.failed:
        sys.exit(1)


def _coloured(line: str) -> str:
    """A line of a report of tests: its first word tells the colour."""
    word = line.split(" ", 1)[0]
    colour = {"passed": "green", "FAILED": "red", "skipped": "yellow"}.get(word)
    return line if colour is None else click.style(word, fg=colour) + line[len(word) :]


@main.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
def repl(file: Path | None) -> None:
    """Try expressions, statements and definitions as they are typed; those of FILE are there from the beginning.

    \b
    Tab completes names, and members after a dot; an open bracket goes on in the next line; arrows recall what was typed.
      :type e    the type of an expression          :grad f   the derivative of a function
      :graph e   the graph of an expression         :help     everything else
    """
    with reporting("repl", file or Path("<repl>")):
        from charl.repl.session import Session

        session = Session()
        if file is not None:
            session.load(file)
    from charl.repl.terminal import interact

    interact(session)


main.add_command(train)
main.add_command(profile)
