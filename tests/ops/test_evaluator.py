"""Every record against itself: NumPy meaning, index-level meaning, gradients of order 1 and 2, type rule."""

from __future__ import annotations

import numpy as np
import pytest

from charl import dims, ops
from charl.dtypes import boolean, f32, i32, u32
from charl.graph.evaluate import Evaluator, evaluate
from charl.graph.ir import Graph, TensorType
from charl.graph.scalar_eval import element_values
from charl.ops import OPS, TypeRuleError
from tests.ops import cases

SAMPLED = [name for name, op in OPS.items() if op.samples is not None]
STEP = 1e-4


def close(actual: np.ndarray, expected: np.ndarray) -> None:
    assert actual.dtype == expected.dtype and actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, **cases.tolerance(expected.dtype))


@pytest.mark.parametrize("name", SAMPLED)
def test_index_level_meaning_is_the_numpy_meaning(name: str) -> None:
    for case in cases.graphs([0], [name]):
        (node,) = case.graph.results
        (expected,) = evaluate(case.graph, case.arrays)
        assert expected.dtype == node.dtype.numpy and expected.shape == node.shape
        close(element_values(node, case.arrays), expected)


def differentiable() -> list[tuple[str, int]]:
    return [(n, k) for n in SAMPLED for k in (1, 2) if next(cases.graphs([k], [n]), None) is not None]


@pytest.mark.parametrize(("name", "order"), differentiable())
def test_gradient_is_the_slope_of_the_order_below(name: str, order: int) -> None:
    """The graph of order k against central differences of that of order k - 1, in double precision."""
    op, checked = OPS[name], 0
    for sample in cases.samples(op):
        if sample.orders < order or not sample.smooth:
            continue
        double = cases.as_double(sample)
        lower, upper = cases.build(op, double, order - 1), cases.build(op, double, order)
        if lower is None or upper is None:
            continue
        check_slope(lower, upper, cases.seeded(f"direction {name} {order}"))
        checked += 1
    assert checked


def check_slope(lower: cases.Case, upper: cases.Case, rng: np.random.Generator) -> None:
    count = len(lower.arrays)
    # What `upper` has beyond the parameters of `lower` are the cotangents of the results of `lower`.
    shared, weights = upper.arrays[:count], upper.arrays[count:]
    run = Evaluator(lower.graph)
    directions = {k: rng.standard_normal(a.shape) for k, a in enumerate(shared) if a.dtype.kind == "f"}

    def value(t: float) -> float:
        found = run([a + t * directions[k] if k in directions else a for k, a in enumerate(shared)])
        finite = [np.isfinite(y) for y in found]  # a maximum of nothing, a margin of -inf: constant
        return float(sum(np.sum((w * y)[f]) for w, y, f in zip(weights, found, finite, strict=True)))

    slope = (value(STEP) - value(-STEP)) / (2 * STEP)
    parts = [directions[k] * g for k, g in zip(upper.wrt, evaluate(upper.graph, upper.arrays), strict=True)]
    predicted = sum(float(np.sum(p)) for p in parts)
    scale = 1 + sum(float(np.sum(np.abs(p))) for p in parts)
    assert abs(slope - predicted) < 2e-6 * scale, (slope, predicted)


def test_samples_cover_ranks_sizes_and_special_values() -> None:
    for name in SAMPLED:
        shapes = [
            y.shape for case in cases.graphs([0], [name]) for y in (*case.graph.params, *case.graph.results)
        ]
        if name in ("constant", "size_value"):
            continue
        assert max(len(s) for s in shapes) >= 5, name
        assert any(0 in s for s in shapes) and any(1 in s for s in shapes), name


