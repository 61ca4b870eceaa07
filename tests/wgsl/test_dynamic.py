"""Graphs over dimension variables: lowered and printed once, run at sizes that are 0, 1, odd and large."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from charl import dims, ops
from charl.backends.capabilities import WGSL
from charl.backends.wgsl.printer import peel
from charl.dims import Size, sym
from charl.dtypes import boolean, f32, i32, u32
from charl.grad import vjp
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.passes import optimise
from charl.plan.build import plan_export
from charl.plan.ir import Plan
from charl.program import DimVar
from tests.passes import graphs as random
from tests.wgsl.device import Batch, export_of, written

Array = np.ndarray[Any, Any]
N, M, K = sym("N"), sym("M"), sym("K")


def tensor(name: str, *shape: Size, dtype: Any = f32) -> Node:
    return ops.parameter(name, TensorType(dtype, shape))


def softmax(x: Node) -> Node:
    rows = x.shape[:-1]
    axes = tuple(range(len(rows)))
    top = ops.broadcast(ops.reduce_max(x, (len(rows),)), x.shape, axes)
    e = ops.exp(ops.sub(x, top))
    return ops.div(e, ops.broadcast(ops.reduce_sum(e, (len(rows),)), x.shape, axes))


def layer() -> Graph:
    """softmax(max(x @ w + b, 0)) and its gradients."""
    x, w, b, ct = tensor("x", N, K), tensor("w", K, M), tensor("b", M), tensor("ct", N, M)
    y = ops.add(ops.contract(x, w, sum=((1,), (0,))), ops.broadcast(b, (N, M), (1,)))
    zero = ops.broadcast(ops.constant(0.0), (N, M), ())
    out = softmax(ops.max_(y, zero))
    found = vjp([out], [x, w, b], [ct])
    return Graph("layer", [x, w, b, ct], [out, *(g for g in found if g is not None)])


def shapes() -> Graph:
    """Views with computed offsets: transpose, pad, concatenate, reverse, flatten."""
    x, y = tensor("x", N, K), tensor("y", M, N)
    both = ops.concatenate([ops.transpose(x, (1, 0)), ops.reverse(y, (1,))], 0)
    padded = ops.pad(both, (1, 0), (0, 2), 0.5)
    return Graph("shapes", [x, y], [padded, ops.reshape(ops.add(both, both), (N * (K + M),))])


def scans() -> Graph:
    """Running sums, positions of extremes, gathers and scatters by run-time indices."""
    x, at, on = tensor("x", N, M), tensor("at", K, dtype=i32), tensor("on", N, dtype=boolean)
    rows = ops.gather(x, at, 0)
    flags = ops.gather(on, at, 0)
    back = ops.scatter_add(x, at, rows, 0)
    return Graph(
        "scans",
        [x, at, on],
        [ops.cumsum(x, 0), ops.argmax(x, 0), ops.argmin(rows, 1), flags, back, ops.reduce_or(on, (0,))],
    )


def noise() -> Graph:
    """Random bits by position, and a count that is a size."""
    key, counter = tensor("key", 2, dtype=u32), tensor("counter", dtype=u32)
    bits = ops.random_bits(key, counter, (N, M))
    size = ops.size_value(N * M, f32)
    uniform = ops.cast(ops.shr(bits, ops.broadcast(ops.constant(8, u32), (N, M), ())), f32)
    return Graph("noise", [key, counter], [bits, ops.div(uniform, ops.broadcast(size, (N, M), ()))])


GRAPHS: dict[str, Callable[[], Graph]] = {f.__name__: f for f in (layer, shapes, scans, noise)}


@lru_cache(maxsize=len(GRAPHS))
def planned(name: str) -> tuple[Graph, Plan]:
    graph = optimise(GRAPHS[name]())
    export = export_of(graph)
    export.dims = tuple(DimVar(d) for d in ("K", "M", "N"))
    return graph, plan_export(export, WGSL)


def arrays(graph: Graph, sizes: dict[str, int]) -> list[Array]:
    r = np.random.default_rng(1)
    out: list[Array] = []
    for p in graph.params:
        shape = tuple(dims.evaluate(s, sizes) for s in p.shape)
        if p.dtype == boolean:
            out.append(r.random(shape) < 0.2)
        elif p.dtype.is_float:
            out.append(r.standard_normal(shape).astype(np.float32))
        else:
            high = max(sizes["N"], 1) if p.name == "at" else 1 << 16
            out.append(r.integers(0, high, shape).astype(p.dtype.numpy))
    return out


def check(name: str, *cases: dict[str, int]) -> None:
    graph, plan = planned(name)
    batch = Batch()
    given = [arrays(graph, sizes) for sizes in cases]
    for sizes, a in zip(cases, given, strict=True):
        batch.add_plan(plan, a, sizes)
    for sizes, a, got in zip(cases, given, batch.results(), strict=True):
        for have, want in zip(got, evaluate(graph, a, sizes), strict=True):
            np.testing.assert_allclose(
                have.reshape(want.shape), want, rtol=1e-4, atol=1e-5, err_msg=str(sizes)
            )


@pytest.mark.needs_vulkan
@pytest.mark.parametrize("name", GRAPHS)
def test_sizes_from_none_to_many(name: str) -> None:
    small = [{"N": n, "M": 5, "K": 3} for n in (1, 7, 64, 1000)]
    check(name, *small, {"N": 1, "M": 1, "K": 1}, {"N": 31, "M": 257, "K": 17})
    if name != "scans":  # the extreme of nothing has no position, and there is nothing to gather from
        check(name, {"N": 0, "M": 5, "K": 3})


@pytest.mark.needs_vulkan
@settings(max_examples=12, deadline=None)
@given(
    st.sampled_from(sorted(GRAPHS)),
    *(st.one_of(st.integers(1, 9), st.sampled_from([13, 31, 33, 63, 65])) for _ in range(3)),
)
def test_odd_sizes(name: str, n: int, m: int, k: int) -> None:
    check(name, {"N": n, "M": m, "K": k})


@pytest.mark.parametrize("name", GRAPHS)
def test_no_invocation_writes_what_grows(name: str) -> None:
    """Sizes that are not known are spread over invocations, and one writes few elements."""
    for call in planned(name)[1].calls:
        for nest in call.kernel.nests:
            count = written(peel(nest)[1])
            assert isinstance(count, int) and count <= 1024, (call.kernel.name, str(count))


@pytest.mark.needs_vulkan
@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(random.programs)
def test_random_graphs(program: list[tuple[int, int, int, int]]) -> None:
    """Optimised, planned and run, a random graph is what the evaluator says of the graph as it was."""
    graph = random.build(program)
    export = export_of(optimise(graph))
    export.dims = (DimVar("N"),)
    plan = plan_export(export, WGSL)
    batch = Batch()
    cases = [(n, random.arguments(graph, n)) for n in (1, 5)]
    for n, a in cases:
        batch.add_plan(plan, a, {"N": n})
    for (n, a), got in zip(cases, batch.results(), strict=True):
        for have, want in zip(got, evaluate(graph, a, {"N": n}), strict=True):
            np.testing.assert_allclose(have.reshape(want.shape), want, rtol=2e-4, atol=2e-4)
