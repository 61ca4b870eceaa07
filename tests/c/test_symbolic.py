"""Graphs with unknown sizes: one compiled kernel serves every shape that hypothesis draws.

Sizes 1, primes and tails of the vector width; results are compared with the evaluator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl import dims, ops
from charl.backends.capabilities import PORTABLE_C
from charl.dims import sym
from charl.dtypes import DType, f32, f64, i32, u32
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.plan.build import plan_program
from charl.plan.ir import Place, Plan
from charl.program import Argument, DimVar, Export, Field, Program, Record
from tests.c import build

M, N, K = sym("M"), sym("N"), sym("K")
_SMALL = 4 << 10  # a stack that holds no long sums
SIZES = st.sampled_from([1, 2, 3, 5, 7, 8, 13, 15, 16, 17, 31, 33, 64, 67])


def _p(name: str, *shape: Any, dtype: DType = f32) -> Node:
    return ops.parameter(name, TensorType(dtype, shape))


def _product(a: Node, b: Node, left: int, right: int) -> Node:
    return ops.contract(a, b, batch=((), ()), sum=((left,), (right,)))


def _dense(dtype: DType) -> Graph:
    x, w, b = _p("x", M, K, dtype=dtype), _p("w", K, N, dtype=dtype), _p("b", N, dtype=dtype)
    y = ops.add(_product(x, w, 1, 0), ops.broadcast(b, (M, N), (1,)))
    return Graph("dense", [x, w, b], [ops.tanh(y)])


def _transposed() -> Graph:
    a, b, c = _p("a", K, M), _p("b", N, K), _p("c", M, N)
    return Graph("transposed", [a, b, c], [_product(a, b, 0, 1), _product(c, b, 1, 0), _product(a, c, 1, 0)])


def _blocks() -> Graph:
    """Sums that are cut into blocks: stored, with something done to them, and where no result can hold them meanwhile."""
    a, b, c = _p("a", M, K), _p("b", K, N), _p("c", N)
    d, e = _p("d", K, M), _p("e", M, N)
    whole = ops.max_(
        ops.add(_product(a, b, 1, 0), ops.broadcast(c, (M, N), (1,))), ops.broadcast(c, (M, N), (1,))
    )
    return Graph("blocks", [a, b, c, d, e], [_product(a, b, 1, 0), whole, ops.mul(e, _product(d, b, 0, 0))])


def _batched() -> Graph:
    a, b = _p("a", M, N, K), _p("b", M, K, N)
    return Graph("batched", [a, b], [ops.contract(a, b, batch=((0,), (0,)), sum=((2,), (1,)))])


def _softmax() -> Graph:
    x = _p("x", M, N)
    shifted = ops.exp(ops.sub(x, ops.broadcast(ops.reduce_max(x, (1,)), (M, N), (0,))))
    total = ops.reduce_sum(shifted, (1,))
    return Graph("softmax", [x], [ops.div(shifted, ops.broadcast(total, (M, N), (0,))), ops.log(total)])


def _reductions() -> Graph:
    x = _p("x", M, N, K)
    results = [
        ops.reduce_sum(x, (0,)),
        ops.reduce_sum(x, (1,)),
        ops.reduce_sum(x, (2,)),
        ops.reduce_max(x, (0, 2)),
    ]
    results += [ops.reduce_min(x, (0, 1, 2)), ops.argmax(x, 2), ops.argmin(x, 0), ops.cumsum(x, 1)]
    return Graph("reductions", [x], results)


def _movement() -> Graph:
    x, y = _p("x", M, N), _p("y", M, K)
    joined = ops.concatenate([x, y], 1)
    turned = ops.transpose(joined, (1, 0))
    padded = ops.pad(x, (1, 2), (3, 0), -1.0)
    return Graph(
        "movement",
        [x, y],
        [turned, padded, ops.reverse(x, (1,)), ops.reshape(ops.exp(joined), ((N + K) * M,))],
    )


def _indexed() -> Graph:
    table, index, updates = _p("table", M, N), _p("index", K, dtype=i32), _p("updates", K, N)
    rows = ops.gather(table, index, 0)
    columns = ops.gather(ops.mul(table, table), index, 1)
    return Graph(
        "indexed", [table, index, updates], [rows, columns, ops.scatter_add(table, index, updates, 0)]
    )


def _random() -> Graph:
    key, counter = _p("key", 2, dtype=u32), _p("counter", dtype=u32)
    return Graph(
        "random",
        [key, counter],
        [ops.random_bits(key, counter, (M, N), 0), ops.random_bits(key, counter, (N,), 1)],
    )


GRAPHS: dict[str, Callable[[], Graph]] = {
    "dense": lambda: _dense(f32),
    "dense-f64": lambda: _dense(f64),
    "transposed": _transposed,
    "batched": _batched,
    "blocks": _blocks,
    "softmax": _softmax,
    "reductions": _reductions,
    "movement": _movement,
    "indexed": _indexed,
    "random": _random,
}


def _plan(graph: Graph) -> Plan:
    arguments = tuple(Argument(p.name or "x", p.type) for p in graph.params)
    result = Record("", "tuple", tuple(Field(str(i), r.type) for i, r in enumerate(graph.results)))
    blocks = graph.name == "blocks"
    export = Export(graph.name, "", arguments, result, graph, tuple(DimVar(d, 1 - blocks) for d in "MNK"))
    caps = replace(PORTABLE_C, stack=_SMALL) if blocks else PORTABLE_C
    return plan_program(Program("symbolic", "", [export], []), caps).plans[0]


@pytest.fixture(scope="module")
def plans() -> dict[str, Plan]:
    return {name: _plan(make()) for name, make in GRAPHS.items()}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, plans: dict[str, Plan]) -> build.Library:
    out = build.Library("symbolic", tmp_path_factory.mktemp("symbolic"))
    for name, plan in plans.items():
        for i, call in enumerate(plan.calls):
            out.add_kernel(f"{name} {i}", call.kernel)
    return out


@pytest.fixture(scope="module", params=list(build.ISA))
def isa(request: pytest.FixtureRequest, library: build.Library) -> str:
    if reason := build.missing(request.param):
        pytest.skip(reason)
    library.build(request.param, ["-O1", *build.WARNINGS])
    return str(request.param)


def _run(
    library: build.Library, isa: str, name: str, plan: Plan, arrays: list[Any], env: dict[str, int]
) -> list[Any]:
    """The calls of a plan in order; each workspace buffer is an array of its own, full of NaN before it is written."""
    results = [
        np.zeros([dims.evaluate(n, env) for n in r.shape], r.dtype.numpy) for r in plan.export.graph.results
    ]
    kept: dict[Place, Any] = {}

    def flat(place: Place) -> Any:
        if place.kind == "parameter":
            return arrays[place.position].reshape(-1)
        if place.kind == "result":
            return results[place.position].reshape(-1)
        if place.kind == "constant":
            return np.ascontiguousarray(place.data).reshape(-1)
        if place not in kept:
            kept[place] = (
                np.full(dims.evaluate(place.size, env), 255, np.uint8)
                .repeat(place.dtype.bytes)
                .view(place.dtype.numpy)
            )
        return kept[place]

    for i, call in enumerate(plan.calls):
        sizes = {d: dims.evaluate(s, env) for d, s in zip(call.kernel.dims, call.dims)}
        library.run_kernel(isa, f"{name} {i}", [flat(p) for p in call.places], sizes)
    return results


@settings(max_examples=12, deadline=None)
@given(SIZES, SIZES, SIZES, st.integers(0, 99))
@pytest.mark.parametrize("name", list(GRAPHS))
def test_every_shape(
    library: build.Library, isa: str, plans: dict[str, Plan], name: str, m: int, n: int, k: int, seed: int
) -> None:
    _check(library, isa, plans, name, {"M": m, "N": n, "K": k}, seed)


def test_sums_of_no_terms(library: build.Library, isa: str, plans: dict[str, Plan]) -> None:
    """No block writes them."""
    _check(library, isa, plans, "blocks", {"M": 19, "N": 37, "K": 0}, 0)


def _check(
    library: build.Library, isa: str, plans: dict[str, Plan], name: str, env: dict[str, int], seed: int
) -> None:
    graph = plans[name].export.graph
    rng = np.random.default_rng(seed)
    arrays = []
    for p in graph.params:
        shape = [dims.evaluate(s, env) for s in p.shape]
        values = (
            rng.standard_normal(shape) if p.dtype.is_float else rng.integers(-2 * (p.dtype == i32), 20, shape)
        )
        arrays.append(np.asarray(values).astype(p.dtype.numpy))
    expected = evaluate(GRAPHS[name](), arrays, env)
    found = _run(library, isa, name, plans[name], arrays, env)
    for i, (got, wanted) in enumerate(zip(found, expected)):
        tolerance = 2e-5 if got.dtype == np.float32 else 1e-12
        np.testing.assert_allclose(
            got, wanted, rtol=tolerance, atol=tolerance, err_msg=f"{name} result {i} at {env}"
        )
