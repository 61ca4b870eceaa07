"""Each pass on small graphs, as text before and after."""

from __future__ import annotations

import pytest

from charl.graph.text import parse_graph, print_graph
from charl.graph.verify import verify
from charl.passes import FOLD, SHARE, SIMPLIFY, optimise

CASES = {
    "what is computed twice is computed once": (
        SHARE,
        """
        %0: f32[N] = parameter "x"
        %1: f32[N] = parameter "y"
        %2: f32[N] = add %0, %1
        %3: f32[N] = add %1, %0
        %4: f32[N] = sub %0, %1
        %5: f32[N] = sub %1, %0
        %6: f32[N] = mul %2, %3
        %7: f32[N] = mul %4, %5
        return %6, %7
        """,
        """
        %0: f32[N] = parameter "x"
        %1: f32[N] = parameter "y"
        %2: f32[N] = add %0, %1
        %3: f32[N] = mul %2, %2
        %4: f32[N] = sub %0, %1
        %5: f32[N] = sub %1, %0
        %6: f32[N] = mul %4, %5
        return %3, %6
        """,
    ),
    "zeros of both signs and equal numbers of different types are not shared": (
        SHARE,
        """
        %0: f32[] = constant [0.0]
        %1: f32[] = constant [-0.0]
        %2: f32[] = constant [0.0]
        %3: i32[] = constant [0]
        return %0, %1, %2, %3
        """,
        """
        %0: f32[] = constant [0.0]
        %1: f32[] = constant [-0.0]
        %2: i32[] = constant [0]
        return %0, %1, %0, %2
        """,
    ),
    "the name of either survives": (
        SHARE,
        """
        %0: f32[N] = parameter "x"
        %1: f32[N] = neg %0
        %2: f32[N] = neg %0  // name="h"
        %3: f32[N] = neg %0  // name="other"
        return %1, %2, %3
        """,
        """
        %0: f32[N] = parameter "x"
        %1: f32[N] = neg %0  // name="h"
        return %1, %1, %1
        """,
    ),
    "random bits of one key and counter are the same": (
        SHARE,
        """
        %0: u32[2] = parameter "key"
        %1: u32[] = parameter "counter"
        %2: u32[N] = random_bits %0, %1 {shape=(N,), word=0}
        %3: u32[N] = random_bits %0, %1 {shape=(N,), word=1}
        %4: u32[N] = random_bits %0, %1 {shape=(N,), word=0}
        return %2, %3, %4
        """,
        """
        %0: u32[2] = parameter "key"
        %1: u32[] = parameter "counter"
        %2: u32[N] = random_bits %0, %1 {shape=(N,), word=0}
        %3: u32[N] = random_bits %0, %1 {shape=(N,), word=1}
        return %2, %3, %2
        """,
    ),
    "constants are computed now": (
        FOLD,
        """
        %0: f32[2] = constant [1.0, 2.0]
        %1: f32[] = reduce_sum %0 {axes=(0,)}
        %2: f32[] = constant [-0.5]
        %3: f32[] = mul %1, %2
        return %3
        """,
        """
        %0: f32[] = constant [-1.5]
        return %0
        """,
    ),
    "a table of one number is a broadcast scalar": (
        FOLD,
        """
        %0: f32[2] = constant [1.0, 2.0]
        %1: f32[2] = sub %0, %0
        return %1
        """,
        """
        %0: f32[] = constant [0.0]
        %1: f32[2] = broadcast %0 {axes=(), shape=(2,)}
        return %1
        """,
    ),
    "counting is no table, but what is costly to make of it is": (
        FOLD,
        """
        %0: f32[3] = iota {axis=0, dtype=#type f32, shape=(3,)}
        %1: f32[3] = add %0, %0
        %2: f32[3] = exp2 %1
        return %1, %2
        """,
        """
        %0: f32[3] = iota {axis=0, dtype=#type f32, shape=(3,)}
        %1: f32[3] = add %0, %0
        %2: f32[3] = constant [1.0, 4.0, 16.0]
        return %1, %2
        """,
    ),
    "large and symbolic constants stay as they are": (
        FOLD,
        """
        %0: f32[] = constant [3.0]
        %1: f32[100, 100] = broadcast %0 {axes=(), shape=(100, 100)}
        %2: f32[100, 100] = neg %1
        %3: f32[N] = broadcast %0 {axes=(), shape=(N,)}
        %4: f32[N] = neg %3
        return %2, %4
        """,
        None,
    ),
    "what depends on a size is not known": (
        FOLD,
        """
        %0: i32[3] = constant [1, 2, 3]
        %1: i32[1] = slice %0 {sizes=(1,), starts=(N,), strides=(1,)}
        %2: i32[] = size_value {dtype=#type i32, size=N}
        return %1, %2
        """,
        None,
    ),
    "x @ w.T reads w where it lies": (
        SIMPLIFY,
        """
        %0: f32[N, 3] = parameter "x"
        %1: f32[5, 3] = parameter "w"
        %2: f32[3, 5] = transpose %1 {perm=(1, 0)}
        %3: f32[N, 5] = contract %0, %2 {batch=((), ()), sum=((1,), (0,))}
        return %3
        """,
        """
        %0: f32[N, 3] = parameter "x"
        %1: f32[5, 3] = parameter "w"
        %2: f32[N, 5] = contract %0, %1 {batch=((), ()), sum=((1,), (1,))}
        return %2
        """,
    ),
    "a transposed gradient is a product of the other order": (
        SIMPLIFY,
        """
        %0: f32[N, 3] = parameter "x"
        %1: f32[N, 5] = parameter "d"
        %2: f32[3, 5] = contract %0, %1 {batch=((), ()), sum=((0,), (0,))}
        %3: f32[5, 3] = transpose %2 {perm=(1, 0)}
        return %3
        """,
        """
        %0: f32[N, 3] = parameter "x"
        %1: f32[N, 5] = parameter "d"
        %2: f32[5, 3] = contract %1, %0 {batch=((), ()), sum=((0,), (0,))}
        return %2
        """,
    ),
    "heads of attention are not moved": (
        SIMPLIFY,
        """
        %0: f32[B, T, 4, 8] = parameter "q"
        %1: f32[B, T, 4, 8] = parameter "k"
        %2: f32[B, 4, T, 8] = transpose %0 {perm=(0, 2, 1, 3)}
        %3: f32[B, 4, 8, T] = transpose %1 {perm=(0, 2, 3, 1)}
        %4: f32[B, 4, T, T] = contract %2, %3 {batch=((0, 1), (0, 1)), sum=((3,), (2,))}
        return %4
        """,
        """
        %0: f32[B, T, 4, 8] = parameter "q"
        %1: f32[B, T, 4, 8] = parameter "k"
        %2: f32[B, 4, T, T] = contract %0, %1 {batch=((0, 2), (0, 2)), sum=((3,), (3,))}
        return %2
        """,
    ),
    "axes kept for broadcasting vanish": (
        SIMPLIFY,
        """
        %0: f32[N, 5] = parameter "x"
        %1: f32[N] = reduce_max %0 {axes=(1,)}
        %2: f32[N, 1] = reshape %1 {shape=(N, 1)}
        %3: f32[N, 5] = broadcast %2 {axes=(0, 1), shape=(N, 5)}
        %4: f32[N, 5] = sub %0, %3
        return %4
        """,
        """
        %0: f32[N, 5] = parameter "x"
        %1: f32[N] = reduce_max %0 {axes=(1,)}
        %2: f32[N, 5] = broadcast %1 {axes=(0,), shape=(N, 5)}
        %3: f32[N, 5] = sub %0, %2
        return %3
        """,
    ),
    "arithmetic on scalars is done once": (
        SIMPLIFY,
        """
        %0: f32[] = parameter "lr"
        %1: f32[] = parameter "s"
        %2: f32[N, 3] = parameter "g"
        %3: f32[N, 3] = broadcast %0 {axes=(), shape=(N, 3)}
        %4: f32[N, 3] = broadcast %1 {axes=(), shape=(N, 3)}
        %5: f32[N, 3] = mul %3, %4
        %6: f32[N, 3] = mul %5, %2
        return %6
        """,
        """
        %0: f32[] = parameter "lr"
        %1: f32[] = parameter "s"
        %2: f32[N, 3] = parameter "g"
        %3: f32[] = mul %0, %1
        %4: f32[N, 3] = broadcast %3 {axes=(), shape=(N, 3)}
        %5: f32[N, 3] = mul %4, %2
        return %5
        """,
    ),
    "weights repeated over a batch are one large product": (
        SIMPLIFY,
        """
        %0: f32[B, T, 3] = parameter "x"
        %1: f32[3, 5] = parameter "w"
        %2: f32[B, 3, 5] = broadcast %1 {axes=(1, 2), shape=(B, 3, 5)}
        %3: f32[B, T, 5] = contract %0, %2 {batch=((0,), (0,)), sum=((2,), (1,))}
        return %3
        """,
        """
        %0: f32[B, T, 3] = parameter "x"
        %1: f32[3, 5] = parameter "w"
        %2: f32[B, T, 5] = contract %0, %1 {batch=((), ()), sum=((2,), (0,))}
        return %2
        """,
    ),
    "an outer product is no contraction": (
        SIMPLIFY,
        """
        %0: f32[N, 1] = parameter "a"
        %1: f32[1, 3] = parameter "b"
        %2: f32[N, 3] = contract %0, %1 {batch=((), ()), sum=((1,), (0,))}
        return %2
        """,
        """
        %0: f32[N, 1] = parameter "a"
        %1: f32[1, 3] = parameter "b"
        %2: f32[N] = reshape %0 {shape=(N,)}
        %3: f32[N, 3] = broadcast %2 {axes=(0,), shape=(N, 3)}
        %4: f32[3] = reshape %1 {shape=(3,)}
        %5: f32[N, 3] = broadcast %4 {axes=(1,), shape=(N, 3)}
        %6: f32[N, 3] = mul %3, %5
        return %6
        """,
    ),
    "a sum over repeated elements is a product by a size": (
        SIMPLIFY,
        """
        %0: f32[3] = parameter "b"
        %1: f32[N, 3] = broadcast %0 {axes=(1,), shape=(N, 3)}
        %2: f32[3] = reduce_sum %1 {axes=(0,)}
        return %2
        """,
        """
        %0: f32[3] = parameter "b"
        %1: f32[] = size_value {dtype=#type f32, size=N}
        %2: f32[3] = broadcast %1 {axes=(), shape=(3,)}
        %3: f32[3] = mul %0, %2
        return %3
        """,
    ),
    "what NaN, infinity or -0 forbid is not done": (
        SIMPLIFY,
        """
        %0: f32[N] = parameter "x"
        %1: f32[] = constant [0.0]
        %2: f32[N] = broadcast %1 {axes=(), shape=(N,)}
        %3: f32[N] = add %0, %2
        %4: f32[N] = mul %0, %2
        %5: f32[N] = sub %0, %0
        %6: f32[N] = div %0, %0
        %7: bool[N] = eq %0, %0
        %8: f32[N] = sub %2, %0
        return %3, %4, %5, %6, %7, %8
        """,
        None,
    ),
    "parts of a concatenation are the parts": (
        SIMPLIFY,
        """
        %0: f32[N, 2] = parameter "a"
        %1: f32[N, 3] = parameter "b"
        %2: f32[N, 5] = concatenate %0, %1 {axis=1}
        %3: f32[N, 3] = slice %2 {sizes=(N, 3), starts=(0, 2), strides=(1, 1)}
        %4: f32[N, 2] = slice %2 {sizes=(N, 2), starts=(0, 1), strides=(1, 1)}
        return %3, %4
        """,
        """
        %0: f32[N, 2] = parameter "a"
        %1: f32[N, 3] = parameter "b"
        %2: f32[N, 5] = concatenate %0, %1 {axis=1}
        %3: f32[N, 2] = slice %2 {sizes=(N, 2), starts=(0, 1), strides=(1, 1)}
        return %1, %3
        """,
    ),
    "learnt positions are a slice of their table": (
        SIMPLIFY,
        """
        %0: f32[64, 8] = parameter "table"
        %1: i32[16] = iota {axis=0, dtype=#type i32, shape=(16,)}
        %2: f32[16, 8] = gather %0, %1 {axis=0, batch=0}
        return %2
        """,
        """
        %0: f32[64, 8] = parameter "table"
        %1: f32[16, 8] = slice %0 {sizes=(16, 8), starts=(0, 0), strides=(1, 1)}
        return %1
        """,
    ),
    "all passes together": (
        lambda g: optimise(g, check=True),
        """
        %0: f32[N, 4] = parameter "x"
        %1: f32[] = constant [3.0]
        %2: f32[] = constant [-1.0]
        %3: f32[N, 4] = broadcast %1 {axes=(), shape=(N, 4)}
        %4: f32[N, 4] = broadcast %2 {axes=(), shape=(N, 4)}
        %5: f32[N, 4] = add %3, %4
        %6: f32[N, 4] = pow %0, %5
        %7: f32[4, N] = transpose %6 {perm=(1, 0)}
        %8: f32[4] = reduce_sum %7 {axes=(1,)}
        return %8
        """,
        """
        %0: f32[N, 4] = parameter "x"
        %1: f32[N, 4] = mul %0, %0
        %2: f32[4] = reduce_sum %1 {axes=(0,)}
        return %2
        """,
    ),
}


def graph_text(body: str) -> str:
    lines = "\n".join(f"  {line.strip()}" for line in body.strip().split("\n"))
    return f"graph g {{\n{lines}\n}}\n"


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_before_and_after(case: tuple) -> None:  # type: ignore[type-arg]
    apply, before, after = case
    graph = parse_graph(graph_text(before))
    verify(graph, "the case")
    new = apply(graph)
    verify(new, "the pass")
    expected = graph_text(after if after is not None else before)
    verify(parse_graph(expected), "what is expected")
    assert print_graph(new) == expected
