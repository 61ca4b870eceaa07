"""A record of a run as text: on the terminal, as Markdown, as JSON; plots are in plots.py.

    python -m benchmarks.report RUN.json ...        the report and plots beside the first; several runs of a machine as one

Enters: the record that `__main__` gathers. Leaves: text and files. Computes shares of limits, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from benchmarks import record
from benchmarks.record import Record

SWEEPS = ("contractions", "convolutions")
TOLD = 8  # kernels of a row, at most
ENOUGH = 0.95  # of the time in kernels: what is left is not told one by one


def floor(row: Record) -> tuple[float, str]:
    """Seconds below which no program gets on this machine, and what forbids it: FMA, or reading so much."""
    compute = row["flops"] / (row["fma_operations"] / row["fma_seconds"])
    memory = row["bytes"] / (row["memory_gbs"] * 1e9)
    return (compute, "FMA") if compute >= memory else (memory, "memory")


def time_words(seconds: float) -> str:
    """µs, ms or s with three digits."""
    for unit, factor in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * factor >= 1 or unit == "µs":
            return (
                f"{seconds * factor:.3g} {unit}"
                if seconds * factor < 1000
                else f"{seconds * factor:.0f} {unit}"
            )
    raise AssertionError


def progress(line: Record) -> str:
    """A line for somebody who waits."""
    if "kernels" in line:
        return f"{line['case']} ({line['threads']} threads): {len(line['kernels'])} kernels"
    if "seconds" in line:
        times = ", ".join(f"{k} {time_words(v)}" for k, v in line["seconds"].items())
        failed = "".join(f"; {k}: {v}" for k, v in line["failed"].items())
        return f"{line['case']} ({line['threads']} threads): {times}{failed}"
    return ", ".join(
        f"{k} {v}" for k, v in line.items() if not isinstance(v, (list, dict)) or k.endswith("s")
    )[:160]


# ---------------------------------------------------------------- Markdown


def markdown(run: Record) -> str:
    """The report of a run."""
    out = [f"# Benchmark of {run['date']}", "", f"{_machine(run)} {HOW}", ""]
    out += _limits(run)
    for threads in sorted({r["threads"] for r in run["rows"]}):
        out += ["", f"## {_threads(threads)}", "", *verdict(run, threads)]
    for threads in sorted({r["threads"] for r in run["rows"]}):
        out += ["", f"## {_threads(threads)}, every library", "", *_table(run, threads)]
    out += _failures(run)
    out += _differentiation(run)
    for line in run["kernels"]:
        out += ["", *_kernels(line)]
    if run["costs"]:
        out += ["", "## Costs", "", "| | |", "|---|---|"]
        out += [f"| {c['what']} | {c['value']} |" for c in run["costs"]]
    for part in SWEEPS:
        if run[part]:
            out += ["", f"## Random {part}", "", *_sweep(run[part])]
    return "\n".join(out).rstrip() + "\n"


def best(row: Record) -> tuple[str, float] | None:
    """The fastest other library, and its seconds."""
    others = [(v, k) for k, v in row["seconds"].items() if k != "Charl"]
    return (min(others)[1], min(others)[0]) if others else None


NEAR = 0.98  # as fast: what is left is the noise of two programs at one physical limit


def verdict(run: Record, threads: int) -> Iterator[str]:
    """Every row against the best other library, the machine's limit, and what is aimed at on one thread."""
    rows = [r for r in run["rows"] if r["threads"] == threads and "Charl" in r["seconds"]]
    ahead, met, lines = 0, 0, []
    for row in rows:
        charl, (least, bound), other = row["seconds"]["Charl"], floor(row), best(row)
        lead = other[1] / charl if other else 0.0
        share = least / charl
        aims = [f"{row['share']:.0%}"] * (row["share"] > 0) + [f"{row['lead']:.3g} x"] * (row["lead"] > 1)
        reached = lead >= NEAR * row["lead"] and share >= row["share"]
        ahead, met = ahead + (lead >= NEAR), met + reached
        cells = [
            row["case"] + " *" * bool(row["disturbed"]),
            time_words(charl),
            f"{other[0]} {time_words(other[1])}" if other else "–",
            "–" if not lead else f"**{lead:.2f}**" if lead >= NEAR else f"{lead:.2f}",
            f"{time_words(least)} ({bound})" if least else "–",
            f"{share:.0%}" if least else "–",
        ]
        if threads == 1:
            cells += [", ".join(aims) or "1 x", "yes" if reached else "no"]
        lines.append("| " + " | ".join(cells) + " |")
    compared = sum(row["lead"] > 0 for row in rows)
    aimed = f"; what was aimed at is reached in {met} of {len(rows)}" if threads == 1 else ""
    yield f"Charl is as fast as the best other library or faster in {ahead} of {compared} rows{aimed}."
    yield ""
    yield "| | Charl | best other | other / Charl | limit | share of it |" + " aim | reached |" * (
        threads == 1
    )
    yield "|---|---|---|---|---|---|" + "---|---|" * (threads == 1)
    yield from lines


