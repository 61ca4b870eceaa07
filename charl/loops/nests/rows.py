"""Everything of one row in one pass of the outer loops: its reductions, then each part over its inner axes.

Enters: parts. Leaves: the statements of a row. Lanes run along an inner axis where stores are contiguous.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from charl.loops.emit import Emitter
from charl.loops.ir import For, Stmt
from charl.loops.nests.axes import HOPS, Axis, Part, collapse, store_width
from charl.loops.nests.phases import phased
from charl.loops.nests.segments import segmented
from charl.loops.sinks import Sink


def row(emitter: Emitter, parts: Sequence[Part], kept: Sequence[Part] = ()) -> tuple[Stmt, ...]:
    """Everything of one row: its reductions, then each part over its inner axes.

    What is `kept` is computed first, each with the reductions that it needs, and read by what comes after.
    """
    inner = frozenset(a.name for p in (*parts, *kept) for a in p.inner)
    flat = [s for p in (*kept, *parts) for s in p.sinks]
    out: list[Stmt] = []
    for i, part in enumerate(kept):
        later = frozenset(p.sinks[0].buffer for p in kept[i:] if p.sinks[0].buffer)
        stmts, flat = emitter.reductions(flat, inner, later)
        lets, mine = emitter.hoist(flat[:1], inner)
        out += [*stmts, *lets, *_inner(emitter, _wide(part.inner), mine)]
        flat = flat[1:]
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
    return emitter.lane_loop(axis.name, axis.extent, width, sinks)
