"""Lanes that fill no vector: few of them run along the sum instead, where the rows that they meet lie in order along it.

49 columns are three vectors and one lane, for which register tiles would take as long as for a fourth vector. That column is
copied, so that it lies along the sum as the rows do; its sums are then those of a matrix by a vector, with sixteen terms at
once. Enters: a `Contraction`, capabilities, a register tile. Leaves: how many lanes may be left to this, and what it costs.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl.backends.capabilities import Capabilities
from charl.graph.scalar import Load
from charl.loops.nests.axes import Axis
from charl.loops.nests.contraction.cycles import even, lanes_of
from charl.loops.nests.contraction.form import Contraction, runs_as_one, stride

_MOST = 0.5  # share of a vector: more lanes are better off as a vector
_SIDEWAYS = 6.0  # cycles to add up the lanes of one sum
_COPY = 1.5  # and to copy an element of a column
_ENTERED = 12.0  # and to begin the loop over a tile's sums
WORTH = 0.98  # share of the cycles that may be left for it, at most: it takes code of its own


def left_over(c: Contraction, caps: Capabilities, extent: int, beside: Sequence[Load]) -> int:
    """Of `extent` lanes those behind the last whole vector, where few of them can run along the sum; otherwise 0.

    `beside`: loads that do not depend on the lane.
    """
    width = lanes_of(caps, c.width)
    left = extent % width
    if not caps.exact or left > _MOST * width or extent < width or c.guarded:
        return 0
    if not all(isinstance(a.extent, int) for a in c.over) or not beside or len(c.loads) != len(beside) + 1:
        return 0
    if any(x.dtype != c.total.dtype or not x.dtype.is_float for x in c.loads):
        return 0
    last = c.over[-1].name
    ordered = all(stride(x, last) == 1 and runs_as_one(x.index[0], c.over) for x in beside)
    return left if ordered else 0


def along_cycles(
    rows: int, size: int, columns: int, depth: int, blocks: int, caps: Capabilities, width: int
) -> float:
    """Cycles of so many columns of the results, of tiles of at most `size` rows, whose sums are made in so many blocks."""
    lanes = lanes_of(caps, width)
    steps = -(-depth // lanes)
    each = sum(
        count * (max((n + 1) / caps.ports, caps.latency) * steps + blocks * (n * _SIDEWAYS + _ENTERED))
        for count, n in even(rows, size)
    )
    return columns * (each + _COPY * depth)


def shortened(axis: Axis, columns: int) -> Axis:
    """The axis of lanes without its last columns."""
    assert isinstance(axis.extent, int)
    return Axis(axis.name, axis.extent - columns)
