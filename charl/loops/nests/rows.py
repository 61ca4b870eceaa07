"""Everything of one row in one pass of the outer loops: its reductions, then each part over its inner axes.

Enters: parts. Leaves: the statements of a row. Lanes run along an inner axis where stores are contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Reduce
from charl.loops.emit import Emitter
from charl.loops.ends import common_rest, ended
from charl.loops.ir import For, Stmt
from charl.loops.nests.axes import HOPS, Axis, Part, collapse, instances, store_width, wrap
from charl.loops.nests.phases import phased
from charl.loops.nests.running import running
from charl.loops.nests.segments import segmented
from charl.loops.sinks import Sink
from charl.loops.vectors import contiguous_loads, strided_loads
from charl.plan.access import nodes_of

Size = int | Dim

# Elements of a row up to which so many are computed at once: a row of 64 waits for its sums most of the time.
_ROWS = ((1024, 4), (2048, 2))
_STORES = 16  # values of all of these rows, at most
_SUMS = ("add", "mul", "max", "min")


def row_loops(
    emitter: Emitter, rows: Sequence[Axis], parts: Sequence[Part], kept: Sequence[Part] = ()
) -> tuple[Stmt, ...]:
    """The loops over rows; several rows at once where one would wait for its sums longer than it computes them."""
    count = _together(emitter, rows, [s for p in (*kept, *parts) for s in p.sinks])
    if count == 1:
        return wrap(rows, row(emitter, parts, kept))
    *before, axis = rows
    emitter.ranges = {**emitter.ranges, axis.name: (0, axis.extent - count)}
    emitter.ends = {n: _last(e, axis.name, count) for n, e in emitter.ends.items() if _grows(e, axis.name)}
    body = row(emitter, _of_each(parts, axis, count), _of_each(kept, axis, count))
    return wrap(before, (For(axis.name, axis.extent, body, "parallel", step=count),))


def _grows(end: Size, name: str) -> bool:
    """Whether a size does not become less along an axis."""
    step = dims.coefficient(end, name)
    return isinstance(step, int) and step >= 0


def _last(end: Size, name: str, count: int) -> Size:
    """The end of the last of so many rows, which is far enough for all of them."""
    return dims.substitute(end, {name: dims.sym(name) + count - 1})


def _of_each(parts: Sequence[Part], axis: Axis, count: int) -> list[Part]:
    """The parts of `count` rows, those of each on their own: rows that are written in turns are not put together to lines.

    Rows that end early run in one loop, whose end is guessed wrong once and not for each.
    """
    rows = [{axis.name: [dims.sym(axis.name) + n]} for n in range(count)]
    out: list[Part] = []
    for p in parts:
        each = [instances(p.sinks, at) for at in rows]
        start = common_rest(p.sinks)
        if start is None or not _grows(start, axis.name):
            out += [Part(p.inner, tuple(replace(s, rest=None) for s in sinks)) for sinks in each]
        else:
            end = _last(start, axis.name, count)
            out.append(Part(p.inner, tuple(s.resting(end) for sinks in each for s in sinks)))
    return out


def _together(emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink]) -> int:
    """Rows at once: as many as leave no rest, where all sums run on lanes along short rows."""
    totals = [e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)]
    if not (rows and totals and emitter.vectors and isinstance(rows[-1].extent, int)):
        return 1
    longest = 0
    for total in totals:
        name, extent = total.over[-1]
        apart = strided_loads([total.body], name) or not contiguous_loads([total.body], name)
        if len(total.over) > 1 or not isinstance(extent, int) or apart or total.fn not in _SUMS:
            return 1
        longest = max(longest, extent)
    most = next((n for elements, n in _ROWS if longest <= elements), 1)
    most = min(most, _STORES // len(sinks))
    return next((n for n in (4, 2) if n <= most and rows[-1].extent % n == 0), 1)


def row(emitter: Emitter, parts: Sequence[Part], kept: Sequence[Part] = ()) -> tuple[Stmt, ...]:
    """Everything of one row, or of several at once: its reductions, then each part over its inner axes.

    What is `kept` is computed first, each with the reductions that it needs, and read by what comes after.
    """
    inner = frozenset(a.name for p in (*parts, *kept) for a in p.inner)
    flat = [s for p in (*kept, *parts) for s in p.sinks]
    out: list[Stmt] = []
    for i, part in enumerate(kept):
        later = frozenset(s.buffer for p in kept[i:] for s in p.sinks if s.buffer)
        stmts, flat = emitter.reductions(flat, inner, later)
        count = len(part.sinks)
        lets, mine = emitter.hoist(flat[:count], inner)
        out += [*stmts, *lets, *_inner(emitter, _wide(part.inner), mine)]
        flat = flat[count:]
    stmts, flat = emitter.reductions(flat, inner)
    out += stmts
    lets, flat = emitter.hoist(flat, inner) if inner else ([], flat)
    out += lets
    at = 0
    done: list[Stmt] = []
    for part in parts:
        mine = flat[at : at + len(part.sinks)]
        at += len(part.sinks)
        done += _inner(emitter, part.inner, mine) if part.inner else emitter.block(mine)
    return (*out, *done)


def _wide(axes: Sequence[Axis]) -> list[Axis]:
    """Axes of more than one element."""
    return [a for a in axes if a.extent != 1]


def _inner(emitter: Emitter, axes: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    return segmented(emitter, list(axes), sinks, partial(_piece, emitter))


def _piece(emitter: Emitter, axes: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    if not axes:
        return emitter.block(sinks)
    if (carried := running(emitter, axes, sinks)) is not None:
        return carried
    axes, sinks = collapse(list(axes), sinks)
    axis, rest = axes[0], axes[1:]
    if rest:
        names = frozenset(a.name for a in rest)
        lets, sinks = emitter.hoist(sinks, names)
        return (For(axis.name, axis.extent, (*lets, *_piece(emitter, rest, sinks))),)
    if emitter.vectors:
        (axis,), sinks = phased(emitter, [axis], sinks)
    width = store_width(emitter, axis, sinks, HOPS)
    if width is None:
        return (For(axis.name, axis.extent, emitter.block(sinks)),)
    loops = emitter.lane_loop(axis.name, axis.extent, width, sinks)
    start = common_rest(sinks)
    if start is None:
        return loops
    return (*ended(loops, start, emitter.ranges), *emitter.fill(axis.name, start, axis.extent, width, sinks))
