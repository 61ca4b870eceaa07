"""Differentiation of graphs: edges, zeros behind branches, higher orders, forward mode, depth."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl import dims, ops
from charl.dtypes import boolean, f32, f64, i32
from charl.errors import InternalError
from charl.grad import jvp, vjp
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from tests.work import calls

Array = np.ndarray


def param(name: str, shape: tuple[object, ...] = (), dtype: object = f64) -> Node:
    return ops.parameter(name, TensorType(dtype, shape))  # type: ignore[arg-type]


def run(params: list[Node], results: list[Node], *arrays: object) -> list[Array]:
    given = [np.asarray(a, p.dtype.numpy) for a, p in zip(arrays, params, strict=True)]
    return evaluate(Graph("test", params, results), given)


def grad(y: Node, *xs: Node) -> list[Node]:
    """Gradients of the sum of `y`; zeros where there is none."""
    total = ops.reduce_sum(y, tuple(range(y.rank)))
    found = vjp([total], xs, [ops.full(1, total.type)])
    return [ops.zeros(x.type) if g is None else g for x, g in zip(xs, found, strict=True)]


def slope(f: Callable[[Node], Node], x: list[float]) -> list[float]:
    p = param("x", (len(x),))
    return run([p], grad(f(p), p), x)[0].tolist()


def zero(x: Node) -> Node:
    return ops.zeros(x.type)


# ---------------------------------------------------------------- edges


def test_relu_and_clamps_by_a_constant_give_zero_at_the_kink() -> None:
    assert slope(lambda x: ops.max_(x, zero(x)), [-1, 0, 2]) == [0, 0, 1]
    assert slope(lambda x: ops.max_(zero(x), x), [-1, 0, 2]) == [0, 0, 1]
    assert slope(lambda x: ops.min_(ops.max_(x, zero(x)), ops.full(6, x.type)), [-1, 0, 3, 6, 7]) == [
        0,
        0,
        1,
        0,
        0,
    ]


def test_relu_keeps_only_its_result() -> None:
    x, ct = param("x", (3,)), param("ct", (3,))
    (g,) = vjp([ops.max_(x, zero(x))], [x], [ct])
    assert g is not None and g.op == "select"
    assert g.inputs[0].op == "gt" and g.inputs[0].inputs[0].op == "max"


def test_ties_between_tensors_give_half_each() -> None:
    a, b = param("a", (3,)), param("b", (3,))
    for f in (ops.max_, ops.min_):
        ga, gb = run([a, b], grad(f(a, b), a, b), [1, 2, 3], [1, 1, 5])
        assert (ga + gb).tolist() == [1, 1, 1] and ga[0] == 0.5


def test_abs_and_sign_at_zero() -> None:
    assert slope(ops.abs_, [-2, 0, 3]) == [-1, 0, 1]
    assert slope(ops.sign, [-2, 0, 3]) == [0, 0, 0]


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1), (1, 0)])
@pytest.mark.parametrize("reduce", [ops.reduce_max, ops.reduce_min])
def test_the_first_extreme_takes_the_gradient(reduce: Callable[..., Node], axes: tuple[int, ...]) -> None:
    x = param("x", (2, 3))
    same = np.full((2, 3), 4.0)
    (g,) = run([x], grad(reduce(x, axes), x), same)
    expected = np.zeros((2, 3))
    expected[tuple(0 if k in axes else slice(None) for k in range(2))] = 1
    assert g.tolist() == expected.tolist()


def test_power_at_zero() -> None:
    a, b = param("a", (3,)), param("b", (3,))
    ga, gb = run([a, b], grad(ops.pow_(a, b), a, b), [0, 0, 2], [2, 0, 3])
    assert ga.tolist() == [0, 0, 12]
    np.testing.assert_allclose(gb, [0, 0, 8 * np.log(2)])


def test_product_with_zeros_has_right_derivatives_of_both_orders() -> None:
    x = param("x", (3,))
    (g,) = grad(ops.reduce_prod(x, (0,)), x)
    rows = [grad(ops.mul(g, ops.constant(row)), x)[0] for row in np.eye(3)]
    g0, *hessian = run([x], [g, *rows], [0, 0, 5])
    assert g0.tolist() == [0, 0, 0]
    assert np.array(hessian).tolist() == [[0, 5, 0], [5, 0, 0], [0, 0, 0]]


def test_gather_adds_up_repeated_and_clamped_indices() -> None:
    x, idx = param("x", (3,)), param("idx", (5,), i32)
    (g,) = run([x, idx], grad(ops.gather(x, idx, 0), x), [0, 0, 0], [1, 1, -7, 99, 1])
    assert g.tolist() == [1, 3, 1]


def test_gather_of_one_per_row_needs_no_scatter() -> None:
    x, idx = param("x", (3, 4)), param("idx", (3,), i32)
    (g,) = grad(ops.gather(x, idx, 1, batch=1), x)
    assert "scatter_add" not in {n.op for n in Graph("g", [x, idx], [g]).nodes()}
    assert run([x, idx], [g], np.ones((3, 4)), [1, -5, 9])[0].tolist() == [
        [0, 1, 0, 0],
        [1, 0, 0, 0],
        [0, 0, 0, 1],
    ]


# ---------------------------------------------------------------- zeros behind branches


@pytest.mark.parametrize(
    ("f", "x", "expected"),
    [
        (lambda x: ops.log(x), [0, 1, 4], [0, 1, 0.25]),
        (lambda x: ops.sqrt(x), [0, 1, 4], [0, 0.5, 0.25]),
        (lambda x: ops.div(ops.full(1, x.type), x), [0, 1, 2], [0, -1, -0.25]),
        (lambda x: ops.mul(x, ops.log(x)), [0, 1, np.e], [0, 1, 2]),
        (lambda x: ops.exp(ops.mul(x, ops.full(1e3, x.type))), [-1, 0, 0], [0, 0, 0]),
        (lambda x: ops.pow_(x, ops.full(0.5, x.type)), [0, 1, 4], [0, 0.5, 0.25]),
    ],
)
def test_the_side_not_taken_gives_no_nan(
    f: Callable[[Node], Node], x: list[float], expected: list[float]
) -> None:
    def branch(v: Node) -> Node:
        return ops.select(ops.gt(v, zero(v)), f(v), zero(v))

    np.testing.assert_allclose(slope(branch, x), expected, atol=1e-12)


def test_nan_stays_where_the_side_was_taken() -> None:
    found = slope(lambda x: ops.select(ops.lt(x, ops.full(9, x.type)), ops.log(x), zero(x)), [0, 10])
    assert found == [np.inf, 0]


def test_no_nan_through_reductions_and_movement_behind_a_branch() -> None:
    def f(x: Node) -> Node:
        total = ops.reduce_sum(ops.log(ops.reverse(x, (0,))), (0,))
        spread = ops.broadcast(total, x.shape, ())
        return ops.select(ops.gt(x, ops.full(99, x.type)), spread, x)

    assert slope(f, [0, 1, -1]) == [1, 1, 1]


def test_no_nan_through_a_product_behind_a_branch() -> None:
    def f(x: Node) -> Node:
        spread = ops.broadcast(ops.reduce_prod(ops.log(x), (0,)), x.shape, ())
        return ops.select(ops.gt(x, ops.full(99, x.type)), spread, x)

    assert slope(f, [0, 1, 2]) == [1, 1, 1]


def test_zero_factors_behind_a_branch_keep_their_second_derivative() -> None:
    """The product is replaced by 0 only where it is not finite: at x = 0 here d2/dxdy of x * log(y) is 1 / y."""
    x, y = param("x", (1,)), param("y", (1,))
    taken = ops.select(ops.gt(y, zero(y)), ops.mul(x, ops.log(y)), zero(x))
    (gy,) = grad(taken, y)
    assert run([x, y], grad(gy, x), [0], [4])[0].tolist() == [0.25]


def test_products_by_a_literal_are_not_masked() -> None:
    """Dropout costs its own select and no more; a factor that may be infinite is another matter."""
    x, y, keep = param("x", (3,)), param("y", (3,)), param("keep", (3,), boolean)
    for factor, selects in ((ops.full(2, x.type), 1), (ops.full(np.inf, x.type), 2), (y, 2)):
        g = grad(ops.select(keep, ops.mul(x, factor), zero(x)), x)
        assert [n.op for n in Graph("g", [x, y, keep], g).nodes()].count("select") == selects


def test_smooth_graphs_are_not_masked() -> None:
    x = param("x", (3,))
    g = grad(ops.exp(ops.mul(x, ops.sin(x))), x)
    assert "select" not in {n.op for n in Graph("g", [x], g).nodes()}


# ---------------------------------------------------------------- paths


def test_no_path_gives_none() -> None:
    x, y, n = param("x", (3,)), param("y", (3,)), param("n", (3,), i32)
    out = ops.add(ops.mul(x, ops.stop_gradient(y)), ops.cast(n, f64))
    found = vjp([out], [x, y, n], [ops.full(1, out.type)])
    assert found[0] is not None and found[1:] == [None, None]
    assert vjp([out], [x], [None]) == [None]
    assert vjp([ops.floor(x)], [x], [ops.full(1, x.type)]) == [None]


def test_several_outputs_and_uses_add_up() -> None:
    x = param("x")
    y = ops.mul(x, x)
    (g,) = vjp([y, y, x], [x], [ops.constant(1.0, f64), ops.constant(10.0, f64), ops.constant(100.0, f64)])
    assert g is not None and run([x], [g], 3)[0] == 2 * 3 * 11 + 100


def test_an_input_computed_from_another_passes_its_cotangent_on() -> None:
    x = param("x")
    y = ops.mul(x, x)
    z = ops.mul(y, y)
    gx, gy = vjp([z], [x, y], [ops.constant(1.0, f64)])
    assert gx is not None and gy is not None
    assert [float(a) for a in run([x], [gx, gy], 2)] == [32, 8]


def test_cotangents_of_the_wrong_type_are_refused() -> None:
    x = param("x", (3,))
    with pytest.raises(InternalError, match="cotangent"):
        vjp([ops.exp(x)], [x], [ops.constant(1.0, f64)])


def test_depth_and_work() -> None:
    """Twenty thousand nodes deep: no recursion, and work linear in the graph."""

    def work(depth: int) -> int:
        x = y = param("x")
        for _ in range(depth):
            y = ops.sin(y)
        return calls(lambda: vjp([y], [x], [ops.constant(1.0, f64)]))

    assert work(20_000) < 11 * work(2_000)


def test_a_diamond_is_visited_once() -> None:
    x = y = param("x")
    for _ in range(40):
        y = ops.add(y, y)
    (g,) = vjp([y], [x], [ops.constant(1.0, f64)])
    assert g is not None and run([x], [g], 1)[0] == 2.0**40


# ---------------------------------------------------------------- orders and modes


def network(x: Node, w: Node) -> Node:
    h = ops.tanh(ops.contract(x, w, sum=((1,), (0,))))
    top = ops.broadcast(ops.reduce_max(h, (1,)), h.shape, (0,))
    return ops.log(ops.reduce_sum(ops.exp(ops.sub(h, top)), (1,)))


def test_forward_mode_is_the_slope() -> None:
    rng = np.random.default_rng(1)
    x, w, dx, dw = (param(n, s) for n, s in (("x", (5, 3)), ("w", (3, 4)), ("dx", (5, 3)), ("dw", (3, 4))))
    arrays = [rng.standard_normal(tuple(p.shape)) for p in (x, w, dx, dw)]
    y = network(x, w)
    (t,) = jvp([y], [x, w], [dx, dw])
    assert t is not None
    tangent, up, down = *run([x, w, dx, dw], [t], *arrays), *(
        run([x, w], [y], arrays[0] + h * arrays[2], arrays[1] + h * arrays[3])[0] for h in (1e-5, -1e-5)
    )
    np.testing.assert_allclose(tangent, (up - down) / 2e-5, rtol=1e-7, atol=1e-8)


def test_forward_mode_without_a_path_is_none() -> None:
    x, y = param("x", (2,)), param("y", (2,))
    found = jvp([ops.exp(y), ops.exp(x), ops.lt(x, y)], [x], [x])
    assert found[0] is None and found[1] is not None and found[2] is None
    assert jvp([ops.exp(x)], [x], [None]) == [None]


def test_forward_mode_does_not_need_its_dummies() -> None:
    """What remains of the construction's own cotangent after the dead code goes are no values that matter."""
    x = param("x", (3,))
    y = ops.mul(x, ops.mul(x, x))
    (t,) = jvp([y], [x], [ops.full(1, x.type)])
    assert t is not None
    assert run([x], [t], [0, 1, 2])[0].tolist() == [0, 3, 12]