def _differentiation(run: Record) -> list[str]:
    """How many times as long as a value its gradient takes."""
    rows = {(r["key"], r["threads"]): r for r in run["rows"]}
    out = []
    for (key, threads), row in rows.items():
        value = rows.get((key.removesuffix("gradient") + "objective", threads))
        if not key.endswith(".gradient") or value is None:
            continue
        names = [n for n in row["seconds"] if n in value["seconds"]]
        ratios = ", ".join(f"{n} {row['seconds'][n] / value['seconds'][n]:.1f}" for n in names)
        out.append(f"- {row['case'].rsplit(':', 1)[0]}, {_threads(threads).lower()}: {ratios}")
    return ["", "Time of value and gradient over time of the value:", "", *out] if out else []


def _kernels(line: Record) -> Iterator[str]:
    """Where the time of a row goes: the kernels that take most of it, and the rates that they reach."""
    inside = sum(k["seconds"] for k in line["kernels"])
    yield f"### Kernels of {line['case']}, {_threads(line['threads']).lower()}"
    yield ""
    yield (
        f"{time_words(line['seconds'])} a call with clocks around the kernels, {inside / line['seconds']:.0%} of it in them; "
        f"multiply-adds reach {line['fma_gflops']:.0f} GFLOP/s."
    )
    yield ""
    yield "| kernel | source | calls | time | share | GFLOP/s | GB/s |"
    yield "|---|---|---|---|---|---|---|"
    told = 0.0
    for kernel in line["kernels"][:TOLD]:
        if told > ENOUGH * inside:
            break
        told += kernel["seconds"]
        rates = [
            "" if kernel[what] is None else f"{kernel[what] / kernel['seconds'] / 1e9:.3g}"
            for what in ("flops", "bytes")
        ]
        cells = [
            f"`{kernel['name']}`",
            kernel["source"],
            f"{kernel['calls']:g}",
            time_words(kernel["seconds"]),
        ]
        yield "| " + " | ".join([*cells, f"{kernel['seconds'] / inside:.0%}", *rates]) + " |"


HOW = (
    "Times are medians of one call; how they are taken, and how to read the shares, is in the [README](../README.md). "
    "Other load stayed in some samples of rows marked with *."
)


def _machine(run: Record) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in run["versions"].items())
    left_out = f" Not measured: {', '.join(run['not_measured'])}." if run["not_measured"] else ""
    look = " A quick look with few samples." if run["quick"] else ""
    return (
        f"{run['cpu']}, {run['cpus']} CPUs, {run['system']}; C for {run['simd']}; {versions}. "
        f"{run['minutes']} minutes.{look}{left_out}"
    )


def _threads(count: int) -> str:
    return "One thread" if count == 1 else f"{count} threads"


def _limits(run: Record) -> list[str]:
    """Multiply-adds, and reading by how much each thread reads."""
    out = []
    for line in run["limits"]:
        fma = ", ".join(f"{k} {v:.0f}" for k, v in line["fma_gflops"].items())
        read = ", ".join(f"{_size(int(k))} {v:.3g}" for k, v in line["read_gbs"].items())
        out.append(f"- {_threads(line['threads'])}: multiply-adds {fma} GFLOP/s; reading {read} GB/s")
        moved = ", ".join(f"{_size(int(k))} {v:.3g}" for k, v in line.get("update_gbs", {}).items())
        if moved:
            out[-1] += f"; reading and writing {moved} GB/s"
    return (
        ["What the machine can do, GB/s by how much each thread reads again and again:", "", *out]
        if out
        else []
    )


def _size(kib: int) -> str:
    return f"{kib} KiB" if kib < 1 << 10 else f"{kib >> 10} MiB"


def _table(run: Record, threads: int) -> Iterator[str]:
    names = [n for n in run["peers"] if any(n in r["seconds"] for r in run["rows"])]
    yield "| | limit | Charl | share of the limit | " + " | ".join(names) + " | best peer / Charl |"
    yield "|---|---|---|---|" + "---|" * (len(names) + 1)
    for row in run["rows"]:
        if row["threads"] != threads or "Charl" not in row["seconds"]:
            continue
        seconds, (least, bound) = row["seconds"], floor(row)
        cells = [
            f"{time_words(least)} ({bound})",
            time_words(seconds["Charl"]),
            f"{least / seconds['Charl']:.0%}",
        ]
        cells += [time_words(seconds[n]) if n in seconds else "–" for n in names]
        peers = [v for k, v in seconds.items() if k != "Charl"]
        cells.append(f"{min(peers) / seconds['Charl']:.2f}" if peers else "–")
        mark = " *" if row["disturbed"] else ""
        yield f"| {row['case']}{mark} | " + " | ".join(cells) + " |"


