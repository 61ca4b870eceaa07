"""Slices, windows and gathers at places that are known now, or of values that repeat.

Enters: slice, dynamic_slice, dynamic_update, gather, scatter_add. Leaves: reads of the first value that holds the elements.
"""

from __future__ import annotations

from charl import ops
from charl.dims import Dim, nonnegative, product
from charl.dtypes import boolean, i32
from charl.graph.ir import Node, Shape
from charl.ops.indexing import is_meant
from charl.ops.record import make
from charl.passes.pattern import Apply, Literal, Match, Rule, Splat, Var
from charl.passes.rules.shapes import N, others, param
from charl.passes.values import splat

X, Y, U, I = Var("x"), Var("y"), Var("u"), Var("i")  # noqa: E741
Size = int | Dim


# ---------------------------------------------------------------- slices


def _slice_of(inner: str) -> Apply:
    return Apply("slice", (Apply(inner, (X,), "inner"),))


def _whole(m: Match) -> Node | None:
    same = m["x"].shape == m.root.shape and all(s == 1 for s in m.root.attrs["strides"])
    return m["x"] if same else None


def _slice_slice(m: Match) -> Node:
    outer, inner = m.root.attrs, m["inner"].attrs
    starts = tuple(b + a * s for a, b, s in zip(outer["starts"], inner["starts"], inner["strides"]))
    strides = tuple(a * b for a, b in zip(outer["strides"], inner["strides"]))
    return ops.slice_(m["x"], starts, m.root.shape, strides)


def _slice_broadcast(m: Match) -> Node | None:
    """Slices what is there; the repeated axes only get shorter."""
    x, at, places = m["x"], m.root.attrs, m["inner"].attrs["axes"]
    if any(n != m["inner"].shape[a] for n, a in zip(x.shape, places)):
        return None
    starts, strides = ([at[k][a] for a in places] for k in ("starts", "strides"))
    part = ops.slice_(x, starts, [m.root.shape[a] for a in places], strides)
    return ops.broadcast(part, m.root.shape, places)


def _last(node: Node, axis: int) -> Size:
    at = node.attrs
    last: Size = at["starts"][axis] + (node.shape[axis] - 1) * at["strides"][axis]
    return last


def _slice_pad(m: Match) -> Node | None:
    """Inside what was padded, or wholly in the margin."""
    x, root, low = m["x"], m.root, m["inner"].attrs["low"]
    starts = root.attrs["starts"]
    inside = True
    for k in range(root.rank):
        behind = nonnegative(starts[k] - low[k] - x.shape[k])
        if behind or nonnegative(low[k] - 1 - _last(root, k)):
            return ops.full(m["inner"].attrs["value"], root.type)
        inside &= nonnegative(starts[k] - low[k]) and nonnegative(low[k] + x.shape[k] - 1 - _last(root, k))
    if not inside:
        return None
    return ops.slice_(x, tuple(a - b for a, b in zip(starts, low)), root.shape, root.attrs["strides"])


def _slice_concatenate(m: Match) -> Node | None:
    """Of the one part that has all elements."""
    root, inner = m.root, m.root.inputs[0]
    axis = inner.attrs["axis"]
    first: Size = 0
    for part in inner.inputs:
        n = part.shape[axis]
        if nonnegative(root.attrs["starts"][axis] - first) and nonnegative(first + n - 1 - _last(root, axis)):
            starts = list(root.attrs["starts"])
            starts[axis] = starts[axis] - first
            return ops.slice_(part, starts, root.shape, root.attrs["strides"])
        first = first + n
    return None


def _slice_iota(m: Match) -> Node | None:
    inner = m.root.inputs[0]
    axis, at = inner.attrs["axis"], m.root.attrs
    if at["starts"][axis] != 0 or at["strides"][axis] != 1:
        return None
    return ops.iota(m.root.shape, axis, inner.dtype)


