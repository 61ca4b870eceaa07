"""The evaluator itself, symbolic shapes through records and index-level meanings, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl import dims, ops
from charl.dtypes import DType, bf16, f32, i32, rounded, u32
from charl.errors import CharlError, InternalError
from charl.grad import vjp
from charl.graph.evaluate import Evaluator, evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.graph.scalar import Const, Guard, Load, apply
from charl.graph.scalar_eval import ScalarEvaluator, element_values
from tests.work import calls

N, M, D = dims.sym("N"), dims.sym("M"), dims.sym("D")
HALF = dims.exact_div(D, 2)


def param(name: str, *shape: object, dtype: DType = f32) -> Node:
    return ops.parameter(name, TensorType(dtype, shape))  # type: ignore[arg-type]


# ---------------------------------------------------------------- symbolic shapes

SYMBOLIC: dict[str, Callable[[], Node]] = {
    "split": lambda: ops.reshape(param("x", N, D), (N, 2, HALF)),
    "merge": lambda: ops.reshape(param("x", N, 3, D), (N * 3, D)),
    "flatten": lambda: ops.reshape(param("x", N, 1, D), (N * D,)),
    "regroup": lambda: ops.reshape(param("x", N, 4, D), (N * 2, 2, D)),
    "unflatten": lambda: ops.reshape(param("x", N * D), (N, D)),
    "pad": lambda: ops.pad(param("x", N, D), (D, 0), (N, 1), -1.0),
    "concatenate": lambda: ops.concatenate([param("x", N, 3), param("y", D, 3), param("z", 2, 3)], 0),
    "slice": lambda: ops.slice_(param("x", N, D), (1, 0), (N - 1, D)),
    "reverse": lambda: ops.reverse(param("x", N, D), (0, 1)),
    "transpose": lambda: ops.transpose(param("x", N, 3, D), (2, 0, 1)),
    "broadcast": lambda: ops.broadcast(param("x", N), (D, N, 2), (1,)),
    "sum": lambda: ops.reduce_sum(param("x", N, D, 3), (0, 2)),
    "argmax": lambda: ops.argmax(param("x", N, D), 0),
    "cumsum": lambda: ops.cumsum(param("x", D, N), 1),
    "contract": lambda: ops.contract(param("x", N, D), param("y", D, N, 2), ((0,), (1,)), ((1,), (0,))),
    "gather": lambda: ops.gather(param("x", N, D), param("i", D, dtype=i32), 0),
    "gather rows": lambda: ops.gather(param("x", N, D), param("i", N, dtype=i32), 1, 1),
    "scatter": lambda: ops.scatter_add(
        param("x", N, D), param("i", D, dtype=i32), param("u", D, D), 0, 0, "clamp"
    ),
    "window": lambda: ops.dynamic_slice(
        param("x", N, D), [param("s", dtype=i32), param("t", dtype=i32)], (1, D)
    ),
    "bits": lambda: ops.random_bits(param("k", 2, dtype=u32), param("c", dtype=u32), (N, D)),
    "iota": lambda: ops.iota((N, D), 1, f32),
    "size": lambda: ops.size_value(N * D + 1, i32),
}


@pytest.mark.parametrize("name", SYMBOLIC)
@pytest.mark.parametrize("sizes", [{"N": 2, "D": 2}, {"N": 5, "D": 4}, {"N": 1, "D": 6}, {"N": 7, "D": 2}])
def test_symbolic_shapes(name: str, sizes: dict[str, int]) -> None:
    node, rng = SYMBOLIC[name](), np.random.default_rng(3)
    params = list(node.inputs)
    arrays = []
    for p in params:
        shape = tuple(dims.evaluate(n, sizes) for n in p.shape)
        drawn = rng.standard_normal(shape) if p.dtype.is_float else rng.integers(0, 9, shape)
        arrays.append(np.asarray(drawn).astype(p.dtype.numpy))
    (expected,) = evaluate(Graph(name, params, [node]), arrays, sizes)
    assert expected.shape == tuple(dims.evaluate(n, sizes) for n in node.shape)
    found = element_values(node, arrays, sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=80, deadline=None)
@given(factors=st.lists(st.sampled_from([1, 2, 3, 5]), min_size=1, max_size=6), data=st.data())
def test_reshapes_of_any_grouping(factors: list[int], data: st.DataObject) -> None:
    def grouped() -> tuple[int, ...]:
        cuts = sorted(data.draw(st.sets(st.integers(0, len(factors)), max_size=4)))
        edges = [0, *cuts, len(factors)]
        return tuple(int(np.prod(factors[a:b])) for a, b in pairwise(edges))

    old, new = grouped(), grouped()
    array = np.arange(int(np.prod(old)), dtype=np.float32).reshape(old)
    node = ops.make("reshape", param("x", *old), shape=new)
    assert (element_values(node, [array]) == array.reshape(new)).all()


# ---------------------------------------------------------------- binding and refusing


def test_dimensions_are_bound_where_they_stand_bare_and_checked_elsewhere() -> None:
    x, y = param("x", N * 2), param("y", N)
    graph = Graph("g", [x, y], [ops.size_value(N, i32)])
    assert evaluate(graph, [np.zeros(6, np.float32), np.zeros(3, np.float32)])[0] == 3
    with pytest.raises(CharlError, match=r"x: a size is 5 where f32\[2 \* N\] wants 2 \* N = 6"):
        evaluate(graph, [np.zeros(5, np.float32), np.zeros(3, np.float32)])
    with pytest.raises(CharlError, match=r"x: a size is 6 where .* = 8"):
        evaluate(graph, [np.zeros(6, np.float32), np.zeros(3, np.float32)], {"N": 4})


def test_dimensions_that_nothing_binds_must_be_given() -> None:
    graph = Graph("g", [param("x", N * N)], [])
    with pytest.raises(CharlError, match="the value of N is not known"):
        evaluate(graph, [np.zeros(4, np.float32)])
    assert evaluate(graph, [np.zeros(4, np.float32)], {"N": 2}) == []


def test_divisions_must_be_exact() -> None:
    x = param("x", N)
    graph = Graph("g", [x, param("y", dims.exact_div(N, 2))], [x])
    with pytest.raises(CharlError, match="not an integer"):
        evaluate(graph, [np.zeros(3, np.float32), np.zeros(1, np.float32)])


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros(3, np.float64), "x: an array of f32 is wanted, not of float64"),
        (np.zeros((3, 1), np.float32), r"x: f32\[3\] is wanted, not shape \(3, 1\)"),
        (np.zeros(4, np.float32), "x: a size is 4"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(array: np.ndarray, says: str) -> None:
    x = param("x", 3)
    with pytest.raises(CharlError, match=says):
        evaluate(Graph("g", [x], [x]), [array])


def test_the_number_of_arrays_is_checked() -> None:
    with pytest.raises(CharlError, match="g takes 1 arrays, not 0"):
        evaluate(Graph("g", [param("x", 3)], []), [])


# ---------------------------------------------------------------- element types


def test_widening_computes_f32_in_double_precision() -> None:
    x = param("x", 2)
    y = ops.mul(ops.exp(x), ops.full(0.1, x.type))
    graph = Graph(
        "g", [x], [y, ops.cast(ops.cast(y, i32), f32), ops.constant(np.array([0.1, 0.2], np.float32))]
    )
    at = np.array([1.5, 30], np.float32)
    found = evaluate(graph, [at], widen=True)
    assert [a.dtype for a in found] == [np.float64] * 3
    np.testing.assert_allclose(
        found[0], np.exp(at.astype(np.float64)) * np.float64(np.float32(0.1)), rtol=1e-15
    )
    assert evaluate(graph, [at])[0].dtype == np.float32
    bits = ops.bitcast(ops.bitcast(x, u32), f32)
    np.testing.assert_array_equal(evaluate(Graph("b", [x], [bits]), [at], widen=True)[0], at)


def test_bf16_rounds_after_every_operation() -> None:
    x = param("x", 1, dtype=bf16)
    (y,) = evaluate(Graph("g", [x], [ops.add(x, ops.full(1, x.type))]), [np.array([2.0**-9], np.float32)])
    assert y.dtype == np.float32 and y.tolist() == [1.0]
    ties = np.array([1 + 2.0**-8, 1 + 3 * 2.0**-8, -1.5, np.inf, np.nan], np.float32)
    assert rounded(ties, bf16).tolist()[:4] == [1.0, 1.015625, -1.5, np.inf] and np.isnan(
        rounded(ties, bf16)[4]
    )


def test_constants_keep_their_bits() -> None:
    for array in (
        np.array([1.5, -0.0, np.inf], np.float32),
        np.array([[1, -128]], np.int8),
        np.array([True, False]),
        np.zeros((2, 0), np.float64),
        np.full((2, 3), -0.0, np.float32),
    ):
        node = ops.constant(array)
        (found,) = evaluate(Graph("g", [], [node]), [])
        assert (
            found.dtype == array.dtype and found.shape == array.shape and found.tobytes() == array.tobytes()
        )
    assert ops.constant(np.full((2, 3), 7, np.int8)).op == "broadcast"
    assert [ops.constant(v).dtype.name for v in (True, 1, 1.0)] == ["bool", "i32", "f32"]


def test_results_are_arrays_of_their_own() -> None:
    x = param("x", 3)
    given = np.ones(3, np.float32)
    same, wide, scalar = evaluate(
        Graph("g", [x], [x, ops.broadcast(x, (2, 3), (1,)), ops.reduce_sum(x, (0,))]), [given]
    )
    assert wide.flags.c_contiguous and wide.flags.writeable
    assert isinstance(scalar, np.ndarray) and scalar.shape == () and scalar.dtype == np.float32
    assert not np.shares_memory(same, given)


# ---------------------------------------------------------------- reuse and speed


def test_one_evaluator_serves_many_sizes() -> None:
    x = param("x", N, 2)
    run = Evaluator(Graph("g", [x], [ops.reduce_sum(x, (0,)), ops.size_value(N, f32)]))
    for n in (3, 1, 0, 3):
        total, size = run([np.ones((n, 2), np.float32)])
        assert total.tolist() == [n, n] and size == n


def test_the_cost_of_a_node_is_small() -> None:
    x = y = param("x", 4)
    for _ in range(1000):
        y = ops.add(ops.mul(y, x), x)
    run, array = Evaluator(Graph("g", [x], [y])), np.zeros(4, np.float32)
    run([array])
    assert calls(lambda: run([array])) < 10 * 2000


# ---------------------------------------------------------------- scalar expressions


def test_loads_out_of_range_are_found() -> None:
    x = param("x", 3)
    array = np.arange(3, dtype=np.float32)
    run = ScalarEvaluator(lambda source, index: array[index])
    i = dims.sym("i")
    with pytest.raises(IndexError):
        run.values(Load(x, (i + 1,), f32), {"i": np.arange(3)}, 3)
    with pytest.raises(InternalError, match="negative"):
        run.values(Load(x, (i - 1,), f32), {"i": np.arange(3)}, 3)
    guarded = Guard(((i, 1, 3),), Load(x, (i - 1,), f32), Const(-1.0, f32))
    assert run.values(guarded, {"i": np.arange(3)}, 3).tolist() == [-1, 0, 1]
    chosen = apply(
        "select", apply("gt", Load(x, (i,), f32), Const(0.0, f32)), Load(x, (i - 1,), f32), Const(0.0, f32)
    )
    with pytest.raises(InternalError, match="negative"):  # both sides of a select are evaluated
        run.values(chosen, {"i": np.arange(3)}, 3)


# ---------------------------------------------------------------- a network


def test_a_classifier_trains() -> None:
    """Plain gradient descent through the evaluator separates two rings, and costs milliseconds per step."""
    x, y = param("x", N, 2), param("y", N, dtype=i32)
    w1, b1, w2 = param("w1", 2, 16), param("b1", 16), param("w2", 16, 2)
    h = ops.add(ops.contract(x, w1, sum=((1,), (0,))), ops.broadcast(b1, (N, 16), (1,)))
    z = ops.contract(ops.max_(h, ops.zeros(h.type)), w2, sum=((1,), (0,)))
    top = ops.broadcast(ops.stop_gradient(ops.reduce_max(z, (1,))), z.shape, (0,))
    logs = ops.log(ops.reduce_sum(ops.exp(ops.sub(z, top)), (1,)))
    picked = ops.gather(ops.sub(z, top), y, 1, 1)
    loss = ops.div(ops.reduce_sum(ops.sub(logs, picked), (0,)), ops.size_value(N, f32))
    weights = [w1, b1, w2]
    new = []
    for w, g in zip(weights, vjp([loss], weights, [ops.constant(1.0)]), strict=True):
        assert g is not None
        new.append(ops.sub(w, ops.mul(g, ops.full(1.0, g.type))))
    run = Evaluator(Graph("step", [x, y, *weights], [loss, *new]))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 200).astype(np.int32)
    angle = rng.uniform(0, 2 * np.pi, 200)
    points = (np.stack([np.cos(angle), np.sin(angle)], 1) * (1 + labels[:, None])).astype(np.float32)
    state = [rng.standard_normal((2, 16)) * 0.7, np.zeros(16), rng.standard_normal((16, 2)) * 0.3]
    state = [s.astype(np.float32) for s in state]
    losses = []
    for _ in range(150):
        value, *state = run([points, labels, *state])
        losses.append(float(value))
    assert losses[0] > 0.5 and losses[-1] < 0.05
