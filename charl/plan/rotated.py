"""Loops that update a large array and multiply with it: the update moves to where the next turn multiplies.

Enters: an optimised graph. Leaves: the same results from loops whose turns begin with the update that the turn before left, so
that a kernel can update each element and multiply it at once: memory is passed over once a turn instead of twice. Training
with one sample a step is such a loop. Small values that the update is made of are carried instead; the update of
the last turn comes behind the loop. Never fuses anything: `fusion` does, where a product reads each element once.

    for t: y = x @ w; …; w = w - rate * outer(a, g)

    for t: if t > 0: w = w - rate * outer(a, g), y = x @ w, else: y = x @ w; …      then     w = w - rate * outer(a, g)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charl import ops
from charl.dims import product
from charl.dtypes import i32
from charl.graph.ir import Graph, Node
from charl.graph.labels import label
from charl.ops.record import make
from charl.ops.regions import branch, item, over, rebuilt
from charl.passes.values import VIEWS
from charl.plan.outline import elementwise

# How many times smaller what is carried must be than what is updated.
_SMALLER = 8


@dataclass(frozen=True)
class _Update:
    """Carried values `of` these positions, what computes their next ones (`inner`, in order) from these and `parts`, and the
    product that reads one of them first."""

    of: tuple[int, ...]
    inner: tuple[Node, ...]
    parts: tuple[Node, ...]
    reader: Node


def rotated(graph: Graph, near: int) -> Graph:
    """The graph with such loops, those in loops too. What fits into a cache of `near` bytes is left where it is."""
    order = graph.nodes()
    if not any(n.regions for n in order):
        return graph
    new: dict[Node, Node] = {}
    left: dict[Node, dict[int, Node]] = {}
    for n in order:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        if n.op == "item" and n.inputs[0] in left:
            new[n] = left[n.inputs[0]][n.attrs["position"]]
            continue
        regions = tuple(rotated(r, near) for r in n.regions)
        same = all(a is b for a, b in zip((*inputs, *regions), (*n.inputs, *n.regions), strict=True))
        new[n] = n if same else Node(n.op, inputs, n.attrs, n.type, regions, n.span, n.name)
        if n.op == "loop" and (updates := _updates(new[n], near)):
            left[n] = _turned(new[n], updates)
    return Graph(graph.name, graph.params, [new[r] for r in graph.results], graph.span)


# ---------------------------------------------------------------- what can move


def _updates(loop: Node, near: int) -> list[_Update]:
    """The updates that can move, in the order of their products."""
    extent = loop.attrs["extent"]
    if not isinstance(extent, int) or extent < 2 or loop.attrs["halts"]:
        return []
    (body,) = loop.regions
    order = {n: i for i, n in enumerate(body.nodes())}
    users: dict[Node, list[Node]] = {n: [] for n in order}
    for n in order:
        for x in n.inputs:
            users[x].append(n)
    found: list[_Update] = []
    taken: set[int] = set()
    for k in range(loop.attrs["carried"]):
        x = body.params[1 + k]
        size = product(x.shape)
        large = isinstance(size, int) and size * x.dtype.bytes > near and x.dtype.is_float
        update = _update(loop, k, order, users) if large and k not in taken else None
        if update is not None:
            found.append(update)
            taken.update(update.of)
    return sorted(found, key=lambda u: order[u.reader])


def _update(
    loop: Node, first: int, order: Mapping[Node, int], users: Mapping[Node, Sequence[Node]]
) -> _Update | None:
    """The update of a carried value and of those as large that it is made of, where it can move."""
    (body,) = loop.regions
    of, inner, parts = _reached(loop, first)
    old = {body.params[1 + k] for k in of}
    wide = _made_of(
        old, sorted(inner, key=order.__getitem__)
    )  # what may not be looked at before the next turn
    if wide.intersection(parts) or any(u not in inner for n in wide for u in users[n]):
        return None
    if any((r in wide) != (k in of) for k, r in enumerate(body.results)):
        return None
    if len({body.results[k] for k in of}) < len(of):
        return None
    sizes = [product(x.shape) for x in parts]
    known = [n for n in sizes if isinstance(n, int)]
    whole = product(body.params[1 + first].shape)
    assert isinstance(whole, int)
    if len(known) < len(sizes) or sum(known) * _SMALLER > whole * len(of):
        return None
    readers = [u for p in old for u in users[p] if u not in inner]
    reader = min(readers, key=order.__getitem__, default=None)
    if reader is None or not _once(reader, old):
        return None
    return _Update(tuple(sorted(of)), tuple(sorted(inner, key=order.__getitem__)), tuple(parts), reader)


def _reached(loop: Node, first: int) -> tuple[set[int], set[Node], list[Node]]:
    """From the next value of a carried one back, as long as values are as large: (positions of carried ones, what computes
    their next values, what that is made of)."""
    (body,), count = loop.regions, loop.attrs["carried"]
    position = {p: k for k, p in enumerate(body.params[1 : 1 + count])}
    captured = set(body.params[1 + count :])
    shape = body.params[1 + first].shape
    of, inner, parts = {first}, set[Node](), dict[Node, None]()
    waiting = [body.results[first]]
    while waiting:
        n = waiting.pop()
        if n in inner or n in captured:
            continue
        if n in position and n.shape == shape:
            if position[n] not in of:
                of.add(position[n])
                waiting.append(body.results[position[n]])
        elif _known(n) or (n.shape == shape and (n.op == "broadcast" or elementwise(n))):
            inner.add(n)
            waiting += n.inputs
        else:
            parts[n] = None
    return of, inner, list(parts)


def _known(n: Node) -> bool:
    """Whether a value is the same in every turn, as it is made of nothing but numbers and tables: it need not be carried."""
    return n.op in VIEWS and all(map(_known, n.inputs))


def _made_of(sources: set[Node], order: Sequence[Node]) -> set[Node]:
    """Which of these are computed from some of the sources."""
    out: set[Node] = set()
    for n in order:
        if any(x in sources or x in out for x in n.inputs):
            out.add(n)
    return out


def _once(reader: Node, old: set[Node]) -> bool:
    """Whether this is a product that reads each element of one of these once: the other operand has no axes of its own."""
    if reader.op != "contract" or sum(x in old for x in reader.inputs) != 1:
        return False
    side = 0 if reader.inputs[1] in old else 1
    other = reader.inputs[side]
    return len(reader.attrs["batch"][side]) + len(reader.attrs["sum"][side]) == other.rank


# ---------------------------------------------------------------- the loop


def _turned(loop: Node, updates: Sequence[_Update]) -> dict[int, Node]:
    """What the results of the loop are, by their position."""
    (body,), count = loop.regions, loop.attrs["carried"]
    index, carried, captured = body.params[0], body.params[1 : 1 + count], body.params[1 + count :]
    parts = list(dict.fromkeys(x for u in updates for x in u.parts))
    held = {x: make("parameter", hint=(n := _called(x)), name=n, dtype=x.dtype, shape=x.shape) for x in parts}
    new: dict[Node, Node] = {}
    later = ops.gt(index, ops.constant(0, i32))
    for u in updates:
        _first_of_all(u, body, held, later, new)
    kept = {k for u in updates for k in u.of}
    wanted = [carried[k] if k in kept else body.results[k] for k in range(count)]
    results = rebuilt([*wanted, *parts, *body.results[count:]], new)
    made = Graph(body.name, [index, *carried, *held.values(), *captured], results, body.span)
    inputs = [*loop.inputs[:count], *(ops.zeros(x.type) for x in parts), *loop.inputs[count:]]
    again = over(loop.attrs["extent"], count + len(parts), made, inputs, False, -1)
    again.span, again.name = loop.span, loop.name
    out = {k: item(again, k if k < count else k + len(parts)) for k in range(len(body.results))}
    last = dict(zip(captured, loop.inputs[count:], strict=True))
    last |= {x: item(again, count + k) for k, x in enumerate(parts)} | {carried[k]: out[k] for k in kept}
    for u in updates:
        out |= _computed(u, body, last)
    return out


def _called(part: Node) -> str:
    """What a part is called in the turn that comes after."""
    while part.name is None and part.op in VIEWS:
        part = part.inputs[0]
    return f"last_{label(part)}"


def _first_of_all(
    u: _Update, body: Graph, held: Mapping[Node, Node], later: Node, new: dict[Node, Node]
) -> None:
    """The update at the beginning of a turn, where one came before, and the product with it. `new` learns of both."""
    old = [body.params[1 + k] for k in u.of]
    operands = rebuilt([x for x in u.reader.inputs if x not in old], new)

    def multiplied(table: Mapping[Node, Node]) -> Node:
        rest = iter(operands)
        inputs = tuple(table[x] if x in table else next(rest) for x in u.reader.inputs)
        r = u.reader
        return Node(r.op, inputs, r.attrs, r.type, r.regions, r.span, r.name)

    def then() -> list[Node]:
        computed = _computed(u, body, held)
        return [*computed.values(), multiplied(dict(zip(old, computed.values(), strict=True)))]

    *values, y = branch(later, then, lambda: [*old, multiplied({x: x for x in old})])
    y.name = u.reader.name
    new |= {**dict(zip(old, values, strict=True)), u.reader: y}


def _computed(u: _Update, body: Graph, table: Mapping[Node, Node]) -> dict[int, Node]:
    """The updated values by position, made of what the table has in the place of values of the body."""
    new = dict(table)
    for n in u.inner:
        inputs = tuple(new.get(x, x) for x in n.inputs)
        new[n] = Node(n.op, inputs, n.attrs, n.type, n.regions, n.span, n.name)
    return {k: new[body.results[k]] for k in u.of}
