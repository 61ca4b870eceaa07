"""The loops of a tile's sum, no longer than its terms count: what masks hide or borders add is left out, tile by tile.

Enters: the statements of a register tile, and sizes that are at least 0 wherever a term counts. Leaves: the statements with
shorter loops, or with one that runs only where the tile has an element that counts; and what share of the terms counts. Never
chooses a tile.
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

_COUNTED = 4096  # elements along an axis up to which terms are counted
_WORTH = 0.985  # share of the terms that may be left where a loop gets shorter for it


@dataclass(frozen=True)
class SumLoop:
    """The loop over a sum, or a block of it: its index runs from 0 to `turns`, and with `first` added is `axis` of the limits."""

    index: str
    axis: str
    first: Size
    turns: Size


def limited(
    tile: tuple[Stmt, ...], limits: Sequence[Size], spans: Ranges, loops: Sequence[SumLoop], ranges: Ranges
) -> tuple[Stmt, ...]:
    """The tile with shorter loops. `spans`: bounds of indices of which a tile has many; `ranges`: of those around it."""
    whole = {loop.axis: (loop.first, loop.first + loop.turns - 1) for loop in loops}
    for n, loop in enumerate(loops):
        beside = {**spans, **{axis: span for axis, span in whole.items() if axis != loop.axis}}
        tile = _shortened(tile, limits, beside, loop, ranges, tested=n == 0)
    return tile


def wanted(
    packing: tuple[Stmt, ...], limits: Sequence[Size], spans: Ranges, ranges: Ranges
) -> tuple[Stmt, ...]:
    """What is packed for tiles over all of `spans`, where some term of theirs counts."""
    for limit in limits:
        most = _most(limit, spans)
        if most is not None and not dims.nonnegative(most, ranges):
            packing = (If(_nonnegative(most), packing),) if packing else ()
    return packing


def _shortened(
    tile: tuple[Stmt, ...], limits: Sequence[Size], spans: Ranges, loop: SumLoop, ranges: Ranges, tested: bool
) -> tuple[Stmt, ...]:
    """The tile with one loop shorter; where it is `tested`, none where no limit on it can hold."""
    start: Size = 0
    stop = loop.turns
    tests: list[Expr] = []
    for limit in limits:
        most = _most(limit, spans)
        step = None if most is None else dims.coefficient(most, loop.axis)
        if most is None or step not in (-1, 0, 1):
            continue
        most = dims.substitute(most, {loop.axis: loop.first})
        if step == 0 and tested and not dims.nonnegative(most, ranges):
            tests.append(_nonnegative(most))
        elif step == -1:
            stop = dims.minimum(stop, most + 1, ranges)
        elif step == 1:
            start = dims.maximum(start, -most, ranges)
    if not tests and start == 0 and stop == loop.turns:
        return tile
    return tuple(_shorter(s, loop.index, start, stop, tests) for s in tile)


def counted(limits: Sequence[Size], extents: Mapping[str, Size], tiles: Mapping[str, int]) -> float:
    """The share of the terms of all sums that count for their tile, which has so many elements of some axes."""
    share = 1.0
    for limit in limits:
        names = [n for n in extents if n in dims.symbols(limit)]
        if len(names) == 2:
            share *= _share(limit, names, extents, tiles)
    return share


def worth_it(limits: Sequence[Size], extents: Mapping[str, Size]) -> tuple[Size, ...]:
    """Those that leave out more than a shorter loop costs."""
    return tuple(x for x in limits if counted((x,), extents, {}) <= _WORTH or len(dims.symbols(x)) != 2)


def _share(limit: Size, names: Sequence[str], extents: Mapping[str, Size], tiles: Mapping[str, int]) -> float:
    """The share of a rectangle on which a limit is at least 0 for some element of a tile; half where it is not known."""
    known = {n: x for n in names if isinstance(x := extents[n], int)}
    steps = {n: step for n in names if isinstance(step := dims.coefficient(limit, n), int) and step}
    first = dims.substitute(limit, dict.fromkeys(names, 0))
    if len(known) < 2 or len(steps) < 2 or not isinstance(first, int):
        return 0.5
    along, across = sorted(names, key=lambda x: (-tiles.get(x, 1), known[x]))
    if known[along] > _COUNTED:
        return 0.5
    size = tiles.get(along, 1)
    total = 0
    for i in range(known[along]):
        end = min(i - i % size + size, known[along]) - 1 if steps[along] > 0 else i - i % size
        at, by, extent = first + steps[along] * end, steps[across], known[across]
        low = -(at // by) if by > 0 else 0  # at + by * j >= 0
        high = extent if by > 0 else at // -by + 1
        total += max(min(high, extent) - max(low, 0), 0)
    return total / (known[along] * known[across])


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