def _parts() -> list[Node]:
    whole = ops.concatenate([param((2, 3)), param((2, 4), name="y"), param((2, N), name="z")], 1)
    return [
        ops.slice_(whole, (0, 3), (2, 4)),
        ops.slice_(whole, (1, 4), (1, 2), (1, 2)),
        ops.slice_(whole, (0, 7), (2, N)),
    ]


_SLICES = [
    Rule("slice of everything", Apply("slice", (X,)), _whole, samples=lambda: [
        make("slice", param((2, N)), starts=(0, 0), sizes=(2, N), strides=(1, 1))
    ]),
    Rule("slice of slice", _slice_of("slice"), _slice_slice, samples=lambda: [
        ops.slice_(ops.slice_(param((20,)), (3,), (8,), (2,)), (1,), (3,), (2,)),
        ops.slice_(ops.slice_(param((5, 6)), (1, 2), (4, 3)), (1, 0), (2, 2)),
    ]),
    Rule("slice of broadcast", _slice_of("broadcast"), _slice_broadcast, samples=lambda: [
        ops.slice_(ops.broadcast(param((5,)), (4, 5), (1,)), (1, 2), (2, 2), (1, 2)),
        ops.slice_(ops.broadcast(param(()), (4,), ()), (1,), (2,)),
    ]),
    Rule("slice of pad", _slice_of("pad"), _slice_pad, samples=lambda: [
        ops.slice_(ops.pad(param((4, 5)), (2, 0), (1, 3), 1.0), a, n) for a, n in
        (((2, 0), (4, 5)), ((3, 1), (2, 3)), ((0, 0), (2, 8)), ((2, 6), (3, 2)))
    ]),
    Rule("slice of concatenate", Apply("slice", (Apply("concatenate", None),)), _slice_concatenate, samples=_parts),
    Rule("slice of iota", Apply("slice", (Apply("iota", ()),)), _slice_iota, samples=lambda: [
        ops.slice_(ops.iota((5, 6), 1), (2, 0), (3, 4))
    ]),
]  # fmt: skip

# ---------------------------------------------------------------- windows


def _static_window(m: Match) -> Node | None:
    """A window whose place is known, shifted as at run time, is a slice. A run-time start stays, for debug builds to look at."""
    x, *starts = m.root.inputs
    places: list[Size] = []
    for n, size, start in zip(x.shape, m.root.shape, starts):
        room, at = n - size, splat(start)
        if room == 0 and at is not None:
            places.append(0)
        elif at is not None and isinstance(room, int):
            places.append(max(0, min(int(at), room)))
        elif at is not None and (at <= 0 or nonnegative(room - int(at))):
            places.append(max(0, int(at)))
        else:
            return None
    return ops.slice_(x, places, m.root.shape)


def _all_replaced(m: Match) -> Node | None:
    x, update, *starts = m.root.inputs
    known = all(splat(s) is not None for s in starts)  # others are for debug builds to look at
    return update if update.shape == x.shape and known else None


def _written_twice(m: Match) -> Node | None:
    """A window that is read where it was just written."""
    x, *starts = m.root.inputs
    if x.op != "dynamic_update" or x.inputs[1].shape != m.root.shape:
        return None
    return x.inputs[1] if all(a is b for a, b in zip(starts, x.inputs[2:])) else None


def _in_nothing(window: Node) -> bool:
    """Whether all around the window is 0."""
    return splat(window.inputs[0]) == 0 and window.dtype != boolean


def _added_window(m: Match) -> Node | None:
    """Only the window is read and written: what a loop adds to a carried sum costs what it adds."""
    x, window = m["x"], m["window"]
    if not _in_nothing(window):
        return None
    _, update, *starts = window.inputs
    meant = is_meant(window)
    return ops.dynamic_update(
        x, ops.add(ops.dynamic_slice(x, starts, update.shape, meant), update), starts, meant
    )


def _added_windows(m: Match) -> Node | None:
    """One after the other, so that each touches its window only."""
    if not _in_nothing(m["window"]):
        return None
    return ops.add(ops.add(m["x"], m["window"]), m["y"])


