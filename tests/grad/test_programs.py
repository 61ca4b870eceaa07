"""Derivatives of any nesting, in the language, on every backend: against closed forms and float64 differences."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from charl.ops.source import threefry2x32
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
PROGRAMS = Path(__file__).with_name("programs.ch")

BACKENDS = [
    pytest.param(("evaluator", "f64", 1e-9), id="evaluator"),
    pytest.param(("c", "f64", 1e-9), marks=needs_cc, id="c"),
    pytest.param(("wgpu", "f32", 2e-3), marks=needs_vulkan, id="wgsl"),
]
RNG = np.random.default_rng(11)
W, V, X = (RNG.standard_normal(s) for s in (3, 3, (4, 3)))
P = np.array([0.25, 1.0, 4.0, 9.0])
TAGS = np.array([3, 1, 4, 1], np.int32)


class Case:
    """A package, called with float64 arrays, and how exact it is."""

    def __init__(self, backend: str, f64: str, tolerance: float) -> None:
        self.package = charl.load(PROGRAMS, backend=backend, f64=f64)
        self.type = np.float64 if f64 == "f64" else np.float32
        self.tolerance = tolerance

    def __call__(self, name: str, *arrays: Any) -> Any:
        given = [
            a.astype(self.type) if np.asarray(a).dtype.kind == "f" else a for a in map(np.asarray, arrays)
        ]
        return getattr(self.package, name)(*given)

    def close(self, found: Any, wanted: Any, atol: float = 0.0) -> None:
        wanted = np.asarray(wanted)
        scale = max(1.0, float(np.abs(wanted).max(initial=0)))
        limit = max(self.tolerance, atol)
        np.testing.assert_allclose(found, wanted, rtol=limit, atol=limit * scale)


@pytest.fixture(scope="module", params=BACKENDS)
def case(request: pytest.FixtureRequest) -> Case:
    return Case(*request.param)


def slopes(f: Callable[[Array], Any], x: Array, h: float = 1e-6) -> Array:
    """Derivatives of `f` by every element of `x`, along last axes."""
    columns = []
    for i in np.ndindex(x.shape):
        d = np.zeros_like(x)
        d[i] = h
        columns.append((np.asarray(f(x + d)) - np.asarray(f(x - d))) / (2 * h))
    stacked = np.stack(columns, -1)
    return stacked.reshape(*stacked.shape[:-1], *x.shape)


FD = 1e-7  # what central differences of smooth functions of this size are good for


def loss(w: Array, x: Array) -> Any:
    return np.tanh(w * x).sum() ** 2


def loss_gradient(w: Array, x: Array) -> Array:
    t = np.tanh(w * x)
    return np.asarray(2 * t.sum() * (1 - t**2) * x)


def adapted(w: Array, x: Array) -> Any:
    for _ in range(3):
        w = w - 0.1 * loss_gradient(w, x)
    return loss(w, x * 1.5)


def walk(x: Array, n: int) -> tuple[Array, Array]:
    y, ys = x.copy(), []
    for i in range(4):
        if i < n:
            y[i % 3] += 1
        ys.append((y**2).sum() * i)
    return y, np.array(ys)


def shuffled(x: Array, at: int) -> Array:
    def read(i: int) -> Any:
        return x[min(max(i, 0), 4)]

    y = x.copy()
    if 0 <= at < 5:
        y[at] = read(at + 1) * read(at - 1)
    first = min(max(at, 0), 3)
    y[first : first + 2] *= 2
    return y


def energy(x: Array, m: Any) -> Any:
    return m * m * (x**3).sum()


# ---------------------------------------------------------------- vmap


def test_lanes_of_lanes_and_of_structs(case: Case) -> None:
    x = RNG.standard_normal((4, 5, 3))
    case.close(case("nested_lanes", x), (x**2).sum(-1))
    found, tags = case("energies", X, TAGS)
    case.close(found, [energy(x, x[0] + 2) for x in X])
    assert tags.tolist() == TAGS.tolist()
    case.close(case("forces", X, TAGS), 3 * X**2 * (X[:, :1] + 2) ** 2)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_lanes_stop_by_themselves(case: Case, count: int) -> None:
    case.close(case("roots", P[:count]), np.sqrt(P[:count]))


def test_lanes_write_where_they_will(case: Case) -> None:
    n, at = np.array([0, 2, 9, 4], np.int32), np.array([0, 2, 4, -1, 7], np.int32)
    ends, rows = case("walks", X, n)
    wanted = [walk(x, k) for x, k in zip(X, n, strict=True)]
    case.close(ends, [w[0] for w in wanted])
    case.close(rows, [w[1] for w in wanted])
    x = RNG.standard_normal((5, 5))
    case.close(case("shuffles", x, at), [shuffled(r, i) for r, i in zip(x, at, strict=True)])
    case.close(case("shared_shuffle", x[0], at), [shuffled(x[0], i) for i in at])
    ct = RNG.standard_normal((5, 5))
    back = [
        slopes(lambda r, i=i, c=c: (shuffled(r, i) * c).sum(), r) for r, i, c in zip(x, at, ct, strict=True)
    ]
    case.close(case("shuffles_back", x, at, ct), back, FD)
    back = [slopes(lambda r, k=k: (walk(r, k)[1] ** 2).sum(), r) for r, k in zip(X, n, strict=True)]
    case.close(case("walks_back", X, n), back, FD)
    case.close(case("walks_back_lanes", X, n), back, FD)


def test_gradients_in_lanes_and_of_lanes(case: Case) -> None:
    wanted = np.stack([loss_gradient(W, x) for x in X])
    case.close(case("per_sample", W, X), wanted)
    case.close(case("of_lanes", W, X), wanted.sum(0))
    y = X
    for _ in range(3):
        y = np.cos(y) * y[:, :1] + np.eye(3)[0] * np.sin(y).sum(1, keepdims=True)
    case.close(case("lanes_in_a_loop", X), y)


def test_lanes_of_what_is_lent(case: Case) -> None:
    after, second = case("updated", X)
    case.close(after, np.stack([X.sum(1), X[:, 1], X[:, 2]], 1))
    case.close(second, X[:, 1])


def test_every_lane_has_its_own_stream(case: Case) -> None:
    key = np.array([7, 9], np.uint32)
    lanes, split, next_ = case("draws", key, np.zeros(4))
    case.close(lanes, split)
    assert len(np.unique(lanes)) == 8
    bits = threefry2x32(key[0], key[1], 0, 4)[0] >> np.uint32(8)
    case.close(next_, bits * 2.0**-24)


# ---------------------------------------------------------------- Jacobians and Hessians


def test_jacobians_and_hessians_of_structs(case: Case) -> None:
    x, m = X[0], 1.5
    position, mass = case("by_struct", x, m)
    case.close(position, m * np.eye(3))
    case.close(mass, x)
    first, second = case("by_tuple", x, m)
    case.close(first, m * np.eye(3))
    case.close(second, np.ones(3))
    xx, xm, mm = case("hessian_by_struct", x, m)
    case.close(xx, np.diag(6 * x) * m * m)
    case.close(xm, 6 * m * x**2)
    case.close(mm, 2 * (x**3).sum())


def test_jacobians_of_any_shape(case: Case) -> None:
    x, w = X[0], X[:2]
    slope = 1 - np.tanh(w @ x) ** 2
    case.close(case("wide", x, w), np.einsum("ij,i,k->ijk", np.eye(2), slope, x))
    tall = RNG.standard_normal((5, 2))
    case.close(case("tall", x[:2], tall), (1 - np.tanh(tall @ x[:2]) ** 2)[:, None] * tall)
    lanes = X[:, :2]
    case.close(case("of_lanes_jacobian", lanes), slopes(lambda x: x * x.sum(1, keepdims=True), lanes), FD)
    case.close(
        case("bend", x), slopes(lambda x: 3 * x**2 * np.sin(x).sum() + np.cos(x) * (x**3).sum(), x), FD
    )
    by_x, by_y = case("mixed", x, V[:2])
    case.close(by_x, np.outer(V[:2], 2 * x))
    case.close(by_y, np.eye(2) * (x @ x))
    case.close(case("per_lane_jacobian", X), np.eye(3) * X.sum(1)[:, None, None] + X[:, :, None])


def test_hessian_of_a_loop(case: Case) -> None:
    def gradient(x: Array) -> Array:
        return slopes(lambda x: walk(x, 2)[1].sum() ** 2, x, 1e-4)

    case.close(case("hessian_of_loop", X[0], np.int32(2)), slopes(gradient, X[0], 1e-4), 1e-6)


def test_solvers_without_a_bound(case: Case) -> None:
    case.close(case("of_solver", P), np.diag(0.5 / np.sqrt(P)), FD)
    case.close(case("slope", P[2]), 0.25, FD)
    case.close(case("slopes", P), 0.5 / np.sqrt(P), FD)
    case.close(case("second_slope", P[2]), -0.25 * P[2] ** -1.5, 1e-5)


# ---------------------------------------------------------------- modes in modes


@pytest.mark.parametrize(
    "modes", ["forward_reverse", "reverse_forward", "reverse_reverse", "forward_forward"]
)
def test_hessian_vector_products(case: Case, modes: str) -> None:
    hessian = slopes(lambda w: loss_gradient(w, X[0]), W)
    case.close(case(f"hvp_{modes}", W, V, X[0]), hessian @ V, FD)


def test_an_optimisation_inside_an_objective(case: Case) -> None:
    wanted = slopes(lambda w: adapted(w, X[0]), W)
    case.close(case("meta", W, X[0]), adapted(W, X[0]))
    case.close(case("meta_rr", W, X[0]), wanted, FD)
    case.close(case("meta_rf", W, X[0]), wanted, FD)
    case.close(case("meta_fr", W, V, X[0]), wanted @ V, FD)
    case.close(case("meta_ff", W, V, X[0]), wanted @ V, FD)
    batch = np.mean([slopes(lambda w, x=x: adapted(w, x), W) for x in X], 0)
    case.close(case("meta_batch", W, X), batch, FD)


def test_a_loop_that_stops_early(case: Case) -> None:
    case.close(case("bounded_back", P), 0.5 / np.sqrt(P), FD)
    case.close(case("bounded_all", P), 0.5 / np.sqrt(P), FD)
    case.close(case("bounded_hessian", P[2]), -0.25 * P[2] ** -1.5, 1e-5)


def test_pullbacks_of_several_results(case: Case) -> None:
    gx, gm, rows = case("pulled", X[0], 1.5, V)
    case.close(gx, V * 1.5 + 2)
    case.close(gm, X[0] @ V)
    case.close(rows, np.diag(V) * 1.5)


def test_the_side_not_taken_gives_no_nan_in_either_mode(case: Case) -> None:
    x = np.array([-1.0, 0.0, 4.0])
    forward, reverse, inside = case("one_side", x)
    for found in (forward, reverse, inside):
        case.close(found, [0, 0, 0.25])


# ---------------------------------------------------------------- rules of one's own


def test_rules_in_both_modes_and_orders(case: Case) -> None:
    t = np.arange(1.0, 5.0)
    case.close(case("ruled", P), 1.5 * np.sqrt(P))
    case.close(case("ruled_hessian", P), np.diag(0.75 / np.sqrt(P)))
    case.close(case("ruled_forward", P, t), 1.5 * np.sqrt(P) * t)
    case.close(case("ruled_lanes", P), 1.5 * np.sqrt(P))
    case.close(case("ruled_of_lanes", P), 1.5 * np.sqrt(P))
    s, g = P, np.ones(4)
    for _ in range(3):
        s, g = np.sqrt(s) + s, g * (0.5 / np.sqrt(s) + 1)
    case.close(case("ruled_loop", P), g)
    x = P - 2
    back, forth = case("ruled_clip", x, t)
    case.close(back, 2 * x * np.where(x > 0, 1, 0.25))
    case.close(forth, t * np.where(x > 0, 1, 0.25))


def test_rules_of_several_arguments_and_of_methods(case: Case) -> None:
    case.close(case("ruled_two", 2.0, 3.0), [21, 102])
    case.close(case("ruled_two_forward", 2.0, 3.0), [11, 101])
    case.close(case("ruled_method", 2.0, 3.0), [14, 8])


# ---------------------------------------------------------------- checkpoint


def test_what_is_computed_again_is_the_same(case: Case) -> None:
    one, two = case("held", X[0])
    case.close(one, two)
    one, two = case("held_hessian", X[0])
    case.close(one, two)
    case.close(case("held_lanes", P), np.sin(P) + P * np.cos(P))
    one, two, counters = case("replayed", X[0], np.array([1, 2], np.uint32))
    case.close(one, two)
    assert counters.tolist() == [1, 1] and np.abs(one).min() > 0


def test_a_loop_that_has_no_turn(case: Case) -> None:
    slope, second = case("pivots_of_one", np.array([[4.0]]))
    case.close(slope, [[0.25]])
    case.close(second, [[[[-0.0625]]]])


def test_elements_written_before_a_loop(case: Case) -> None:
    def started(x: Array) -> float:
        a = np.array([x[0], 2 * x[1], 0.0, 0.0])
        for w in P:
            a = np.sin(a) * w + np.concatenate([[0.0], a[:-1]])
        return float(a[-1])

    x = np.array([0.3, -0.4, 0.1, 0.2])
    numeric = [(started(x + 1e-6 * e) - started(x - 1e-6 * e)) / 2e-6 for e in np.eye(4)]
    found = case("slope_of_started", x, P)
    np.testing.assert_allclose(found, numeric, rtol=max(case.tolerance, 1e-7), atol=max(case.tolerance, 1e-7))
