"""Nodes and values made anew: from other inputs, in other symbols, seen from another place.

Enters: nodes in the order they were made in, what stands for their inputs, and which symbols of sizes are called otherwise.
Leaves: their copies. Never decides what is copied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charl import dims
from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.graph.ir import Graph, Node, TensorType, topological
from charl.graph.ir import TupleType as Results
from charl.source import Span

Moved = tuple[Span | None, Span | None]  # the place under way, and the user's call that led into the library
_PLAIN = (bool, int, float, str, DType, np.ndarray, type(None))


class Copies:
    """Copies of nodes, each made of the copies of its inputs."""

    def __init__(
        self, table: dict[Node, Node], given: Sequence[str | None], symbols: Mapping[str, Dim]
    ) -> None:
        self.table = table
        self.symbols = symbols
        self.old: Moved = (None, None)
        self.new: Moved = (None, None)
        self.calls: tuple[Span, Span] | None = None  # where the call itself stood, and stands
        self.spans: dict[int, Span | None] = {}
        self.types: dict[Any, Any] = {}
        pairs = zip(given, (n.name for n in table.values()), strict=True)
        self.paths = {a: b for a, b in pairs if a is not None and "." in a}

    def moved(self, old: Moved, new: Moved) -> None:
        """What stood at `old` stands at `new`."""
        self.old, self.new = old, new

    def renamed(self, name: str | None) -> str | None:
        """A name; the path of a leaf is that of the new call."""
        return self.paths.get(name, name) if name is not None else None

    def of(self, node: Node, name: str | None) -> Node:
        """The copy of a node whose inputs have been copied."""
        get, attrs, t = self.table.get, node.attrs, node.type
        inputs = tuple([get(x, x) for x in node.inputs])
        regions = tuple(map(self._region, node.regions)) if node.regions else ()
        if self.symbols:
            attrs = {k: self.static(x) for k, x in attrs.items()} if attrs else attrs
            t = self.static(t)
        if self.calls is not None and "pull" in attrs and hasattr(attrs["pull"], "seen_from"):
            attrs = {**attrs, "pull": attrs["pull"].seen_from(*self.calls)}
        span = node.span
        if span is not None:
            span = self.spans.get(id(span)) or self._span(span)
        copy = self.table[node] = Node(node.op, inputs, attrs, t, regions, span, name)
        return copy

    def static(self, x: Any) -> Any:
        """What is known at compile time, in the new symbols."""
        if not self.symbols or isinstance(x, (int, str)):
            return x
        if isinstance(x, (TensorType, Results, Dim)):
            found = self.types.get(x)
            if found is None:
                found = self.types[x] = self._static(x)
            return found
        return tuple(map(self.static, x)) if isinstance(x, tuple) else x

    def _static(self, x: Any) -> Any:
        if isinstance(x, Dim):
            return dims.substitute(x, self.symbols)
        if isinstance(x, TensorType):
            return TensorType(x.dtype, self.static(x.shape))
        return Results(self.static(x.items))

    def value(self, x: Any) -> Any:
        """A value with the copies of its tensors, in the new symbols."""
        if isinstance(x, Node):
            return self.table.get(x, x)
        if isinstance(x, v.Instance):
            t = self.type(x.type) if self.symbols else x.type
            return v.Instance(t, {n: self.value(y) for n, y in x.members.items()})
        if isinstance(x, v.Tuple):
            return v.Tuple(tuple(map(self.value, x.items)))
        if isinstance(x, v.Run):
            return v.Run(tuple(map(self.value, x.items)), self.static(x.length))
        if isinstance(x, v.Maybe):
            return v.Maybe(x.name, self.value(x.value), x.condition)
        if isinstance(x, v.Named):
            return v.Named({n: self.value(y) for n, y in x.members.items()})
        if not self.symbols:
            return x
        if isinstance(x, Dim):
            return self.static(x)
        return self.type(x) if v.is_type(x) else x

    def type(self, t: Any) -> Any:
        """A type in the new symbols."""
        if isinstance(t, TensorType):
            return self.static(t)
        if isinstance(t, v.InstanceType):
            arguments = tuple((n, self.value(x)) for n, x in t.arguments)
            return v.InstanceType(
                t.declaration, arguments, t.part, self.static(t.lead), t.lanes, t.each, span=t.span
            )
        if isinstance(t, v.TupleType):
            return v.TupleType(tuple(map(self.type, t.items)))
        if isinstance(t, v.RunType):
            return v.RunType(tuple(map(self.type, t.items)), self.static(t.length))
        return t

    def obligation(self, o: tuple[Any, ...]) -> tuple[Any, ...]:
        """What must hold on entry: text, left, relation, right, place."""
        return tuple(self.static(x) if isinstance(x, Dim) else x for x in o) if self.symbols else o

    def _span(self, span: Span) -> Span | None:
        """Where a copy stands; kept by the identity of the place, which the original keeps alive."""
        moved: Span | None = span
        if span is self.old[0]:
            moved = self.new[0]
        elif span.order and span == self.old[0]:
            moved = self.new[0]
            for _ in range(span.order):
                moved = moved.derived() if moved is not None else None
        elif span.user is not None and span.user is self.old[1]:
            moved = Span(span.source, span.start, span.end, self.new[1], span.order)
        self.spans[id(span)] = moved
        return moved

    def _region(self, graph: Graph) -> Graph:
        inner = Copies({}, (), self.symbols)
        inner.moved(self.old, self.new)
        inner.calls = self.calls
        inner.spans, inner.types, inner.paths = self.spans, self.types, self.paths
        for node in [*graph.params, *topological(graph.results, known=graph.params)]:
            inner.of(node, self.renamed(node.name))
        table = inner.table
        return Graph(
            graph.name, [table[p] for p in graph.params], [table[r] for r in graph.results], graph.span
        )


def rigid(node: Node) -> bool:
    """Whether a node holds what cannot be written in other symbols (a gradient rule)."""
    inside = (n for g in node.regions for n in topological(g.results))
    return not all(map(_plain, node.attrs.values())) or any(map(rigid, inside))


def _plain(x: Any) -> bool:
    if isinstance(x, tuple):
        return all(map(_plain, x))
    return isinstance(x, (*_PLAIN, Dim, TensorType, Results))
