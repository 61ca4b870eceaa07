"""The front end in one function: source to `Program`, or all its diagnostics.

Enters: a source and options. Leaves: a `Program`. First every body is checked for all its instances; only a file
without a mistake is elaborated to graphs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from charl import dtypes
from charl.collecting import collecting_later
from charl.elaborate import check, exports, modules, numbers, testing
from charl.elaborate import values as v
from charl.elaborate.elaborator import UNKNOWN_NAME, Elaborator
from charl.elaborate.options import Bound, apply_sets, check_dims
from charl.elaborate.types import UNKNOWN_TYPE
from charl.errors import CharlError, InternalError
from charl.program import Export, Program, Test
from charl.source import Source
from charl.syntax import declarations

RECURSION = 20_000  # frames of the walk: calls may nest `calls.MAX_DEPTH` deep, each with nested expressions


def elaborate(
    source: Source,
    *,
    dims: Mapping[str, Bound] | None = None,
    sets: Mapping[str, str] | None = None,
    floats: Mapping[str, str] | None = None,
    reveal: Callable[[Any, Any], None] | None = None,
) -> Program:
    """Check a source and build the graphs of its exports.

    `dims`: dimension variables fixed (int) or bounded ((low, high)). `sets`: hyper-parameters by path (`net.hidden`), as
    text. `floats`: element types of the program that are read as another (`{"f64": "f32"}`). `reveal(expression, value)`
    is told every value found. Raises CharlError with all diagnostics of the file.
    """
    prepare()
    with collecting_later():
        return _elaborate(source, dims or {}, sets or {}, floats or {}, reveal)


def _elaborate(
    source: Source,
    dims: Mapping[str, Bound],
    sets: Mapping[str, str],
    floats: Mapping[str, str],
    reveal: Callable[[Any, Any], None] | None,
) -> Program:
    el = Elaborator(reveal)
    el.dtypes = {**dtypes.ALL, **{a: dtypes.ALL[b] for a, b in floats.items()}}
    token = numbers.REAL.set(el.dtypes["f32"])
    try:
        return _elaborated(el, source, dims, sets, floats)
    finally:
        numbers.REAL.reset(token)


def _elaborated(
    el: Elaborator,
    source: Source,
    dims: Mapping[str, Bound],
    sets: Mapping[str, str],
    floats: Mapping[str, str],
) -> Program:
    module = modules.load(el, source, [])
    found = [i for i in module.ast.items if isinstance(i, declarations.Function) and i.export]
    functions = [module.scope.names[i.name.name].value for i in found]
    apply_sets(el, [f for f in functions if isinstance(f, v.Function)], sets)
    check.check_module(el, module)
    if "*" in module.ast.broken:  # what a broken import would have brought is unknown: so may be any name
        el.diagnostics = [d for d in el.diagnostics if d.code not in (UNKNOWN_NAME, UNKNOWN_TYPE)]
    stop(el)
    check_dims(el, {n for f in functions for n in exports.dimension_names(f)}, dims)
    stop(el)
    out: list[Export] = []
    mentioned: list[v.Instance] = []
    for item, f in zip(found, functions, strict=True):
        with el.guarded():
            out.append(exports.export_function(el, f, item, dims, mentioned))
    stop(el)
    with el.guarded():
        out += exports.initializers(el, mentioned, {e.name for e in out})
    stop(el)
    if len([e for e in out if e.role == "export"]) != len(found):
        raise InternalError("elaboration", "an export has no graph, and nothing says why")
    tests: list[Test] = []
    for i, block in enumerate(t for t in module.ast.items if isinstance(t, declarations.Test)):
        with el.guarded():
            tests.append(testing.program_test(testing.elaborate_test(el, module, block), f"test_{i}"))
    stop(el)
    trees = [t for e in out for t in (*(a.type for a in e.arguments), e.result)]
    options = repr((sorted(dims.items()), sorted(sets.items()), sorted(floats.items())))
    return Program(
        module.name,
        module.ast.docs,
        out,
        exports.records(trees),
        source.path,
        sha256((source.text + "\0" + options).encode()).hexdigest(),
        tests,
    )


def prepare() -> None:
    """Room for the recursion of the walk."""
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION))


def stop(el: Elaborator) -> None:
    """Raise what has been found wrong so far."""
    errors = [d for d in el.diagnostics if d.severity == "error"]
    if errors:
        raise CharlError(sorted(errors, key=lambda d: (d.span is None, d.span.start if d.span else 0)))
