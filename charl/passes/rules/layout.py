"""Elements that only move: broadcast, reshape, transpose, slice, pad, concatenate, reverse.

Enters: chains of such operations. Leaves: at most one of each kind, in normal form: no axis of size 1 is broadcast from, a
transpose that moves only axes of size 1 is a reshape, slices read the first value that holds their elements. All exact.
"""

from __future__ import annotations

from functools import partial

from charl import ops
from charl.dtypes import i32
from charl.graph.ir import Node
from charl.ops.record import make
from charl.passes.pattern import Apply, Match, Rule, Var
from charl.passes.rules.shapes import N, inverse, ones_only, param, squeezed, wide
from charl.passes.values import same_number, scalar_of, splat

X = Var("x")


def _of(outer: str, inner: str | None = None) -> Apply:
    return Apply(outer, (Apply(inner, (X,), "inner") if inner else X,))


# ---------------------------------------------------------------- reshape


def _reshape_broadcast(m: Match) -> Node | None:
    x, inner = m["x"], m["inner"]
    if not x.shape:
        return ops.broadcast(x, m.root.shape, ())
    where = ones_only(m.root)
    if where is None or any(a not in where for a in inner.attrs["axes"]):
        return None
    return ops.broadcast(x, m.root.shape, tuple(where[a] for a in inner.attrs["axes"]))


def _reshape_iota(m: Match) -> Node | None:
    inner, where = m.root.inputs[0], ones_only(m.root)
    if where is None or inner.attrs["axis"] not in where:
        return None
    return ops.iota(m.root.shape, where[inner.attrs["axis"]], inner.dtype)


_RESHAPE = [
    Rule(
        "reshape to the same shape",
        _of("reshape"),
        lambda m: m["x"] if m["x"].shape == m.root.shape else None,
        samples=lambda: [make("reshape", param((2, 3)), shape=(2, 3))],
    ),
    Rule(
        "reshape of a scalar",
        _of("reshape"),
        lambda m: ops.broadcast(m["x"], m.root.shape, ()) if not m["x"].shape else None,
        samples=lambda: [ops.reshape(param(()), (1, 1))],
    ),
    Rule(
        "reshape of reshape",
        _of("reshape", "reshape"),
        lambda m: ops.reshape(m["x"], m.root.shape),
        samples=lambda: [ops.reshape(ops.reshape(param((2, 6)), (12,)), s) for s in ((3, 4), (2, 6))],
    ),
    Rule(
        "reshape of broadcast",
        _of("reshape", "broadcast"),
        _reshape_broadcast,
        samples=lambda: [
            ops.reshape(ops.broadcast(param(()), (2, 6), ()), (3, 4)),
            ops.reshape(ops.broadcast(param((5,)), (3, 5), (1,)), (3, 1, 5)),
            ops.reshape(ops.broadcast(param((N,)), (N, 1, 4), (0,)), (N, 4)),
        ],
    ),
    Rule(
        "reshape of iota",
        Apply("reshape", (Apply("iota", ()),)),
        _reshape_iota,
        samples=lambda: [ops.reshape(ops.iota((3, 4), 1), (3, 1, 4))],
    ),
]

# ---------------------------------------------------------------- transpose


def _only_ones_move(m: Match) -> Node | None:
    perm, old = m.root.attrs["perm"], wide(m["x"].shape)
    return ops.reshape(m["x"], m.root.shape) if tuple(p for p in perm if p in old) == old else None


def _transpose_broadcast(m: Match) -> Node:
    x, inner = m["x"], m["inner"]
    back = inverse(m.root.attrs["perm"])
    places = [back[a] for a in inner.attrs["axes"]]
    order = sorted(range(len(places)), key=lambda i: places[i])
    return ops.broadcast(ops.transpose(x, order), m.root.shape, tuple(places[i] for i in order))


def _transpose_outer(m: Match) -> Node | None:
    """What is made of repeated values is made in the other order: it costs the same, and what follows needs no transpose."""
    outer, perm = m.root.inputs[0], m.root.attrs["perm"]
    if any(i.op != "broadcast" for i in outer.inputs):
        return None
    return make(outer.op, *(ops.transpose(i, perm) for i in outer.inputs), **outer.attrs)


def _transpose_iota(m: Match) -> Node:
    inner = m.root.inputs[0]
    return ops.iota(m.root.shape, inverse(m.root.attrs["perm"])[inner.attrs["axis"]], inner.dtype)


def _outer(op: str) -> list[Node]:
    """Two vectors on two axes, transposed."""
    x, y = ops.broadcast(param((3,)), (3, 5), (0,)), ops.broadcast(param((5,), name="y"), (3, 5), (1,))
    return [ops.transpose(make(op, x, y), (1, 0))]


