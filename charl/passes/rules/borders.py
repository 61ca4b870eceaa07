"""Sums of values that lie in zeros: the gradients of several slices of one value.

Enters: additions. Leaves: where such values do not meet, one concatenation of them instead, so that each part is written where it
belongs and nothing is added to zeros.
"""

from __future__ import annotations

from typing import NamedTuple

from charl import ops
from charl.dims import Dim, nonnegative, product
from charl.graph.ir import Node, Shape, TensorType
from charl.passes.pattern import Apply, Match, Rule, Var
from charl.passes.rules.shapes import param
from charl.passes.values import splat

X, Y, Z = Var("x"), Var("y"), Var("z")
Size = int | Dim

# Parts of a value: each is a condition around the others.
_MOST = 32
# A part waits until all are there. Those along the first axis may be many and large, as the gradients of the weights of all
# layers are, of which each is added when it is known; those of a line (queries, keys, values; gates) come together.
_OF_A_LINE = 4
_FEW = 256  # elements of a value whose parts may wait in any case


class _Part(NamedTuple):
    """What lies at a place along an axis."""

    start: Size
    value: Node


def _parts(node: Node, axis: int) -> tuple[list[_Part], Shape, Shape] | None:
    """The parts of a value along an axis that are not 0, and the zeros around them along the others."""
    low, high, base = (0,) * node.rank, (0,) * node.rank, node
    if node.op == "pad" and node.attrs["value"] == 0:
        low, high, base = node.attrs["low"], node.attrs["high"], node.inputs[0]
    elif node.op != "concatenate":
        return None
    split = base.op == "concatenate" and base.attrs["axis"] == axis
    at: Size = low[axis]
    found: list[_Part] = []
    for part in base.inputs if split else (base,):
        if splat(part) != 0:
            found.append(_Part(at, part))
        at = at + part.shape[axis]
    return found, (*low[:axis], *low[axis + 1 :]), (*high[:axis], *high[axis + 1 :])


def _together(x: Node, y: Node) -> Node | None:
    """x + y where they do not meet along some axis."""
    if x.op not in _ENDS or y.op not in _ENDS:
        return None
    for axis in range(x.rank):
        first, second = _parts(x, axis), _parts(y, axis)
        if first is None or second is None or first[1:] != second[1:]:
            continue
        parts = _merged(first[0], second[0], axis)
        if parts and len(parts) <= _most(x, axis):
            return _joined(parts, x, axis)
    return None


def _most(x: Node, axis: int) -> int:
    """Into how many parts along an axis a value may be cut."""
    if nonnegative(_FEW - product(x.shape)):
        return _MOST
    return _OF_A_LINE if any(n != 1 for n in x.shape[:axis]) else 1


_ENDS = ("pad", "concatenate")


def _merged(first: list[_Part], second: list[_Part], axis: int) -> list[_Part] | None:
    """All parts in order; None where some meet, or nobody knows."""
    out = list(first)
    for part in second:
        end = part.start + part.value.shape[axis]
        k = next((k for k, p in enumerate(out) if nonnegative(p.start - end)), len(out))
        if k and not nonnegative(part.start - out[k - 1].start - out[k - 1].value.shape[axis]):
            return None
        out.insert(k, part)
    return out


def _joined(parts: list[_Part], like: Node, axis: int) -> Node:
    """Parts along an axis with zeros between them, and around them what is around `like` along the other axes."""
    values: list[Node] = []
    end = parts[0].start
    for part in parts:
        if part.start != end:
            shape = list(part.value.shape)
            shape[axis] = part.start - end
            values.append(ops.zeros(TensorType(part.value.dtype, tuple(shape))))
        values.append(part.value)
        end = part.start + part.value.shape[axis]
    whole = ops.concatenate(values, axis) if len(values) > 1 else values[0]
    if like.op == "pad":
        low, high = list(like.attrs["low"]), list(like.attrs["high"])
    else:
        low, high = [0] * like.rank, [0] * like.rank
    low[axis], high[axis] = parts[0].start, like.shape[axis] - end
    return ops.pad(whole, low, high)


def _apart(m: Match) -> Node | None:
    return _together(m["x"], m["y"])


def _apart_in_sum(m: Match) -> Node | None:
    found = _together(m["x"], m["y"])
    return None if found is None else ops.add(m["z"], found)


def _rows(*starts: int) -> list[Node]:
    return [ops.pad(param((2, 3), name=f"x{k}"), (k, 0), (8 - k, 0)) for k in starts]


def _samples() -> list[Node]:
    a, b, c = _rows(0, 2, 6)
    left, right = (
        ops.pad(param((3, n), name=f"y{n}"), (1, low), (0, 6 - low - n)) for n, low in ((2, 0), (4, 2))
    )
    return [
        ops.add(a, b),
        ops.add(b, a),
        ops.add(a, c),
        ops.add(
            ops.concatenate(
                [param((2, 3)), ops.zeros(TensorType(a.dtype, (4, 3))), param((4, 3), name="y")], 0
            ),
            b,
        ),
        ops.add(left, right),
    ]


def _sums() -> list[Node]:
    left, right = (ops.pad(param((4, 2), name=f"y{k}"), (0, k), (0, 4 - k)) for k in (0, 4))
    return [ops.add(ops.add(param((4, 6), name="z"), left), right)]


RULES: list[Rule] = [
    Rule("sum of what lies apart", Apply("add", (X, Y)), _apart, promise="rounded", kinds=("float", "int", "uint"),
         samples=_samples),
    Rule("sum with what lies apart", Apply("add", (Apply("add", (Z, X)), Y)), _apart_in_sum, promise="rounded",
         kinds=("float", "int", "uint"), samples=_sums),
]  # fmt: skip
