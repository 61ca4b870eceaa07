"""`python -m benchmarks`: everything in one run, written to benchmarks/results as JSON, a table and plots.

Enters: options. Leaves: files; the JSON is whole after every row, and a run that was stopped goes on with `--resume`. Each model
is measured in a process of its own at each number of threads, so that one that fails costs its row and nothing else.
"""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from benchmarks import machine, record, report, runner, sweep
from benchmarks.case import Case
from benchmarks.models import all_cases
from benchmarks.peers import NAMES, available
from benchmarks.record import PARTS
from benchmarks.worker import Request

HERE = Path(__file__).parent
MOST_AT_ONCE = 8  # processes that compile: the large ones need some gigabytes each
WEIGHTS = {
    "rows": 12,
    "kernels": 2,
    "costs": 2,
    "contractions": 4,
    "convolutions": 4,
}  # of the time, for each number of threads


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
@click.option("--budget", default=2100, show_default=True, metavar="SECONDS", help="Begin no row after this.")
@click.option(
    "--row-seconds",
    default=60.0,
    show_default=True,
    help="A row that takes longer, or a large model's twice as long, goes on without the libraries that are not ready.",
)
@click.option(
    "--resume",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Go on with this JSON of a run that was stopped: only what it lacks is measured.",
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
    budget: int, row_seconds: float, resume: Path | None, simd: str | None, out: Path, work: Path | None,
) -> None:  # fmt: skip
    """Measure Charl, other libraries and the limits of this machine."""
    for name, known in ((only, PARTS), (peers, tuple(NAMES))):
        for part in name:
            if part not in known:
                raise click.BadParameter(f"{part!r} is none of {', '.join(known)}")
    if not threads or not all(t.isdigit() and 0 < int(t) <= (os.cpu_count() or 1) for t in threads):
        raise click.BadParameter(f"--threads is a list of numbers up to {os.cpu_count()}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was measured is still written
    began = time.time()
    chosen = [] if no_peers else peers or [n for n in NAMES if not (quick and n == "torch.compile")]
    there = available(chosen)
    folder = work or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "charl-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    rounds, seconds = (5, 0.5) if quick else (15, 2.0)
    asked = Request(
        "", 1, str(folder), simd or machine.simd(), [n for n in chosen if there[n]], [], [], rounds, seconds,
        row_seconds, False, began + budget,
    )  # fmt: skip
    run = _about(asked, [n for n in chosen if not there[n]], quick)
    path = resume or out / f"benchmark-{run['date'].replace(' ', '-').replace(':', '')}.json"
    if resume is not None:
        run = record.merged([record.load(resume), run])
    earlier = run["minutes"]
    cases = [c for c in all_cases() if not (quick and c.heavy)]
    cases = [c for c in cases if not match or any(w.lower() in c.name.lower() for w in match)]
    counts = [int(t) for t in threads]
    record.save(run, path)
    try:
        if not only or "rows" in only:
            _prepare(run, counts, cases, asked)
        for line in _measured(run, only or list(PARTS), counts, cases, asked):
            click.echo(report.progress(line))
            record.add(run, line)
            run["minutes"] = round(earlier + (time.time() - began) / 60, 1)
            record.save(run, path)
    finally:
        for written in [path, *report.write(run, path)]:
            click.echo(f"written: {written}")


def _prepare(run: dict[str, Any], threads: list[int], cases: list[Case], asked: Request) -> None:
    """Compile and export what rows need, on all cores: a large model takes longer than its row."""
    began = time.time()
    for count in threads:  # in turn: most of what one number of threads needs is what the next does
        missing = [c for c in cases if not record.done(run, c.name, count)]
        asked = replace(asked, threads=count, prepare=True)
        requests = [
            replace(asked, stem=stem, only=[c.name for c in missing if c.stem == stem])
            for stem in dict.fromkeys(c.stem for c in missing)
        ]
        with ThreadPoolExecutor(min(os.cpu_count() or 1, MOST_AT_ONCE)) as pool:
            list(pool.map(lambda r: list(runner.lines("rows", r)), requests))
    click.echo(f"compiled and exported in {time.time() - began:.0f} s")


def _measured(
    run: dict[str, Any], parts: list[str], threads: list[int], cases: list[Case], asked: Request
) -> Iterator[dict[str, Any]]:
    """All lines that a run lacks. Each part gets a share of the time, so that one that is slow leaves some to the others; what is
    left in the end goes to what found no time at first."""
    work = [(part, count) for part in parts for count in threads if part != "costs" or count == threads[0]]
    for _ in range(2):
        for i, (part, count) in enumerate(work):
            left = asked.until - time.time()
            if left <= 0:
                return
            weights = [WEIGHTS[p] for p, _ in work[i:]]
            request = replace(asked, threads=count, until=time.time() + left * weights[0] / sum(weights))
            if not any(x["threads"] == count for x in run["limits"]):
                yield from _said(runner.lines("limits", replace(request, stem="limits")))
            if part == "rows":
                yield from _rows(run, cases, request)
                continue
            done = record.names(run, part, count)
            wanted = [c.name for c in cases] if part == "kernels" else []
            if len(done) < (len(wanted) or sweep.COUNTS.get(part, 1)):
                yield from _said(runner.lines(part, replace(request, stem=part, only=wanted, done=done)))


def _rows(run: dict[str, Any], cases: list[Case], request: Request) -> Iterator[dict[str, Any]]:
    missing = [c for c in cases if not record.done(run, c.name, request.threads)]
    for stem in dict.fromkeys(c.stem for c in missing):
        if time.time() < request.until:
            yield from runner.rows([c for c in missing if c.stem == stem], replace(request, stem=stem))


def _said(lines: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Lines that hold a result; why a worker ended goes to standard error."""
    for line in lines:
        if "ended" in line:
            click.echo(line["ended"], err=True)
        elif "doing" not in line:
            yield line


def _about(asked: Request, missing: list[str], quick: bool) -> dict[str, Any]:
    """The machine, versions, date."""
    from importlib import metadata

    versions = {"python": platform.python_version()}
    for package in ("charl", "numpy", "torch", "jax", "onnxruntime", "llama_cpp_python"):
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
        "not_measured": missing,
        "quick": quick,
        "minutes": 0.0,
        "limits": [],
        **{part: [] for part in PARTS},
        "versions": versions,
    }


if __name__ == "__main__":
    main()
