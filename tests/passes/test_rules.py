"""Every rewrite rule, checked by evaluating both sides; and that none undoes another."""

from __future__ import annotations

import numpy as np
import pytest

from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node
from charl.graph.verify import verify
from charl.passes import PASSES, optimise
from charl.passes.pattern import Rule
from charl.passes.rules import RULES

from .samples import array, parameters, samples_of


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_both_sides_are_equal(rule: Rule) -> None:
    samples = list(samples_of(rule))
    assert samples, "a rule without a sample is not tested"
    for node in samples:
        new = rule.apply(node)
        assert new is not None, f"{rule.name} does not rewrite its sample {node}"
        assert new.type == node.type
        check(rule, node, new)


def check(rule: Rule, old: Node, new: Node) -> None:
    params = parameters(old, new)
    graph = Graph("both", params, [old, new])
    verify(graph, rule.name)
    rng = np.random.default_rng(1)
    for n in (1, 3):
        for wild in (False, True):
            if wild and rule.promise == "finite":
                continue
            left, right = evaluate(graph, [array(rng, p, {"N": n}, wild) for p in params], {"N": n})
            assert left.dtype == right.dtype and left.shape == right.shape
            if rule.promise == "exact":
                same_bits(left, right)
            else:
                close(left, right)


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_array_equal(a, b)
    if a.dtype.kind == "f":
        sign = ~np.isnan(a)
        np.testing.assert_array_equal(np.signbit(a)[sign], np.signbit(b)[sign])


def close(a: np.ndarray, b: np.ndarray) -> None:
    if a.dtype.kind != "f":
        np.testing.assert_array_equal(a, b)
        return
    tolerance = {2: 1e-2, 4: 2e-5, 8: 1e-12}[a.dtype.itemsize]
    np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance)


def test_names_are_unique() -> None:
    names = [r.name for r in RULES]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("rule", RULES, ids=lambda r: r.name)
def test_rewriting_ends(rule: Rule) -> None:
    """All rules together settle on every sample, and a second run finds nothing."""
    for node in samples_of(rule):
        graph = Graph("sample", parameters(node), [node])
        once = optimise(graph, check=True)
        assert optimise(once) is once


def test_passes_are_described() -> None:
    assert all(p.help.endswith(".") and p.name for p in PASSES)