def test_reverse_over_reverse_and_forward_over_reverse_agree() -> None:
    rng = np.random.default_rng(2)
    x, w, v = param("x", (4, 3)), param("w", (3, 2)), param("v", (3, 2))
    (g,) = grad(network(x, w), w)
    (forward,) = jvp([g], [w], [v])
    (backward,) = grad(ops.mul(g, v), w)
    assert forward is not None
    a, b = run([x, w, v], [forward, backward], *(rng.standard_normal(tuple(p.shape)) for p in (x, w, v)))
    np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)


def test_third_order() -> None:
    x = y = param("x", (4,))
    y = ops.mul(ops.sin(x), ops.exp(x))
    for _ in range(3):
        (y,) = grad(y, x)
    at = np.array([0.1, 0.7, -1.3, 2.0])
    np.testing.assert_allclose(run([x], [y], at)[0], 2 * np.exp(at) * (np.cos(at) - np.sin(at)), rtol=1e-12)


def test_symbolic_shapes_go_through_every_rule_of_a_network() -> None:
    n = dims.sym("N")
    x, w = param("x", (n, 3), f32), param("w", (3, 4), f32)
    found = grad(network(x, w), x, w)
    assert [g.type for g in found] == [x.type, w.type]
    for size in (1, 7):
        gx, _ = run([x, w], found, np.ones((size, 3)), np.ones((3, 4)))
        assert gx.shape == (size, 3)


