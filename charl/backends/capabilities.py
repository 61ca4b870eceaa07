"""What a target can do. Every level below the graph asks these, never a target's name."""

from __future__ import annotations

from dataclasses import dataclass

from charl.dtypes import ALL

HALVES = tuple(t.name for t in ALL.values() if t.is_half)


@dataclass(frozen=True)
class Capabilities:
    """`dtypes`: element types it has. `stored`: those of them that lie in memory only: registers hold the type in which their
    sums accumulate, and whatever is computed is brought back to what the type holds. `grid`: kernels run as one invocation per
    point of their parallel loops and have no vectors; else loops and vectors of up to `max_lanes` 32-bit elements, exactly so
    many where `exact`. `scatter`: a kernel may store to computed places in order. `reports`: it has debug builds, which check
    indices. `max_buffers`: arrays that a kernel takes; in C as many as one reads in a call (compilers promise 127 parameters).

    What loops are scheduled by: `registers`, vector registers that a register tile may count on; `ports`, fused multiply-adds
    and loads that start each cycle; `latency`, cycles of a multiply-add; `cache`, bytes of the three nearest caches; `bandwidth`,
    bytes that come each cycle from what lies behind each of them; `far`, bytes between neighbours from which on they count as
    scattered over pages; `stack`, bytes that a kernel may take for packed operands; `packed`, bytes that these may take of the
    workspace, so much of the second cache that they stay there; `thread_work`, operations of vectors from which on threads pay;
    `threads`, the most that have room in the workspace for arrays of their own; `exchange`, bytes that come each cycle from the
    cache of another core.
    """

    dtypes: frozenset[str]
    stored: frozenset[str] = frozenset(HALVES)
    grid: bool = False
    max_lanes: int = 16
    exact: bool = False
    registers: int = 16
    scatter: bool = True
    reports: bool = True
    max_buffers: int = 32
    ports: int = 2
    latency: int = 4
    cache: tuple[int, int, int] = (32 << 10, 1 << 20, 32 << 20)
    bandwidth: tuple[float, float, float] = (20, 6, 3)
    far: int = 1 << 10
    stack: int = 128 << 10
    packed: int = 768 << 10
    thread_work: int = 1 << 15
    threads: int = 8
    exchange: float = 3


EVERY = frozenset(ALL)
PORTABLE_C = Capabilities(EVERY)
SCALAR = Capabilities(EVERY, max_lanes=1, exact=True)
AVX2 = Capabilities(EVERY, max_lanes=8, exact=True, stack=256 << 10)
AVX512 = Capabilities(EVERY, exact=True, registers=32, stack=256 << 10)
WGSL = Capabilities(
    EVERY - {"f64"},
    stored=frozenset([*HALVES, "i8", "i16", "u8", "u16"]),
    grid=True,
    max_lanes=1,
    scatter=False,
    reports=False,
    max_buffers=8,
)