_TRANSPOSE = [
    Rule(
        "transpose of axes of size 1",
        _of("transpose"),
        _only_ones_move,
        samples=lambda: [
            ops.transpose(param((1, 5)), (1, 0)),
            ops.transpose(param((2, 1, N)), (1, 0, 2)),
            make("transpose", param((2, 3)), perm=(0, 1)),
        ],
    ),
    Rule(
        "transpose of transpose",
        _of("transpose", "transpose"),
        lambda m: ops.transpose(m["x"], tuple(m["inner"].attrs["perm"][p] for p in m.root.attrs["perm"])),
        samples=lambda: [
            ops.transpose(ops.transpose(param((2, 3, 4)), (1, 2, 0)), p) for p in ((2, 0, 1), (1, 0, 2))
        ],
    ),
    Rule(
        "transpose of broadcast",
        _of("transpose", "broadcast"),
        _transpose_broadcast,
        samples=lambda: [
            ops.transpose(ops.broadcast(param((5,)), (3, 5), (1,)), (1, 0)),
            ops.transpose(ops.broadcast(param((2, 3)), (2, 4, 3), (0, 2)), (2, 1, 0)),
        ],
    ),
    *(
        Rule(
            f"transpose of an outer {op}",
            Apply("transpose", (Apply(op, None),)),
            _transpose_outer,
            samples=partial(_outer, op),
        )
        for op in ("add", "sub", "mul")
    ),
    Rule(
        "transpose of iota",
        Apply("transpose", (Apply("iota", ()),)),
        _transpose_iota,
        samples=lambda: [ops.transpose(ops.iota((3, 4, 2), 1), (2, 0, 1))],
    ),
]

# ---------------------------------------------------------------- broadcast


def _drop_ones(m: Match) -> Node | None:
    x, kept = m["x"], wide(m["x"].shape)
    if len(kept) == x.rank:
        return None
    return ops.broadcast(squeezed(x), m.root.shape, tuple(m.root.attrs["axes"][i] for i in kept))


def _adds_only_ones(m: Match) -> Node | None:
    """A reshape; but what stems from one scalar is always a broadcast."""
    if not m["x"].shape:
        return None
    new = (n for i, n in enumerate(m.root.shape) if i not in m.root.attrs["axes"])
    same = tuple(m.root.shape[a] for a in m.root.attrs["axes"]) == m["x"].shape
    return ops.reshape(m["x"], m.root.shape) if same and all(n == 1 for n in new) else None


_BROADCAST = [
    Rule(
        "broadcast from axes of size 1",
        _of("broadcast"),
        _drop_ones,
        samples=lambda: [
            ops.broadcast(param((1, 4)), (3, 4), (0, 1)),
            ops.broadcast(param((N, 1)), (N, 4), (0, 1)),
        ],
    ),
    Rule(
        "broadcast to axes of size 1",
        _of("broadcast"),
        _adds_only_ones,
        samples=lambda: [
            ops.broadcast(param((4,)), (1, 4, 1), (1,)),
            make("broadcast", param((4,)), shape=(4,), axes=(0,)),
        ],
    ),
    Rule(
        "broadcast of broadcast",
        _of("broadcast", "broadcast"),
        lambda m: ops.broadcast(
            m["x"], m.root.shape, tuple(m.root.attrs["axes"][a] for a in m["inner"].attrs["axes"])
        ),
        samples=lambda: [
            ops.broadcast(ops.broadcast(param((3,)), (2, 3), (1,)), (2, 4, 3), (0, 2)),
            ops.broadcast(ops.broadcast(param(()), (2,), ()), (2, 4), (0,)),
        ],
    ),
    Rule(
        "broadcast of iota",
        Apply("broadcast", (Apply("iota", ()),)),
        lambda m: ops.iota(
            m.root.shape,
            m.root.attrs["axes"][m.root.inputs[0].attrs["axis"]],
            m.root.dtype,
        ),
        where=lambda m: 1 not in m.root.inputs[0].shape,
        samples=lambda: [ops.broadcast(ops.iota((3,), 0), (2, 3, 4), (1,))],
    ),
    Rule(
        "iota along an axis of size 1",
        Apply("iota", ()),
        lambda m: ops.zeros(m.root.type),
        where=lambda m: m.root.shape[m.root.attrs["axis"]] == 1,
        samples=lambda: [ops.iota((3, 1), 1)],
    ),
]

# ---------------------------------------------------------------- pad, concatenate, reverse


def _pad_pad(m: Match) -> Node | None:
    outer, inner = m.root.attrs, m["inner"].attrs
    if not same_number(outer["value"], inner["value"], m.root.dtype):
        return None
    low = tuple(a + b for a, b in zip(outer["low"], inner["low"], strict=True))
    high = tuple(a + b for a, b in zip(outer["high"], inner["high"], strict=True))
    return ops.pad(m["x"], low, high, outer["value"])


