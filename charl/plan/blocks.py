"""Chains of contractions through something much larger than what enters and leaves them, block by block.

Enters: an optimised graph. Leaves: the same with such a chain as loops, over the axes that all of it runs along and over
blocks of rows: attention, forward and backward, is the best known. What is large lives for one block; a later part of the
graph that needs it again computes it again from the sums over its rows, which are kept. Never looks at names or at targets.

A chain starts at contractions whose result has the axes (together…, rows, columns), goes on through elementwise values and sums
along columns, and ends at contractions that sum over columns (one block of their result per block of rows) or over rows (their
result is added up over the blocks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heappop, heappush

from charl import dims
from charl.dims import nonnegative, product
from charl.graph.ir import Graph, Node, Size
from charl.ops.regions import rebuilt
from charl.plan.outline import Labels, Outline, Part, Piece, axis_order, elementwise, whole

# What is smaller in all stays as it is: it lives in a cache. Elements.
SMALL = 1 << 17
# Elements of a block of what is large: half of a usual second-level cache. Of long rows more, so that there are some in a block:
# each block packs an operand as long as they are once more.
BLOCK = 1 << 16
ROWS, _WIDER = 64, 4
# Rows of a block where their number, or that of columns, is not known.
OPEN = 128
_FEWEST = 8  # rows of a block, or a contraction with it is not worth its name


def blocked(graph: Graph, taken: frozenset[str]) -> Graph:
    """The graph with every chain that pays as loops. Indices get names that are not `taken`."""
    again = True
    while again:
        again = False
        for chain in _chains(graph):
            made = _outlined(graph, chain, taken)
            again = not chain.large & set(made.nodes())
            if again:  # nothing outside needs what is large
                graph = made
                break
    return graph


@dataclass
class _Chain:
    """Labelled nodes: `large` has all labels, `rows` none for columns; and the ends, in layers that depend on one another."""

    labels: dict[Node, Labels]
    large: set[Node]
    layers: list[list[Node]] = field(default_factory=list)


def _chains(graph: Graph) -> list[_Chain]:
    order = graph.nodes()
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for n in order:
        for x in n.inputs:
            users[x].append(n)
    found = []
    tried: set[Node] = set()
    for node in order:
        if node not in tried and _is_start(node, SMALL):
            chain = _grown(order, users, node)
            tried |= {n for n in chain.large if n.op == "contract"}
            if _closed(graph, chain, users) and _pays(chain):
                chain.layers = _layers(graph, chain)
                found.append(chain)
    return found


def _is_start(node: Node, small: int) -> bool:
    """Whether a contraction makes (together…, rows, columns), large enough to matter."""
    if node.op != "contract" or not node.dtype.is_float:
        return False
    (a, b), nb = node.inputs, len(node.attrs["batch"][0])
    free = [x.rank - nb - len(node.attrs["sum"][0]) for x in (a, b)]
    size = product(node.shape)
    return free == [1, 1] and (not isinstance(size, int) or size > small)


def _grown(order: Sequence[Node], users: Mapping[Node, Sequence[Node]], start: Node) -> _Chain:
    """Everything that has the axes of `start`, and their row values, found forwards from all contractions like it."""
    together = [k for k, n in enumerate(start.shape[:-2]) if n != 1]
    first = [k if k in together else Part.ONE for k in range(start.rank - 2)]
    labels: dict[Node, Labels] = {start: (*first, Part.ROWS, Part.ALL)}
    chain = _Chain(labels, {start})
    position = {n: k for k, n in enumerate(order)}
    waiting = [k for k, n in enumerate(order) if n is not start and _is_alike(n, start)]
    waiting += [position[n] for n in users[start]]
    heapify(waiting)
    last = -1
    while waiting:
        at = heappop(waiting)
        if at == last:
            continue
        last, n = at, order[at]
        inside = [x for x in n.inputs if x in labels]
        found = _followed(n, inside, labels) if inside else axis_order(n.shape, start.shape, labels[start])
        if found is None:
            continue
        labels[n] = found
        whole = found.count(Part.ALL) and Part.ROWS in found and product(n.shape) == product(start.shape)
        if whole or not inside:
            chain.large.add(n)
        for user in users[n]:
            heappush(waiting, position[user])
    return chain


def _is_alike(n: Node, start: Node) -> bool:
    """Whether a contraction makes the same axes, but for those of one element."""
    if n.op != "contract" or n.shape[-2:] != start.shape[-2:] or not _is_start(n, 0):
        return False
    return [s for s in n.shape if s != 1] == [s for s in start.shape if s != 1]


def _followed(n: Node, inside: list[Node], labels: dict[Node, Labels]) -> Labels | None:
    """The labels of a value made of labelled ones; None where the chain does not go through it."""
    x = inside[0]
    if n.op == "reshape":
        wide = [s for s in n.shape if s != 1] == [s for s in x.shape if s != 1]
        return axis_order(n.shape, x.shape, labels[x]) if wide and 1 not in x.shape[-2:] else None
    if n.op == "broadcast":
        out: list[Part | int] = [Part.ONE if size == 1 else Part.ALL for size in n.shape]
        grown = [a for a, size in enumerate(n.shape) if size != 1]
        for a, size, label in zip(n.attrs["axes"], x.shape, labels[x], strict=True):
            if size == n.shape[a]:
                out[a] = label
                grown = [k for k in grown if k != a]
        columns = grown == [n.rank - 1] and n.rank > 1 and out[-2] is Part.ROWS
        return tuple(out) if columns or not grown else None
    if n.op.startswith("reduce_") and len(n.inputs) == 1:
        kept = [k for k in range(x.rank) if k not in n.attrs["axes"]]
        gone = {labels[x][k] for k in n.attrs["axes"]}
        return tuple(labels[x][k] for k in kept) if gone == {Part.ALL} else None
    if elementwise(n) and all(labels[y] == labels[x] for y in inside):
        return labels[x]
    return None


def _ends(chain: _Chain, users: Sequence[Node]) -> bool:
    """Whether the chain ends at these users of a large value: contractions, and labelled values."""
    return all(u in chain.labels or _is_end(chain, u) for u in users)


def _is_end(chain: _Chain, node: Node) -> bool:
    if node.op != "contract" or node in chain.labels:
        return False
    inside = [x in chain.large for x in node.inputs]
    if inside.count(True) != 1:
        return False
    side = inside.index(True)
    labels = chain.labels[node.inputs[side]]
    together = {labels[k] for k in node.attrs["batch"][side]} - {Part.ONE}
    wanted = {x for x in labels if not isinstance(x, Part)}
    summed = {labels[k] for k in node.attrs["sum"][side]} - {Part.ONE}
    return together == wanted and summed in ({Part.ALL}, {Part.ROWS})


def _closed(graph: Graph, chain: _Chain, users: dict[Node, list[Node]]) -> bool:
    """Whether nothing large is needed elsewhere, and something is summed along columns before a contraction ends it."""
    if any(n in chain.large for n in graph.results):
        return False
    if not all(_ends(chain, users[n]) for n in chain.large):
        return False
    sums = any(n.op.startswith("reduce_") and n.inputs[0] in chain.large for n in chain.labels)
    return sums and any(_is_end(chain, u) for n in chain.large for u in users[n])


def _pays(chain: _Chain) -> bool:
    """Whether what is large is larger than all that enters; sizes that are not known count as large."""
    start = next(iter(chain.labels))
    if not any(isinstance(k, int) for k in chain.labels[start]) and row_pieces(*start.shape[-2:]) == [
        Piece(0, start.shape[-2])
    ]:
        return False
    parts = sum((product(x.shape) for n in chain.large if n.op == "contract" for x in n.inputs), 0)
    starts = sum(1 for n in chain.large if n.op == "contract")
    return not nonnegative(parts - product(start.shape) * starts)


def _layers(graph: Graph, chain: _Chain) -> list[list[Node]]:
    """The ends of the chain and the row values that others read, each behind those that it depends on from outside."""
    order = graph.nodes()
    read = {x for n in order if n not in chain.labels for x in n.inputs} | set(graph.results)
    depth: dict[Node, int] = {}
    ends: dict[int, list[Node]] = {}
    rows: list[Node] = []
    for n in order:
        depth[n] = max((depth[x] for x in n.inputs), default=0)
        if _is_end(chain, n):
            ends.setdefault(depth[n], []).append(n)
            depth[n] += 1
        elif n in chain.labels and n not in chain.large and n in read:
            rows.append(n)
    out: list[list[Node]] = []
    for level in sorted(ends):
        mine = [n for n in rows if depth[n] <= level]
        rows = [n for n in rows if depth[n] > level]
        out.append([*ends[level], *mine])
    return out


# ---------------------------------------------------------------- the loops


def _outlined(graph: Graph, chain: _Chain, taken: frozenset[str]) -> Graph:
    """The graph with the ends of the chain, and the row values that others need, taken from loops."""
    table: dict[Node, Node] = (
        {}
    )  # node → what stands for it: the ends of layers so far, and what is made of them
    start = next(iter(chain.labels))
    pieces = row_pieces(start.shape[-2], start.shape[-1])
    ready: set[Node] = set()  # row values of earlier layers
    for depth, wanted in enumerate(chain.layers):
        inner = _inside(chain, wanted, ready)
        later: set[Node] = set()
        for following in chain.layers[depth + 1 :]:
            later |= _inside(chain, following, ready)
        kept = [n for n in chain.labels if n in inner & later and n not in chain.large and n not in wanted]
        made = [
            Outline(chain.labels, start, piece, inner, set(ready), taken).loops([*wanted, *kept], table)
            for piece in pieces
        ]
        table |= {n: whole(parts, n) for n, *parts in zip([*wanted, *kept], *made, strict=True)}
        ready |= {n for n in (*wanted, *kept) if n in chain.labels}
    return replace(graph, results=rebuilt(graph.results, table))


def _inside(chain: _Chain, wanted: Sequence[Node], ready: set[Node]) -> set[Node]:
    """Labelled values that the wanted ones are made of, without those that are ready."""
    out: set[Node] = set()
    stack = [x for n in wanted for x in ((n,) if n in chain.labels else n.inputs)]
    while stack:
        n = stack.pop()
        if n in chain.labels and n not in out and n not in ready:
            out.add(n)
            stack += n.inputs
    return out


def row_pieces(rows: Size, columns: Size) -> list[Piece]:
    """Blocks of the most rows that divide all of them and fit a cache; where none do, or nobody knows, also what they leave."""
    most = OPEN
    if isinstance(columns, int):
        most = max(BLOCK // columns, min(_WIDER * BLOCK // columns, ROWS), _FEWEST)
    if isinstance(rows, int):
        if rows <= most:
            return [Piece(0, rows)]
        fitting = [r for r in range(_FEWEST, most + 1) if rows % r == 0]
        if fitting:
            return [Piece(0, fitting[-1], rows // fitting[-1])]
    else:
        most = min(most, OPEN)
    done = Piece(0, most, dims.floordiv(rows, most))
    return [done, Piece(done.count, rows - done.count)]
