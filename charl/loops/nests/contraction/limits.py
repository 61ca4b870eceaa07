"""The loop of a tile's sum, no longer than its terms count: what masks hide is left out, tile by tile.

Enters: the statements of a register tile, and sizes that are at least 0 wherever a term counts. Leaves: the statements with a
shorter loop, or with one that runs only where the tile has an element that counts. Never chooses a tile.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from charl import dims
from charl.dims import Dim
from charl.dims.polynomial import make, terms_of
from charl.dtypes import boolean, i32
from charl.graph.scalar import Apply, Expr, IndexValue
from charl.loops.ir import For, If, Simd, Stmt

Size = int | Dim
Ranges = Mapping[str, tuple[Size, Size]]


@dataclass(frozen=True)
class SumLoop:
    """The loop over a sum, or a block of it: its index runs from 0 to `turns`, and with `first` added is `axis` of the limits."""

    index: str
    axis: str
    first: Size
    turns: Size


def limited(
    tile: tuple[Stmt, ...], limits: Sequence[Size], spans: Ranges, loop: SumLoop, ranges: Ranges
) -> tuple[Stmt, ...]:
    """The tile with a shorter loop. `spans`: bounds of indices of which a tile has many; `ranges`: of those around it."""
    start: Size = 0
    stop = loop.turns
    tests: list[Expr] = []
    for limit in limits:
        most = _most(limit, spans)
        step = None if most is None else dims.coefficient(most, loop.axis)
        if most is None or step not in (-1, 0, 1):
            continue
        most = dims.substitute(most, {loop.axis: loop.first})
        if step == 0 and not dims.nonnegative(most, ranges):
            tests.append(_nonnegative(most))
        elif step == -1:
            stop = dims.minimum(stop, most + 1, ranges)
        elif step == 1:
            start = dims.maximum(start, -most, ranges)
    if not tests and start == 0 and stop == loop.turns:
        return tile
    return tuple(_shorter(s, loop.index, start, stop, tests) for s in tile)


def _most(limit: Size, spans: Ranges) -> Size | None:
    """The largest value of an affine size over a box; None where it is not affine."""
    for name, (low, high) in spans.items():
        step = dims.coefficient(limit, name)
        if not isinstance(step, int):
            return None
        if step:
            limit = dims.substitute(limit, {name: high if step > 0 else low})
    return limit


def _nonnegative(x: Size) -> Expr:
    """x >= 0, as a comparison of what is added in it with what is taken away."""
    less = make({m: -c for m, c in terms_of(x).items() if c < 0})
    return Apply("le", (IndexValue(less, i32), IndexValue(x + less, i32)), boolean)


def _shorter(s: Stmt, index: str, start: Size, stop: Size, tests: Sequence[Expr]) -> Stmt:
    """The statement with the loop over `index` from `start` to `stop`, where all tests hold."""
    if isinstance(s, For) and s.index == index:
        out: Stmt = replace(s, start=start, stop=stop)
        for test in tests:
            out = If(test, (out,))
        return out
    if isinstance(s, (For, Simd)):
        return replace(s, body=tuple(_shorter(x, index, start, stop, tests) for x in s.body))
    return s
