"""Calls of `fn main()` on emitted code: every graph that `charl run` meets becomes a package of one export.

Enters: graphs of known sizes with arrays. Leaves: arrays. Compiles each graph once, to packages as `charl transpile` writes.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Any

import numpy as np

from charl.dtypes import loaded, stored
from charl.graph.ir import Graph, TensorType
from charl.program import Argument, Export, Field, Program, Record
from charl.runtime.native import BACKENDS, import_package

Array = np.ndarray[Any, Any]
Executor = Callable[[str, Graph, list[Array]], list[Array]]


def executor_of(backend: str, flush: bool = False) -> Executor:
    """What computes calls on a backend: "c" or "wgpu". `flush`: C code takes subnormal numbers for zero."""
    known: dict[int, tuple[Graph, Callable[..., Any]]] = {}

    def execute(name: str, graph: Graph, arrays: list[Array]) -> list[Array]:
        found = known.get(id(graph))
        if found is None:  # the graph is kept, so that no other takes its id
            found = known[id(graph)] = (graph, _compiled(name or "call", graph, backend, flush))
        given = [stored(a, p.dtype).copy() for a, p in zip(arrays, graph.params, strict=True)]
        return [loaded(r, n.dtype) for r, n in zip(found[1](*given), graph.results, strict=True)]

    return execute


def _compiled(name: str, graph: Graph, backend: str, flush: bool) -> Callable[..., Any]:
    from charl.backends.capabilities import PORTABLE_C, WGSL
    from charl.backends.package import files
    from charl.compile import Options
    from charl.graph.text import print_graph
    from charl.passes import optimise
    from charl.plan.build import plan_program

    arguments = tuple(Argument(f"a{i}", TensorType(p.dtype, p.shape)) for i, p in enumerate(graph.params))
    result = Record("", "tuple", tuple(Field(str(i), n.type) for i, n in enumerate(graph.results)))
    digest = sha256(print_graph(graph).encode()).hexdigest()
    export = Export(name, "", arguments, result, optimise(graph), ())
    program = Program("main", "", [export], [], digest=digest)
    target = BACKENDS[backend][0]
    lowered = plan_program(program, PORTABLE_C if target == "c" else WGSL)
    options = Options(targets=(target,), flush=flush)
    package = import_package(files({target: lowered}, options)).load(backend)
    function: Callable[..., Any] = getattr(package, name)
    return function
