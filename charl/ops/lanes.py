"""Batching rules: an operation on every lane at once, for `Op.batch`.

Enters: an operation, and its inputs, some with one axis of lanes in front (`mapped`). Leaves: its result with that axis.
Most rules follow from which attributes count axes or hold shapes. Registers no operation itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from charl import ops
from charl.graph.ir import Node, Size
from charl.ops.record import Batch, make

__all__: list[str] = []  # nothing here is offered as `charl.ops.…`


def spread(x: Node, size: Size) -> Node:
    """The same value in every lane."""
    return ops.broadcast(x, (size, *x.shape), tuple(range(1, x.rank + 1)))


def every(inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> list[Node]:
    """The inputs, all of them with lanes."""
    return [x if m else spread(x, size) for x, m in zip(inputs, mapped, strict=True)]


def changed(change: Callable[[Mapping[str, Any], Size], Mapping[str, Any]]) -> Batch:
    """The operation itself over inputs that all have lanes, with its attributes changed."""

    def batch(node: Node, inputs: Sequence[Node], mapped: Sequence[bool], size: Size) -> Node:
        return make(node.op, *every(inputs, mapped, size), **{**node.attrs, **change(node.attrs, size)})

    return batch


def shifted(axes: Iterable[int]) -> tuple[int, ...]:
    """Axes where they stand behind a new first one."""
    return tuple(a + 1 for a in axes)


elementwise: Batch = changed(lambda attrs, size: {})
along_axes: Batch = changed(lambda attrs, size: {"axes": shifted(attrs["axes"])})
along_axis: Batch = changed(lambda attrs, size: {"axis": attrs["axis"] + 1})
