"""Reductions of what was only repeated, reordered or reduced before.

Exact where no sum changes its order. The sum of a broadcast is a product by a size: rounded once instead of often.
"""

from __future__ import annotations

from charl import dims, ops
from charl.dtypes import boolean, f16, f32, f64, i8, i32, i64, u32, u64
from charl.graph.ir import Node
from charl.ops.record import make
from charl.ops.scan import cumsum
from charl.passes.pattern import Apply, Match, Promise, Rule, Var
from charl.passes.rules.shapes import N, ones_only, others, param

X = Var("x")
TOTALS = ("reduce_sum", "reduce_prod")
EXTREMES = ("reduce_max", "reduce_min")
LOGICAL = ("reduce_and", "reduce_or")
EVERY = (*TOTALS, *EXTREMES, *LOGICAL)
WHOLE = (f32, f64, i32, u32, i64, u64)  # accumulate in their own type, and hold any size


def _input(op: str) -> Node:
    return param((2, 3, 4), boolean if op in LOGICAL else f32)


def _without_ones(m: Match) -> Node | None:
    """Axes of size 1 are reshaped away, not reduced."""
    x, axes = m["x"], m.root.attrs["axes"]
    rest = [a for a in axes if x.shape[a] != 1]
    if axes and len(rest) == len(axes):
        return None
    gone = [a for a in axes if x.shape[a] == 1]
    slim = ops.reshape(x, tuple(x.shape[a] for a in others(gone, x.rank)))
    if not rest:
        return ops.cast(slim, m.root.dtype)
    return make(m.root.op, slim, axes=tuple(a - sum(g < a for g in gone) for a in rest))


def _of_transpose(m: Match) -> Node:
    x, perm = m["x"], m["inner"].attrs["perm"]
    axes = [perm[a] for a in m.root.attrs["axes"]]
    kept = [perm[a] for a in others(m.root.attrs["axes"], x.rank)]
    order = sorted(kept)
    reduced = make(m.root.op, x, axes=tuple(sorted(axes)))
    return ops.transpose(reduced, tuple(order.index(k) for k in kept))


def _of_reshape(m: Match) -> Node | None:
    """Before a reshape that only adds or removes axes of size 1, and of everything before any reshape."""
    x, where = m["x"], ones_only(m["inner"])
    if where is None and len(m.root.attrs["axes"]) == m["inner"].rank:
        return make(m.root.op, x, axes=tuple(range(x.rank)))
    if where is None or any(m["inner"].shape[a] == 1 for a in m.root.attrs["axes"]):
        return None
    back = {new: old for old, new in where.items()}
    reduced = make(m.root.op, x, axes=tuple(sorted(back[a] for a in m.root.attrs["axes"])))
    return ops.reshape(reduced, m.root.shape)


def _of_reduction(m: Match) -> Node:
    """One reduction over the axes of both."""
    inner = m["inner"].attrs["axes"]
    left = others(inner, m["x"].rank)
    return make(m.root.op, m["x"], axes=tuple(sorted((*inner, *(left[a] for a in m.root.attrs["axes"])))))


def _of_broadcast(m: Match) -> Node | None:
    """Over axes that only repeat, a sum is a product by their size, and an extreme is the element itself."""
    x, places, axes = m["x"], m["inner"].attrs["axes"], m.root.attrs["axes"]
    new = [a for a in axes if a not in places]
    sizes = [m["inner"].shape[a] for a in new]
    total = m.root.op == "reduce_sum"
    if not new or (total and x.dtype not in WHOLE):
        return None
    if not total and not all(isinstance(n, int) and n > 0 for n in sizes):
        return None  # the extreme of nothing
    kept = [a for a in range(m["inner"].rank) if a not in new]
    shape = tuple(m["inner"].shape[a] for a in kept)
    part = ops.broadcast(x, shape, tuple(kept.index(a) for a in places))
    if total:
        count = ops.size_value(dims.product(sizes), x.dtype)
        part = ops.mul(part, ops.broadcast(count, shape, ()))
    rest = tuple(sorted(kept.index(a) for a in axes if a not in new))
    return make(m.root.op, part, axes=rest) if rest else part


def _rules(op: str) -> list[Rule]:
    x = _input(op)
    promise: Promise = "rounded" if op in TOTALS else "exact"
    rules = [
        Rule(
            f"{op} over axes of size 1",
            Apply(op, (X,)),
            _without_ones,
            promise=promise,
            samples=lambda: [
                make(op, x, axes=()),
                make(op, ops.reshape(x, (2, 1, 12)), axes=(1, 2)),
                make(op, param((1, N), x.dtype), axes=(0,)),
            ],
        ),
        Rule(
            f"{op} of transpose",
            Apply(op, (Apply("transpose", (X,), "inner"),)),
            _of_transpose,
            promise=promise,
            samples=lambda: [make(op, ops.transpose(x, (2, 0, 1)), axes=a) for a in ((0,), (1,), (0, 2))],
        ),
        Rule(
            f"{op} of reshape",
            Apply(op, (Apply("reshape", (X,), "inner"),)),
            _of_reshape,
            promise=promise,
            samples=lambda: [
                make(op, ops.reshape(x, (2, 1, 3, 4)), axes=(2,)),
                make(op, ops.reshape(x, (6, 4)), axes=(0, 1)),
            ],
        ),
        Rule(
            f"{op} of {op}",
            Apply(op, (Apply(op, (X,), "inner"),)),
            _of_reduction,
            promise=promise,
            samples=lambda: [make(op, make(op, x, axes=(1,)), axes=a) for a in ((0,), (1,), (0, 1))],
        ),
    ]
    if op == "reduce_prod":
        return rules
    repeated = Rule(
        f"{op} of broadcast",
        Apply(op, (Apply("broadcast", (X,), "inner"),)),
        _of_broadcast,
        promise=promise,
        samples=lambda: [
            make(op, ops.broadcast(x, (5, 2, 3, 4), (1, 2, 3)), axes=(0, 2)),
            make(op, ops.broadcast(param((), x.dtype), (5, 2), ()), axes=(0,)),
            make(op, ops.broadcast(param((3,), x.dtype), (3, 2), (0,)), axes=(1,)),
        ],
    )
    return [*rules, repeated]


def _one_place(m: Match) -> Node:
    return ops.zeros(m.root.type)


def _running(m: Match) -> Node | None:
    return ops.cast(m["x"], m.root.dtype) if m["x"].shape[m.root.attrs["axis"]] == 1 else None


def _single(op: str) -> Rule:
    return Rule(
        f"{op} of one element",
        Apply(op, (X,)),
        _one_place,
        where=lambda m: m["x"].shape[m.root.attrs["axis"]] == 1,
        samples=lambda: [make(op, param((3, 1)), axis=1)],
    )


RULES: list[Rule] = [
    *(rule for op in EVERY for rule in _rules(op)),
    Rule(
        "reduce_sum of negation",  # a sum that is zero may change its sign
        Apply("reduce_sum", (Apply("neg", (X,)),)),
        lambda m: ops.neg(make("reduce_sum", m["x"], **m.root.attrs)),
        where=lambda m: m["x"].dtype in WHOLE,
        promise="rounded",
        samples=lambda: [ops.reduce_sum(ops.neg(param((3, 4), t)), (1,)) for t in (f32, i32)],
    ),
    _single("argmax"),
    _single("argmin"),
    Rule(
        "cumsum of one element",
        Apply("cumsum", (X,)),
        _running,
        promise="rounded",
        samples=lambda: [cumsum(param((3, 1), t), 1) for t in (f32, i8, f16)],
    ),
]
