"""Windows of one tap are slices, and a sum of overlapping products is a product over windows.

The last is what the gradient of a convolution by its input is: without it, every product of a cotangent and a weight
would be stored before the overlapping ones are added.
"""

from __future__ import annotations

from collections.abc import Sequence

from charl import ops
from charl.graph.ir import Node
from charl.passes.pattern import Apply, Match, Rule, Var
from charl.passes.rules.contraction import Sides
from charl.passes.rules.reduction import WHOLE
from charl.passes.rules.shapes import Size, param

X = Var("x")


def _picked(node: Node, kept: list[int]) -> list[tuple[int, ...]]:
    """Axes, strides and dilations of the windowed axes number `kept`."""
    return [tuple(node.attrs[key][j] for j in kept) for key in ("axes", "strides", "dilations")]


def _single_tap(m: Match) -> Node | None:
    """Windows of one tap along some axes: every stride-th element there."""
    node, x = m.root, m["x"]
    sizes = node.attrs["sizes"]
    kept = [j for j, n in enumerate(sizes) if n != 1]
    if len(kept) == len(sizes):
        return None
    steps, shape = [1] * x.rank, list(x.shape)
    for j, (axis, stride) in enumerate(zip(node.attrs["axes"], node.attrs["strides"], strict=True)):
        if j not in kept:
            steps[axis], shape[axis] = stride, node.shape[axis]
    thin = ops.slice_(x, (0,) * x.rank, shape, steps)
    axes, strides, dilations = _picked(node, kept)
    rest = ops.windows(thin, axes, [sizes[j] for j in kept], strides, dilations) if kept else thin
    return ops.reshape(rest, node.shape)


def _single_overlap(m: Match) -> Node | None:
    """Windows of one tap side by side do not overlap."""
    node, y = m.root, m["x"]
    sizes = y.shape[node.rank :]
    kept = [j for j, n in enumerate(sizes) if n != 1 or node.attrs["strides"][j] != 1]
    if len(kept) == len(sizes):
        return None
    shape = (*y.shape[: node.rank], *(sizes[j] for j in kept))
    axes, strides, dilations = _picked(node, kept)
    lengths = [node.attrs["lengths"][j] for j in kept]
    thin = ops.reshape(y, shape)
    return ops.overlap_add(thin, axes, lengths, strides, dilations) if kept else thin


def _overlapping_products(m: Match) -> Node | None:
    """Sum over k of a[i - d k] b[k], as windows of `a`, padded, times `b` reversed.

    For a stride of 1, where one side of the contraction has the places and the other the taps.
    """
    node, y = m.root, m["x"]
    if any(s != 1 for s in node.attrs["strides"]):
        return None
    perm = tuple(range(y.rank))
    if y.op == "transpose":
        perm, y = y.attrs["perm"], y.inputs[0]
    if y.op != "contract" or y.dtype not in WHOLE:
        return None
    s = Sides.of(y)
    # (side, axis) of every axis of the contraction; batch axes stand for both sides.
    names = [(2, k) for k in range(len(s.batch[0]))]
    names += [(side, a) for side in (0, 1) for a in s.free(side)]
    spots = [names[perm[a]] for a in node.attrs["axes"]]
    taps = [names[p] for p in perm[node.rank :]]
    sides = {side for side, _ in spots}, {side for side, _ in taps}
    if sides not in (({0}, {1}), ({1}, {0})):
        return None
    at, of = spots[0][0], taps[0][0]
    sizes = m["x"].shape[node.rank :]
    s.nodes[at] = _slid(s.nodes[at], [a for _, a in spots], sizes, node.attrs["dilations"])
    s.nodes[of] = ops.reverse(s.nodes[of], tuple(sorted(a for _, a in taps)))
    rank = s.nodes[at].rank
    s.sums[at] = (*s.sums[at], *range(rank - len(taps), rank))
    s.sums[of] = (*s.sums[of], *(a for _, a in taps))
    made = [n for n in names if n not in taps]
    return ops.transpose(s.build(), tuple(made.index(names[p]) for p in perm[: node.rank]))


def _slid(x: Node, axes: Sequence[int], sizes: Sequence[Size], dilations: Sequence[int]) -> Node:
    """Windows of `x` in a margin of zeros, so that every element is at every tap of some window."""
    margin: list[Size] = [0] * x.rank
    for axis, size, dilation in zip(axes, sizes, dilations, strict=True):
        margin[axis] = dilation * (size - 1)
    return ops.windows(ops.pad(x, margin, margin, 0), axes, sizes, (1,) * len(axes), dilations)


def _products() -> list[Node]:
    x, w = param((2, 5, 4, 3)), param((3, 2, 3, 2), name="w")
    plain = ops.contract(x, w, ((), ()), ((3,), (0,)))  # [2, 5, 4, 2, 3, 2]
    turned = ops.transpose(plain, (0, 3, 2, 1, 5, 4))
    each = ops.contract(w, ops.transpose(x, (3, 0, 1, 2)), ((0,), (0,)), ((1,), (1,)))  # [3, 3, 2, 5, 4]
    by = ops.transpose(each, (0, 3, 4, 1, 2))
    return [
        ops.overlap_add(ops.transpose(plain, (0, 1, 2, 3, 4, 5)), (1, 2), (7, 6), (1, 1), (1, 2)),
        ops.overlap_add(turned, (2, 3), (5, 9), (1, 1), (1, 2)),
        ops.overlap_add(by, (1, 2), (7, 5), (1, 1), (1, 1)),
    ]


RULES: list[Rule] = [
    Rule(
        "windows of one tap",
        Apply("windows", (X,)),
        _single_tap,
        samples=lambda: [
            ops.windows(param((7, 5)), (1, 0), (1, 3), (2, 2), (1, 1)),
            ops.windows(param((7, 5)), (0,), (1,), (1,), (1,)),
        ],
    ),
    Rule(
        "overlap of one tap",
        Apply("overlap_add", (X,)),
        _single_overlap,
        promise="rounded",  # -0.0 was added to 0.0
        samples=lambda: [
            ops.overlap_add(param((4, 5, 1, 2)), (1, 0), (5, 5), (1, 1), (1, 1)),
            ops.overlap_add(param((4, 1)), (0,), (4,), (1,), (1,)),
        ],
    ),
    Rule(
        "overlap of products",
        Apply("overlap_add", (X,)),
        _overlapping_products,
        promise="finite",
        samples=_products,
    ),
]
