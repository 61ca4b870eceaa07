"""Random graphs mean the same after the passes, and survive being printed."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from charl.graph.evaluate import evaluate
from charl.graph.text import parse_graph, print_graph
from charl.graph.verify import verify
from charl.passes import optimise

from .graphs import arguments, build, programs

QUICK = settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@QUICK
@given(programs)
def test_passes_keep_the_meaning(program: list[tuple[int, int, int, int]]) -> None:
    graph = build(program)
    verify(graph, "the test")
    after = optimise(graph, check=True)
    assert [r.type for r in after.results] == [r.type for r in graph.results]
    for n in (1, 4):
        arrays = arguments(graph, n)
        before = evaluate(graph, arrays, {"N": n}, widen=True)
        for a, b in zip(before, evaluate(after, arrays, {"N": n}, widen=True), strict=True):
            np.testing.assert_allclose(
                a, b, rtol=1e-6, atol=1e-6
            )  # constants are folded in their own precision
    assert optimise(after) is after


@QUICK
@given(programs)
def test_text_and_back(program: list[tuple[int, int, int, int]]) -> None:
    graph = build(program)
    for g in (graph, optimise(graph)):
        text = print_graph(g)
        back = parse_graph(text)
        verify(back)
        assert print_graph(back) == text
