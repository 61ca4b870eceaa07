"""Loops cut where a guard changes: the borders of a padded value apart from its inside, which then runs on lanes.

Enters: sinks without reductions over row axes. Leaves: loops over pieces of the axes, in each of which no guard asks for the
place along a cut axis. Never decides how a piece is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Apply, Expr, Guard
from charl.loops.emit import Emitter
from charl.loops.inline import beside_border, rewrite
from charl.loops.ir import For, Stmt
from charl.loops.nests.axes import Axis
from charl.loops.sinks import Sink
from charl.plan.access import nodes_of

Size = int | Dim
Plain = Callable[[list[Axis], Sequence[Sink]], tuple[Stmt, ...]]

_MOST = 3  # places at which an axis is cut: more would be more code than it is worth


def segmented(
    emitter: Emitter, rows: list[Axis], sinks: Sequence[Sink], plain: Plain, lanes: int = 1
) -> tuple[Stmt, ...]:
    """The loops over `rows`; `plain` makes those over what needs no cut any more. `lanes`: what cuts of the last axis divide."""
    cuts = partial(_cuts, last=rows[-1].name if rows else "", lanes=lanes)
    cut = [i for i, a in enumerate(rows) if cuts(a, sinks)]
    if not cut:
        return plain(rows, sinks)
    axis, rest = rows[0], rows[1:]
    if cut[0] > 0:
        return (For(axis.name, axis.extent, segmented(emitter, rest, sinks, plain, lanes), "parallel"),)
    out: tuple[Stmt, ...] = ()
    assert isinstance(axis.extent, int)
    for start, stop in pairwise((0, *cuts(axis, sinks), axis.extent)):
        if stop - start == 1:
            out += segmented(emitter, rest, _moved(emitter, sinks, axis.name, start, None, 1), plain, lanes)
            continue
        piece = Axis(emitter.name(axis.name.split(".")[0]), stop - start)
        moved = _moved(emitter, sinks, axis.name, start, piece.name, stop - start)
        if any(cuts(a, moved) for a in rest):
            out += (For(piece.name, piece.extent, segmented(emitter, rest, moved, plain, lanes), "parallel"),)
        else:
            out += plain([piece, *rest], moved)
    return out


def _cuts(axis: Axis, sinks: Sequence[Sink], last: str = "", lanes: int = 1) -> tuple[int, ...]:
    """Where along an axis of known extent guards change; none where that is no constant, or too many places."""
    if not isinstance(axis.extent, int):
        return ()
    found: set[int] = set()
    for s in sinks:
        for e in nodes_of(s.value):
            for index, low, high in e.ranges if isinstance(e, Guard) else ():
                if axis.name not in dims.symbols(index):
                    continue
                places = _places(index, axis.name, low, high)
                if places is None:
                    return ()
                found |= places
    if axis.name == last and lanes > 1:
        found = _whole(found, axis.extent, lanes)
    inside = sorted(x for x in found if 0 < x < axis.extent)
    return tuple(inside) if len(inside) <= _MOST else ()


def _whole(places: set[int], extent: int, lanes: int) -> set[int]:
    """From where to where whole vectors lie between all places; those around them keep their guards, two elements at least."""
    first = max((x for x in places if 0 < x < extent / 2), default=0)
    last = min((x for x in places if extent / 2 <= x < extent), default=extent)
    low, high = -(-first // lanes) * lanes, last // lanes * lanes
    return {x - lanes if extent - x == 1 else x for x in (low, high)}


def _places(index: Size, name: str, low: Size, high: Size) -> set[int] | None:
    """From where on an index is at least `low`, and `high`: an axis plus a number, or that over a number, rounded down."""
    if not (isinstance(low, int) and isinstance(high, int) and isinstance(index, Dim)):
        return None
    period = 1
    before = index - dims.sym(name)
    inner = next((a for a in dims.atoms(index) if isinstance(a, dims.Func)), None)
    if inner is not None and inner.name == "floordiv" and isinstance(inner.args[1], int):
        period, after = inner.args[1], index - dims.atom(inner)
        before = inner.args[0] - dims.sym(name)
        if not isinstance(after, int):
            return None
        low, high = low - after, high - after
    return {low * period - before, high * period - before} if isinstance(before, int) else None


def _moved(
    emitter: Emitter, sinks: Sequence[Sink], old: str, start: int, new: str | None, count: int
) -> list[Sink]:
    """The sinks in a piece of `count` places from `start` on, with the tests that are decided there left out."""
    at: Size = start if new is None else dims.sym(new) + start
    memo = emitter.memo()
    shifted = [s.at({old: at}, memo) for s in sinks]

    def decided(e: Expr) -> Expr | None:
        if isinstance(e, Apply) and any(isinstance(a, Guard) for a in e.args):
            args = tuple(rewrite(a, decided, done) for a in e.args)
            return beside_border(e, args) or Apply(e.fn, args, e.dtype)
        if not isinstance(e, Guard):
            return None
        kept = []
        for index, low, high in e.ranges:
            first = index if new is None else dims.substitute(index, {new: 0})
            if not (isinstance(first, int) and isinstance(low, int) and isinstance(high, int)):
                kept.append((index, low, high))
                continue
            last = index if new is None else dims.substitute(index, {new: count - 1})
            assert isinstance(last, int)  # indices grow along an axis
            if last < low or first >= high:
                return rewrite(e.other, decided, done)
            if first < low or last >= high:
                kept.append((index, low, high))
        if len(kept) == len(e.ranges):
            return None
        then = rewrite(e.then, decided, done)
        return Guard(tuple(kept), then, rewrite(e.other, decided, done)) if kept else then

    done = emitter.memo()
    return [replace(s, value=rewrite(s.value, decided, done)) for s in shifted]
