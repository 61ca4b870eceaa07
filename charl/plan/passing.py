"""Updates that a product makes as it reads what is updated.

Enters: a sum, what it reads, and the group that computes that. Leaves: whether the sum may compute and store it element by
element, which saves passing over memory once more. Never groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from charl import dims
from charl.dims import Size
from charl.graph.scalar import Reduce
from charl.plan.access import Facts, LoopFacts, Read, nodes_of

if TYPE_CHECKING:
    from charl.plan.fusion import Fusion, Group


def passes(fusion: Fusion, read: Read, fact: Facts | LoopFacts, source: Group) -> bool:
    """Whether a sum may update what it reads: a value written over the one it is made of, elementwise, as is all of its group."""
    value, old = read.node, fusion.updates.get(read.node)
    if fusion.caps.grid or old not in source.reads or any(r.node is old for r in fact.reads):
        return False
    if source.heavy or source.closed or source.split or source.reduced:
        return False
    if not value.dtype.is_float or value.dtype.name in fusion.caps.stored:
        return False
    if any(n.shape != value.shape for n in source.members):
        return False
    others = [n for n in source.members if n.dtype != value.dtype]  # which nobody else may read
    if any(n in fusion.results or fusion.readers[n].difference(source.members) for n in others):
        return False
    if sum(r.node in source.members for r in fact.reads) != 1 or not _once_each(read, fact):
        return False
    above = [value]  # … and members that it is made of
    for n in above:
        found = (r.node for r in fusion.fact(n).reads)
        above += [x for x in dict.fromkeys(found) if x in source.members and x not in above]
    return len(above) == len(source.members) and fusion.acyclic(fact, source)


def _once_each(read: Read, fact: Facts | LoopFacts) -> bool:
    """Whether a sum reads each element of a value exactly once."""
    if not isinstance(fact, Facts) or fact.guarded:
        return False
    sums = [e for e in nodes_of(fact.expr) if isinstance(e, Reduce)]
    if len(sums) != 1 or sums[0].fn != "add" or not read.reduced:
        return False
    own = {str(i): size for i, size in zip(fact.own, fact.node.shape, strict=True) if size != 1}
    extents = own | {name: size for name, size in sums[0].over if size != 1}
    names: list[str] = []
    for i, size in zip(read.index, read.node.shape, strict=True):
        if size == 1:
            continue
        found = _counted(i, size, extents)
        if found is None:
            return False
        names += found
    return len(names) == len(set(names)) == len(extents)


def _counted(index: Size, size: Size, extents: Mapping[str, Size]) -> list[str] | None:
    """The loops that count an axis of this size from first to last, each place once, as digits count; None where they do not."""
    digits = []
    for name in sorted(dims.symbols(index)):
        step = dims.coefficient(index, name)
        if name not in extents or not isinstance(step, int):
            return None
        digits.append((step, name))
    if not isinstance(size, int):
        return [str(index)] if len(digits) == 1 and extents.get(str(index)) == size else None
    place = 1
    for step, name in sorted(digits):
        extent = extents[name]
        if step != place or not isinstance(extent, int):
            return None
        place *= extent
    first = dims.substitute(index, {name: 0 for _, name in digits})
    return [name for _, name in digits] if place == size and first == 0 else None
