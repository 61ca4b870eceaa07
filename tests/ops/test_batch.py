"""Batching of every operation: lanes at once are what the lanes give one by one; so are gradients, within and around."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

from charl import dims, ops
from charl.batch import batched
from charl.grad import vjp
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.graph.verify import verify
from charl.ops import OPS, Op, make
from charl.ops.record import Sample
from tests.ops.cases import LANES, as_double, differentiated, lanes_of, samples

N = dims.sym("N")
SAMPLED = [op for op in OPS.values() if op.samples is not None]


def masks(count: int) -> list[tuple[bool, ...]]:
    """Which inputs have lanes: every choice of up to three, else all, each alone, and all but each."""
    if count <= 3:
        return [m for m in product((True, False), repeat=count) if any(m)]
    single = [tuple(i == k for i in range(count)) for k in range(count)]
    return [(True,) * count, *single, *(tuple(not x for x in m) for m in single)]


def parameters(arrays: tuple[Any, ...], mask: tuple[bool, ...], size: Any) -> tuple[list[Node], list[Node]]:
    """Parameters of one lane, and those of all."""
    one = [ops.parameter(f"x{i}", TensorType(ops.dtype_of(a), a.shape)) for i, a in enumerate(arrays)]
    whole = [
        ops.parameter(p.name or "", TensorType(p.dtype, (size, *p.shape))) if m else p
        for p, m in zip(one, mask, strict=True)
    ]
    return one, whole


def check(graph: Graph, arrays: tuple[Any, ...], mask: tuple[bool, ...], size: Any = LANES) -> None:
    """`graph` over lanes against its lanes one by one."""
    one = graph.params
    whole = [
        ops.parameter(f"all{i}", TensorType(p.dtype, (size, *p.shape))) if m else p
        for i, (p, m) in enumerate(zip(one, mask, strict=True))
    ]
    table = {p: w for p, w, m in zip(one, whole, mask, strict=True) if m}
    out = Graph(graph.name, whole, batched(graph.results, table, size))
    verify(out)
    given = [lanes_of(a, i) if m else a for i, (a, m) in enumerate(zip(arrays, mask, strict=True))]
    found = evaluate(out, given)
    for k in range(LANES):
        expected = evaluate(graph, [g[k] if m else g for g, m in zip(given, mask, strict=True)])
        for f, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(f[k], e, rtol=1e-6, atol=1e-6, err_msg=f"{graph.name} {mask} lane {k}")


@pytest.mark.parametrize("op", SAMPLED, ids=lambda op: op.name)
def test_lanes_are_the_operation_on_each(op: Op) -> None:
    for s in samples(op):
        for mask in masks(len(s.arrays)):
            one, _ = parameters(s.arrays, mask, LANES)
            check(Graph(op.name, one, [make(op.name, *one, **s.attrs)]), s.arrays, mask)


@pytest.mark.parametrize("op", SAMPLED, ids=lambda op: op.name)
def test_a_symbolic_number_of_lanes(op: Op) -> None:
    s = samples(op)[0]
    if s.arrays:
        mask = (True,) * len(s.arrays)
        one, _ = parameters(s.arrays, mask, N)
        check(Graph(op.name, one, [make(op.name, *one, **s.attrs)]), s.arrays, mask, N)


@pytest.mark.parametrize("op", [op for op in SAMPLED if op.batch is not None], ids=lambda op: op.name)
def test_an_operation_without_a_rule_goes_lane_by_lane(op: Op, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(OPS, op.name, replace(op, batch=None))
    for s in samples(op):
        if s.arrays:
            one, _ = parameters(s.arrays, (True,) * len(s.arrays), LANES)
            check(Graph(op.name, one, [make(op.name, *one, **s.attrs)]), s.arrays, (True,) * len(s.arrays))


def smooth(op: Op) -> list[Sample]:
    """Samples that are differentiated, in double precision."""
    return [as_double(s) for s in samples(op) if s.orders and op.vjp is not None]


@pytest.mark.parametrize("op", SAMPLED, ids=lambda op: op.name)
def test_gradients_in_every_lane(op: Op) -> None:
    """vmap of grad, whose graph holds what gradient rules are made of."""
    for s in smooth(op):
        one, _ = parameters(s.arrays, (True,) * len(s.arrays), LANES)
        case = differentiated(op.name, one, [make(op.name, *one, **s.attrs)], s.arrays, 1)
        if case is not None:
            check(case.graph, tuple(case.arrays), (True,) * len(case.arrays))


@pytest.mark.parametrize("op", SAMPLED, ids=lambda op: op.name)
def test_gradients_of_all_lanes(op: Op) -> None:
    """grad of vmap: cotangents go back through the batched operation to each lane, and add up where lanes share."""
    for s in smooth(op):
        for mask in masks(len(s.arrays)):
            one, whole = parameters(s.arrays, mask, LANES)
            y = make(op.name, *one, **s.attrs)
            ct = ops.parameter("ct", y.type)
            every = ops.parameter("cts", TensorType(y.dtype, (LANES, *y.shape)))
            table = {p: w for p, w, m in zip(one, whole, mask, strict=True) if m}
            back = vjp(batched([y], table, LANES), whole, [every])
            alone = vjp([y], one, [ct])
            empty = [0 in x.shape for x in whole]
            assert [g is None or e for g, e in zip(back, empty)] == [
                g is None or e for g, e in zip(alone, empty)
            ]
            alone = [g if b is not None else None for g, b in zip(alone, back, strict=True)]
            found = [g for g in back if g is not None]
            if not found:
                continue
            given = [lanes_of(a, i) if m else a for i, (a, m) in enumerate(zip(s.arrays, mask, strict=True))]
            cts = np.random.default_rng(3).uniform(-1, 1, tuple(int(n) for n in every.shape))
            got = evaluate(Graph("all", [*whole, every], found), [*given, cts])
            per_lane = Graph("one", [*one, ct], [g for g in alone if g is not None])
            lanes = [
                evaluate(per_lane, [*(g[k] if m else g for g, m in zip(given, mask, strict=True)), cts[k]])
                for k in range(LANES)
            ]
            flags = [m for m, g in zip(mask, back, strict=True) if g is not None]
            for i, (g, m) in enumerate(zip(got, flags, strict=True)):
                stacked = np.stack([rows[i] for rows in lanes])
                expected = stacked if m else stacked.sum(0)
                np.testing.assert_allclose(g, expected, rtol=1e-9, atol=1e-9, err_msg=f"{op.name} {mask}")
