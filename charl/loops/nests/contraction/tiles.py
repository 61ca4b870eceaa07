"""A register tile: all its sums in one loop, then what is done with them.

Enters: sinks, and the values that the tile's indices take. Leaves: the statements of a vector region.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise, product
from math import prod

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo, substitute
from charl.loops.ir import Buffer, For, Local, Stmt
from charl.loops.nests.axes import instances
from charl.loops.sinks import Sink
from charl.plan.access import expr_cost, nodes_of

Size = int | Dim

# Additions per element from which an epilogue is a loop over the tile rather than written out for each register.
LONG_EPILOGUE = 8


def register_tile(
    emitter: Emitter, sinks: Sequence[Sink], values: Mapping[str, Sequence[Size]], lane: str, lanes: Size
) -> tuple[Stmt, ...]:
    """One tile of vectors of `lanes` elements. `values`: what each index takes, the last varying fastest.

    An epilogue of some size is a loop over the tile, kept on the stack meanwhile; a short one is written out.
    """
    count = prod(len(v) for v in values.values())
    reduces = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    nested = any(isinstance(e, Reduce) for r in reduces for e in nodes_of(r.body))
    if nested or count < 4 or epilogue_cost(sinks, reduces) < LONG_EPILOGUE:
        return emitter.block(instances(sinks, values))
    loops = [(n, v, emitter.name(n.split(".")[0])) for n, v in values.items() if len(v) > 1 and _evenly(v)]
    index = {n: dims.sym(name) for n, _, name in loops}
    held = [Buffer("sums", r.dtype, lanes * count, "scratch") for r in reduces]
    sums = [
        Sink(substitute(r, dict(zip(values, chosen, strict=True)), Memo()), kept, lanes * i + dims.sym(lane))
        for r, kept in zip(reduces, held, strict=True)
        for i, chosen in enumerate(product(*values.values()))
    ]
    moved: list[Sink] = []
    for chosen in product(*([0] if n in index else range(len(v)) for n, v in values.items())):
        env: dict[str, Size] = {}
        slot: Size = 0
        for (n, v), i in zip(values.items(), chosen, strict=True):
            env[n] = v[0] + (v[1] - v[0]) * index[n] if n in index else v[i]
            slot = slot * len(v) + index.get(n, i)
        table: dict[int, Expr] = {
            id(r): Load(kept, (slot * lanes + dims.sym(lane),), r.dtype)
            for r, kept in zip(reduces, held, strict=True)
        }
        memo = Memo()
        moved += [s.at(env, memo) for s in emitter.replaced(sinks, table)]
    sums_first = emitter.block(sums)
    lets, moved = emitter.hoist(moved, frozenset(name for _, _, name in loops))
    body = emitter.block(moved)
    for _, v, name in reversed(loops):
        body = (For(name, len(v), body),)
    return (*(Local(kept) for kept in held), *sums_first, *lets, *body)


def epilogue_cost(sinks: Sequence[Sink], sums: Sequence[Reduce]) -> int:
    """Operations on an element of these sums once it is whole."""
    return sum(expr_cost(s.value) - sum(expr_cost(r.body) for r in sums if r is s.value) for s in sinks)


def _evenly(values: Sequence[Size]) -> bool:
    """Whether each is as far from the one before: the last vector of a strip may begin earlier than that."""
    return len({b - a for a, b in pairwise(values)}) == 1
