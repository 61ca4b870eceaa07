"""Strategies: the loops around the elements of a group, and what its accumulators look like. One module each.

Enters: the sinks of one group over its row indices. Leaves: one nest of statements. Strategies: a grid (one invocation per
row), rows with inner axes, lanes along the last output axis, plain elements with lanes along the reduction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Reduce
from charl.loops.emit import Emitter
from charl.loops.ir import Stmt
from charl.loops.nests.axes import HOPS, Axis, Part, collapse, store_width, wrap
from charl.loops.nests.columns import lane_rows
from charl.loops.nests.contraction.blocks import Blocks
from charl.loops.nests.contraction.choice import along_the_sum, choose, schedules
from charl.loops.nests.contraction.flipped import Flipped
from charl.loops.nests.contraction.form import Contraction, contraction
from charl.loops.nests.contraction.panels import Panelled, panels
from charl.loops.nests.contraction.planes import Planes, planes
from charl.loops.nests.contraction.schedule import Schedule
from charl.loops.nests.contraction.windows import Windowed, windowed
from charl.loops.nests.phases import phased, written_out
from charl.loops.nests.plain import scalar_rows
from charl.loops.nests.rows import row, row_loops
from charl.loops.nests.running import running
from charl.loops.nests.segments import segmented
from charl.loops.nests.taps import taps
from charl.loops.nests.turned import turned
from charl.loops.sinks import Sink
from charl.loops.vectors import contiguous_loads, strided_loads
from charl.plan.access import nodes_of

Size = int | Dim

__all__ = ["Axis", "Part", "build_nest"]

# Elements of a reduction below which lanes do not pay along it: those of a pool's window.
_SHORT = 8


def build_nest(
    emitter: Emitter,
    caps: Capabilities,
    rows: Sequence[Axis],
    parts: Sequence[Part],
    heavy: bool,
    kept: Sequence[Part] = (),
    limits: Sequence[Size] = (),
) -> tuple[Stmt, ...]:
    """The loops of one group. `kept`: what passes of a row over its inner axes read again, of one sink each.

    `limits`: sizes that are at least 0 wherever a term of the group's sum counts.
    """
    if caps.grid:
        return wrap(rows, row(emitter, parts, kept))
    if kept:
        return row_loops(emitter, rows, parts, kept)
    if len(parts) == 1 and not parts[0].inner:
        return _full(emitter, caps, list(rows), parts[0].sinks, heavy, limits=limits)
    few = written_out(parts) if rows and emitter.vectors else None
    if few is not None and store_width(emitter, rows[-1], few, HOPS) is not None:
        return _full(emitter, caps, list(rows), few, heavy)
    return row_loops(emitter, rows, parts)


def _across(caps: Capabilities, total: Reduce) -> bool:
    """Whether a reduction of elements side by side goes on lanes of several rows: it is short, or gives a place.

    Places are found one element after another; rows must not lie so far apart that their lines push one another out.
    """
    extent = total.over[-1][1]
    if not isinstance(extent, int):
        return False
    return extent < _SHORT or (total.fn.startswith("arg") and extent * total.body.dtype.bytes <= caps.far)


def _scheduled(c: Contraction, caps: Capabilities) -> Schedule | None:
    """The cheapest schedule of all kinds."""
    plain = [*schedules(c, caps)]
    if c.updates:
        return choose(c, caps, plain)
    return choose(c, caps, [*plain, *planes(c, caps, plain), *windowed(c, caps), *panels(c, caps)])


def _writer(s: Schedule) -> type[Blocks]:
    """Who emits the loops of a schedule."""
    if s.windows:
        return Windowed
    if s.panels:
        return Panelled
    if s.also:
        return Planes
    return Flipped if s.flipped else Blocks


def _full(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    heavy: bool,
    cut: bool = False,
    limits: Sequence[Size] = (),
) -> tuple[Stmt, ...]:
    """Values with one element a row; `cut`: where guards change, the axes have been cut."""
    reduces = [e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)]
    if not rows:
        return emitter.block(sinks)
    if not reduces and not cut:
        return segmented(emitter, rows, sinks, lambda r, s: _full(emitter, caps, list(r), s, heavy, True))
    if not reduces:
        rows, sinks = collapse(rows, sinks)
    if reduces and (carried := running(emitter, rows, sinks)) is not None:
        return carried
    if reduces and (written := taps(emitter, caps, rows, sinks)) is not None:
        return written
    if heavy and emitter.vectors:
        found = contraction(emitter, rows, sinks, limits)
        schedule = _scheduled(found, caps) if found else None
        if found and schedule:
            if schedule.windows or schedule.panels:
                found = replace(found, limits=())
            return _writer(schedule)(emitter, caps, found, schedule).nest()
        if found and along_the_sum(found):
            return scalar_rows(emitter, caps, rows, sinks, reduces, heavy)
    if not reduces and (blocks := turned(emitter, rows, sinks)) is not None:
        return blocks
    if not reduces and emitter.vectors:
        rows, sinks = phased(emitter, rows, sinks)
    width = store_width(emitter, rows[-1], sinks, HOPS)
    bodies = [r.body for r in reduces]
    if width is not None and reduces and strided_loads(bodies, rows[-1].name):
        along, _ = reduces[0].over[-1]
        own = not strided_loads(bodies, along) and contiguous_loads(bodies, along)
        if own and not _across(caps, reduces[0]):
            width = None
    if width is None:
        return scalar_rows(emitter, caps, rows, sinks, reduces, heavy)
    return lane_rows(emitter, caps, rows, sinks, reduces, heavy, width)
