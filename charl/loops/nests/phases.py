"""Loops with a short period: what an index divided by a small number chooses is written out, and lanes run along the rest.

Enters: row axes and sinks. Leaves: axes and sinks without such a division along the last axis, or without short inner axes.
What lay side by side then lies a few elements apart.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

from charl import dims
from charl.dims import Dim
from charl.loops.emit import Emitter
from charl.loops.nests.axes import HOPS, Axis, Part, instances
from charl.loops.sinks import Sink
from charl.plan.access import nodes_of

Size = int | Dim


def phased(emitter: Emitter, rows: list[Axis], sinks: Sequence[Sink]) -> tuple[list[Axis], Sequence[Sink]]:
    """The last axis in steps of the number by which its index is divided; as it was where there is no such number."""
    axis = rows[-1]
    found = {n for s in sinks for n in _divisors(s, axis.name)}
    period = found.pop() if len(found) == 1 else 0
    if not 1 < period <= HOPS or not isinstance(axis.extent, int) or axis.extent % period:
        return rows, sinks
    new = emitter.name(axis.name.split(".")[0])
    at = [dims.sym(new) * period + p for p in range(period)]
    return [*rows[:-1], Axis(new, axis.extent // period)], instances(sinks, {axis.name: at})


def _divisors(s: Sink, name: str) -> Iterator[int]:
    """Numbers by which an index that depends on `name` is divided."""
    indices = [s.index, *(i for e in nodes_of(s.value) for i in e.indices())]
    for a in (a for i in indices for a in dims.atoms(i)):
        if isinstance(a, dims.Func) and name in dims.symbols(a.args[0]):
            yield a.args[1] if isinstance(a.args[1], int) else 0


def written_out(parts: Sequence[Part]) -> list[Sink] | None:
    """The sinks of a row with all their inner indices written out; None where that were more than a few."""
    out: list[Sink] = []
    for part in parts:
        extents = [a.extent for a in part.inner if isinstance(a.extent, int)]
        if len(extents) < len(part.inner) or prod(extents) > HOPS:
            return None
        values = {a.name: list(range(n)) for a, n in zip(part.inner, extents, strict=True)}
        out += instances(part.sinks, values)
    return out
