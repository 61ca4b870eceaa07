"""`python -m benchmarks`: everything in one run, written to benchmarks/results as JSON, a table and plots.

Enters: options. Leaves: files. Each model is measured in a process of its own at each number of threads, so that one that
fails or fills the memory costs its rows and nothing else.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import machine, report
from benchmarks.case import Case
from benchmarks.models import all_cases
from benchmarks.peers import NAMES, available
from benchmarks.worker import Request

HERE = Path(__file__).parent
PARTS = ("rows", "costs", "sweep")


def _list(ctx: click.Context, param: click.Parameter, given: str) -> list[str]:
    return [part.strip() for part in given.split(",") if part.strip()]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--only", callback=_list, default="", metavar="PARTS", help=f"Some of {', '.join(PARTS)}; all by default."
)
@click.option(
    "--match",
    callback=_list,
    default="",
    metavar="WORDS",
    help="Rows with one of these words in their names.",
)
@click.option("--threads", callback=_list, default="1,2", show_default=True, metavar="N,N")
@click.option("--peers", callback=_list, default="", metavar="NAMES", help=f"Some of {', '.join(NAMES)}.")
@click.option("--no-peers", is_flag=True, help="Charl and the limits of the machine only.")
@click.option(
    "--quick", is_flag=True, help="Few samples, no large models, no torch.compile: a look, not a result."
)
@click.option(
    "--budget", default=660, show_default=True, metavar="SECONDS", help="Stop starting new rows after this."
)
@click.option(
    "--simd", type=click.Choice(("scalar", "avx2", "avx512")), help="The widest of the machine by default."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=HERE / "results",
    help="Where results go.",
)
@click.option(
    "--work", type=click.Path(path_type=Path), help="Where compiled programs and exported models are kept."
)
def main(
    only: list[str], match: list[str], threads: list[str], peers: list[str], no_peers: bool, quick: bool,
    budget: int, simd: str | None, out: Path, work: Path | None,
) -> None:  # fmt: skip
    """Measure Charl, other libraries and the limits of this machine."""
    for name, known in ((only, PARTS), (peers, tuple(NAMES))):
        for part in name:
            if part not in known:
                raise click.BadParameter(f"{part!r} is none of {', '.join(known)}")
    if not threads or not all(t.isdigit() and 0 < int(t) <= (os.cpu_count() or 1) for t in threads):
        raise click.BadParameter(f"--threads is a list of numbers up to {os.cpu_count()}")
    began = time.time()
    chosen = [] if no_peers else peers or [n for n in NAMES if not (quick and n == "torch.compile")]
    missing = [n for n, there in available(chosen).items() if not there]
    chosen = [n for n in chosen if n not in missing]
    cases = [c for c in all_cases() if not (quick and c.heavy)]
    cases = [c for c in cases if not match or any(w.lower() in c.name.lower() for w in match)]
    folder = work or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "charl-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    asked = Request(
        "", 1, str(folder), simd or machine.simd(), chosen, [], 5 if quick else 15, 0.5 if quick else 2.0, began + budget
    )  # fmt: skip
    record = {**_about(asked, missing, quick), "limits": [], "rows": [], "costs": [], "sweep": []}
    for part in only or PARTS:
        for count in map(int, threads):
            for line in _part(part, count, cases, asked, match):
                record["limits" if "fma_gflops" in line else part].append(line)
    record["minutes"] = round((time.time() - began) / 60, 1)
    report.show(record)
    for path in report.write(record, out):
        click.echo(f"written: {path}")


def _part(
    part: str, threads: int, cases: list[Case], asked: Request, match: list[str]
) -> Iterator[dict[str, Any]]:
    """What one part of the run gives at a number of threads, line by line."""
    stems = {"costs": ["costs"], "sweep": ["sweep"]}.get(part) or [
        "limits",
        *dict.fromkeys(c.stem for c in cases),
    ]
    if part == "costs" and threads != 1:
        return
    for stem in stems:
        request = Request(**{**asdict(asked), "stem": stem, "threads": threads})
        request.only = [c.name for c in cases if c.stem == stem]
        if time.time() < request.until or stem == "limits":
            yield from _lines(request)


def _lines(request: Request) -> Iterator[dict[str, Any]]:
    """Lines of a worker as they come; what it says on standard error is shown where it fails."""
    modules = {"costs": "benchmarks.costs", "sweep": "benchmarks.sweep"}
    command = [
        sys.executable,
        "-m",
        modules.get(request.stem, "benchmarks.worker"),
        json.dumps(asdict(request)),
    ]
    with tempfile.TemporaryFile("w+", errors="replace") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=HERE.parent)
        assert process.stdout is not None
        for text in process.stdout:
            if not text.startswith("{"):
                continue
            line = json.loads(text)
            click.echo(report.progress(line))
            yield line
        if process.wait() != 0:
            errors.seek(0)
            tail = errors.read().strip().splitlines()[-12:]
            click.echo("\n".join([f"{request.stem} at {request.threads} threads failed:", *tail]), err=True)


def _about(asked: Request, missing: list[str], quick: bool) -> dict[str, Any]:
    """The machine, versions, date."""
    from importlib import metadata

    versions = {"python": platform.python_version()}
    for package in ("charl", "numpy", "torch", "jax", "onnxruntime"):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    text = subprocess.run([machine.compiler(), "--version"], capture_output=True, text=True).stdout
    versions["compiler"] = text.splitlines()[0]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
        "cpu": machine.cpu_name(),
        "cpus": os.cpu_count(),
        "caches": machine.caches(),
        "system": f"{platform.system()} {platform.release()}",
        "simd": asked.simd,
        "peers": asked.peers,
        "not_measured": [*missing, "llama.cpp"],
        "quick": quick,
        "versions": versions,
    }


if __name__ == "__main__":
    main()