# ---------------------------------------------------------------- Threefry


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((0xFFFFFFFF, 0xFFFFFFFF), (0xFFFFFFFF, 0xFFFFFFFF), (0x1CB996FC, 0xBB002BE7)),
        ((0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_gives_the_vectors_of_random123(
    counter: tuple[int, int], key: tuple[int, int], words: tuple[int, int]
) -> None:
    found = ops.threefry2x32(*key, *counter)
    assert tuple(int(w) for w in found) == words


def test_random_bits_number_their_elements_row_major() -> None:
    key, counter = np.array([7, 9], np.uint32), np.uint32(41)
    params = [ops.parameter("key", TensorType(u32, (2,))), ops.parameter("counter", TensorType(u32, ()))]
    for word in (0, 1):
        graph = Graph("bits", params, [ops.random_bits(params[0], params[1], (2, 3), word)])
        (bits,) = evaluate(graph, [key, counter])
        expected = [int(ops.threefry2x32(7, 9, i, 41)[word]) for i in range(6)]
        assert bits.reshape(-1).tolist() == expected


# ---------------------------------------------------------------- integers, casts, NaN


def apply(name: str, *arrays: object, **attrs: object) -> np.ndarray:
    """An operation on arrays, through the evaluator."""
    given = [np.asarray(a) for a in arrays]
    params = [ops.parameter(f"x{i}", TensorType(ops.dtype_of(a), a.shape)) for i, a in enumerate(given)]
    return evaluate(Graph(name, params, [ops.make(name, *params, **attrs)]), given)[0]


def test_integer_arithmetic_floors_wraps_and_gives_zero_for_a_zero_divisor() -> None:
    low, high = -(2**31), 2**31 - 1
    a = np.array([7, -7, 7, -7, 5, low, high], np.int32)
    b = np.array([2, 2, -2, -2, 0, -1, 1], np.int32)
    assert apply("div", a, b).tolist() == [3, -4, -4, 3, 0, low, high]
    assert apply("mod", a, b).tolist() == [1, 1, -1, -1, 0, 0, 0]
    assert apply("add", a[-1:], b[-1:]).tolist() == [low]
    assert apply("shl", np.array([1, 1, 1], np.int32), np.array([31, 32, -1], np.int32)).tolist() == [
        low,
        0,
        0,
    ]
    assert apply("shr", np.array([-8, -8], np.int32), np.array([1, 32], np.int32)).tolist() == [-4, 0]
    assert apply("shr", np.array([0xFFFFFFF8], np.uint32), np.array([1], np.uint32)).tolist() == [0x7FFFFFFC]


def test_casts_to_integers_truncate_and_saturate() -> None:
    x = np.array([2.9, -2.9, 3e9, -3e9, np.inf, -np.inf, np.nan], np.float32)
    assert apply("cast", x, dtype=i32).tolist() == [2, -2, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 0]
    assert apply("cast", x, dtype=u32).tolist() == [2, 0, 3 * 10**9, 0, 2**32 - 1, 0, 0]
    assert apply("cast", x, dtype=boolean).all()


def test_sums_of_narrow_types_accumulate_wide() -> None:
    assert apply("reduce_sum", np.full(300, 100, np.int8), axes=(0,)).tolist() == 30000
    assert apply("reduce_sum", np.full(5000, 1, np.float16), axes=(0,)) == np.float16(5000)
    total = apply(
        "contract", np.full(300, 100, np.int8), np.full(300, 100, np.int8), batch=((), ()), sum=((0,), (0,))
    )
    assert total.dtype == np.int32 and total == 3_000_000


# ---------------------------------------------------------------- type rules


def tensor(*shape: object, dtype: object = f32) -> object:
    return ops.parameter("x", TensorType(dtype, shape))  # type: ignore[arg-type]


N, M = dims.sym("N"), dims.sym("M")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: ops.add(tensor(3), tensor(4)),
        lambda: ops.add(tensor(N), tensor(M)),
        lambda: ops.add(tensor(3), tensor(3, dtype=i32)),
        lambda: ops.exp(tensor(3, dtype=i32)),
        lambda: ops.and_(tensor(3), tensor(3)),
        lambda: ops.select(tensor(3), tensor(3), tensor(3)),
        lambda: ops.reshape(tensor(6), (4,)),
        lambda: ops.reshape(tensor(N, 2), (N, 3)),
        lambda: ops.transpose(tensor(2, 3), (0, 0)),
        lambda: ops.broadcast(tensor(3), (2, 4), (1,)),
        lambda: ops.slice_(tensor(3), (2,), (2,)),
        lambda: ops.pad(tensor(3), (-1,), (0,)),
        lambda: ops.concatenate([tensor(2, 3), tensor(2, 4)], 0),
        lambda: ops.reduce_sum(tensor(3), (1,)),
        lambda: ops.reduce_max(tensor(3, dtype=boolean), (0,)),
        lambda: ops.argmax(tensor(3), 1),
        lambda: ops.contract(tensor(2, 3), tensor(4, 5), sum=((1,), (0,))),
        lambda: ops.contract(tensor(2, 3), tensor(3, 5), sum=((1, 0), (0,))),
        lambda: ops.gather(tensor(3), tensor(2), 0),
        lambda: ops.gather(tensor(0), tensor(2, dtype=i32), 0),
        lambda: ops.scatter_add(tensor(3), tensor(2, dtype=i32), tensor(3), 0),
        lambda: ops.dynamic_slice(tensor(3), [tensor(dtype=i32)], (4,)),
        lambda: ops.dynamic_update(tensor(3), tensor(2), [tensor()]),
        lambda: ops.random_bits(tensor(2), tensor(dtype=u32), (3,)),
        lambda: ops.iota((3,), 1),
        lambda: ops.cumsum(tensor(3), 1),
    ],
)
def test_type_rules_refuse(wrong: object) -> None:
    with pytest.raises(TypeRuleError):
        wrong()  # type: ignore[operator]
