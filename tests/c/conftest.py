"""Libraries that several tests share, built once per session and instruction set."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest

from charl.graph.evaluate import evaluate
from tests.c import build, graphs
from tests.ops.cases import HALVES, INTEGERS, Case, as_double


@dataclasses.dataclass
class Suite:
    """The conformance graphs of one precision: cases and what the evaluator gives, by operation."""

    library: build.Library
    cases: dict[str, list[Case]]
    expected: dict[str, list[Any]]
    errors: dict[str, Exception] = dataclasses.field(default_factory=dict)  # of planning, by operation
    built: dict[str, AssertionError | None] = dataclasses.field(default_factory=dict)

    def on(self, isa: str, op: str) -> build.Library:
        """The library, built for an instruction set. Raises what went wrong with `op`, or with the compiler."""
        if reason := build.missing(isa):
            pytest.skip(reason)
        if op in self.errors:
            raise self.errors[op]
        if isa not in self.built:
            self.built[isa] = None
            try:
                self.library.build(isa, ["-O1", *build.WARNINGS])
            except AssertionError as e:
                self.built[isa] = e
        if error := self.built[isa]:
            raise error
        return self.library


SUITES: dict[str, Callable[[], Iterable[Case]]] = {
    "single": graphs.merged,  # the samples as they are
    "double": lambda: graphs.merged(as_double),
    "half": lambda: graphs.converted(HALVES, (0, 1)),
    "integer": lambda: graphs.converted(INTEGERS, (0,)),
}


def _suite(name: str, folder: Any) -> Suite:
    suite = Suite(build.Library(name, folder / name), {}, {})
    for case in SUITES[name]():
        suite.cases.setdefault(case.op, []).append(case)
        try:
            suite.library.add_plan(case.id, build.plan_graph(case.graph))
        except Exception as e:  # told by the tests of this operation
            suite.errors[case.op] = e
        with np.errstate(all="ignore"):
            suite.expected[case.id] = evaluate(case.graph, case.arrays)
    return suite


@pytest.fixture(scope="session")
def suites(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Suites by the key of `SUITES`."""
    folder = tmp_path_factory.mktemp("c")
    made: dict[str, Suite] = {}

    def suite(precision: str) -> Suite:
        if precision not in made:
            made[precision] = _suite(precision, folder)
        return made[precision]

    return suite
