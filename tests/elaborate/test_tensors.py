"""Ordinary tensor functions: what a program means is what NumPy computes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.elaborate.programs import export, run

RNG = np.random.default_rng(7)


def f32(*shape: int) -> Any:
    return RNG.normal(size=shape).astype(np.float32)


X, Y, V = f32(5, 3), f32(5, 3), f32(3)
A, B = f32(2, 4, 3), f32(2, 3, 6)
IDX, J = np.array([4, 0, 2], np.int32), np.array([0, 1, 2], np.int32)
T = np.array(2, np.int32)
SIG = {
    "x": ("f32[N, 3]", X),
    "y": ("f32[N, 3]", Y),
    "v": ("f32[3]", V),
    "a": ("f32[P, 4, Q]", A),
    "b": ("f32[P, Q, R]", B),
    "i": ("i32[K]", IDX),
    "j": ("i32[K]", J),
    "t": ("i32", T),
    "s": ("f32", np.float32(0.5)),
    "w": ("f32[5, 3]", X),
    "d": ("f64[4]", RNG.normal(size=4)),
}

Case = tuple[str, Callable[..., Any]]
CASES: list[Case] = [
    ("x + y", lambda x, y: x + y),
    ("x - v", lambda x, v: x - v),
    ("2 * x / 4.0", lambda x: 2 * x / 4),
    ("-x ** 2", lambda x: -(x**2)),
    ("x ** -1", lambda x: 1 / x),
    ("abs(x) ** 0.5", lambda x: np.abs(x) ** 0.5),
    ("x % 0.7", lambda x: x - np.floor(x / np.float32(0.7)) * np.float32(0.7)),
    ("i / 2", lambda i: i // 2),
    ("-i % 3", lambda i: -i % 3),
    ("x < y", lambda x, y: x < y),
    ("x < 0 or not (y >= 1)", lambda x, y: (x < 0) | ~(y >= 1)),
    ("where(x > 0, x, 0)", lambda x: np.maximum(x, 0)),
    ("where(v > 0, x, y)", lambda v, x, y: np.where(v > 0, x, y)),
    ("x @ v", lambda x, v: x @ v),
    ("v @ x.T", lambda v, x: v @ x.T),
    ("a @ b", lambda a, b: a @ b),
    ("a[:, :, None] @ b[:, None]", lambda a, b: a[:, :, None] @ b[:, None]),
    ("sum(x)", lambda x: x.sum()),
    ("sum(x, axis: 0)", lambda x: x.sum(0)),
    ("max(x, axis: -1, keepdims: true)", lambda x: x.max(-1, keepdims=True)),
    ("x.mean(axis: (0, 1))", lambda x: x.mean()),
    ("min(x)", lambda x: x.min()),
    ("prod(v)", lambda v: v.prod()),
    ("any(x > 1, axis: 1)", lambda x: (x > 1).any(1)),
    ("all(x > -9)", lambda x: (x > -9).all()),
    ("argmax(x, axis: 1)", lambda x: x.argmax(1).astype(np.int32)),
    ("argmin(x)", lambda x: np.int32(x.argmin())),
    ("variance(x, axis: 0)", lambda x: x.var(0)),
    ("norm(x, axis: 1)", lambda x: np.linalg.norm(x, axis=1)),
    ("logsumexp(x, axis: 1)", lambda x: np.log(np.exp(x).sum(1))),
    ("softmax(x)", lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    ("log_softmax(x)", lambda x: np.log(np.exp(x) / np.exp(x).sum(1, keepdims=True))),
    ("cumsum(x, axis: 0)", lambda x: x.cumsum(0)),
    ("x.reshape(3 * N)", lambda x: x.reshape(-1)),
    ("x.reshape(-1)", lambda x: x.reshape(-1)),
    ("a.transpose(2, 0, 1)", lambda a: a.transpose(2, 0, 1)),
    ("transpose(x)", lambda x: x.T),
    ("concat([x, y], axis: 1)", lambda x, y: np.concatenate([x, y], 1)),
    ("stack([x, y])", lambda x, y: np.stack([x, y])),
    ("stack([x, y], axis: -1)", lambda x, y: np.stack([x, y], -1)),
    ("pad(x, [1, 0], [0, 2], value: 9)", lambda x: np.pad(x, ((1, 0), (0, 2)), constant_values=9)),
    ("flip(x, 0)", lambda x: x[::-1]),
    ("broadcast(v, [N, 3]) + x", lambda v, x: v + x),
    ("{ let [p, q] = split(a, 2, axis: 1)\n p - q }", lambda a: a[:, :2] - a[:, 2:]),
    ("x[0]", lambda x: x[0]),
    ("x[N - 1]", lambda x: x[-1]),
    ("x[-1, 1]", lambda x: x[-1, 1]),
    ("x[:, 0:2]", lambda x: x[:, 0:2]),
    ("x[:, -2:]", lambda x: x[:, -2:]),
    ("w[1:, ::2]", lambda w: w[1:, ::2]),
    ("x[::2]", lambda x: x[::2]),
    ("x[::-1]", lambda x: x[::-1]),
    ("w[:-1] - w[1:]", lambda w: w[:-1] - w[1:]),
    ("a[..., 0]", lambda a: a[..., 0]),
    ("a[None, ..., None].shape[0] * x", lambda a, x: x),
    ("x[:, None] - x[None, :]", lambda x: x[:, None] - x[None, :]),
    ("w[i]", lambda w, i: w[i]),
    ("w[i, j]", lambda w, i, j: w[i, j]),
    ("w[:, j]", lambda w, j: w[:, j]),
    ("w[[2, -1]]", lambda w: w[[2, -1]]),
    ("w[t]", lambda w, t: w[t]),
    ("w[t + 40]", lambda w, t: w[4]),
    ("w[t:t+2]", lambda w, t: w[2:4]),
    ("w[t+2:t+4]", lambda w, t: w[3:5]),
    ("w[t-1, 0]", lambda w, t: w[1, 0]),
    ("x as f64", lambda x: x.astype(np.float64)),
    ("i as f32 / 2", lambda i: i.astype(np.float32) / 2),
    ("(x * 10.0) as i32", lambda x: (x * 10).astype(np.int32)),
    ("N * sum(x)", lambda x: 5 * x.sum()),
    ("sum(x) / (3 * N)", lambda x: x.mean()),
    ("1.0 / N + s", lambda s, x: 1 / 5 + s),
    ("if N > 3 { x } else { -x }", lambda x: x),
    ("if s > 0 { x } else { -x }", lambda s, x: x),
    ("if s > 1 { x } else { -x }", lambda s, x: -x),
    ("[v[0], 2.0, s]", lambda v, s: np.array([v[0], 2, s], np.float32)),
    ("[1.0, 2.0, 3.0] * v", lambda v: np.array([1, 2, 3], np.float32) * v),
    ("x |> relu |> sum", lambda x: np.maximum(x, 0).sum()),
    ("(|p| p * 2)(x)", lambda x: x * 2),
    ("map(|p| p * 2)([x, y])[1]", lambda x, y: y * 2),
    ("vmap(|p| sum(p ** 2))(w)", lambda w: (w**2).sum(1)),
    ('einsum("pij,pjk->pik", a, b)', lambda a, b: a @ b),
    ('einsum("nk,nk->n", x, y)', lambda x, y: (x * y).sum(1)),
    ('einsum("nk,mk->nm", x, y)', lambda x, y: x @ y.T),
    ('einsum("ni,nj,n->ij", x, y, x[:, 0])', lambda x, y: np.einsum("ni,nj,n->ij", x, y, x[:, 0])),
    ("one_hot(i, 6)", lambda i: np.eye(6, dtype=np.float32)[i]),
    ("iota(N) * t", lambda x, t: np.arange(5, dtype=np.int32) * 2),
    ("iota(2, 3, axis: 1)", lambda: np.array([[0, 1, 2]] * 2, np.int32)),
    ("zeros(N, 2) + 1", lambda x: np.ones((5, 2), np.float32)),
    ("full([2, 2], 1.5)", lambda: np.full((2, 2), 1.5, np.float32)),
    ("pick(x, argmax(x, axis: 1))", lambda x: x.max(1)),
    ("diag(v)", lambda v: np.diag(v)),
    ("lower_triangle(v, 3, offset: -1)", lambda v: np.array([[0, 0, 0], [v[0], 0, 0], [v[1], v[2], 0]])),
    ("for row in w { yield sum(row) }", lambda w: w.sum(1)),
    ("for k in 0..4 { yield w[k] * s }", lambda w, s: w[:4] * s),
    ("{ let mut z = 0.0\n for r in w { z += sum(r) }\n z }", lambda w: w.sum()),
    ("{ let mut z = w\n z[1] = v\n z[:, 0] *= 2\n z }", "assigned"),
    ("{ let mut z = w\n z[t] = 7\n z }", "element"),
    ("{ let mut z = w\n z[t + 9] = 7\n z }", lambda w, t: w),
    ("{ let mut z = w\n z[i] += 1\n z }", "scattered"),
    ("{ let mut z = zeros(2)\n if s > 0 { z = z + 1 }\n z }", lambda s: np.ones(2, np.float32)),
    ("match 3 { 0 | 1 => x, 2..5 => y, _ => x + y }", lambda x, y: y),
    ("match t { 0 => x, 2 => y, _ => x + y }", lambda t, x, y: y),
    ("d * 2 + 1", lambda d: d * 2 + 1),
    ("clip(x, -0.5, 0.5)", lambda x: np.clip(x, -0.5, 0.5)),
    ("max(x, y)", lambda x, y: np.maximum(x, y)),
    ("gelu(x)", "gelu"),
    ("softplus(x)", lambda x: np.log1p(np.exp(x))),
    ("sigmoid(x)", lambda x: 1 / (1 + np.exp(-x))),
    ("silu(x)", lambda x: x / (1 + np.exp(-x))),
    ("leaky_relu(x)", lambda x: np.where(x > 0, x, np.float32(0.01) * x)),
    ("elu(x)", lambda x: np.where(x > 0, x, np.expm1(x))),
    ("grad(|p| sum(p ** 3))(x)", lambda x: 3 * x**2),
    ("value_and_grad(|p, q| sum(p * q), wrt: 1)(x, y)[1]", lambda x, y: x),
    ("grad(|p| sum(grad(|q| sum(q ** 3))(p) * y))(x)", lambda x, y: 6 * x * y),
    ("jvp(|p| p ** 2)(x, y)[1]", lambda x, y: 2 * x * y),
    ("vjp(|p| p ** 2)(x)[1](y)", lambda x, y: 2 * x * y),
    ("stop_gradient(x)", lambda x: x),
]


def assigned(w: Any, v: Any) -> Any:
    z = w.copy()
    z[1] = v
    z[:, 0] *= 2
    return z


def element(w: Any, t: Any) -> Any:
    z = w.copy()
    z[t] = 7
    return z


def scattered(w: Any, i: Any) -> Any:
    z = w.copy()
    z[i] += 1
    return z


def gelu(x: Any) -> Any:
    from math import erf

    return x * 0.5 * (1 + np.vectorize(erf)(x / np.sqrt(2)))


@pytest.mark.parametrize(("text", "meaning"), CASES, ids=[c[0] for c in CASES])
def test_meaning(text: str, meaning: Any) -> None:
    meaning = globals()[meaning] if isinstance(meaning, str) else meaning
    names = meaning.__code__.co_varnames[: meaning.__code__.co_argcount]
    params = ", ".join(f"{n}: {SIG[n][0]}" for n in names)
    arrays = [SIG[n][1] for n in names]
    got = run(f"export fn f({params}) = {text}\n", *arrays)[0]
    want = np.asarray(meaning(*arrays))
    assert got.shape == want.shape
    if want.dtype.kind in "bi":
        assert got.dtype == want.dtype
    np.testing.assert_allclose(got, want, rtol=2e-5, atol=2e-6)


def test_generic_function_serves_every_element_type_and_rank() -> None:
    text = """
    fn twice<E: float>(x: E[*S]) -> E[*S] = x + x
    export fn f(a: f32[2, 3], b: f64[N]) -> (f32[2, 3], f64[N]) = (twice(a), twice(b))
    """
    a, b = run(text, np.ones((2, 3), np.float32), np.ones(4))
    assert a.dtype == np.float32 and b.dtype == np.float64
    assert (a == 2).all() and (b == 2).all()


def test_compile_time_arguments_and_conditions_leave_no_trace() -> None:
    text = """
    const STEPS = 3
    fn power(x: f32[*S], n: int, negate: bool = false) -> f32[*S] {
        let y = if n == 0 { x ** 0 } else { x * power(x, n - 1) }
        if negate { -y } else { y }
    }
    export fn f(x: f32[N]) -> f32[N] = power(x, STEPS, negate: true)
    """
    e = export(text)
    assert not [n for n in e.graph.nodes() if n.op == "select"]
    np.testing.assert_allclose(run(text, np.array([2.0], np.float32))[0], [-8])


def test_mut_parameters_are_in_out() -> None:
    text = """
    struct Pair { a: f32[2], b: f32 }
    fn bump(mut p: Pair, by: f32) { p.a = p.a + by }
    export fn f(mut p: Pair) -> f32 {
        bump(mut p, 1.0)
        bump(mut p, p.b)
        sum(p.a)
    }
    """
    total, a, b = run(text, np.zeros(2, np.float32), np.float32(0.5))
    assert total == 3 and (a == 1.5).all() and b == 0.5
    e = export(text)
    assert e.graph.results[2] is e.graph.params[1]


def test_closures_capture_values_when_they_are_made() -> None:
    text = """
    export fn f(x: f32) -> f32 {
        let mut k = x
        let g = |y| y * k
        k = k + 100
        g(x)
    }
    """
    assert run(text, np.float32(3))[0] == 9


def test_return_leaves_early_under_a_compile_time_condition() -> None:
    text = """
    fn pick_one(x: f32, first: bool) -> f32 {
        if first { return x }
        x + 1
    }
    export fn f(x: f32) -> (f32, f32) = (pick_one(x, true), pick_one(x, false))
    """
    assert [float(v) for v in run(text, np.float32(3))] == [3, 4]


def test_sizes_in_a_result_are_run_time_scalars() -> None:
    rows, both = run(
        "export fn f(x: f32[N, 3]) -> (int, (i32, f32[3])) = (N, (2 * N, x[0]))", np.ones((5, 3), "f4")
    )[:2]
    assert (rows, both) == (5, 10) and rows.dtype == both.dtype == np.int32


def test_jacobian_and_hessian() -> None:
    text = """
    fn g(x: f32[3]) -> f32[2] = [x[0] * x[1], sum(x ** 2)]
    export fn j(x: f32[3]) -> f32[2, 3] = jacobian(g)(x)
    export fn h(x: f32[3]) -> f32[3, 3] = hessian(|x| sum(x ** 3) + x[0] * x[2])(x)
    fn symbolic(x: f32[N]) -> f32[N, N] = jacobian(|x| x * 2)(x)
    """
    x = np.array([1, 2, 3], np.float32)
    np.testing.assert_allclose(run(text, x, name="j")[0], [[2, 1, 0], [2, 4, 6]])
    np.testing.assert_allclose(run(text, x, name="h")[0], [[6, 0, 1], [0, 12, 0], [1, 0, 18]])


def test_close() -> None:
    text = "export fn f(x: f32[2], y: f32[2]) -> bool[] = close(x, y)\n"
    x = np.array([1, 2], np.float32)
    assert run(text, x, x + np.float32(1e-6))[0] and not run(text, x, x + np.float32(1e-3))[0]