def _pad_full(m: Match) -> Node | None:
    number = splat(m["x"])
    same = number is not None and same_number(number, m.root.attrs["value"], m.root.dtype)
    return ops.full(m.root.attrs["value"], m.root.type) if same else None


def _concatenation(m: Match) -> Node | None:
    """Without empty parts, parts of parts, or neighbours that are one slice or one number."""
    node, axis = m.root, m.root.attrs["axis"]
    parts: list[Node] = []
    for i in node.inputs:
        nested = i.op == "concatenate" and i.attrs["axis"] == axis
        parts += i.inputs if nested else [i]
    parts = [p for p in parts if p.shape[axis] != 0] or parts[:1]
    joined: list[Node] = []
    for p in parts:
        both = _joined(joined[-1], p, axis) if joined else None
        joined = [*joined[:-1], both] if both is not None else [*joined, p]
    if len(joined) == len(node.inputs) > 1 and all(a is b for a, b in zip(joined, node.inputs)):
        return None
    return ops.concatenate(joined, axis)


def _joined(a: Node, b: Node, axis: int) -> Node | None:
    shape = (*a.shape[:axis], a.shape[axis] + b.shape[axis], *a.shape[axis + 1 :])
    one = scalar_of(a)
    if one is not None and one is scalar_of(b):
        return ops.broadcast(one, shape, ())
    if a.op != "slice" or b.op != "slice" or a.inputs[0] is not b.inputs[0]:
        return None
    if any(s != 1 for s in (*a.attrs["strides"], *b.attrs["strides"])):
        return None
    starts = list(a.attrs["starts"])
    starts[axis] = starts[axis] + a.shape[axis]
    return ops.slice_(a.inputs[0], a.attrs["starts"], shape) if starts == list(b.attrs["starts"]) else None


def _concatenations() -> list[Node]:
    x, y = param((5, 2)), param((0, 2), name="y")
    s = ops.broadcast(param((), name="s"), (3, 2), ())
    return [
        make("concatenate", x, axis=0),
        ops.concatenate([x, y], 0),
        ops.concatenate([ops.concatenate([x, s], 0), x], 0),
        ops.concatenate([s, s, x], 0),
        ops.concatenate([ops.slice_(x, (0, 0), (2, 2)), ops.slice_(x, (2, 0), (3, 2))], 0),
    ]


def _reverse_axes(m: Match) -> Node | None:
    axes = m.root.attrs["axes"]
    kept = tuple(a for a in axes if m.root.shape[a] != 1)
    if m["x"].op == "broadcast":
        kept = tuple(a for a in kept if a in m["x"].attrs["axes"])
    return ops.reverse(m["x"], kept) if kept != axes or not kept else None


def _reverse_reverse(m: Match) -> Node:
    once = set(m.root.attrs["axes"]) ^ set(m["inner"].attrs["axes"])
    return ops.reverse(m["x"], tuple(sorted(once)))


_ENDS = [
    Rule(
        "pad by nothing",
        _of("pad"),
        lambda m: m["x"] if not any(n != 0 for n in (*m.root.attrs["low"], *m.root.attrs["high"])) else None,
        samples=lambda: [make("pad", param((2, 3)), low=(0, 0), high=(0, 0), value=1.0)],
    ),
    Rule(
        "pad of pad",
        _of("pad", "pad"),
        _pad_pad,
        samples=lambda: [ops.pad(ops.pad(param((2, 3)), (1, 0), (0, 2), 1.5), (0, 1), (3, 0), 1.5)],
    ),
    Rule(
        "pad of its own value",
        _of("pad"),
        _pad_full,
        samples=lambda: [ops.pad(ops.full(2, param((3,), i32).type), (1,), (2,), 2)],
    ),
    Rule(
        "concatenate of what is one already",
        Apply("concatenate", None),
        _concatenation,
        samples=_concatenations,
    ),
    Rule(
        "reverse of reverse",
        _of("reverse", "reverse"),
        _reverse_reverse,
        samples=lambda: [ops.reverse(ops.reverse(param((2, 3)), (0, 1)), a) for a in ((0,), (0, 1))],
    ),
    Rule(
        "reverse of equal elements",
        _of("reverse"),
        _reverse_axes,
        samples=lambda: [
            ops.reverse(param((1, 3)), (0, 1)),
            ops.reverse(ops.broadcast(param((2,)), (2, 3), (0,)), (1,)),
            make("reverse", param((2,)), axes=()),
        ],
    ),
]

RULES: list[Rule] = [*_RESHAPE, *_TRANSPOSE, *_BROADCAST, *_ENDS]