def _turned_window(m: Match) -> Node | None:
    """A window turned is a window of the turned."""
    order = m.root.attrs["perm"]
    if not _in_nothing(m["window"]):
        return None
    _, update, *starts = m["window"].inputs
    return ops.dynamic_update(
        ops.zeros(m.root.type),
        ops.transpose(update, order),
        [starts[k] for k in order],
        is_meant(m["window"]),
    )


def _in_zeros(shape: Shape = (6,), window: Shape = (2,)) -> Node:
    starts = [param((), i32, f"i{k}") for k in range(len(shape))]
    return ops.dynamic_update(ops.zeros(param(shape).type), param(window, name="u"), starts)


def _windows() -> list[Node]:
    x, at = param((5, N)), ops.constant(2)
    return [
        ops.dynamic_slice(x, [at, ops.constant(0)], (2, N)),
        ops.dynamic_slice(x, [ops.constant(9), ops.constant(1)], (2, N)),
        ops.dynamic_slice(x, [ops.constant(-3), ops.constant(-1)], (5, 1)),
    ]


def _updates() -> list[Node]:
    return [ops.dynamic_update(param((3,)), param((3,), name="u"), [ops.constant(1)])]


def _read_back() -> list[Node]:
    i = param((), i32, "i")
    return [ops.dynamic_slice(ops.dynamic_update(param((6,)), param((2,), name="u"), [i]), [i], (2,))]


WINDOW = Apply("dynamic_update", None, "window")


_WINDOWS = [
    Rule("window at a known place", Apply("dynamic_slice", None), _static_window, samples=_windows),
    Rule("window just written", Apply("dynamic_slice", None), _written_twice, samples=_read_back),
    Rule("update of everything", Apply("dynamic_update", None), _all_replaced, samples=_updates),
    Rule(
        "window added",
        Apply("add", (X, WINDOW)),
        _added_window,
        promise="rounded",
        samples=lambda: [
            ops.add(param((6,)), _in_zeros()),
            ops.add(_in_zeros((3, 4), (1, 4)), param((3, 4))),
        ],
    ),
    Rule(
        "windows added",
        Apply("add", (X, Apply("add", (WINDOW, Y)))),
        _added_windows,
        promise="rounded",
        samples=lambda: [ops.add(param((6,)), ops.add(_in_zeros(), param((6,), name="y")))],
    ),
    Rule(
        "window turned",
        Apply("transpose", (WINDOW,)),
        _turned_window,
        samples=lambda: [ops.transpose(_in_zeros((3, 4), (1, 4)), (1, 0))],
    ),
]

# ---------------------------------------------------------------- gather and scatter


