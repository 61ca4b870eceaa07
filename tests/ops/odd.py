"""Small programs over sizes drawn by hypothesis: 1, primes, and the neighbours of vector widths.

Enters: draws. Leaves: `Case`s as in `cases`, of gradient orders 0 to 2. Backends run them against the evaluator; they are
what fusion and vector code see in practice: rows with statistics, products with epilogues, movement, indices.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from hypothesis import strategies as st

from charl import ops
from charl.dtypes import DType, f32, f64, i32
from charl.graph.ir import Node, TensorType
from tests.ops.cases import Array, Case, differentiated, seeded

SIZES = (1, 2, 3, 5, 7, 8, 9, 13, 15, 16, 17, 31, 33)


class Inputs:
    """Parameters made on demand, with arrays for them."""

    def __init__(self, seed: str, dtype: DType) -> None:
        self.rng, self.dtype = seeded(seed), dtype
        self.nodes: list[Node] = []
        self.arrays: list[Array] = []

    def real(self, *shape: int) -> Node:
        return self._add(self.rng.uniform(0.2, 1.8, shape).astype(self.dtype.numpy), self.dtype)

    def index(self, below: int, *shape: int) -> Node:
        return self._add(self.rng.integers(-1, below + 1, shape).astype(np.int32), i32)

    def _add(self, array: Array, dtype: DType) -> Node:
        node = ops.parameter(f"x{len(self.nodes)}", TensorType(dtype, array.shape))
        self.nodes.append(node)
        self.arrays.append(array)
        return node


def over(x: Node, like: Node, *axes: int) -> Node:
    return ops.broadcast(x, like.shape, axes)


def softmax(p: Inputs, a: int, b: int, c: int) -> Node:
    x = p.real(a, b)
    e = ops.exp(ops.sub(x, over(ops.reduce_max(x, (1,)), x, 0)))
    return ops.div(e, over(ops.reduce_sum(e, (1,)), e, 0))


def layer_norm(p: Inputs, a: int, b: int, c: int) -> Node:
    x = p.real(a, b)
    part = ops.full(1 / b, TensorType(x.dtype, (a,)))
    centred = ops.sub(x, over(ops.mul(ops.reduce_sum(x, (1,)), part), x, 0))
    variance = ops.mul(ops.reduce_sum(ops.mul(centred, centred), (1,)), part)
    scale = ops.rsqrt(ops.add(variance, ops.full(0.1, variance.type)))
    return ops.add(ops.mul(ops.mul(centred, over(scale, x, 0)), over(p.real(b), x, 1)), over(p.real(b), x, 1))


def dense(p: Inputs, a: int, b: int, c: int) -> Node:
    z = ops.contract(p.real(a, b), p.real(b, c), sum=((1,), (0,)))
    return ops.tanh(ops.mul(ops.add(z, over(p.real(c), z, 1)), ops.full(1 / b, z.type)))


def transposed_product(p: Inputs, a: int, b: int, c: int) -> Node:
    x, y = p.real(b, a), ops.transpose(p.real(b, c), (1, 0))
    return ops.contract(ops.mul(x, x), y, sum=((0,), (1,)))


def attention(p: Inputs, a: int, b: int, c: int) -> Node:
    q, k, v = p.real(2, a, b), p.real(2, c, b), p.real(2, c, b)
    s = ops.mul(
        ops.contract(q, k, ((0,), (0,)), ((2,), (2,))), ops.full(0.3 / b, TensorType(q.dtype, (2, a, c)))
    )
    later = ops.gt(ops.iota(s.shape, 2), ops.iota(s.shape, 1))
    w = ops.exp(ops.select(later, ops.full(-np.inf, s.type), s))
    w = ops.div(w, over(ops.reduce_sum(w, (2,)), w, 0, 1))
    return ops.contract(w, v, ((0,), (0,)), ((2,), (1,)))


def outer_sums(p: Inputs, a: int, b: int, c: int) -> Node:
    x = p.real(a, b, c)
    return ops.sqrt(ops.reduce_sum(ops.mul(x, over(p.real(a, c), x, 0, 2)), (0, 2)))


def columns(p: Inputs, a: int, b: int, c: int) -> Node:
    x = p.real(a, b)
    return ops.mul(ops.reduce_sum(ops.log(x), (0,)), ops.reduce_min(x, (0,)))


def movement(p: Inputs, a: int, b: int, c: int) -> Node:
    x = ops.concatenate([p.real(a, b), ops.reverse(p.real(c, b), (0,))], 0)
    x = ops.pad(ops.transpose(x, (1, 0)), (0, 1), (2, 0), 0.5)
    x = ops.slice_(x, (0, 0), (x.shape[0], (int(x.shape[1]) + 1) // 2), (1, 2))  # type: ignore[arg-type]
    return ops.mul(x, ops.sin(x))


def regrouped(p: Inputs, a: int, b: int, c: int) -> Node:
    x = ops.reshape(p.real(a, 6, b), (a * 2, 3 * b))
    return ops.reduce_sum(ops.exp(ops.reshape(x, (2 * a, 3, b))), (1,))


def prefix_sums(p: Inputs, a: int, b: int, c: int) -> Node:
    return ops.mul(ops.cumsum(p.real(a, b), 1), ops.cumsum(p.real(a, b), 0))


def lookup(p: Inputs, a: int, b: int, c: int) -> Node:
    table, idx = p.real(a, b), p.index(a, c)
    return ops.exp(ops.gather(table, idx, 0))


def picked(p: Inputs, a: int, b: int, c: int) -> Node:
    x = p.real(a, b)
    logs = ops.log(ops.reduce_sum(ops.exp(x), (1,)))
    return ops.reduce_sum(ops.sub(logs, ops.gather(x, p.index(b, a), 1, 1)), (0,))


def scattered(p: Inputs, a: int, b: int, c: int) -> Node:
    out = ops.scatter_add(p.real(a, b), p.index(a, c), ops.sqrt(p.real(c, b)), 0)
    return ops.mul(out, out)


def window(p: Inputs, a: int, b: int, c: int) -> Node:
    x, at = p.real(a + 2, b), p.index(a)
    zero = ops.constant(0)
    seen = ops.dynamic_slice(x, [at, zero], (a, b))
    return ops.dynamic_update(ops.mul(x, x), ops.exp(seen), [at, zero])


def chain(p: Inputs, a: int, b: int, c: int) -> Node:
    x, y, side = p.real(a, b, c), p.real(a, b, c), p.index(2, a, b, c)
    z = ops.div(ops.atan(ops.mul(x, y)), ops.add(x, ops.expm1(y)))
    first = ops.lt(
        side, ops.full(1, side.type)
    )  # not x < y: where they all but meet, a difference quotient jumps
    return ops.select(first, ops.pow_(x, y), ops.mul(z, ops.erf(x)))


FAMILIES: dict[str, Callable[[Inputs, int, int, int], Node]] = {
    f.__name__: f
    for f in (
        softmax,
        layer_norm,
        dense,
        transposed_product,
        attention,
        outer_sums,
        columns,
        movement,
        regrouped,
        prefix_sums,
        lookup,
        picked,
        scattered,
        window,
        chain,
    )
}


def case(family: str, sizes: tuple[int, int, int], order: int, dtype: DType = f32) -> Case:
    """One program at one set of sizes and one gradient order."""
    name = f"{family}_{'x'.join(map(str, sizes))}_g{order}"
    p = Inputs(f"{family} {sizes}", dtype)
    result = FAMILIES[family](p, *sizes)
    found = differentiated(name, p.nodes, [result], p.arrays, order, seed=f"{family} {sizes}")
    assert found is not None, name
    return found


def cases(max_order: int = 2, dtype: DType = f32, largest: int = 33) -> st.SearchStrategy[Case]:
    """A strategy of cases; draw lists of them where building one at a time is dear."""
    size = st.sampled_from([n for n in SIZES if n <= largest])
    return st.builds(
        case,
        st.sampled_from(sorted(FAMILIES)),
        st.tuples(size, size, size),
        st.integers(0, max_order),
        st.just(dtype),
    )


def doubles(family: str, sizes: tuple[int, int, int], order: int) -> tuple[Case, Case]:
    """The cases of one order below and of `order`, in double precision."""
    return case(family, sizes, order - 1, f64), case(family, sizes, order, f64)
