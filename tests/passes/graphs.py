"""Random well-formed graphs for properties of printers and passes, made from lists of small integers that shrink well."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import strategies as st

from charl import dims, ops
from charl.dtypes import boolean, f32, i32
from charl.graph.ir import Graph, Node, Shape, TensorType

N = dims.sym("N")
SHAPES: tuple[Shape, ...] = ((), (3,), (N,), (1,), (N, 3), (3, 3), (1, 3), (2, 3, N), (3, 1, 2))
UNARY = ("neg", "abs", "tanh", "sin", "exp2_small", "square")
BINARY = ("add", "sub", "mul", "max", "min")
COMPARE = ("lt", "le", "eq", "ne", "ge", "gt")
CONSTANTS = (0.0, 1.0, -1.0, 2.0, -0.0, 0.5, 4.0, 3.0)

programs = st.lists(st.tuples(*(st.integers(0, 1 << 16),) * 4), min_size=1, max_size=25)


class Builder:
    """Grows a pool of nodes; every step picks an operation that fits what is there."""

    def __init__(self) -> None:
        self.params = [ops.parameter(f"p{i}", TensorType(f32, s)) for i, s in enumerate(SHAPES)]
        self.params += [
            ops.parameter("k", TensorType(i32, (3,))),
            ops.parameter("c", TensorType(boolean, (N, 3))),
        ]
        self.pool = list(self.params)
        self.products = 0

    def pick(self, number: int, fits: Any = lambda n: n.dtype == f32) -> Node:
        found = [n for n in self.pool if fits(n)]
        return found[len(found) - 1 - number % len(found)]

    def step(self, op: int, a: int, b: int, c: int) -> None:
        choices = (
            self.unary, self.binary, self.binary, self.constant, self.choice, self.shape, self.shape, self.shape,
            self.shape, self.reduce, self.contract, self.index,
        )  # fmt: skip
        new = choices[op % len(choices)](self.pick(a), a // 31 + b, b, c)
        if new is not None:
            new.name = f"v{len(self.pool)}" if c % 3 == 0 else new.name
            self.pool.append(new)

    def unary(self, x: Node, a: int, b: int, c: int) -> Node:
        name = UNARY[b % len(UNARY)]
        if name == "exp2_small":
            return ops.exp2(ops.tanh(x))
        if name == "square":
            return ops.pow_(ops.tanh(x), ops.full((1, 2, 3, 0)[c % 4], x.type))
        return {"neg": ops.neg, "abs": ops.abs_, "tanh": ops.tanh, "sin": ops.sin}[name](x)

    def binary(self, x: Node, a: int, b: int, c: int) -> Node:
        y = self.pick(b, lambda n: n.type == x.type)
        name = BINARY[c % len(BINARY)]
        if name == "mul":
            self.products += 1
            if self.products > 4:
                name = "add"
        return ops.make(name, x, y)

    def constant(self, x: Node, a: int, b: int, c: int) -> Node:
        y = ops.full(CONSTANTS[b % len(CONSTANTS)], x.type)
        if c % 5 == 0 and all(isinstance(n, int) for n in x.shape):
            y = ops.constant(np.arange(int(np.prod(x.shape)), dtype=np.float32).reshape(x.shape))
        name = ("add", "sub", "mul", "max", "div")[c % 5]
        if name == "div":
            return ops.div(x, ops.full((1, 2, -4, 0.5)[b % 4], x.type))
        return ops.make(name, *((x, y) if a % 2 else (y, x)))

    def choice(self, x: Node, a: int, b: int, c: int) -> Node:
        y = self.pick(b, lambda n: n.type == x.type)
        condition = ops.make(COMPARE[c % len(COMPARE)], x, y)
        if a % 3 == 0:
            condition = ops.not_(condition)
        return ops.select(condition, x, y) if a % 2 else ops.cast(condition, f32)

    def shape(self, x: Node, a: int, b: int, c: int) -> Node | None:
        axis = b % x.rank if x.rank else 0
        kind = c % 8
        if kind == 0:
            places = list(range(x.rank + 1))
            places.pop(b % (x.rank + 1))
            shape = list(x.shape)
            shape.insert(b % (x.rank + 1), (2, 3, N, 1)[a % 4])
            return ops.broadcast(x, shape, places) if x.rank < 4 else None
        if kind == 1:
            target = (
                (*x.shape[:axis], 1, *x.shape[axis:]) if a % 2 and x.rank < 4 else (dims.product(x.shape),)
            )
            return ops.reshape(x, target)
        if kind == 2 and x.rank > 1:
            perm = list(range(x.rank))
            perm = perm[axis:] + perm[:axis] if a % 2 else perm[::-1]
            return ops.transpose(x, perm)
        if kind == 3 and x.rank and isinstance(x.shape[axis], int) and x.shape[axis] > 1:
            start = a % x.shape[axis]
            starts = [start if i == axis else 0 for i in range(x.rank)]
            return ops.slice_(x, starts, [n - s for n, s in zip(x.shape, starts)])
        if kind == 4 and x.rank:
            widths = [a % 3 if i == axis else 0 for i in range(x.rank)]
            return ops.pad(x, widths, widths[::-1], float(a % 2))
        if kind == 5 and x.rank:

            def fits(n: Node) -> bool:
                return n.dtype == f32 and n.rank == x.rank and same_but(n.shape, x.shape, axis)

            return ops.concatenate([x, self.pick(a, fits)], axis)
        if kind == 6 and x.rank:
            return ops.reverse(x, (axis,))
        squeezed = tuple(n for n in x.shape if n != 1)
        return ops.reshape(x, squeezed)

    def reduce(self, x: Node, a: int, b: int, c: int) -> Node | None:
        axes = tuple(i for i in range(x.rank) if (b >> i) & 1)
        if c % 3:
            return ops.reduce_sum(x, axes)
        return ops.reduce_max(x, axes)

    def contract(self, x: Node, a: int, b: int, c: int) -> Node | None:
        y = self.pick(b)
        self.products += 1
        if x.rank + y.rank > 5 or self.products > 4:
            return None
        pairs = [(i, j) for i in range(x.rank) for j in range(y.rank) if x.shape[i] == y.shape[j]]
        chosen: list[tuple[int, int]] = []
        for k, (i, j) in enumerate(pairs):
            if (c >> k) & 1 and all(i != p and j != q for p, q in chosen):
                chosen.append((i, j))
        cut = a % (len(chosen) + 1)
        batch, summed = chosen[:cut], chosen[cut:]
        return ops.contract(
            x, y, (tuple(p for p, _ in batch), tuple(q for _, q in batch)),
            (tuple(p for p, _ in summed), tuple(q for _, q in summed)),
        )  # fmt: skip

    def index(self, x: Node, a: int, b: int, c: int) -> Node | None:
        if not x.rank:
            return None
        axis = b % x.rank
        k = self.params[len(SHAPES)]
        idx = (k, ops.constant(1), ops.iota((2,), 0), ops.full(2, k.type))[c % 4]
        return ops.gather(x, idx, axis)


def same_but(a: Shape, b: Shape, axis: int) -> bool:
    return all(m == n for i, (m, n) in enumerate(zip(a, b)) if i != axis)


def build(program: list[tuple[int, int, int, int]]) -> Graph:
    """The graph of a program; its results are the last values made."""
    builder = Builder()
    for step in program:
        builder.step(*step)
    return Graph("random", builder.params, builder.pool[-3:])


def arguments(graph: Graph, n: int, seed: int = 0) -> list[np.ndarray]:
    """Quarters of small integers, of which sums and products are exact in double precision."""
    rng = np.random.default_rng(seed)
    out = []
    for p in graph.params:
        shape = tuple(dims.evaluate(d, {"N": n}) for d in p.shape)
        values = rng.integers(-6, 7, shape)
        out.append((values / 4).astype(np.float32) if p.dtype == f32 else values.astype(p.dtype.numpy))
    return out