def _known_index(m: Match) -> Node | None:
    """One element along the axis, at a place that is known."""
    x, idx, axis = m["x"], m["k"], m.root.attrs["axis"]
    n = x.shape[axis]
    if not isinstance(n, int) or n == 0 or m.root.attrs["batch"]:
        return None
    starts = [0] * x.rank
    starts[axis] = max(0, min(int(m.number("k")), n - 1))
    one = ops.slice_(x, starts, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    row = ops.reshape(one, (*x.shape[:axis], *x.shape[axis + 1 :]))
    places = others(range(axis, axis + idx.rank), m.root.rank)
    return ops.broadcast(row, m.root.shape, places)


def _counted_index(m: Match) -> Node | None:
    """The first elements in their order."""
    x, idx, axis = m["x"], m.root.inputs[1], m.root.attrs["axis"]
    if m.root.attrs["batch"] or idx.rank != 1 or not nonnegative(x.shape[axis] - idx.shape[0]):
        return None
    if idx.dtype.bytes < 4:
        return None  # may wrap
    return ops.slice_(x, [0] * x.rank, (*x.shape[:axis], idx.shape[0], *x.shape[axis + 1 :]))


def _repeated_index(m: Match) -> Node | None:
    """One run-time index for all: gathered once, then repeated."""
    x, idx, axis = m["x"], m.root.inputs[1], m.root.attrs["axis"]
    if m.root.attrs["batch"] or m["i"].shape:
        return None
    row = ops.gather(x, m["i"], axis)
    return ops.broadcast(row, m.root.shape, others(range(axis, axis + idx.rank), m.root.rank))


def _scattered_onto(m: Match) -> Node:
    """Written over the other summand: no table of zeros is made and added."""
    inner = m["inner"]
    return make("scatter_add", m["y"], *inner.inputs[1:], **inner.attrs)


def _taken_from(m: Match) -> Node:
    """The same of a difference."""
    inner = m["inner"]
    return make("scatter_add", m["y"], inner.inputs[1], ops.neg(inner.inputs[2]), **inner.attrs)


def _scaled_scatter(m: Match) -> Node | None:
    """Scaled before it is written, where one number scales all and fewer elements are written than there are."""
    zeros, i, updates = m["inner"].inputs
    if m["c"].rank or not nonnegative(product(zeros.shape) - product(updates.shape)):
        return None
    scale = ops.broadcast(m["c"], updates.shape, ())
    return make("scatter_add", zeros, i, ops.mul(updates, scale), **m["inner"].attrs)


def _scatter() -> Node:
    base, i, updates = param((4, 3)), param((2,), i32, "i"), param((2, 3), name="u")
    return ops.scatter_add(ops.zeros(base.type), i, updates, 0)


_ONTO_ZEROS = Apply("scatter_add", (Literal(0), I, U), "inner")

_GATHERS = [
    Rule(
        "gather of one number",
        Apply("gather", (Splat("k"), I)),
        lambda m: ops.full(m.number("k"), m.root.type),
        samples=lambda: [ops.gather(ops.full(3, param((4, 3)).type), param((2, 5), i32, "i"), 1)],
    ),
    Rule("gather at a known index", Apply("gather", (X, Splat("k"))), _known_index, samples=lambda: [
        ops.gather(param((4, 3)), ops.constant(k), a) for k, a in ((2, 0), (9, 1), (-1, 0))
    ] + [ops.gather(param((4, 3)), ops.full(1, param((2, 2), i32).type), 1)]),
    Rule("gather in order", Apply("gather", (X, Apply("iota", ()))), _counted_index, samples=lambda: [
        ops.gather(param((4, 3)), ops.iota((n,), 0), 0) for n in (3, 4)
    ]),
    Rule("gather at one index", Apply("gather", (X, Apply("broadcast", (I,)))), _repeated_index, samples=lambda: [
        ops.gather(param((4, 3)), ops.broadcast(param((), i32, "i"), (2, 5), ()), 1)
    ]),
    Rule("sum with a scatter", Apply("add", (Y, _ONTO_ZEROS)), _scattered_onto, promise="rounded", samples=lambda: [
        ops.add(param((4, 3), name="y"), _scatter()), ops.add(_scatter(), param((4, 3), name="y"))
    ]),
    Rule("difference with a scatter", Apply("sub", (Y, _ONTO_ZEROS)), _taken_from, promise="rounded", samples=lambda: [
        ops.sub(param((4, 3), name="y"), _scatter())
    ]),
    Rule("scatter scaled", Apply("mul", (_ONTO_ZEROS, Apply("broadcast", (Var("c"),), "factor"))), _scaled_scatter,
         promise="finite", samples=lambda: [ops.mul(_scatter(), ops.broadcast(param((), name="c"), (4, 3), ()))]),
    Rule("scatter of zeros", Apply("scatter_add", (X, I, Literal(0))), X, promise="rounded", samples=lambda: [
        ops.scatter_add(param((4,)), param((3,), i32, "i"), ops.zeros(param((3,)).type), 0)
    ]),
]  # fmt: skip

RULES: list[Rule] = [*_SLICES, *_WINDOWS, *_GATHERS]
