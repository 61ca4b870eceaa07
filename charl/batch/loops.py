"""Batching of loops: one loop in which all lanes turn together.

Enters: a loop, its inputs, some with an axis of lanes in front. Leaves: its results, each with or without that axis. A carried
value has lanes where its initial value has or an iteration gives it some. Where the condition differs from lane to lane,
the loop goes on while any lane goes on, and lanes that have stopped keep what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from charl import ops
from charl.dtypes import boolean
from charl.graph.ir import Node, Size, TensorType
from charl.ops.common import others
from charl.ops.lanes import spread
from charl.ops.regions import assembled, counter, item, parameter_like

Lane: TypeAlias = tuple[Node, bool]
Mapped: TypeAlias = Callable[[Sequence[Node], Mapping[Node, Lane], Size], list[Lane]]


def through(
    node: Node, inputs: Sequence[Node], lanes: Sequence[bool], size: Size, mapped: Mapped
) -> list[Lane]:
    """The results of a loop in all lanes."""
    (body,) = node.regions
    extent, count, halts = node.attrs["extent"], node.attrs["carried"], node.attrs["halts"]
    tested = extent is None or halts
    captured = dict(
        zip(body.params[1 + count :], zip(inputs[count:], lanes[count:], strict=True), strict=True)
    )
    index = counter()
    flags = list(lanes[:count])
    while True:
        params = [_parameter(p, f, size) for p, f in zip(body.params[1 : 1 + count], flags, strict=True)]
        table = {body.params[0]: (index, False), **captured}
        table |= dict(zip(body.params[1 : 1 + count], zip(params, flags, strict=True), strict=True))
        results = mapped(body.results, table, size)
        grown = [f or m for f, (_, m) in zip(flags, results[:count], strict=True)]
        if extent is None and grown[0]:
            grown = [True] * count
        if grown == flags:
            break
        flags = grown
    initial = [spread(x, size) if f and not m else x for x, f, m in zip(inputs, flags, lanes[:count])]
    after = [spread(x, size) if f and not m else x for (x, m), f in zip(results[:count], flags, strict=True)]
    end = node.attrs["saved"] if node.attrs["saved"] >= 0 else len(results)
    yields = results[count:end]
    several = tested and flags[0]
    if several:
        if extent is None:
            after = [_where(params[0], x, p) for x, p in zip(after, params, strict=True)]
        after = [_any(after[0]), *after]
        initial = [_any(initial[0]), *initial]
        params = [ops.parameter("any", TensorType(boolean, ())), *params]
    rows = [x for x, _ in yields]
    done = assembled(extent, index, params, initial, after, rows, halts)
    first = 1 if several else 0
    out = list(zip(done.carried[first:], flags, strict=True))
    out += [_stacked(x, m) for x, (_, m) in zip(done.yields, yields, strict=True)]
    if node.attrs["saved"] >= 0 and count:
        whole = done.carried[0].inputs[0]
        starts = whole.attrs["saved"] + first
        out += [_stacked(item(whole, starts + k), f) for k, f in enumerate(flags)]
    return out


def _parameter(p: Node, lanes: bool, size: Size) -> Node:
    like = Node("parameter", (), p.attrs, TensorType(p.dtype, (size, *p.shape)), name=p.name) if lanes else p
    return parameter_like(like, p.attrs["name"])


def _any(x: Node) -> Node:
    """Whether it holds in any lane."""
    return ops.reduce_or(x, (0,))


def _where(going: Node, x: Node, y: Node) -> Node:
    """`x` in the lanes that go on, `y` in the others."""
    return x if x is y else ops.select(ops.broadcast(going, x.shape, (0,)), x, y)


def _stacked(x: Node, lanes: bool) -> Lane:
    """What iterations left one behind the other, with the axis of lanes in front of that of iterations."""
    return (ops.transpose(x, (1, 0, *others((0, 1), x.rank))), True) if lanes else (x, False)
