"""Plots of a run, as SVG.

Enters: the record of a run. Leaves: files. Fonts stay text, and nothing in a file depends on when it was drawn.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.report import SWEEPS, floor

plt.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "charl", "font.size": 9}
COLOURS = {
    "Charl": "#1b6ca8", "NumPy": "#8a8a8a", "PyTorch": "#d9593d", "torch.compile": "#e8a24c", "JAX": "#5a9e5e",
    "ONNX Runtime": "#8a64a8", "llama.cpp": "#b0457b",
}  # fmt: skip


def draw(record: dict[str, Any], stem: Path) -> list[Path]:
    """Every plot that the record has data for."""
    out: list[Path] = []
    for threads in sorted({r["threads"] for r in record["rows"] if "Charl" in r["seconds"]}):
        out.append(_save(_shares(record, threads), stem.with_name(f"{stem.name}-rows-{threads}.svg")))
        if record["peers"]:
            out.append(_save(_leads(record, threads), stem.with_name(f"{stem.name}-others-{threads}.svg")))
    for part in SWEEPS:
        if record[part]:
            out.append(_save(_distribution(record, part), stem.with_name(f"{stem.name}-{part}.svg")))
    return out


def _save(figure: Any, path: Path) -> Path:
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)
    return path


def _dots(
    rows: list[dict[str, Any]], value: Callable[[dict[str, Any], str], float], label: str
) -> tuple[Any, Any]:
    """A row for each case, a dot for each library."""
    figure, axes = plt.subplots(figsize=(8, 0.32 * len(rows) + 1.2))
    for name, colour in COLOURS.items():
        points = [(value(r, name), i) for i, r in enumerate(rows) if name in r["seconds"]]
        if points:
            size = 46 if name == "Charl" else 22
            axes.scatter(*zip(*points), s=size, color=colour, label=name, zorder=3 if name == "Charl" else 2)
    axes.set_yticks(range(len(rows)), [r["case"] for r in rows])
    axes.set_xlabel(label)
    axes.grid(axis="x", color="#dddddd", zorder=0)
    axes.legend(loc="upper center", bbox_to_anchor=(0.4, 1.0 + 1.1 / (len(rows) + 2)), ncols=7, frameon=False)
    return figure, axes


def _rows(record: dict[str, Any], threads: int) -> list[dict[str, Any]]:
    return [r for r in record["rows"] if r["threads"] == threads and "Charl" in r["seconds"]][::-1]


def _threads(count: int) -> str:
    return f"{count} thread{'s' if count > 1 else ''}"


def _shares(record: dict[str, Any], threads: int) -> Any:
    """Share of the limit."""
    label = f"share of the machine's limit, {_threads(threads)}, {record['cpu']}"
    figure, axes = _dots(_rows(record, threads), lambda r, name: floor(r)[0] / r["seconds"][name], label)
    axes.set_xlim(0, 1.05)
    return figure


def _leads(record: dict[str, Any], threads: int) -> Any:
    """How many times as long as Charl every library takes."""
    label = f"time over Charl's, {_threads(threads)}, {record['cpu']}: right of 1 is slower"
    figure, axes = _dots(
        _rows(record, threads), lambda r, name: r["seconds"][name] / r["seconds"]["Charl"], label
    )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    return figure


def _distribution(record: dict[str, Any], part: str) -> Any:
    """Shares of random shapes, sorted: how many reach how much."""
    figure, axes = plt.subplots(figsize=(6, 3.6))
    for threads, style in ((1, "-"), (2, "--")):
        shapes = [s for s in record[part] if s["threads"] == threads]
        for name, colour in COLOURS.items():
            shares = sorted(s["share"][name] for s in shapes if name in s["share"])
            if shares:
                along = [i / max(len(shares) - 1, 1) for i in range(len(shares))]
                label = f"{name}, {_threads(threads)}"
                axes.plot(along, shares, style, color=colour, label=label)
    axes.set_xlabel(f"{part}, from the least share to the largest")
    axes.set_ylabel("share of the limit")
    axes.set_ylim(0, 1.05)
    axes.grid(color="#dddddd")
    axes.legend(frameon=False)
    return figure
