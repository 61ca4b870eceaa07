"""Lowering without a compiler: planned kernels run on the loop evaluator with 1, 4 and 16 lanes; the verifier; the text."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from charl import dims
from charl.dims import sym
from charl.dtypes import boolean, f32, f64, i32
from charl.errors import InternalError
from charl.graph import evaluate as oracle
from charl.graph.scalar import Apply, Const, IndexValue, Load, Ref
from charl.loops.evaluate import CheckFailed, evaluate
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Check,
    Debug,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Simd,
    Stmt,
    Store,
    Update,
)
from charl.loops.text import print_kernel
from charl.loops.verify import verify
from charl.ops import OPS
from charl.plan.ir import Plan
from tests.c import build, graphs, kernels
from tests.ops.cases import Case, tolerance

SAMPLED = [op.name for op in OPS.values() if op.samples is not None]


def run_plan(plan: Plan, arrays: list[Any], lanes: int) -> list[Any]:
    """The calls of a plan on the loop evaluator; each workspace buffer is an array of its own."""
    results = [np.zeros(tuple(map(int, r.shape)), r.dtype.numpy) for r in plan.export.graph.results]  # type: ignore[arg-type]
    params = [a.copy() for a in arrays]
    arena: dict[int, Any] = {}

    def flat(place: Any) -> Any:
        if place.kind == "parameter":
            return params[place.position].reshape(-1)
        if place.kind == "result":
            return results[place.position].reshape(-1)
        if place.kind == "constant":
            return np.ascontiguousarray(place.data).reshape(-1)
        return arena.setdefault(id(place), np.zeros(dims.evaluate(place.size, {}), place.dtype.numpy))

    for call in plan.calls:
        sizes = {name: dims.evaluate(d, {}) for name, d in zip(call.kernel.dims, call.dims)}
        evaluate(call.kernel, [flat(p) for p in call.places], sizes, lanes)
    return results


@pytest.fixture(scope="module")
def cases() -> dict[str, list[Case]]:
    found: dict[str, list[Case]] = {}
    for case in graphs.merged(orders=(0, 1)):
        found.setdefault(case.op, []).append(case)
    return found


@pytest.mark.parametrize("op", SAMPLED)
def test_lowered_operations(cases: dict[str, list[Case]], op: str) -> None:
    for case in cases[op]:
        plan = build.plan_graph(case.graph)
        for call in plan.calls:
            verify(call.kernel)
        with np.errstate(all="ignore"):
            expected = oracle.evaluate(case.graph, case.arrays)
            for lanes in (4, 16) if case.order == 0 else (4,):
                found = run_plan(plan, case.arrays, lanes)
                for got, wanted in zip(found, expected):
                    kind = tolerance(np.asarray(wanted).dtype, case.order)
                    np.testing.assert_allclose(got, wanted, err_msg=f"{case.id}, {lanes} lanes", **kind)


# ---------------------------------------------------------------- evaluator


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_partial_region_leaves_other_lanes_alone(lanes: int) -> None:
    """softmax adds exp(x - max), which is not 0 in lanes that hold no element."""
    x = np.linspace(-3, 3, 14, dtype=np.float32)
    y = np.zeros(14, np.float32)
    evaluate(kernels.softmax(2, 7), [x, y], lanes=lanes)
    e = np.exp(x.reshape(2, 7) - x.reshape(2, 7).max(1, keepdims=True))
    np.testing.assert_allclose(y.reshape(2, 7), e / e.sum(1, keepdims=True), rtol=1e-6)


def _one(body: tuple[Stmt, ...], *buffers: Buffer) -> Kernel:
    return Kernel("one", buffers, ("N",), (body,))


X, Y = Buffer("x", f32, sym("N"), "input"), Buffer("y", f32, sym("N"), "output")
INDEX, LANE = sym("i.1"), sym("lane.1")


def _load(index: Any) -> Load:
    return Load(X, (index,), f32)


def test_reading_past_the_end_is_an_error() -> None:
    kernel = _one((For("i.1", sym("N"), (Store(Y, INDEX, _load(INDEX + 1)),)),), X, Y)
    with pytest.raises(InternalError, match=r"reads x\[3\] of 3"):
        evaluate(kernel, [np.zeros(3, np.float32), np.zeros(3, np.float32)], {"N": 3})


def test_checks_are_for_debug_builds() -> None:
    holds = Apply("lt", (_load(INDEX), Const(2.0, f32)), boolean)
    kernel = _one((For("i.1", sym("N"), (Debug((Check(holds, "x must be below 2", ()),)),)),), X)
    evaluate(kernel, [np.array([1, 3], np.float32)], {"N": 2})
    with pytest.raises(CheckFailed, match="x must be below 2"):
        evaluate(kernel, [np.array([1, 3], np.float32)], {"N": 2}, checks=True)


# ---------------------------------------------------------------- verifier

_VALUE = _load(INDEX + LANE)
_BROKEN: dict[str, tuple[tuple[Stmt, ...], str]] = {
    "unbound index": ((Store(Y, sym("q"), Const(0.0, f32)),), "q in q is not bound"),
    "undeclared register": ((Store(Y, 0, Ref("t", f32)),), "register t is read"),
    "twice": ((Let("t", Const(0.0, f32)), Let("t", Const(0.0, f32))), "declared twice"),
    "past the end": (
        (For("i.1", sym("N"), (Store(Y, INDEX + sym("N"), Const(0.0, f32)),)),),
        "outside its N elements",
    ),
    "negative": ((For("i.1", sym("N"), (Store(Y, INDEX, _load(-1 - INDEX)),)),), "outside its N elements"),
    "wrong type": ((Store(Y, 0, Const(0, i32)),), "i32 is stored to y"),
    "an input": ((Store(X, 0, Const(0.0, f32)),), "is an input and written"),
    "all lanes": ((Simd("lane.1", 32, None, (Store(Y, 0, _load(LANE)),)),), "all lanes write"),
    "nested": ((Simd("lane.1", 32, None, (Simd("lane.2", 32, None, ()),)),), "inside another"),
    "width": ((Simd("lane.1", 64, None, (Let("t", _load(LANE)),)),), "f32 in a vector of 64-bit elements"),
    "no accumulator": ((Horizontal("t", "add", "s", f32),), "has no lanes"),
    "scalar for lanes": (
        (Accumulator("s", "add", f32), Simd("lane.1", 32, None, (Update("s", "add", _load(LANE)),))),
        "one register s",
    ),
    "outside": (
        (Accumulator("s", "add", f32, True), Update("s", "add", Const(0.0, f32))),
        "outside a vector region",
    ),
    "function": ((Accumulator("s", "add", f32), Update("s", "mul", Const(0.0, f32))), "combines by add"),
    "position": ((Accumulator("s", "argmax", f32), Update("s", "argmax", Const(0.0, f32))), "its position"),
    "condition": ((If(Const(1, i32), ()),), "condition of type i32"),
    "foreign": ((Store(Y, 0, Load(Buffer("z", f32, 1, "input"), (0,), f32)),), "z is not an argument"),
    "bound twice": ((For("i.1", 2, (For("i.1", 2, ()),)),), "bound twice"),
}


@pytest.mark.parametrize("name", list(_BROKEN))
def test_verifier_refuses(name: str) -> None:
    body, message = _BROKEN[name]
    with pytest.raises(InternalError, match=message.replace("[", r"\[")):
        verify(_one(body, X, Y))


def test_verifier_accepts_loops_that_never_run_and_guards() -> None:
    from charl.graph.scalar import Guard

    never = For("i.1", 0, (Store(Y, sym("N") + INDEX, Const(0.0, f32)),))
    guarded = Guard(((INDEX - 1, 0, sym("N")),), _load(-1 - INDEX), Const(0.0, f32))
    verify(_one((never, For("i.2", 1, ()), For("i.1", sym("N"), (Store(Y, INDEX, guarded),))), X, Y))


def test_hand_written_kernels_verify() -> None:
    for kernel in (
        kernels.softmax(2, 5),
        kernels.matmul(4, 9, 3, 2),
        kernels.odd_vectors(f64),
        kernels.scatter(3),
    ):
        verify(kernel)


# ---------------------------------------------------------------- text


def test_text_does_not_depend_on_counters() -> None:
    first = kernels.sum_of_products()
    renamed = first
    text = print_kernel(first)
    assert "simd lane.1 width 32 count min(VL32, -k.1 + N)" in text or "count min(" in text
    assert "vector accumulator %sum.1: f32 add" in text
    assert "let %total.1 = add over lanes of %sum.1" in text
    again = print_kernel(replace(renamed, comment="other"))
    assert again == text
    value = IndexValue(sym("i.77"), i32)
    a = Kernel("k", (), (), ((For("i.77", 3, (Let("t.5", value),)),),))
    b = Kernel("k", (), (), ((For("i.3", 3, (Let("t.9", IndexValue(sym("i.3"), i32)),)),),))
    assert print_kernel(a) == print_kernel(b)
