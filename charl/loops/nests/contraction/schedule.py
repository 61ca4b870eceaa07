"""What is chosen for a contraction, as data.

Leaves: a `Schedule`; `choice` makes it, `blocks` and its like write its loops.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from charl.dims import Dim
from charl.graph.scalar import Load
from charl.loops.nests.axes import Axis
from charl.loops.nests.contraction.cycles import Tile

Size = int | Dim

# Results that wait to be transposed: at most so many rows of a strip.
WAITING = 96


@dataclass(frozen=True)
class Windows:
    """What `windows` copies: `load`, for all lanes along `axes` of the results, `step` of the first at once, in rows of `room`
    elements; of `images` neighbours along the axis `beside` together. `tap`: an axis of the sum whose turns move the window by
    `hop` elements of axis `down`: rows of the copy are there once for all of them.
    """

    load: Load
    axes: tuple[Axis, ...]
    step: int
    beside: Axis | None
    images: int = 1
    room: int = 0
    tap: Axis | None = None
    hop: int = 0

    @property
    def down(self) -> int:
        """The axis along which what one copy holds has rows: the first of which it has several elements."""
        return 1 if self.step == 1 and len(self.axes) > 2 else 0

    @property
    def places(self) -> int:
        """Elements of that axis."""
        extent = self.axes[1].extent if self.down else self.step
        assert isinstance(extent, int)
        return extent

    @property
    def rows(self) -> int:
        """The rows that are copied for them."""
        if self.tap is None:
            return self.places
        assert isinstance(self.tap.extent, int)
        return self.places + self.hop * (self.tap.extent - 1)


@dataclass(frozen=True)
class Panels:
    """What `panels` keeps: a register tile takes `counts` elements along each of `tiles`, the last axes of the results; sums of
    `chunk` elements of the first of them wait together. Blocks take turns of the sum's loop number `split_at`, in those before.
    """

    tiles: tuple[Axis, ...]
    counts: tuple[int, ...]
    chunk: int
    split_at: int


@dataclass(frozen=True)
class Schedule:
    """`lane`, `tile`: the axes in registers; the rest of the output axes are loops: `outer` around the strips of the lane axis,
    `within` in each of them, behind what is packed for it, of the first of these `together` turns at once. `packed`: loads that
    are copied to strips of the lane axis, `turned`: those among them that lie along the sum. `depth`: elements of the sum to a
    block, between which the sums wait in memory; None where one register holds the whole sum. `strips`: strips of the lane axis
    that share a block. `waits`: between blocks the sums wait in an array, as no result can hold them. `as_read`: the first
    tile of a block reads the operands where they lie and packs them meanwhile. `shared`: packed blocks lie in the workspace,
    and threads share the tiles that use one; otherwise each thread has blocks of its own on its stack. `flipped`: results
    leave transposed. `also`: a further axis, of which a register tile takes so many elements.
    `ahead`: what is done with whole sums reads these, which tiles ask for while the sums grow. `streamed`: all strips of a
    block come before the next block, each with what it packs, and tiles ask for what is packed next. `asks`: what register
    tiles, or a single row, read where it lies, so that they ask for the rows behind.
    `onward`: tiles ask for the rows of it that the next tile reads.
    `copied`: what lies along the tile axis, and each tile copies to an array of its own, for all strips that it takes in turn.
    `divided`: each thread runs the loop over the blocks of the sum, and takes its part of the strips. `along`: elements behind
    those of `lane`, which fill no vector: their lanes run along the sum.
    """

    lane: Axis
    tile: Axis | None
    outer: tuple[Axis, ...]
    shape: Tile
    packed: tuple[Load, ...] = ()
    turned: tuple[Load, ...] = ()
    depth: Size | None = None
    strips: int = 1
    waits: bool = False
    as_read: bool = False
    shared: bool = False
    flipped: bool = False
    within: tuple[Axis, ...] = ()
    together: int = 1
    windows: Windows | None = None
    panels: Panels | None = None
    also: tuple[Axis, int] | None = None
    ahead: tuple[Load, ...] = ()
    streamed: bool = False
    asks: Load | None = None
    onward: Load | None = None
    copied: Load | None = None
    divided: bool = False
    along: int = 0
    cost: float = 0.0

    @property
    def again(self) -> int:
        """How often the loops in a strip use what is packed for it."""
        return self.together * prod(a.extent for a in self.within[1:] if isinstance(a.extent, int))
