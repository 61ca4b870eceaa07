"""A record of a run as text: on the terminal, as Markdown, as JSON; plots are in plots.py.

Enters: the record that `__main__` gathers. Leaves: text and files. Computes shares of limits, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

Record = dict[str, Any]

# Bytes from which a level of the memory no longer holds what a row touches, where the system does not say.
DEFAULT_CACHES = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}
DRAM_FROM = 64 << 20  # a shared last level may be larger, but others use it too


def level(record: Record, row: Record) -> str:
    """The level of the memory that holds what a row touches."""
    known = {**DEFAULT_CACHES, **record["caches"]}
    for name in ("L1", "L2"):
        if row["bytes"] <= known[name] * row["threads"]:
            return name
    return "L3" if row["bytes"] <= min(known["L3"], DRAM_FROM) else "DRAM"


def floor(record: Record, row: Record) -> tuple[float, str]:
    """Seconds below which no program gets on this machine, and what forbids it: FMA, or reading from a level."""
    peak = row["fma_operations"] / row["fma_seconds"]
    compute = row["flops"] / peak
    limits = next((x for x in record["limits"] if x["threads"] == row["threads"]), None)
    at = level(record, row)
    if limits is None or at not in limits["read_gbs"]:
        return compute, "FMA"
    memory = row["bytes"] / (limits["read_gbs"][at] * 1e9)
    return (compute, "FMA") if compute >= memory else (memory, at)


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
    if record["sweep"]:
        out += ["", "## Random shapes", "", *_sweep(record)]
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
    out = ["| threads | " + " | ".join(_limit_names(record)) + " |"]
    out.append("|---" * (len(_limit_names(record)) + 1) + "|")
    for limits in record["limits"]:
        values = [*limits["fma_gflops"].values(), *limits["read_gbs"].values()]
        out.append(f"| {limits['threads']} | " + " | ".join(map(str, values)) + " |")
    return out if record["limits"] else []


def _limit_names(record: Record) -> list[str]:
    first = record["limits"][0] if record["limits"] else {"fma_gflops": {}, "read_gbs": {}}
    fma = [f"FMA {k}, GFLOP/s" for k in first["fma_gflops"]]
    return fma + [f"read {k}, GB/s" for k in first["read_gbs"]]


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


def _sweep(record: Record) -> Iterator[str]:
    for kind in dict.fromkeys(s["kind"] for s in record["sweep"]):
        for threads in sorted({s["threads"] for s in record["sweep"]}):
            shapes = [s for s in record["sweep"] if s["kind"] == kind and s["threads"] == threads]
            if shapes:
                yield from _distribution(kind, threads, shapes)


def _distribution(kind: str, threads: int, shapes: list[Record]) -> Iterator[str]:
    yield f"{len(shapes)} random {kind}s, {_threads(threads).lower()}: share of the limit."
    yield ""
    yield "| | least | lower tenth | median | upper tenth |"
    yield "|---|---|---|---|---|"
    for name in dict.fromkeys(n for s in shapes for n in s["share"]):
        shares = sorted(s["share"][name] for s in shapes if name in s["share"])
        picked = [shares[round(q * (len(shares) - 1))] for q in (0, 0.1, 0.5, 0.9)]
        yield f"| {name} | " + " | ".join(f"{x:.0%}" for x in picked) + " |"
    yield ""
    yield f"The ten {kind}s with the least share:"
    yield ""
    names = list(dict.fromkeys(n for s in shapes for n in s["share"]))
    yield "| shape | " + " | ".join(names) + " |"
    yield "|---|" + "---|" * len(names)
    for s in sorted(shapes, key=lambda s: float(s["share"].get("Charl", 1.0)))[:10]:
        yield f"| {s['shape']} | " + " | ".join(
            f"{s['share'][n]:.0%}" if n in s["share"] else "–" for n in names
        ) + " |"
    yield ""


# ---------------------------------------------------------------- out


def show(record: Record) -> None:
    """The report on the terminal."""
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(markdown(record)))


def write(record: Record, folder: Path) -> list[Path]:
    """JSON, Markdown and plots; the paths written."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"benchmark-{record['date'].replace(' ', '-').replace(':', '')}"
    json_path, text_path = stem.with_suffix(".json"), stem.with_suffix(".md")
    json_path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = markdown(record)
    paths = [json_path, text_path]
    try:
        from benchmarks import plots
    except ImportError:
        text += "\nNo plots: matplotlib is not installed.\n"
    else:
        drawn = plots.draw(record, stem)
        paths += drawn
        text += "".join(f"\n![{p.stem}]({p.name})\n" for p in drawn)
    text_path.write_text(text, encoding="utf-8")
    return paths
