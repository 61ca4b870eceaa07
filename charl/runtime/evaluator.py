"""The evaluator as a backend of the loader: exports run on their graphs, in NumPy, with no compiler and no GPU.

Enters: a program's exports, and the checked arguments that a loader gives. Leaves: results, and `mut` arguments changed in place.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from charl.graph.evaluate import Evaluator
from charl.program import Export, Program, leaves

Array = np.ndarray[Any, Any]


class EvaluatorBackend:
    """Runs exports as `charl.graph.evaluate` does."""

    def __init__(self, program: Program) -> None:
        self._exports = {e.name: (e, Evaluator(e.graph)) for e in program.exports}

    def run(self, export: Any, arguments: list[Any], results: list[Any], dims: dict[str, int]) -> None:
        """See `Backend` in an emitted loader."""
        made_of, evaluator = self._exports[export.name]
        given = list(_tensors(arguments))
        out = iter(evaluator(given, dims))
        for target in _tensors(results):
            target[...] = next(out)
        finals = list(out)  # before any argument changes: a result may be an argument's own array
        for target, value in zip(_changed(made_of, given), finals, strict=True):
            target[...] = value


def _tensors(values: Iterable[Any]) -> Iterable[Array]:
    for value in values:
        if isinstance(value, np.ndarray):
            yield value
        else:
            yield from value.leaves().values()


def _changed(export: Export, given: list[Array]) -> Iterable[Array]:
    at = 0
    for a in export.arguments:
        count = sum(1 for _ in leaves(a.type))
        if a.mut:
            yield from given[at : at + count]
        at += count
