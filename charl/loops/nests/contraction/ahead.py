"""What is done with the sums of a register tile is asked for while the sums grow.

An optimizer's update of weights reads them and their moments from memory, a few lines of each row of a tile, which no processor
foresees. The loop of the sum is cut into parts, and each part asks for some rows of what comes behind the sum.

Enters: a `Contraction`, its `Schedule`, register tiles. Leaves: what is worth asking for, the sum in parts, and tiles that ask.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Const, Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import Buffer, For, Prefetch, Simd, Stmt
from charl.loops.nests.contraction.cycles import LINE
from charl.loops.nests.contraction.form import Contraction
from charl.loops.nests.contraction.packing import Strip
from charl.loops.nests.contraction.schedule import Schedule
from charl.plan.access import nodes_of

Size = int | Dim

_LEAST = 16  # elements of the sum in a part


def read_behind(c: Contraction, caps: Capabilities, s: Schedule) -> tuple[Load, ...]:
    """What the epilogue of whole sums reads from behind the second cache in the order of the lanes, for each row of a tile."""
    known = s.tile is not None and all(isinstance(a.extent, int) for a in (s.tile, *c.over))
    if not known or not caps.exact or len(c.over) > 1 or c.limits or s.depth is not None or s.flipped:
        return ()
    assert s.tile is not None
    zero = Const(0.0, c.total.dtype)
    found: dict[Load, None] = {}
    for sink in c.sinks:
        value = rewrite(sink.value, lambda e: zero if e is c.total else None, Memo())
        for x in nodes_of(value):
            if not isinstance(x, Load) or not isinstance(x.source, Buffer):
                continue
            size = x.source.size
            along, down = (dims.coefficient(x.index[0], a.name) for a in (s.lane, s.tile))
            if along == 1 and down and isinstance(size, int) and size * x.dtype.bytes > caps.cache[1]:
                found[x] = None
    return tuple(found)


@dataclass(frozen=True)
class Parts:
    """A sum over index `part` and over `inner` in it, `size` elements of the sum; each part asks for `rows` rows."""

    total: Reduce
    part: str
    inner: str
    size: int
    rows: int

    @property
    def index(self) -> Size:
        """The index of the whole sum."""
        return dims.sym(self.part) * self.size + dims.sym(self.inner)


def in_parts(emitter: Emitter, total: Reduce, rows: int) -> Parts | None:
    """The sum of a tile of `rows` rows in equal parts, a row for each where its depth has such divisors."""
    ((name, depth),) = total.over
    assert isinstance(depth, int)
    count = max(n for n in range(1, rows + 1) if depth % n == 0)
    if count == 1 or depth // count < _LEAST:
        return None
    part, inner = (emitter.name(name.split(".")[0]) for _ in range(2))
    out = Parts(total, part, inner, depth // count, -(-rows // count))
    body = substitute(total.body, {name: out.index}, Memo())
    return replace(out, total=replace(total, over=((part, count), (inner, depth // count)), body=body))


def asking(
    tile: Sequence[Stmt], parts: Parts, s: Schedule, strip: Strip, rows: Sequence[Size], lanes: int
) -> tuple[Stmt, ...]:
    """A register tile each part of whose sum asks for rows of what is read behind it."""
    assert s.tile is not None
    ask: list[Stmt] = []
    for n in range(parts.rows):
        row: Size = dims.sym(parts.part) * parts.rows + n
        row = dims.minimum(row, len(rows) - 1, {parts.part: (0, len(rows) - 1)})
        for load in s.ahead:
            step = max(LINE // load.dtype.bytes, lanes)
            for first in range(0, strip.vectors * lanes, step):
                env = {s.tile.name: rows[0] + row, s.lane.name: strip.start + first}
                ask.append(Prefetch(load.source, dims.substitute(load.index[0], env)))
    return tuple(_in_loop(x, parts.part, tuple(ask)) for x in tile)


def _in_loop(s: Stmt, index: str, first: tuple[Stmt, ...]) -> Stmt:
    """The statement with `first` at the beginning of the loop over `index`."""
    if isinstance(s, For) and s.index == index:
        return replace(s, body=(*first, *s.body))
    if isinstance(s, (For, Simd)):
        return replace(s, body=tuple(_in_loop(x, index, first) for x in s.body))
    return s
