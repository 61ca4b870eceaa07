"""Graphs as text: what stands there, and that everything comes back bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from charl import dims, dtypes, ops
from charl.errors import InternalError
from charl.graph.ir import Graph, Node, TensorType, TupleType, at_span
from charl.graph.text import parse_graph, print_graph
from charl.graph.verify import verify
from charl.source import Source, Span

N, M = dims.sym("N"), dims.sym("M")


def test_reads_like_the_example() -> None:
    source = Source("digits.ch", "\n\n  let h = x + y\n")
    x, y = (ops.parameter(n, TensorType(dtypes.f32, (N, 64))) for n in "xy")
    with at_span(Span(source, 10, 15)):
        h = ops.make("add", x, y, hint="h")
    graph = Graph("f", [x, y], [ops.reduce_sum(h, (1,))])
    assert print_graph(graph) == (
        "graph f {\n"
        '  %0: f32[N, 64] = parameter "x"\n'
        '  %1: f32[N, 64] = parameter "y"\n'
        '  %2: f32[N, 64] = add %0, %1  // digits.ch:3 name="h"\n'
        "  %3: f32[N] = reduce_sum %2 {axes=(1,)}\n"
        "  return %3\n"
        "}\n"
    )
    back = parse_graph(print_graph(graph))
    assert print_graph(back) == print_graph(graph, spans=False)


def returned(node: Node) -> Node:
    """`node` after the round trip."""
    params = [n for n in Graph("g", [], [node]).nodes() if n.op == "parameter"]
    graph = Graph("g", params, [node])
    back = parse_graph(print_graph(graph))
    verify(back)
    assert print_graph(back) == print_graph(graph, spans=False)
    return back.results[0]


NUMBERS: dict[str, list[Any]] = {
    "f32": [0.1, -0.0, 1e-45, 3.4028235e38, np.nan, np.inf, -np.inf, 16777216.0, 1 / 3],
    "f64": [0.1, -0.0, 5e-324, 1.7976931348623157e308, np.nan, -np.inf, 1 / 3],
    "f16": [0.1, 65504.0, 6e-8, np.inf],
    "i8": [-128, 127],
    "i64": [-(2**63), 2**63 - 1],
    "u64": [0, 2**64 - 1],
    "bool": [True, False],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_constants_come_back_bit_for_bit(name: str) -> None:
    t = dtypes.ALL[name]
    array = np.array(NUMBERS[name], t.numpy)
    for a in (*(x for x in array), array, np.tile(array, (5, 7))):
        again = returned(ops.constant(a, t))
        assert again.type == TensorType(t, np.shape(a))
        assert ops.constant_array(again).tobytes() == np.asarray(a).tobytes()


def test_unusual_bits_of_nan() -> None:
    bits = np.array([0x7FC00001, 0xFFC12345, 0x3F800000], np.uint32)
    again = returned(ops.constant(bits.view(np.float32)))
    assert ops.constant_array(again).tobytes() == bits.tobytes()


@settings(max_examples=200, derandomize=True)
@given(st.lists(st.floats(width=32), min_size=2, max_size=20))
def test_any_floats(values: list[float]) -> None:
    node = ops.constant(np.array(values, np.float32))
    if node.op == "constant":
        assert ops.constant_array(returned(node)).tobytes() == ops.constant_array(node).tobytes()


@pytest.mark.parametrize(
    "size",
    [
        N,
        N + 1,
        N * M - 3,
        dims.exact_div(N * M, 4),
        dims.exact_div(N * N + N, 2),
        dims.exact_div(N, M),
        dims.floordiv(N + 1, 2),
        dims.ceildiv(N * 40, 64),
        dims.mod(N, 3) + 2 * M,
        dims.maximum(N - 3, M),
        dims.minimum(dims.floordiv(N, 3), M) * N,
        N**3,
    ],
    ids=str,
)
def test_sizes(size: Any) -> None:
    node = returned(ops.size_value(size, dtypes.i32))
    assert node.attrs["size"] == size
    assert returned(ops.parameter("x", TensorType(dtypes.f32, (size, 2)))).shape == (size, 2)


VALUES = (
    None, True, False, 0, -7, 1.5, -0.0, 1e-9, float("inf"), "", 'a "quoted" // name="x"', (), (1,), (1, (2, N)), N - 1,
    b"\x00\xff", dtypes.f32, TensorType(dtypes.i8, (N,)),
)  # fmt: skip


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_attributes(value: Any) -> None:
    graph = Graph("g", [], [Node("anything", (), {"v": value, "w": 1}, TensorType(dtypes.f32, ()))])
    again = parse_graph(print_graph(graph)).results[0].attrs
    assert again["v"] == value and type(again["v"]) is type(value) and again["w"] == 1
    assert repr(again["v"]) == repr(value)


def test_names_and_graphs_with_any_characters() -> None:
    graph = Graph("a b\n", [], [ops.make("iota", hint='x"\\y', shape=(2,), axis=0, dtype=dtypes.i32)])
    back = parse_graph(print_graph(graph))
    assert back.name == "a b\n" and back.results[0].name == 'x"\\y'


def test_regions_nest() -> None:
    x = ops.parameter("x", TensorType(dtypes.f32, ()))
    y = ops.parameter("y", TensorType(dtypes.f32, ()))
    body = Graph("body", [y], [ops.neg(y)])
    pair = TupleType((x.type, x.type))
    loop = Node("loop", (x,), {"count": 3}, pair, regions=(body, body))  # type: ignore[arg-type]
    text = print_graph(Graph("g", [x], [Node("item", (loop,), {"index": 1}, x.type)]))
    back = parse_graph(text)
    assert print_graph(back) == text
    inner = back.results[0].inputs[0]
    assert [r.name for r in inner.regions] == ["body", "body"] and inner.type == pair


def test_no_results() -> None:
    assert parse_graph(print_graph(Graph("g", [], []))).results == []


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "line 1: expected 'graph'"),
        ("graph g {\n  %0: f32[] = neg %1\n  return %0\n}\n", "%1 is used before"),
        ("graph g {\n  %0: f33[] = iota\n}\n", "line 2: f33 is no element type"),
        ("graph g {\n  return\n}\nmore", "line 4: expected the end"),
        ("graph g {\n  %0: f32[] ? 3\n", "line 2: cannot read '? 3"),
        ("graph g {\n  %0: f32[] = iota {axis=#what}\n", "line 2: #what means nothing"),
    ],
)
def test_unreadable_text(text: str, says: str) -> None:
    with pytest.raises(InternalError) as e:
        parse_graph(text)
    assert says in str(e.value)


def test_an_attribute_without_text() -> None:
    with pytest.raises(InternalError, match="has no text"):
        print_graph(Graph("g", [], [Node("x", (), {"v": object()}, TensorType(dtypes.f32, ()))]))
