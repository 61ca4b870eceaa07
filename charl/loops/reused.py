"""Costly values of a row that several of its passes read: computed in one pass, and kept where the row's result will lie.

Enters: the members of a group and where the stored ones live. Leaves: which members are kept, and the stored value in whose
buffer. The exponentials of a softmax are such: their sum is one pass, their quotient another. Never makes loops.
"""

from __future__ import annotations

from collections.abc import Callable, Container

from charl import dims
from charl.dtypes import boolean
from charl.graph.ir import Node
from charl.loops.nests.axes import HOPS
from charl.plan.access import Facts
from charl.plan.fusion import Fusion, Group
from charl.plan.ir import Place

# Additions from which an element is stored and loaded again rather than computed again: a function that is a polynomial.
_COSTLY = 15


def homes(
    fusion: Fusion, group: Group, place: Callable[[Node], Place], apart: Container[Node]
) -> dict[Node, Node]:
    """Member to keep → stored value whose elements lie where it waits. Values in `apart` are stored elsewhere than others.

    A buffer that the group reads is no home, and what is kept is read at its own place only, or by reductions: the stored value
    overwrites it element by element.
    """
    if group.heavy or group.closed:
        return {}
    places = {
        place(r.node) for m in group.members for r in fusion.fact(m).reads if _placed(fusion, group, r.node)
    }
    free = [n for n in group.stored if n not in apart and place(n) not in places and n.dtype != boolean]
    out: dict[Node, Node] = {}
    for node in group.members:
        home = next((h for h in free if h.shape == node.shape and h.dtype == node.dtype), None)
        if home is not None and _worth(fusion, group, node) and _at_its_place(fusion, group, node):
            out[node] = home
            free.remove(home)
    return out


def _placed(fusion: Fusion, group: Group, node: Node) -> bool:
    """Whether a value that the group reads lies in memory."""
    return node not in group.members or node in group.stored


def _worth(fusion: Fusion, group: Group, node: Node) -> bool:
    """Whether an inner value is costly and read by a reduction and once more at least."""
    fact = fusion.fact(node)
    inner = dims.product(node.shape[group.rows :])
    if node in group.stored or node.rank <= group.rows or not isinstance(fact, Facts) or fact.reduces:
        return False
    if fact.cost < _COSTLY or (isinstance(inner, int) and inner <= HOPS):
        return False
    reads = [r.reduced for m in group.members for r in fusion.fact(m).reads if r.node is node]
    return len(reads) > 1 and any(reads)


def _at_its_place(fusion: Fusion, group: Group, node: Node) -> bool:
    """Whether no element of the row but its own is made of an element of `node`, other than through a reduction."""
    holding = {node}
    for m in group.members:
        fact = fusion.fact(m)
        for read in fact.reads:
            if read.node not in holding or read.reduced:
                continue
            if not fact.prefix(read) == read.node.rank == m.rank:
                return False
            holding.add(m)
    return True
