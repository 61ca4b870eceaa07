"""Whether an expression can run on vector lanes, and how well.

Enters: expressions and the index symbol that lanes would run along. Leaves: the element width in bits, or None; and the number of
loads that are neither contiguous nor broadcast. Decides nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable

from charl import dims
from charl.graph.scalar import Apply, Expr, Guard, IndexValue, Load, Reduce
from charl.plan.access import nodes_of


def lane_width(exprs: Iterable[Expr], symbol: str) -> int | None:
    """32 or 64 when everything that depends on `symbol` has elements of that width (bool values are masks).

    None when widths mix, when a stored bool or a narrow type varies along the lanes, when a bound or a run-time index does,
    or when the lanes that a guard lets pass are no interval.
    """
    widths: set[int] = set()
    for root in exprs:
        for e in nodes_of(root):
            if symbol not in e.symbols():
                continue
            if isinstance(e, Guard):
                if not _interval(e, symbol):
                    return None
                continue
            if isinstance(e, Reduce) and any(symbol in dims.symbols(x) for _, x in e.over):
                return None
            if any(_opaque(i, symbol) for i in e.indices()):
                return None
            if isinstance(e, (Load, IndexValue, Reduce)) or e.dtype.kind != "bool":
                if e.dtype.kind == "bool":
                    return None
                widths.add(e.dtype.bits)
            if isinstance(e, Apply) and e.fn in ("cast", "bitcast") and e.args[0].dtype.kind != "bool":
                widths.add(e.args[0].dtype.bits)
    if len(widths) > 1 or not widths <= {32, 64}:
        return None
    return widths.pop() if widths else 32


def _interval(guard: Guard, symbol: str) -> bool:
    """Whether the lanes inside a guard's ranges stand side by side."""
    for i, low, high in guard.ranges:
        if dims.coefficient(i, symbol) not in (0, 1) or symbol in dims.symbols(low) | dims.symbols(high):
            return False
    return guard.dtype.kind != "bool"


def _opaque(index: dims.Dim | int, symbol: str) -> bool:
    """Whether `symbol` occurs where an index is not linear in it."""
    return symbol in dims.symbols(index) and dims.coefficient(index, symbol) is None


def strided_loads(exprs: Iterable[Expr], symbol: str) -> int:
    """Loads whose neighbours along `symbol` are neither the same element nor the next one."""
    seen: set[tuple[object, object]] = set()
    for root in exprs:
        for e in nodes_of(root):
            if isinstance(e, Load) and dims.coefficient(e.index[0], symbol) not in (0, 1):
                seen.add((e.source, e.index))
    return len(seen)


def contiguous_loads(exprs: Iterable[Expr], symbol: str) -> int:
    """Loads whose neighbours along `symbol` are neighbours in memory."""
    seen: set[tuple[object, object]] = set()
    for root in exprs:
        for e in nodes_of(root):
            if isinstance(e, Load) and dims.coefficient(e.index[0], symbol) == 1:
                seen.add((e.source, e.index))
    return len(seen)
