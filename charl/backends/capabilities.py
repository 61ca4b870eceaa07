"""What a target can do. Every level below the graph asks these, never a target's name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Capabilities:
    """`dtypes`: element types it stores and computes with. `grid`: kernels run as one invocation per point of their parallel
    loops and have no vectors; else loops and vectors of up to `max_lanes` 32-bit elements. `registers`: vector registers that
    a register tile may count on. `scatter`: a kernel may store to computed places in order.
    """

    dtypes: frozenset[str]
    grid: bool = False
    max_lanes: int = 16
    registers: int = 16
    scatter: bool = True
    max_buffers: int = 1 << 30


ALL_BUT_HALF = frozenset(["f32", "f64", "i8", "i16", "i32", "i64", "u8", "u16", "u32", "u64", "bool"])
PORTABLE_C = Capabilities(ALL_BUT_HALF)
SCALAR = Capabilities(ALL_BUT_HALF, max_lanes=1)
AVX2 = Capabilities(ALL_BUT_HALF, max_lanes=8)
AVX512 = Capabilities(ALL_BUT_HALF, max_lanes=16, registers=32)
WGSL = Capabilities(
    frozenset(["f32", "i32", "u32", "bool"]), grid=True, max_lanes=1, scatter=False, max_buffers=8
)
