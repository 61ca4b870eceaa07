"""Questions about shapes and axes that several rules ask, and parameters for their samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from charl import dims, ops
from charl.dims import Dim
from charl.dtypes import DType, f32
from charl.graph.ir import Node, Shape, TensorType

Size: TypeAlias = int | Dim
N = dims.sym("N")


def wide(shape: Shape) -> tuple[int, ...]:
    """Axes that are not of size 1."""
    return tuple(i for i, n in enumerate(shape) if n != 1)


def squeezed(node: Node) -> Node:
    """`node` without its axes of size 1."""
    return ops.reshape(node, tuple(node.shape[i] for i in wide(node.shape)))


def ones_only(node: Node) -> dict[int, int] | None:
    """For a reshape that only adds and removes axes of size 1: its input's other axes, and where they are now."""
    old, new = node.inputs[0].shape, node.shape
    from_, to = wide(old), wide(new)
    if [old[i] for i in from_] != [new[i] for i in to]:
        return None
    return dict(zip(from_, to))


def inverse(perm: Sequence[int]) -> tuple[int, ...]:
    """The permutation that undoes `perm`."""
    return tuple(sorted(range(len(perm)), key=lambda i: perm[i]))


def others(axes: Sequence[int], rank: int) -> tuple[int, ...]:
    """The axes not named, ascending."""
    return tuple(i for i in range(rank) if i not in axes)


def param(shape: Shape, dtype: DType = f32, name: str = "x") -> Node:
    """A parameter for a sample."""
    return ops.parameter(name, TensorType(dtype, shape))
