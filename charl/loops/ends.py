"""Rows that a mask cuts short: where their sums and their elements end, and what is written behind.

Enters: the values of a group and what masks say of them. Leaves: the ends of inner loops as sizes made of row indices, and
loops that stop there. What a vector or a row beside it computes behind an end is what stands there anyway.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Const, Reduce
from charl.loops.ir import For, Stmt
from charl.loops.sinks import Rest, Sink
from charl.plan.access import nodes_of
from charl.plan.masks import Conditions, Reading

Size = int | Dim
Ranges = Mapping[str, tuple[Size, Size]]

# What leaves a reduction unchanged.
_NEUTRAL = {"add": 0.0, "max": -math.inf}


def sums_end(reading: Reading, sinks: Iterable[Sink], rows: Iterable[str]) -> dict[str, Size]:
    """Where reductions along one axis end: by their index, in terms of the indices of `rows`."""
    found: dict[str, set[Size | None]] = {}
    for total in (e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)):
        for name, _ in total.over:
            neutral = _NEUTRAL.get(total.fn)
            end = None
            if neutral is not None and len(total.over) == 1 and total.dtype.is_float:
                end = _end(reading.outside(total.body, neutral), name, rows)
            found.setdefault(name, set()).add(end)
    return {n: e for n, ends in found.items() if len(ends) == 1 and (e := next(iter(ends))) is not None}


def with_rest(reading: Reading, sink: Sink, axis: str, rows: Iterable[str]) -> Sink:
    """The sink, told where along `axis` its value is 0 or -infinity up to the end."""
    if not sink.value.dtype.is_float:
        return sink
    for value in (0.0, -math.inf):
        start = _end(reading.outside(sink.value, value), axis, rows)
        if start is not None:
            return replace(sink, rest=Rest(start, Const(value, sink.value.dtype)))
    return sink


def _end(conditions: Conditions, name: str, rows: Iterable[str]) -> Size | None:
    """The first place along an axis from which on one of the conditions does not hold; it does not lie before 0."""
    known = set(rows)
    for more in conditions or ():
        if dims.coefficient(more, name) == -1:
            end = more + dims.sym(name) + 1
            if dims.symbols(end) <= known:
                return dims.maximum(end, 0)
    return None


def common_rest(sinks: Sequence[Sink]) -> Size | None:
    """Where the rest of all sinks begins, if it is one place."""
    starts = {s.rest.start if s.rest else None for s in sinks}
    return starts.pop() if len(starts) == 1 else None


def ended(loops: Iterable[Stmt], end: Size, ranges: Ranges) -> tuple[Stmt, ...]:
    """Loops along one axis, which run no further than `end` and the vector in which it lies."""
    return tuple(
        replace(s, stop=dims.minimum(s.stop, end, ranges)) if isinstance(s, For) and s.stop is not None else s
        for s in loops
    )