# ---------------------------------------------------------------- odd shapes

SIZES = st.sampled_from([0, 1, 2, 3, 5, 7])


@settings(max_examples=60, deadline=None)
@given(shape=st.lists(SIZES, min_size=0, max_size=4), data=st.data())
def test_reductions_of_any_shape(shape: list[int], data: st.DataObject) -> None:
    axes = tuple(data.draw(st.sets(st.integers(0, len(shape) - 1)))) if shape else ()
    x = param("x", tuple(shape))
    array = np.random.default_rng(0).standard_normal(shape)
    total, largest = ops.reduce_sum(x, axes), ops.reduce_max(x, axes)
    g_total, g_largest = grad(ops.mul(total, total), x)[0], grad(largest, x)[0]
    s, _, gs, gm = run([x], [total, largest, g_total, g_largest], array)
    np.testing.assert_allclose(s, array.sum(axes), atol=1e-12)
    np.testing.assert_allclose(
        gs, np.broadcast_to(2 * array.sum(axes, keepdims=True), array.shape), atol=1e-12
    )
    if 0 not in shape:
        assert (gm == (array == array.max(axes, keepdims=True))).all()


@settings(max_examples=60, deadline=None)
@given(
    free=st.lists(SIZES, min_size=0, max_size=4),
    batch=st.lists(SIZES, min_size=0, max_size=2),
    summed=st.lists(SIZES, min_size=0, max_size=2),
    data=st.data(),
)
def test_contractions_of_any_axes(
    free: list[int], batch: list[int], summed: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(free)))
    letters = "abcdefgh"
    nb, ns = len(batch), len(summed)
    b, s, f = letters[:nb], letters[nb : nb + ns], letters[nb + ns : nb + ns + len(free)]
    size = dict(zip(b + s + f, batch + summed + free, strict=True))
    left = "".join(data.draw(st.permutations(b + s + f[:cut])))
    right = "".join(data.draw(st.permutations(b + s + f[cut:])))
    x, y = (param(n, tuple(size[c] for c in axes)) for n, axes in (("x", left), ("y", right)))
    pairs = [([left.index(c) for c in g], [right.index(c) for c in g]) for g in (b, s)]
    free_left = "".join(c for c in left if c in f)
    free_right = "".join(c for c in right if c in f)
    out = ops.contract(x, y, pairs[0], pairs[1])
    ct = param("ct", out.shape)
    gx, gy = vjp([out], [x, y], [ct])
    assert gx is not None and gy is not None
    rng = np.random.default_rng(0)
    ax, ay, ac = (rng.standard_normal(tuple(p.shape)) for p in (x, y, ct))
    result = b + free_left + free_right
    found = run([x, y, ct], [out, gx, gy], ax, ay, ac)
    expected = [
        np.einsum(f"{left},{right}->{result}", ax, ay),
        np.einsum(f"{result},{right}->{left}", ac, ay),
        np.einsum(f"{left},{result}->{right}", ax, ac),
    ]
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, atol=1e-12)
