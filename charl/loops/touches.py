"""What a kernel touches, as threads see it.

Enters: a kernel whose parallel loops have been chosen. Leaves: how much of each of its buffers it reads and writes, and whether
every thread does so with a part of its own. Bytes are counted by the loops around an access: an estimate, never more than
the buffer has.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Load
from charl.loops.ir import Buffer, For, Kernel, Simd, Stmt, Store, Transpose
from charl.loops.threads import trips
from charl.loops.walk import body, expressions
from charl.plan.access import nodes_of

Size = int | Dim
_VECTOR = 512  # bits of the widest


@dataclass(frozen=True)
class Touch:
    """Accesses to a buffer, its number among those of the kernel. `divided`: a thread touches its share of the bytes only.
    `period`: elements after which the part of each thread comes again, the whole array where parts are runs of it; 0 where
    that is not known.
    """

    buffer: int
    written: bool
    bytes: int
    divided: bool
    period: int = 0


@dataclass
class _Loops:
    """The loops around a statement: turns of each, those that its bounds depend on, and how far parallel ones run."""

    turns: Mapping[str, Size] = field(default_factory=dict)
    outer: Mapping[str, frozenset[str]] = field(default_factory=dict)
    parallel: Mapping[str, Size] = field(default_factory=dict)

    def within(self, s: For | Simd) -> _Loops:
        if isinstance(s, Simd):
            return _Loops({**self.turns, s.lane: _VECTOR // s.width}, self.outer, self.parallel)
        names = dims.symbols(s.start) | (frozenset() if s.stop is None else dims.symbols(s.stop))
        outer = {**self.outer, s.index: self.closed(names)}
        parallel = self.parallel
        if s.kind in ("parallel", "divided"):
            parallel = {**parallel, s.index: 0 if s.stop is None else s.stop - s.start}
        return _Loops({**self.turns, s.index: trips(s)}, outer, parallel)

    def closed(self, names: frozenset[str]) -> frozenset[str]:
        """Loops whose indices these are or depend on."""
        mine = names & self.turns.keys()
        return mine.union(*(self.outer.get(n, frozenset()) for n in mine))


# (buffer, whether it is written, first index, elements, whether they depend on a parallel loop, period of a thread's part)
_Access: TypeAlias = "tuple[Buffer, bool, Size, Size, bool, int]"


def touches(kernel: Kernel) -> tuple[Touch, ...]:
    """What the kernel reads and writes, buffer by buffer; buffers whose sizes nobody knows are left out."""
    sizes = {b: b.size * b.dtype.bytes for b in kernel.buffers if isinstance(b.size, int)}
    met: set[tuple[Buffer, bool, Size]] = set()
    found: dict[tuple[Buffer, bool], list[int]] = {}  # bytes of everybody, and of each thread alone
    periods: dict[tuple[Buffer, bool], tuple[int, int]] = (
        {}
    )  # of the largest divided accesses, behind their bytes
    for nest in kernel.nests:
        for buffer, written, index, count, divided, period in _accesses(nest, _Loops()):
            if buffer not in sizes or (buffer, written, index) in met:
                continue
            met.add((buffer, written, index))
            size = count * buffer.dtype.bytes if isinstance(count, int) else sizes[buffer]
            found.setdefault((buffer, written), [0, 0])[divided] += size
            if divided:
                periods[buffer, written] = max(periods.get((buffer, written), (0, 0)), (size, period))
    out = []
    for (buffer, written), (common, own) in found.items():
        number = kernel.buffers.index(buffer)
        divided = own > common
        period = periods[buffer, written][1] if divided else 0
        out.append(Touch(number, written, min(common + own, sizes[buffer]), divided, period))
    return tuple(out)


def _period(index: Size, around: _Loops) -> int:
    """Elements from the first part of a thread to its next, as an index moves with one parallel loop; 0 where it is not known."""
    moving = [(n, span) for n, span in around.parallel.items() if n in dims.symbols(index)]
    if len(moving) != 1:
        return 0
    ((name, span),) = moving
    step = dims.coefficient(index, name)
    return abs(step * span) if isinstance(step, int) and isinstance(span, int) else 0


def _accesses(stmts: tuple[Stmt, ...], around: _Loops) -> Iterator[_Access]:
    """Every load and store."""

    def touched(buffer: Buffer, written: bool, index: Size, each: Size) -> _Access:
        names = around.closed(dims.symbols(index))
        count = dims.product((each, *(around.turns[n] for n in names)))
        return buffer, written, index, count, not names.isdisjoint(around.parallel), _period(index, around)

    for s in stmts:
        for e in expressions(s):
            for x in nodes_of(e, indices=True):
                if isinstance(x, Load):
                    yield touched(x.source, False, x.index[0], 1)
        if isinstance(s, Store):
            yield touched(s.buffer, True, s.index, 1)
        elif isinstance(s, Transpose):
            yield touched(s.source, False, s.start, s.rows * s.columns)
            yield touched(s.target, True, s.to, s.rows * s.columns)
        yield from _accesses(body(s), around.within(s) if isinstance(s, (For, Simd)) else around)
