"""Several accumulators for one reduction, so that one addition does not wait for the one before.

Enters: what is reduced and how far. Leaves: how many chains pay, and the statements that join them. Never makes loops.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from charl.dims import Dim
from charl.dtypes import DType
from charl.graph.scalar import Expr, Ref
from charl.loops.ir import Stmt, Update
from charl.plan.access import expr_cost

Size = int | Dim
# An addition takes four cycles and two can start in each: eight are on their way at best.
_MOST = 8
# Of a reduction whose extent is not known.
_USUAL = 4


def chain_count(extent: Size, width: int, bodies: Sequence[Expr], early: bool = False) -> int:
    """A power of two: fewer where the extent is small, or where each step is work enough to wait behind.

    `early`: the sums may end before the extent, at a vector of one chain.
    """
    vectors = extent // (512 // width) if isinstance(extent, int) else _USUAL
    cost = sum(expr_cost(b) for b in bodies)
    limit = min(vectors, _MOST // len(bodies), max(1, 2 * _MOST // max(cost, 1)))
    if early:
        limit //= 2
    count = 1
    while 2 * count <= limit:
        count *= 2
    return count


def combined(
    registers: Sequence[tuple[str, str, DType]], chains: Sequence[Mapping[str, str]]
) -> tuple[Stmt, ...]:
    """Updates of the first chain's registers (name, function, element type) by those of the others, as a tree."""
    out: list[Stmt] = []
    for name, fn, dtype in registers:
        left = [name, *(chain[name] for chain in chains)]
        while len(left) > 1:
            half = len(left) // 2
            out += [Update(a, fn, Ref(b, dtype)) for a, b in zip(left[:half], left[half:])]
            left = left[:half]
    return tuple(out)
