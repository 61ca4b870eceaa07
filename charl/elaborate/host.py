"""`fn main()` executed: the same interpreter, with real arrays behind its nodes.

Enters: a checked module, an executor for calls. Leaves: effects (files, printed lines). A run-time value of `main` is a
parameter node whose array the `Host` holds. A call is traced once per signature into a graph of its own, and computed by the
executor from then on; what stands between calls is computed by NumPy through the operations' own meaning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from charl import ops
from charl.dtypes import DType, loaded
from charl.elaborate import values as v
from charl.elaborate.calls import apply
from charl.elaborate.parameters import Call, Frame
from charl.elaborate.scope import Scope, Variable
from charl.errors import code, fail
from charl.graph.evaluate import Evaluator
from charl.graph.ir import Graph, Node, TensorType, topological
from charl.ops.source import dtype_of

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

NO_MAIN = code("E0608", "a program that is run has no `fn main()`")

Array = np.ndarray[Any, Any]
Executor = Callable[[str, Graph, list[Array]], list[Array]]


@dataclass
class Traced:
    """A call as a graph: how to rebuild its result and the values of its arguments after it."""

    graph: Graph
    captured: list[Node]
    result: Any
    finals: list[Any]
    evaluator: Evaluator | None = None


@dataclass
class Host:
    """Arrays of run-time values, and how calls are computed."""

    executor: Executor | None = None
    out: Callable[[str], None] = print
    arrays: dict[Node, Array] = field(default_factory=dict)
    traces: dict[Any, Traced] = field(default_factory=dict)

    def value(self, array: Any, name: str = "value", dtype: DType | None = None) -> Node:
        """An array as a run-time value: one from a file, or one of the evaluator's of type `dtype`."""
        array = np.asarray(array)
        dtype = dtype or dtype_of(array)
        node = ops.parameter(name, TensorType(dtype, array.shape))
        self.arrays[node] = loaded(array, dtype)
        return node

    def settle(self, value: Any) -> Any:
        """The value with everything computed."""
        pending = [n for _, n in v.leaves(value) if n not in self.arrays]
        if not pending:
            return value
        known = [n for n in topological(pending) if n in self.arrays]
        results = Evaluator(Graph("main", known, ops.settled(pending)))([self.arrays[n] for n in known])
        found = dict(zip(pending, results, strict=True))
        return v.rebuild(
            value, lambda _, n: self.value(found[n], n.name or "value", n.dtype) if n in found else n
        )

    def array(self, value: Any) -> Array:
        """The array of a run-time value."""
        return self.arrays[self.settle(value)]

    def truth(self, condition: Node) -> bool:
        """A run-time condition of `main`, decided."""
        return bool(self.array(condition))

    def takes(self, callee: Any) -> bool:
        """Whether a call is worth a graph of its own: all but primitives, and `vjp`, whose pullback needs the graph later."""
        if isinstance(callee, v.Derived):
            return callee.operator != "vjp"
        return isinstance(callee, (v.Function, v.Method)) or (
            isinstance(callee, v.Builtin) and callee.name == "init"
        )

    def call(self, el: Elaborator, callee: Any, call: Call) -> Any:
        """A call from `main`: traced, then computed."""
        values, places = _inputs(callee, call)
        values = [self.settle(x) for x in values]
        marks = tuple((a.name, a.marked) for a in call.arguments)
        key = (_identity(callee), call.mode is not None, tuple(map(_signature, values)), marks)
        traced = self.traces.get(key)
        if traced is None:
            traced = self.traces[key] = self._trace(el, callee, call, values)
        given = [n for x in values for _, n in v.leaves(x)] + traced.captured
        results = self._execute(traced, [self.arrays[n] for n in given])
        nodes = traced.graph.results
        made = iter([self.value(a, n.name or "value", n.dtype) for a, n in zip(results, nodes, strict=True)])
        result = v.rebuild(traced.result, lambda _, __: next(made))
        for place, final in zip(places, traced.finals, strict=True):
            new = v.rebuild(final, lambda _, __: next(made))
            if place is not None and place.mutable:
                place.set(new)
        return result

    def _execute(self, traced: Traced, arrays: list[Array]) -> list[Array]:
        if self.executor is not None and traced.graph.results:
            return self.executor(traced.graph.name, traced.graph, arrays)
        if traced.evaluator is None:
            traced.evaluator = Evaluator(traced.graph)
        return traced.evaluator(arrays)

    def _trace(self, el: Elaborator, callee: Any, call: Call, values: list[Any]) -> Traced:
        inside = [
            v.rebuild(x, lambda path, n: ops.parameter(n.name or path or "value", n.type)) for x in values
        ]
        cells = [Scope().bind("argument", x, call.span, mutable=True) for x in inside]
        own = list(cells)
        if isinstance(callee, v.Method):
            callee = replace(callee, receiver=Variable(own.pop(0), el.journal))
        arguments = [
            replace(a, value=c.value, place=Variable(c, el.journal) if a.place is not None else None)
            for a, c in zip(call.arguments, own, strict=True)
        ]
        el.host, host = None, el.host
        try:
            result = apply(el, callee, Call(arguments, call.span, call.scope, call.mode))
        finally:
            el.host = host
        finals = [c.value for c in cells]
        results = [n for x in [result, *finals] for _, n in v.leaves(x)]
        captured = [n for n in topological(results) if n in self.arrays]
        params = [n for x in inside for _, n in v.leaves(x)]
        name = str(getattr(callee, "name", "call"))
        return Traced(
            Graph(name, [*params, *captured], ops.settled(results), call.span), captured, result, finals
        )


def _inputs(callee: Any, call: Call) -> tuple[list[Any], list[Any]]:
    """Values that enter a call, the receiver first, with the places that it may write."""
    values = [a.value for a in call.arguments]
    places: list[Any] = [a.place for a in call.arguments]
    if isinstance(callee, v.Method):
        values.insert(0, callee.receiver.get())
        places.insert(0, callee.receiver)
    return values, places


def _identity(callee: Any) -> Any:
    """What makes two callees the same code. A closure is only itself: it holds values."""
    if isinstance(callee, v.Derived):
        options = tuple((n, _signature(x)) for n, x in sorted(callee.options.items()))
        return (callee.operator, _identity(callee.function), options)
    return callee.function if isinstance(callee, v.Method) else callee


def _signature(value: Any) -> Any:
    """What of a value a trace depends on: types of tensors, compile-time values as they are."""
    if isinstance(value, Node):
        return value.type
    parts = tuple((n, _signature(x)) for n, x in v.children(value))
    if isinstance(
        value, v.Instance
    ):  # a layer without parameters has no parts, and is the same wherever it is made
        return (value.type, parts)
    return (type(value), parts or value)


def run_main(el: Elaborator, module: Any, host: Host) -> None:
    """Execute `fn main()` of a checked module. Raises CharlError."""
    from charl.elaborate import host_library, returns

    binding = module.scope.names.get("main")
    f = binding.value if binding is not None else None
    if not isinstance(f, v.Function) or f.params:
        help_ = "add `fn main() { … }`, or use `charl transpile` to make a package"
        where = f.params[0].span if isinstance(f, v.Function) else None
        raise fail(NO_MAIN, f"{module.source.path} has no `fn main()` without parameters", where, help=help_)
    el.host = host
    scope = Scope(host_library.scope(f.scope, host), function=Frame(f))
    try:
        returns.body_value(el, f.body, Scope(scope))
    finally:
        el.host = None
