"""A record of a run as text: on the terminal, as Markdown, as JSON; plots are in plots.py.

Enters: the record that `__main__` gathers. Leaves: text and files. Computes shares of limits, and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks.record import Record

SWEEPS = ("contractions", "convolutions")


def floor(record: Record, row: Record) -> tuple[float, str]:
    """Seconds below which no program gets on this machine, and what forbids it: FMA, or reading so much.

    The bandwidth is that of reading the largest measured size that is no larger than what the row touches.
    """
    compute = row["flops"] / (row["fma_operations"] / row["fma_seconds"])
    limits = next((x for x in record["limits"] if x["threads"] == row["threads"]), None)
    if limits is None:
        return compute, "FMA"
    sizes = {int(kib) << 10: gbs for kib, gbs in limits["read_gbs"].items()}
    size = max((s for s in sizes if s * row["threads"] <= row["touched"]), default=min(sizes))
    memory = row["bytes"] / (sizes[size] * 1e9)
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
    if "seconds" in line:
        times = ", ".join(f"{k} {time_words(v)}" for k, v in line["seconds"].items())
        failed = "".join(f"; {k}: {v}" for k, v in line["failed"].items())
        return f"{line['case']} ({line['threads']} threads): {times}{failed}"
    return ", ".join(
        f"{k} {v}" for k, v in line.items() if not isinstance(v, (list, dict)) or k.endswith("s")
    )[:160]


# ---------------------------------------------------------------- Markdown


def markdown(record: Record) -> str:
    """The report of a run."""
    out = [f"# Benchmark of {record['date']}", "", _machine(record), ""]
    out += _limits(record)
    for threads in sorted({r["threads"] for r in record["rows"]}):
        out += ["", f"## {_threads(threads)}", "", *_table(record, threads)]
    out += _failures(record)
    if record["costs"]:
        out += ["", "## Costs", "", "| | |", "|---|---|"]
        out += [f"| {c['what']} | {c['value']} |" for c in record["costs"]]
    for part in SWEEPS:
        if record[part]:
            out += ["", f"## Random {part}", "", *_sweep(record[part])]
    return "\n".join(out).rstrip() + "\n"


def _machine(record: Record) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in record["versions"].items())
    left_out = f" Not measured: {', '.join(record['not_measured'])}." if record["not_measured"] else ""
    look = " A quick look with few samples." if record["quick"] else ""
    return (
        f"{record['cpu']}, {record['cpus']} CPUs, {record['system']}; C for {record['simd']}; {versions}. "
        f"{record.get('minutes', '?')} minutes.{look}{left_out} Times are medians of one call; how they are taken, "
        "and how to read the shares, is in the [README](../README.md)."
    )


def _threads(count: int) -> str:
    return "One thread" if count == 1 else f"{count} threads"


def _limits(record: Record) -> list[str]:
    """Multiply-adds, and reading by how much each thread reads."""
    out = []
    for line in record["limits"]:
        fma = ", ".join(f"{k} {v:.0f}" for k, v in line["fma_gflops"].items())
        read = ", ".join(f"{_size(int(k))} {v:.3g}" for k, v in line["read_gbs"].items())
        out.append(f"- {_threads(line['threads'])}: multiply-adds {fma} GFLOP/s; reading {read} GB/s")
    return (
        ["What the machine can do, GB/s by how much each thread reads again and again:", "", *out]
        if out
        else []
    )


def _size(kib: int) -> str:
    return f"{kib} KiB" if kib < 1 << 10 else f"{kib >> 10} MiB"


def _table(record: Record, threads: int) -> Iterator[str]:
    names = [n for n in record["peers"] if any(n in r["seconds"] for r in record["rows"])]
    yield "| | limit | Charl | share of the limit | " + " | ".join(names) + " | best peer / Charl |"
    yield "|---|---|---|---|" + "---|" * (len(names) + 1)
    for row in record["rows"]:
        if row["threads"] != threads or "Charl" not in row["seconds"]:
            continue
        seconds, (least, bound) = row["seconds"], floor(record, row)
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


def _failures(record: Record) -> list[str]:
    rows = [r for r in record["rows"] if r["failed"]]
    out = ["", "## Not measured", ""] if rows else []
    for row in rows:
        out += [
            f"- {row['case']}, {_threads(row['threads']).lower()}, {k}: {v}" for k, v in row["failed"].items()
        ]
    worst = max((d for r in record["rows"] for d in r["difference"].values() if d == d), default=0.0)
    disturbed = sum(sum(r["disturbed"].values()) for r in record["rows"])
    again = sum(r["again"] for r in record["rows"])
    text = f"Largest difference of outputs {worst:.1e}. Samples taken again because something else was running: {again}; "
    return (
        [*out, "", text + f"that stayed disturbed: {disturbed} (rows marked with *)."]
        if record["rows"]
        else out
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
    yield "The ten with the least share, and what their limit is:"
    yield ""
    names = list(dict.fromkeys(n for s in shapes for n in s["share"]))
    yield "| shape | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for s in sorted(shapes, key=lambda s: float(s["share"].get("Charl", 1.0)))[:10]:
        yield f"| {s['shape']} ({s['bound']}) | " + " | ".join(
            f"{s['share'][n]:.0%}" if n in s["share"] else "–" for n in names
        ) + " |"
    yield ""


# ---------------------------------------------------------------- out


def write(record: Record, path: Path) -> list[Path]:
    """The report and the plots beside the JSON at `path`; the paths written."""
    text = markdown(record)
    paths = [path.with_suffix(".md")]
    try:
        from benchmarks import plots
    except ImportError:
        text += "\nNo plots: matplotlib is not installed.\n"
    else:
        drawn = plots.draw(record, path.with_suffix(""))
        paths += drawn
        text += "".join(f"\n![{p.stem}]({p.name})\n" for p in drawn)
    paths[0].write_text(text, encoding="utf-8")
    return paths
