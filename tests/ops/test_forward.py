"""Forward mode of every operation: u · (J t), by tangents, is (u J) · t, by cotangents; of the gradients, too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from charl import ops
from charl.batch import batched
from charl.grad import jvp, vjp
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.graph.verify import verify
from charl.ops import OPS, Op, make
from tests.ops.cases import Array, as_double, differentiated, samples

SMOOTH = [op for op in OPS.values() if op.samples is not None and op.vjp is not None]


def parameters(arrays: tuple[Array, ...]) -> list[Node]:
    return [ops.parameter(f"x{i}", TensorType(ops.dtype_of(a), a.shape)) for i, a in enumerate(arrays)]


def agree(params: list[Node], results: list[Node], arrays: list[Array], name: str) -> None:
    """Both modes on random directions, all inputs at once and each alone."""
    rng = np.random.default_rng(5)
    floats = [k for k, p in enumerate(params) if p.dtype.is_float]
    outs = [y for y in results if y.dtype.is_float]
    if not floats or not outs:
        return
    shape = {p: tuple(int(n) for n in p.shape) for p in [*params, *outs]}
    t = [ops.parameter(f"t{k}", params[k].type) for k in floats]
    u = [ops.parameter(f"u{k}", y.type) for k, y in enumerate(outs)]
    given = [rng.uniform(-1, 1, shape[params[k]]) for k in floats]
    pulled = [rng.uniform(-1, 1, shape[y]) for y in outs]
    back = vjp(outs, [params[k] for k in floats], u)
    for chosen in [range(len(floats)), *([k] for k in range(len(floats)))]:
        some = [t[i] if i in chosen else None for i in range(len(floats))]
        forth = jvp(outs, [params[k] for k in floats], some)
        found = [x for x in [*forth, *back] if x is not None]
        graph = Graph(name, [*params, *t, *u], found)
        verify(graph)
        values = dict(zip(found, evaluate(graph, [*arrays, *given, *pulled]), strict=True))
        left = sum(float((values[x] * p).sum()) for x, p in zip(forth, pulled, strict=True) if x is not None)
        pairs = [(x, d) for i, (x, d) in enumerate(zip(back, given, strict=True)) if i in chosen]
        right = sum(float((values[x] * d).sum()) for x, d in pairs if x is not None)
        np.testing.assert_allclose(left, right, rtol=1e-9, atol=1e-9, err_msg=f"{name} {list(chosen)}")


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_forward_is_the_transpose_of_reverse(op: Op) -> None:
    for s in [as_double(s) for s in samples(op) if s.orders]:
        params = parameters(s.arrays)
        agree(params, [make(op.name, *params, **s.attrs)], list(s.arrays), op.name)


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_forward_over_reverse(op: Op) -> None:
    for s in [as_double(s) for s in samples(op) if s.orders > 1]:
        params = parameters(s.arrays)
        case = differentiated(op.name, params, [make(op.name, *params, **s.attrs)], s.arrays, 1)
        if case is not None:
            agree(case.graph.params, case.graph.results, case.arrays, op.name)


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_a_rule_that_is_not_given_is_derived(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, op.name, replace(op, jvp=None, linear=None))
    for s in [as_double(s) for s in samples(op) if s.orders]:
        params = parameters(s.arrays)
        agree(params, [make(op.name, *params, **s.attrs)], list(s.arrays), op.name)


@pytest.mark.parametrize("op", SMOOTH, ids=lambda op: op.name)
def test_tangents_in_lanes(op: Op) -> None:
    """Many tangents at one point, as a Jacobian takes them."""
    for s in [as_double(s) for s in samples(op) if s.orders]:
        params = parameters(s.arrays)
        wrt = [p for p in params if p.dtype.is_float]
        tangents = [ops.parameter(f"t{i}", p.type) for i, p in enumerate(wrt)]
        (one,) = jvp([make(op.name, *params, **s.attrs)], wrt, tangents)
        if one is None:
            continue
        whole = [ops.parameter(f"ts{i}", TensorType(p.dtype, (2, *p.shape))) for i, p in enumerate(wrt)]
        (both,) = batched([one], dict(zip(tangents, whole, strict=True)), 2)
        rng = np.random.default_rng(0)
        lanes = [rng.standard_normal(tuple(int(n) for n in w.shape)) for w in whole]
        (found,) = evaluate(Graph("lanes", [*params, *whole], [both]), [*s.arrays, *lanes])
        for k in range(2):
            (expected,) = evaluate(
                Graph("one", [*params, *tangents], [one]), [*s.arrays, *(x[k] for x in lanes)]
            )
            np.testing.assert_allclose(found[k], expected, rtol=1e-10, atol=1e-10)
