"""The verifier accepts what the operations build and names what is wrong with anything else."""

from __future__ import annotations

import pytest

from charl import dims, ops
from charl.dtypes import f32, i32
from charl.errors import InternalError
from charl.graph.ir import Graph, Node, TensorType
from charl.graph.verify import verify

N = dims.sym("N")


def pair() -> tuple[Node, Node]:
    return ops.parameter("a", TensorType(f32, (N, 3))), ops.parameter("b", TensorType(f32, (3,)))


def test_well_formed() -> None:
    a, b = pair()
    verify(Graph("g", [a, b], [ops.reduce_sum(ops.add(a, ops.broadcast(b, a.shape, (1,))), (0,))]))


def test_undeclared_parameter() -> None:
    a, b = pair()
    with pytest.raises(InternalError, match=r"`b` parameter.*is not its parameter"):
        verify(Graph("g", [a], [ops.neg(b)]))


def test_parameter_listed_twice() -> None:
    a, _ = pair()
    with pytest.raises(InternalError, match="listed twice"):
        verify(Graph("g", [a, a], [a]))


def test_not_a_parameter() -> None:
    a, _ = pair()
    with pytest.raises(InternalError, match="stands among the parameters"):
        verify(Graph("g", [ops.neg(a)], [a]))


def test_wrong_type_names_stage_and_node() -> None:
    a, _ = pair()
    wrong = Node("neg", (a,), {}, TensorType(i32, a.shape), name="h")
    with pytest.raises(InternalError, match=r"fuse: node `h` neg.*should have type f32\[N, 3\]"):
        verify(Graph("g", [a], [wrong]), "fuse")


def test_refused_by_the_type_rule() -> None:
    a, b = pair()
    with pytest.raises(InternalError, match="meets"):
        verify(Graph("g", [a, b], [Node("add", (a, b), {}, a.type)]))


def test_missing_attribute() -> None:
    a, _ = pair()
    with pytest.raises(InternalError, match="type rule of node reduce_sum"):
        verify(Graph("g", [a], [Node("reduce_sum", (a,), {}, a.type)]))


def test_unknown_operation() -> None:
    a, _ = pair()
    with pytest.raises(InternalError, match="unknown operation"):
        verify(Graph("g", [a], [Node("frobnicate", (a,), {}, a.type)]))


def test_unhashable_attribute() -> None:
    a, _ = pair()
    bad = Node("reduce_sum", (a,), {"axes": [0]}, TensorType(f32, (3,)))
    with pytest.raises(InternalError, match="attribute `axes`"):
        verify(Graph("g", [a], [bad]))


def test_cycle() -> None:
    a, _ = pair()
    first = ops.neg(a)
    second = ops.neg(first)
    first.inputs = (second,)
    with pytest.raises(InternalError, match="depends on itself"):
        verify(Graph("g", [a], [second]))


def test_input_that_is_no_node() -> None:
    a, _ = pair()
    with pytest.raises(InternalError, match="is not a node"):
        verify(Graph("g", [a], [Node("neg", (3,), {}, a.type)]))  # type: ignore[arg-type]