def _failures(run: Record) -> list[str]:
    rows = [r for r in run["rows"] if r["failed"]]
    out = ["", "## Not measured", ""] if rows else []
    for row in rows:
        out += [
            f"- {row['case']}, {_threads(row['threads']).lower()}, {k}: {v}" for k, v in row["failed"].items()
        ]
    worst = max((d for r in run["rows"] for d in r["difference"].values() if d == d), default=0.0)
    disturbed = sum(sum(r["disturbed"].values()) for r in run["rows"])
    again = sum(r["again"] for r in run["rows"])
    text = f"Largest difference of outputs {worst:.1e}. Samples taken again because something else was running: {again}; "
    return (
        [*out, "", text + f"that stayed disturbed: {disturbed} (rows marked with *)."] if run["rows"] else out
    )


def _sweep(shapes: list[Record]) -> Iterator[str]:
    for threads in sorted({s["threads"] for s in shapes}):
        yield from _distribution(threads, [s for s in shapes if s["threads"] == threads])


def _distribution(threads: int, shapes: list[Record]) -> Iterator[str]:
    yield f"{_threads(threads)}, {len(shapes)} shapes: share of the limit."
    yield ""
    yield "| | least | lower tenth | median | upper tenth |"
    yield "|---|---|---|---|---|"
    for name in dict.fromkeys(n for s in shapes for n in s["share"]):
        shares = sorted(s["share"][name] for s in shapes if name in s["share"])
        picked = [shares[round(q * (len(shares) - 1))] for q in (0, 0.1, 0.5, 0.9)]
        yield f"| {name} | " + " | ".join(f"{x:.0%}" for x in picked) + " |"
    yield ""
    leads = [
        s["share"]["Charl"] >= NEAR * max(v for k, v in s["share"].items() if k != "Charl")
        for s in shapes
        if len(s["share"]) > 1
    ]
    if leads:
        yield f"Charl is as fast as the best other library or faster in {sum(leads)} of {len(leads)}."
        yield ""
    for s in (s for s in shapes if "failed" in s):
        yield f"- not measured: {s['shape']}: {s['failed']}"
    yield "The ten with the least share, what bounds them, what is unusual about them, and what Charl reaches once it is not:"
    yield "sizes of at least 16, and for convolutions no strides or groups."
    yield ""
    names = list(dict.fromkeys(n for s in shapes for n in s["share"]))
    yield "| shape | unusual | " + " | ".join(names) + " | Charl without |"
    yield "|---|---|" + "---|" * (len(names) + 1)
    measured = [s for s in shapes if "Charl" in s["share"]]
    for s in sorted(measured, key=lambda s: float(s["share"]["Charl"]))[:10]:
        cells = [f"{s['share'][n]:.0%}" if n in s["share"] else "–" for n in names]
        cells.append(f"{s['filled']:.0%}" if s.get("filled") else "–")
        yield f"| {s['shape']} ({s['bound']}) | {s['unusual']} | " + " | ".join(cells) + " |"
    yield ""


# ---------------------------------------------------------------- out


def write(run: Record, path: Path) -> list[Path]:
    """The report and the plots beside the JSON at `path`; the paths written."""
    text = markdown(run)
    paths = [path.with_suffix(".md")]
    try:
        from benchmarks import plots
    except ImportError:
        text += "\nNo plots: matplotlib is not installed.\n"
    else:
        drawn = plots.draw(run, path.with_suffix(""))
        paths += drawn
        text += "".join(f"\n![{p.stem}]({p.name})\n" for p in drawn)
    paths[0].write_text(text, encoding="utf-8")
    return paths


BEGIN, END = "<!-- verdicts: written by benchmarks/report.py -->", "<!-- end of verdicts -->"


def put_verdicts(run: Record, path: Path, page: Path) -> None:
    """Write the verdicts of a run into a page, between the two marks."""
    before, rest = page.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    out = [
        BEGIN,
        "",
        f"[{path.stem}]({path.with_suffix('.md').relative_to(page.parent.resolve())}): {_machine(run)}",
    ]
    for threads in sorted({r["threads"] for r in run["rows"]}):
        out += ["", f"### {_threads(threads)}", "", *verdict(run, threads)]
    out += [*_differentiation(run), "", END]
    page.write_text(before + "\n".join(out) + after, encoding="utf-8")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), help="The JSON to write; the first run by default.")
@click.option(
    "--page",
    type=click.Path(path_type=Path, exists=True),
    help="Put the verdicts into this page too, between its marks.",
)
def main(runs: tuple[Path, ...], out: Path | None, page: Path | None) -> None:
    """Write the report of RUNS: results of one machine, later ones in the place of earlier ones."""
    run = record.merged([record.load(path) for path in runs])
    path = out or runs[0]
    record.save(run, path)
    if page is not None:
        put_verdicts(run, path.resolve(), page)
    for written in [path, *write(run, path)]:
        click.echo(f"written: {written}")


if __name__ == "__main__":
    main()
