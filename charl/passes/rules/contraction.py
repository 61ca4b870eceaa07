"""Contractions read their inputs where they lie: no transpose, no axis of size 1, no repetition before a product.

A contraction names axes, so reordering them costs nothing: `x @ w.T` and the products of gradients must not materialise a
transpose. Rules that drop repeated or trivial sums change rounding; the others are exact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from charl import ops
from charl.dims import nonnegative, product
from charl.dtypes import f32, i8, i32
from charl.graph.ir import Node
from charl.passes.pattern import Apply, Match, Rule, Var
from charl.passes.rules.reduction import WHOLE
from charl.passes.rules.shapes import others, param, wide

A, B, X, Y = (Var(n) for n in "abxy")
Axes = tuple[int, ...]


@dataclass
class Sides:
    """A contraction taken apart: nodes and axes of both sides. `side` 0 is the first input."""

    nodes: list[Node]
    batch: list[Axes]
    sums: list[Axes]

    @staticmethod
    def of(node: Node) -> Sides:
        return Sides(list(node.inputs), list(node.attrs["batch"]), list(node.attrs["sum"]))

    def free(self, side: int) -> Axes:
        return others((*self.batch[side], *self.sums[side]), self.nodes[side].rank)

    def put(self, side: int, node: Node, where: dict[int, int]) -> None:
        """Another node for one side, its axes being where[old]."""
        self.nodes[side] = node
        self.batch[side] = tuple(where[a] for a in self.batch[side])
        self.sums[side] = tuple(where[a] for a in self.sums[side])

    def without(self, pairs: str, gone: Sequence[int]) -> None:
        """Drop pairs number `gone` of "batch" or "sums"; the axes are free then."""
        for side in (0, 1):
            axes = getattr(self, pairs)[side]
            getattr(self, pairs)[side] = tuple(a for i, a in enumerate(axes) if i not in gone)

    def build(self) -> Node:
        a, b = self.nodes
        return ops.contract(a, b, (self.batch[0], self.batch[1]), (self.sums[0], self.sums[1]))


# ---------------------------------------------------------------- reordered axes


def _of_transpose(side: int, m: Match) -> Node:
    """The transposed side is read directly; where several of its axes stay, the result is reordered instead."""
    s = Sides.of(m.root)
    x, perm = m["x"], m.root.inputs[side].attrs["perm"]
    free = [perm[a] for a in s.free(side)]
    s.put(side, x, dict(enumerate(perm)))
    first = len(s.batch[0]) + (len(s.free(0)) if side else 0)
    order = list(range(m.root.rank))
    order[first : first + len(free)] = [first + sorted(free).index(f) for f in free]
    return ops.transpose(s.build(), order)


def _transposed(m: Match) -> Node | None:
    """A transposed result: batch axes are listed in another order, and the sides change places."""
    perm, inner = m.root.attrs["perm"], m["inner"]
    s = Sides.of(inner)
    nb, na, n = len(s.batch[0]), len(s.free(0)), inner.rank
    if sorted(perm[:nb]) != list(range(nb)):
        return None
    batch = [tuple(axes[p] for p in perm[:nb]) for axes in s.batch]
    first, second = tuple(range(nb, nb + na)), tuple(range(nb + na, n))
    if perm[nb:] == (*first, *second):
        return Sides(s.nodes, batch, s.sums).build()
    if perm[nb:] == (*second, *first):
        return Sides(s.nodes[::-1], batch[::-1], s.sums[::-1]).build()
    return None


# ---------------------------------------------------------------- axes of size 1


def _without_ones(m: Match) -> Node | None:
    """Axes of size 1 are reshaped away on both sides and put back into the result."""
    s = Sides.of(m.root)
    if all(1 not in x.shape for x in s.nodes):
        return None
    shapes = [x.shape for x in s.nodes]
    s.without("batch", [i for i, a in enumerate(s.batch[0]) if shapes[0][a] == 1])
    s.without("sums", [i for i, a in enumerate(s.sums[0]) if shapes[0][a] == 1])
    for side in (0, 1):
        kept = wide(shapes[side])
        slim = ops.reshape(s.nodes[side], tuple(shapes[side][a] for a in kept))
        s.put(side, slim, {a: i for i, a in enumerate(kept)})
    return ops.reshape(s.build(), m.root.shape)


def _without_sum(m: Match) -> Node | None:
    """Nothing is summed: a product of broadcasts."""
    s = Sides.of(m.root)
    if s.sums[0]:
        return None
    nb, na, rank = len(s.batch[0]), len(s.free(0)), m.root.rank
    factors = []
    for side, first in ((0, nb), (1, nb + na)):
        order = (*s.batch[side], *s.free(side))
        x = ops.transpose(ops.cast(s.nodes[side], m.root.dtype), order)
        places = (*range(nb), *range(first, first + len(order) - nb))
        factors.append(ops.broadcast(x, m.root.shape, places))
    assert rank == len(m.root.shape)
    return ops.mul(*factors)


# ---------------------------------------------------------------- repeated values


def _of_broadcast(side: int, m: Match) -> Node | None:
    """What a side only repeats is not multiplied again.

    Along a summed axis the other side is summed first; along a free one the result is repeated; along a batch axis the other
    side's axis becomes free, so that many small products are one large one.
    """
    s = Sides.of(m.root)
    x, inner = m["x"], m.root.inputs[side]
    places = inner.attrs["axes"]
    if any(n != inner.shape[a] for n, a in zip(x.shape, places, strict=True)):
        return None  # an axis of size 1 that grows: normalised elsewhere
    repeated = [a for a in range(inner.rank) if a not in places]
    summed = [i for i, a in enumerate(s.sums[side]) if a in repeated]
    batched = [i for i, a in enumerate(s.batch[side]) if a in repeated]
    if summed and x.dtype not in WHOLE:
        return None
    # Every axis of the result gets the name of its source: (side, axis), batch axes that of the other side.
    wanted = [(1 - side, a) for a in s.batch[1 - side]]
    for part in (0, 1):
        wanted += [(part, a) for a in s.free(part)]
    other = s.nodes[1 - side]
    gone = [s.sums[1 - side][i] for i in summed]
    s.without("sums", summed)
    s.without("batch", batched)
    rest = others(gone, other.rank)
    slim = ops.reduce_sum(other, tuple(sorted(gone))) if gone else other
    names = {1 - side: list(rest), side: list(places)}
    s.put(side, x, {a: i for i, a in enumerate(places)})
    s.put(1 - side, slim, {a: i for i, a in enumerate(rest)})
    made = [(1 - side, names[1 - side][a]) for a in s.batch[1 - side]]
    for part in (0, 1):
        made += [(part, names[part][a]) for a in s.free(part)]
    present = [w for w in wanted if w in made]
    turned = ops.transpose(s.build(), tuple(made.index(w) for w in present))
    return ops.broadcast(turned, m.root.shape, tuple(wanted.index(w) for w in present))


# ---------------------------------------------------------------- sums of results


def _summed(m: Match) -> Node | None:
    """Along a free axis a side is summed before it is multiplied, where it is no larger than what would be summed after.

    The gradient of what was subtracted from every row of a batch is such a sum: a product of the batch becomes one of a row.
    """
    s, inner = Sides.of(m["inner"]), m["inner"]
    if any(x.dtype != m.root.dtype or x.dtype not in WHOLE for x in s.nodes):
        return None
    names = [(0, a) for a in s.batch[0]] + [(side, a) for side in (0, 1) for a in s.free(side)]
    gone: tuple[set[int], set[int]] = (set(), set())
    for place in m.root.attrs["axes"]:
        side, axis = names[place]
        if place >= len(s.batch[0]) and nonnegative(product(inner.shape) - product(s.nodes[side].shape)):
            gone[side].add(axis)
    if not any(gone):
        return None
    for side in (0, 1):
        kept = others(tuple(gone[side]), s.nodes[side].rank)
        slim = ops.reduce_sum(s.nodes[side], tuple(sorted(gone[side]))) if gone[side] else s.nodes[side]
        s.put(side, slim, {a: i for i, a in enumerate(kept)})
    left = [n for i, n in enumerate(names) if i < len(s.batch[0]) or n[1] not in gone[n[0]]]
    rest = tuple(left.index(names[place]) for place in m.root.attrs["axes"] if names[place] in left)
    return ops.reduce_sum(s.build(), rest) if rest else s.build()


# ---------------------------------------------------------------- the rules


def _each_side(
    name: str,
    inner: str,
    replace: Callable[[int, Match], Node | None],
    samples: Callable[[], list[Node]],
    **more: str,
) -> list[Rule]:
    """A rule for either input of a contraction being `inner(x)`; samples have it on both sides."""
    out = []
    for side in (0, 1):
        args = (Apply(inner, (X,)), B) if side == 0 else (A, Apply(inner, (X,)))

        def build(m: Match, side: int = side) -> Node | None:
            return replace(side, m)

        out.append(Rule(f"{name}, side {side}", Apply("contract", args), build, samples=samples, **more))  # type: ignore[arg-type]
    return out


def _turned() -> list[Node]:
    x, y = param((2, 3, 4, 5)), param((5, 3, 7), name="y")
    a = ops.transpose(x, (2, 0, 3, 1))  # [4, 2, 5, 3]
    b = ops.transpose(y, (1, 2, 0))  # [3, 7, 5]
    return [
        ops.contract(a, b, ((), ()), ((2, 3), (2, 0))),
        ops.contract(a, b, ((3,), (0,)), ((2,), (2,))),
        ops.contract(
            ops.transpose(param((3, 4)), (1, 0)), ops.transpose(param((5, 3)), (1, 0)), ((), ()), ((1,), (0,))
        ),
    ]


def _results() -> list[Node]:
    x, y = param((2, 3, 4)), param((2, 5, 4), name="y")
    inner = ops.contract(x, y, ((0,), (0,)), ((2,), (2,)))
    pair = ops.contract(x, y, ((2, 0), (2, 0)), ((), ()))
    return [
        ops.transpose(inner, (0, 2, 1)),
        ops.transpose(pair, (1, 0, 3, 2)),
        ops.transpose(pair, (1, 0, 2, 3)),
    ]


def _ones() -> list[Node]:
    return [
        ops.contract(param((1, 4)), param((4, 3), name="y"), ((), ()), ((1,), (0,))),
        ops.contract(param((1, 4, 1)), param((1, 1, 3), name="y"), ((0,), (0,)), ((2,), (1,))),
        ops.contract(param((2, 1)), param((1, 3), name="y"), ((), ()), ((1,), (0,))),
    ]


def _outer() -> list[Node]:
    none: tuple[Axes, Axes] = ((), ())
    return [
        ops.contract(param((3,)), param((4,), name="y"), none, none),
        ops.contract(param((3, 2)), param((4, 3), name="y"), ((0,), (1,)), none),
        ops.contract(param((), i8), param((2,), i8, name="y"), none, none),
    ]


def _repeated() -> list[Node]:
    a = ops.broadcast(param((4,)), (2, 3, 4), (2,))
    b = ops.broadcast(param((2, 4), name="y"), (5, 2, 4), (1, 2))
    c = ops.broadcast(param((3,), name="z"), (2, 3, 6), (1,))
    return [
        ops.contract(a, b, ((0,), (1,)), ((2,), (2,))),
        ops.contract(a, c, ((0,), (0,)), ((1,), (1,))),
        ops.contract(c, a, ((), ()), ((0, 1), (0, 1))),
        ops.contract(b, ops.broadcast(param((), f32, "s"), (4, 7), ()), ((), ()), ((2,), (0,))),
    ]


def _totals() -> list[Node]:
    inner = ops.contract(param((2, 30, 4)), param((2, 5, 4), name="y"), ((0,), (0,)), ((2,), (2,)))
    square = _product(param((4, 4), i32), param((4, 4), i32, name="y"))
    return [
        *(ops.reduce_sum(inner, a) for a in ((1,), (0, 1))),
        *(ops.reduce_sum(square, a) for a in ((1,), (0, 1))),
    ]


def _product(a: Node, b: Node) -> Node:
    return ops.contract(a, b, ((), ()), ((1,), (0,)))


def _signed() -> list[Node]:
    x, y = param((2, 3)), param((3, 4), name="y")
    return [_product(ops.neg(x), ops.neg(y))]


def _of_negation(side: int, m: Match) -> Node | None:
    if m["x"].dtype not in WHOLE:
        return None  # the least small integer is its own negation
    s = Sides.of(m.root)
    s.nodes[side] = m["x"]
    return ops.neg(s.build())


RULES: list[Rule] = [
    *_each_side("contraction of transpose", "transpose", _of_transpose, _turned),
    Rule(
        "transpose of contraction",
        Apply("transpose", (Apply("contract", (X, Y), "inner"),)),
        _transposed,
        samples=_results,
    ),
    Rule(
        "contraction over axes of size 1",
        Apply("contract", (A, B)),
        _without_ones,
        promise="rounded",
        samples=_ones,
    ),
    Rule(
        "contraction without a sum",
        Apply("contract", (A, B)),
        _without_sum,
        promise="rounded",
        samples=_outer,
    ),
    *_each_side("contraction of broadcast", "broadcast", _of_broadcast, _repeated, promise="finite"),
    *_each_side("contraction of negation", "neg", _of_negation, _signed, promise="rounded"),
    Rule(
        "sum of contraction",
        Apply("reduce_sum", (Apply("contract", (X, Y), "inner"),)),
        _summed,
        promise="finite",
        samples=_totals,
    ),
]
