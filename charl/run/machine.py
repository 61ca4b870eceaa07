"""Values of a running program: arrays behind graph nodes, and graphs computed on a backend.

Enters: nodes over values that are known. Leaves: arrays. A known value is a parameter node that holds its array; every graph of
a running program has such parameters only. Large graphs go to the backend that was asked for, the bookkeeping of a few
numbers to the evaluator, which needs no compiler for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np

from charl.dtypes import DType
from charl.graph.evaluate import Evaluator
from charl.graph.ir import Graph, Node, TensorType, topological
from charl.ops import constant_array
from charl.passes import optimise

Array: TypeAlias = np.ndarray[Any, Any]
Step: TypeAlias = Callable[[Sequence[Array]], list[Array]]

SMALL = 24  # operations of a graph that the evaluator keeps
FREE = frozenset(("parameter", "constant", "broadcast", "reshape"))


class Held:
    """An array as an attribute: compared by identity."""

    def __init__(self, array: Array) -> None:
        self.array = array


def known(array: Any, dtype: DType, name: str | None = None) -> Node:
    """A value of a running program."""
    array = np.asarray(array, dtype.numpy)
    type_ = TensorType(dtype, array.shape)
    attrs = {"name": name or "value", "dtype": dtype, "shape": array.shape, "held": Held(array)}
    return Node("parameter", (), attrs, type_, name=name)


def held(node: Node) -> Array | None:
    """The array of a known value."""
    found = node.attrs.get("held") if node.op == "parameter" else None
    return found.array if found is not None else None


def array_of(node: Node) -> Array:
    """The array of a node that is known for certain."""
    array = held(node)
    assert array is not None, node
    return array


def parameters(nodes: Sequence[Node]) -> list[Node]:
    """Every known value that the nodes depend on."""
    return [n for n in topological(nodes) if n.op == "parameter"]


class Machine:
    """Computes graphs on one backend."""

    def __init__(self, backend: str) -> None:
        self.execute: Any = None
        if backend != "evaluator":
            from charl.runtime.execute import executor_of

            self.execute = executor_of(backend)

    def compute(self, nodes: Sequence[Node]) -> list[Array]:
        """The arrays of nodes over known values, computed once."""
        arrays = [constant_array(n) if n.op == "constant" else held(n) for n in nodes]
        missing = [n for n, a in zip(nodes, arrays, strict=True) if a is None]
        if missing:
            params = parameters(missing)
            found = iter(self.step("now", params, missing)([array_of(p) for p in params]))
            arrays = [next(found) if a is None else a for a in arrays]
        return [a for a in arrays if a is not None]

    def step(self, name: str, params: list[Node], results: list[Node]) -> Step:
        """A graph made ready to be computed many times. Raises CharlError where the backend cannot hold it."""
        graph = optimise(Graph(name, params, results))
        if self.execute is not None and sum(n.op not in FREE for n in graph.nodes()) > SMALL:
            return lambda arrays: list(self.execute(name, graph, list(arrays)))
        return Evaluator(graph)
