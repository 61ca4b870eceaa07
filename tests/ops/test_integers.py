"""Integer arithmetic at its edges, against Python's integers: evaluator, C on each instruction set, WGSL.

Every pair of the extremes, of powers of two and their neighbours and of some random numbers, for every integer type; sums and
products wrap around; conversions between all integer types, from floats (which saturate) and to f32 (which rounds to even).
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from charl import ops
from charl.backends.capabilities import WGSL
from charl.dtypes import ALL, DType, accumulator, boolean, f32
from charl.graph.evaluate import evaluate
from charl.graph.ir import Graph, Node, TensorType
from charl.plan.build import plan_export
from tests.c import build

Array = np.ndarray[Any, Any]
INTEGERS = tuple(t for t in ALL.values() if t.is_integer)


def limits(t: DType) -> tuple[int, int]:
    low = -(1 << (t.bits - 1)) if t.kind == "int" else 0
    return low, low + (1 << t.bits) - 1


def wrapped(n: int, t: DType) -> int:
    low, _ = limits(t)
    return (n - low) % (1 << t.bits) + low


def sign(a: int) -> int:
    return (a > 0) - (a < 0)


TWO: dict[str, Callable[[int, int, DType], int]] = {
    "add": lambda a, b, t: a + b,
    "sub": lambda a, b, t: a - b,
    "mul": lambda a, b, t: a * b,
    "div": lambda a, b, t: a // b if b else 0,
    "mod": lambda a, b, t: a % b if b else 0,
    "min": lambda a, b, t: min(a, b),
    "max": lambda a, b, t: max(a, b),
    "bitand": lambda a, b, t: a & b,
    "bitor": lambda a, b, t: a | b,
    "bitxor": lambda a, b, t: a ^ b,
    "shl": lambda a, b, t: a << b if 0 <= b < t.bits else 0,
    "shr": lambda a, b, t: a >> b if 0 <= b < t.bits else 0,
}
ORDER: dict[str, Callable[[int, int], bool]] = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
}
ONE: dict[str, Callable[[int], int]] = {"neg": lambda a: -a, "abs": abs, "sign": sign, "bitnot": lambda a: ~a}


def edges(t: DType) -> list[int]:
    low, high = limits(t)
    near = {
        s * (1 << k) + d
        for k in (0, 1, 3, 7, 8, 15, 16, 24, 31, 32, 53, 63)
        for s in (1, -1)
        for d in (-1, 0, 1)
    }
    rng = random.Random(t.name)
    near |= {rng.randint(low, high) for _ in range(6)} | {low, high, low + 1, high - 1, t.bits}
    return sorted(n for n in near if low <= n <= high)


FLOATS = [
    s * (2.0**k + d)
    for k in (0, 7, 8, 15, 16, 23, 31, 32, 52, 63, 64)
    for s in (1, -1)
    for d in (-1, -0.5, 0, 0.5)
]
FLOATS += [0.0, -0.0, math.inf, -math.inf, math.nan, 3e38, -3e38, 1e-45, 0.99999994, -0.99999994]


def to_integer(x: float, t: DType) -> int:
    low, high = limits(t)
    if math.isnan(x):
        return 0
    return high if x >= high else low if x <= low else int(x)


def to_single(n: int) -> float:
    """The nearest float of 24 bits, ties to even."""
    size = abs(n)
    drop = max(size.bit_length() - 24, 0)
    top, rest = size >> drop, size & ((1 << drop) - 1)
    half = 1 << (drop - 1) if drop else 1
    top += rest > half or (rest == half and top & 1 == 1)
    return float(top << drop) * (1 if n >= 0 else -1)


def parts(t: DType) -> tuple[Graph, list[Array], list[tuple[str, list[Any]]]]:
    """The graph of everything for one type, arrays for it, and what Python says of each result."""
    numbers = edges(t)
    pairs = [(a, b) for a in numbers for b in numbers]
    firsts, seconds = [a for a, _ in pairs], [b for _, b in pairs]
    x = ops.parameter("x", TensorType(t, (len(pairs),)))
    y = ops.parameter("y", TensorType(t, (len(pairs),)))
    z = ops.parameter("z", TensorType(f32, (len(FLOATS),)))
    singles = np.array(FLOATS, np.float32)
    arrays = [np.array(firsts, t.numpy), np.array(seconds, t.numpy), singles]
    found: list[tuple[str, Node, list[Any]]] = []
    for fn, two in TWO.items():
        found.append((fn, ops.make(fn, x, y), [wrapped(two(a, b, t), t) for a, b in pairs]))
    for fn, order in ORDER.items():
        found.append((fn, ops.make(fn, x, y), [order(a, b) for a, b in pairs]))
    for fn, one in ONE.items():
        if fn != "neg" or t.kind == "int":
            found.append((fn, ops.make(fn, x), [wrapped(one(a), t) for a in firsts]))
    for other in INTEGERS:
        if other != t:
            found.append((f"as {other}", ops.cast(x, other), [wrapped(a, other) for a in firsts]))
    found.append(("as bool", ops.cast(x, boolean), [a != 0 for a in firsts]))
    found.append(("as f32", ops.cast(x, f32), [to_single(a) for a in firsts]))
    found.append(("from f32", ops.cast(z, t), [to_integer(float(v), t) for v in singles]))
    wide = accumulator(t)
    found.append(("sum", ops.reduce_sum(x, (0,)), [wrapped(sum(firsts), wide)]))
    found.append(("prod", ops.reduce_prod(ops.bitor(x, ops.full(1, x.type)), (0,)), [product(firsts, wide)]))
    found.append(("max", ops.reduce_max(x, (0,)), [max(firsts)]))
    found.append(("argmin", ops.argmin(x, 0), [firsts.index(min(firsts))]))
    graph = Graph(f"edges_{t}", [x, y, z], [n for _, n, _ in found])
    return graph, arrays, [(name, wanted) for name, _, wanted in found]


def product(numbers: list[int], t: DType) -> int:
    out = 1
    for n in numbers:
        out = wrapped(out * (n | 1), t)
    return out


def compare(results: list[Array], wanted: list[tuple[str, list[Any]]], arrays: list[Array]) -> None:
    for got, (name, values) in zip(results, wanted, strict=True):
        have = got.reshape(-1).tolist()
        bad = [i for i, (h, w) in enumerate(zip(have, values, strict=True)) if h != w]
        at = [
            (int(arrays[0][i]), int(arrays[1][i]), have[i], values[i]) for i in bad[:5] if len(values) > 100
        ]
        assert not bad, f"{name}: {len(bad)} of {len(values)} are wrong, first (x, y, have, want) {at}"


@pytest.mark.parametrize("t", INTEGERS, ids=str)
def test_evaluator(t: DType) -> None:
    graph, arrays, wanted = parts(t)
    with np.errstate(all="ignore"):
        compare(evaluate(graph, arrays), wanted, arrays)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> build.Library:
    out = build.Library("integers", tmp_path_factory.mktemp("integers"))
    for t in INTEGERS:
        out.add_plan(t.name, build.plan_graph(parts(t)[0]))
    return out


@pytest.mark.parametrize("isa", list(build.ISA))
def test_c(library: build.Library, isa: str) -> None:
    if reason := build.missing(isa):
        pytest.skip(reason)
    library.build(isa, ["-O1", *build.WARNINGS])
    for t in INTEGERS:
        _, arrays, wanted = parts(t)
        compare(library.run_plan(isa, t.name, arrays), wanted, arrays)


@pytest.mark.needs_vulkan
@pytest.mark.parametrize("t", INTEGERS, ids=str)
def test_wgsl(t: DType) -> None:
    from tests.wgsl.device import Batch, export_of

    graph, arrays, wanted = parts(t)
    batch = Batch()
    batch.add_plan(plan_export(export_of(graph), WGSL), arrays)
    compare(batch.results()[0], wanted, arrays)
