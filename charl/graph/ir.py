"""The tensor graph: typed SSA values in a DAG without effects.

A `Node` is one application of an operation and its one result; it is immutable and compared by
identity. Values of several results (loops and branches) have a `TupleType` and are taken apart by the
operation `item`. Order of evaluation is any topological order. A `Graph` closes over its parameters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import Any, TypeAlias

from charl.dims import Dim
from charl.dtypes import DType
from charl.fixed import fixed
from charl.source import Span

Size: TypeAlias = int | Dim
Shape: TypeAlias = tuple[Size, ...]


@fixed
class TensorType:
    """Element type and shape; rank 0 is a run-time scalar."""

    dtype: DType
    shape: Shape

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    @property
    def rank(self) -> int:
        return len(self.shape)


@fixed
class TupleType:
    """Several results of one node (regions)."""

    items: tuple[TensorType, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(str, self.items))})"


Attrs: TypeAlias = Mapping[str, Any]  # values are hashable

_SPAN: ContextVar[Span | None] = ContextVar("span", default=None)


_USER: ContextVar[Span | None] = ContextVar("user", default=None)
_BIRTHS = count()


def now() -> int:
    """A moment: nodes made before it have a smaller `born`, nodes made after it a larger one."""
    return next(_BIRTHS)


class _Set:
    """A context variable set for a while (`contextmanager` costs more than what stands inside, mostly)."""

    __slots__ = ("token", "value", "variable")

    def __init__(self, variable: ContextVar[Span | None], value: Span | None) -> None:
        self.variable = variable
        self.value = value

    def __enter__(self) -> None:
        self.token = self.variable.set(self.value)

    def __exit__(self, *_: object) -> None:
        self.variable.reset(self.token)


def at_span(span: Span | None) -> _Set:
    """Nodes made inside carry `span` (the place in the source that asked for them)."""
    if span is None:
        return _Set(_SPAN, _SPAN.get())
    user = _USER.get()
    if user is not None and span.user is None:
        span = Span(span.source, span.start, span.end, user, span.order)
    return _Set(_SPAN, span)


def of_derivative(node: Node) -> _Set:
    """Nodes made inside are part of a derivative of `node`."""
    return at_span(None if node.span is None else node.span.derived())


def in_library(call: Span) -> _Set:
    """Spans set inside are of the library, which the user's `call` led into."""
    return _Set(_USER, _USER.get() or call)


def in_program() -> _Set:
    """Spans set inside are the user's own again (a function of theirs that the library calls)."""
    return _Set(_USER, None)


def places() -> tuple[Span | None, Span | None]:
    """Where nodes made now stand: their span, and the user's call that led into the library."""
    return _SPAN.get(), _USER.get()


class Node:
    """One value: `op` applied to `inputs` with `attrs`. Make one with the functions of `charl.ops`.

    `name` is a hint from the user's source ("loss", "0.w"), used for comments and C identifiers. `born` orders nodes by
    when they were made: what was made while a side of a branch was built belongs to that side.
    """

    __slots__ = ("attrs", "born", "inputs", "name", "op", "regions", "span", "type")

    def __init__(
        self,
        op: str,
        inputs: tuple[Node, ...],
        attrs: Attrs,
        type: TensorType,
        regions: tuple[Graph, ...] = (),
        span: Span | None = None,
        name: str | None = None,
    ) -> None:
        self.op = op
        self.inputs = inputs
        self.attrs = attrs
        self.type = type
        self.regions = regions
        self.span = span if span is not None else _SPAN.get()
        self.name = name
        self.born = next(_BIRTHS)

    @property
    def shape(self) -> Shape:
        return self.type.shape

    @property
    def dtype(self) -> DType:
        return self.type.dtype

    @property
    def rank(self) -> int:
        return len(self.type.shape)

    def __repr__(self) -> str:
        return f"<{self.op} {self.name or ''}: {self.type}>"


@dataclass
class Graph:
    """A function of tensors. `params` are nodes of op "parameter"; `results` any values."""

    name: str
    params: list[Node]
    results: list[Node]
    span: Span | None = field(default=None, repr=False)

    def nodes(self) -> list[Node]:
        """Every node that the results need and every parameter, inputs before uses, in a fixed order."""
        return topological(self.results, self.params)

    def everywhere(self) -> Iterator[Node]:
        """The nodes, and those of the bodies of loops and the sides of branches among them."""
        for node in self.nodes():
            yield node
            for region in node.regions:
                yield from region.everywhere()


def topological(
    results: Iterable[Node], first: Iterable[Node] = (), known: Iterable[Node] = (), after: int = -1
) -> list[Node]:
    """Nodes reachable from `results` without going through `known`, inputs first; `first` come before all others.

    Only those made after the moment `after`. Not recursive.
    """
    order: list[Node] = []
    done: set[Node] = set(known)
    for root in [*first, *results]:
        stack = [root]
        while stack:
            node = stack[-1]
            if node in done or node.born <= after:
                stack.pop()
                continue
            waiting = [x for x in node.inputs if x not in done and x.born > after]
            if waiting:
                stack += reversed(waiting)
            else:
                stack.pop()
                done.add(node)
                order.append(node)
    return order
