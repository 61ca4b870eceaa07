"""Small Charl programs for tests: elaborated, verified and evaluated, or expected to fail with certain codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from charl.elaborate import elaborate
from charl.errors import CharlError, Diagnostic
from charl.graph.evaluate import evaluate
from charl.graph.verify import verify
from charl.program import Export, Program
from charl.source import Source


def program(text: str, **options: Any) -> Program:
    """A checked program whose graphs are verified."""
    out = elaborate(Source("test.ch", text), **options)
    for e in out.exports:
        verify(e.graph)
    return out


def export(text: str, name: str = "f", **options: Any) -> Export:
    return next(e for e in program(text, **options).exports if e.name == name)


def run(text: str, *arrays: Any, name: str = "f", **options: Any) -> list[np.ndarray[Any, Any]]:
    """All results of one export for these arrays."""
    return evaluate(export(text, name, **options).graph, [np.asarray(a) for a in arrays])


def diagnostics(text: str, **options: Any) -> list[Diagnostic]:
    """What is wrong with a program; at least one thing must be."""
    try:
        elaborate(Source("test.ch", text), **options)
    except CharlError as e:
        return e.diagnostics
    raise AssertionError("the program was accepted")
