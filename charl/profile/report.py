"""A profile as a table for people and as JSON for programs.

Enters: times of exports. Leaves: text. Measures nothing.
"""

from __future__ import annotations

import json
from typing import Any

from charl.profile.measure import ExportTime, KernelTime

_WORTH_SAYING = 0.05  # share of the time


def as_json(exports: list[ExportTime]) -> str:
    """Everything, in SI units, for one call of each export."""
    return json.dumps({"exports": [_export(e) for e in exports]}, indent=1) + "\n"


def _export(e: ExportTime) -> dict[str, Any]:
    kernels = [
        {
            "kernel": k.name, "source": str(k.span) if k.span else None, "calls": k.calls, "seconds": k.seconds,
            "share": k.seconds / _total(e), "flops": k.flops, "bytes": k.bytes, "underflows": k.underflows,
        }
        for k in e.kernels
    ]  # fmt: skip
    return {"name": e.name, "sizes": e.sizes, "repeats": e.repeats, "seconds": e.seconds, "kernels": kernels}


def _total(e: ExportTime) -> float:
    """Seconds in kernels."""
    return sum(k.seconds for k in e.kernels) or 1.0


def tables(exports: list[ExportTime], top: int) -> list[Any]:
    """A table of rich for each export, the slowest kernels first."""
    return [_table(e, top) for e in exports]


def _table(e: ExportTime, top: int) -> Any:
    from rich.table import Table

    sizes = ", ".join(f"{k} = {v}" for k, v in e.sizes.items())
    title = f"{e.name}{f' ({sizes})' if sizes else ''}: {seconds(e.seconds)} a call, {e.repeats} calls"
    table = Table(title=title, title_justify="left", title_style="bold")
    for column in ("kernel", "source"):
        table.add_column(column, overflow="fold")
    for column in ("calls", "time", "share", "GFLOP/s", "GB/s"):
        table.add_column(column, justify="right", no_wrap=True)
    for k in e.kernels[:top]:
        table.add_row(*_cells(k, _total(e)))
    rest = e.kernels[top:]
    if rest:
        spent = sum(k.seconds for k in rest)
        share = f"{spent / _total(e):.1%}"
        table.add_row(f"{len(rest)} more", "", f"{sum(k.calls for k in rest):g}", seconds(spent), share)
    return table


def subnormal_share(e: ExportTime) -> float:
    """The share of the time in kernels whose results are too small for a full mantissa in some calls."""
    return sum(k.seconds for k in e.kernels if k.underflows) / _total(e)


def notes(exports: list[ExportTime]) -> list[str]:
    """What is worth knowing of exports beside their tables."""
    return [
        f"{e.name}: kernels with {subnormal_share(e):.0%} of the time met subnormal numbers, with which processors compute up to "
        f"a hundred times slower ({', '.join(k.name for k in e.kernels if k.underflows)}); --flush-subnormals takes them for zero"
        for e in exports
        if subnormal_share(e) >= _WORTH_SAYING
    ]


def _cells(k: KernelTime, total: float) -> list[str]:
    where = f"{k.span.source.name}:{k.span.line}" if k.span else ""
    rates = [f"{x / k.seconds / 1e9:.1f}" if x is not None and k.seconds else "" for x in (k.flops, k.bytes)]
    return [k.name, where, f"{k.calls:g}", seconds(k.seconds), f"{k.seconds / total:.1%}", *rates]


def seconds(t: float) -> str:
    """A time with its unit."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if t * factor >= 1:
            return f"{t * factor:.3g} {unit}" if t * factor < 1000 else f"{t * factor:.0f} {unit}"
    return f"{t * 1e9:.0f} ns"
