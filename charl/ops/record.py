"""One operation, one record: type rule, NumPy meaning, index-level meaning, gradient, samples.

`OPS` is the registry. Nothing about an operation stands elsewhere; a backend that has never heard of it
runs it through `at`, and the conformance suite tests it through `samples`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from charl.graph.ir import Attrs, Node, Size, TensorType
from charl.graph.scalar import Expr, Index

__all__: list[str] = []  # nothing here is offered as `charl.ops.…`


class TypeRuleError(Exception):
    """A type rule refuses its inputs; the front end turns it into a diagnostic."""


@dataclass(frozen=True)
class Sample:
    """Inputs on which an operation is tested: arrays, attributes, and up to which gradient order.

    `smooth` is false where the inputs lie on a kink (a tie), so that finite differences say nothing there.
    """

    arrays: tuple[np.ndarray[Any, Any], ...]
    attrs: Attrs
    orders: int = 2
    smooth: bool = True


@dataclass(frozen=True)
class Scatter:
    """Write form of an operation that scatters: see `Op.write`."""

    over: tuple[Any, ...]  # extents of the loop over updates
    index: Callable[[Index], Index]  # where update u goes
    value: Callable[[Index], Expr]
    combine: str  # "add" or "set"
    condition: Callable[[Index], Expr] | None = None  # update u is left out where this is false


@dataclass(frozen=True)
class Indexed:
    """Run-time indices of an axis: the `size` elements from each on shall be among the `extent` elements of the axis."""

    operand: Node
    extent: Size
    size: Size = 1


Vjp: TypeAlias = Callable[[Node, Node], Sequence["Node | None"]]
Jvp: TypeAlias = Callable[[Node, Sequence["Node | None"]], "Node | None"]
Batch: TypeAlias = Callable[[Node, Sequence[Node], Sequence[bool], Size], Node]


@dataclass(frozen=True)
class Op:
    """The record of an operation.

    infer(types, attrs) -> type of the result; raises TypeRuleError.
    ref(arrays, attrs, shape) -> the result in NumPy; `shape` is the result's, all integers.
    at(node, index) -> element `index` as a scalar expression that reads inputs by `scalar.read`.
    vjp(node, ct) -> one cotangent per input (None: not differentiable in it), as graph nodes.
    linear(node) -> groups of inputs; the result is linear in each group together, the other inputs held fixed.
    jvp(node, tangents) -> the tangent of the result. Without it: the operation itself on each group of `linear`, else
        the transpose of `vjp`.
    batch(node, inputs, mapped, size) -> the result in `size` lanes along a new first axis, which the mapped inputs have
        too. Without it: one lane after the other.
    samples(rng) -> inputs for the conformance suite: ranks 0 to 5, sizes 0 and 1, odd sizes, ties, NaN.
    write(node) -> optional serial form for scatters, cheaper than `at` where one thread may run it.
    singular(node, k): the factor of input k's cotangent may be infinite or NaN where the cotangent of the result is 0
        because another side of a branch was taken; reverse mode then gives 0 there. None: never.
    indexed(node) -> the operands that hold run-time indices, and where these shall lie; debug builds check them.
    distinct: the updates of `write` go to places of which no two are the same, so that their order does not matter.
    branches: the cotangents of this operation may be 0 because another value was taken (`select`).
    """

    name: str
    doc: str
    infer: Callable[[Sequence[TensorType], Attrs], TensorType]
    ref: Callable[[Sequence[np.ndarray[Any, Any]], Attrs, tuple[int, ...]], np.ndarray[Any, Any]]
    at: Callable[[Node, Index], Expr]
    vjp: Vjp | None = None
    samples: Callable[[np.random.Generator], Iterable[Sample]] | None = None
    write: Callable[[Node], Scatter] | None = None
    singular: Callable[[Node, int], bool] | None = None
    distinct: bool = False
    branches: bool = False
    indexed: Callable[[Node], Sequence[Indexed]] | None = None
    linear: Callable[[Node], Sequence[Sequence[int]]] | None = None
    jvp: Jvp | None = None
    batch: Batch | None = None


OPS: dict[str, Op] = {}


def register(op: Op) -> Op:
    """Add a record to the registry."""
    assert op.name not in OPS, op.name
    OPS[op.name] = op
    return op


def make(name: str, /, *inputs: Node, hint: str | None = None, **attrs: Any) -> Node:
    """Apply an operation: infer the type, return the node."""
    type_ = OPS[name].infer([n.type for n in inputs], attrs)
    return Node(name, tuple(inputs), attrs, type_, name=hint)
