"""Graphs for conformance suites: every record × sample × gradient order 0, 1, 2.

Enters: the registry. Leaves: `Case`s, each a graph and arrays for its parameters; what the graph should give is what
`charl.graph.evaluate.evaluate` gives. Order 0 is the operation itself; order 1 are the cotangents of its inputs, for a
fixed random cotangent of its result; order 2 are the cotangents of the inputs and of that cotangent, for a random sum of
products of what order 1 gives. `merged` has one graph per operation and order, with the samples side by side.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from charl import ops
from charl.batch import batched
from charl.dtypes import ALL, DType, bf16, f16, f32, f64, i8, i16, i32, i64, rounded, u8, u16, u32, u64
from charl.grad import vjp
from charl.graph.ir import Graph, Node, TensorType
from charl.ops import OPS, Op, make
from charl.ops.record import Sample, TypeRuleError

Array = np.ndarray[Any, Any]


@dataclass
class Case:
    """A graph to run on `arrays`. Unpacks as (id, graph, arrays)."""

    id: str
    graph: Graph
    arrays: list[Array]
    op: str
    order: int
    sample: Sample | None = field(default=None, repr=False)
    wrt: list[int] = field(default_factory=list)  # of gradients: which parameter each result belongs to

    def __iter__(self) -> Iterator[Any]:
        return iter((self.id, self.graph, self.arrays))


def seeded(name: str) -> np.random.Generator:
    """A generator that depends on nothing but `name`."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def samples(op: Op) -> list[Sample]:
    """All samples of an operation, the same every time."""
    return list(op.samples(seeded(op.name))) if op.samples else []


def as_double(s: Sample) -> Sample:
    """The same sample with floats in double precision."""
    arrays = tuple(a.astype(np.float64) if a.dtype.kind == "f" else a for a in s.arrays)
    attrs = {k: f64 if getattr(v, "is_float", False) else v for k, v in s.attrs.items()}
    return Sample(arrays, attrs, s.orders, s.smooth)


def build(
    op: Op, s: Sample, order: int, prefix: str = "", types: Mapping[DType, DType] = MappingProxyType({})
) -> Case | None:
    """The case of one sample at one order, with some element types as others; None where nothing has a derivative."""
    inputs = []
    for i, a in enumerate(s.arrays):
        t = ops.dtype_of(a)
        inputs.append(ops.parameter(f"{prefix}x{i}", TensorType(types.get(t, t), a.shape)))
    arrays = [np.asarray(rounded(a, x.dtype)) for a, x in zip(s.arrays, inputs, strict=True)]
    attrs = {k: types.get(v, v) if isinstance(v, DType) else v for k, v in s.attrs.items()}
    result = make(op.name, *inputs, **attrs)
    if order and op.vjp is None:
        return None
    case = differentiated(f"{op.name}_g{order}", inputs, [result], arrays, order, prefix, op.name)
    if case is not None:
        case.op, case.sample = op.name, s
    return case


def differentiated(
    name: str,
    inputs: Sequence[Node],
    results: list[Node],
    given: Sequence[Array],
    order: int,
    prefix: str = "",
    seed: str = "",
) -> Case | None:
    """The graph of order `order` over `results`; None where nothing has a derivative."""
    rng = seeded(f"cotangents of {seed or name}")
    params, arrays = list(inputs), list(given)
    wrt = [x for x in params if x.dtype.is_float]
    belongs: list[Node] = []
    if order and not any(y.dtype.is_float for y in results):
        return None
    for k in range(order):
        cts = []
        for i, y in enumerate(results):
            shape = tuple(int(n) for n in y.shape)  # type: ignore[arg-type]
            cts.append(ops.parameter(f"{prefix}ct{k}_{i}", y.type))
            arrays.append(np.asarray(rounded(rng.uniform(0.5, 1.5, shape), y.dtype)))
        params += cts
        found = [(x, g) for x, g in zip(wrt, vjp(results, wrt, cts), strict=True) if g is not None]
        if not found:
            return None
        belongs, results = [x for x, _ in found], [g for _, g in found]
        wrt = wrt + cts
    graph = Graph(name, params, results)
    return Case(name, graph, arrays, "", order, None, [params.index(x) for x in belongs])


# What `retyped` makes of samples in turn: the element types that they themselves use little or not at all.
HALVES = ({f32: f16}, {f32: bf16})
INTEGERS = tuple({i32: t} for t in (i64, u64, i8, u8, i16, u16, u32))


def retyped(
    turns: Sequence[Mapping[DType, DType]], orders: Iterable[int] = (0,), only: Iterable[str] | None = None
) -> Iterator[Case]:
    """Every record × sample that has some type, with it as another, sample by sample the next of `turns`.

    What the operation refuses is left out.
    """
    chosen = set(only) if only is not None else None
    for op in OPS.values():
        if (chosen is not None and op.name not in chosen) or op.name in ("bitcast", "constant"):
            continue
        for order in orders:
            for i, s in enumerate(samples(op)):
                types = turns[(i + len(op.name)) % len(turns)]
                given = {ops.dtype_of(a) for a in s.arrays} | {
                    v for v in s.attrs.values() if isinstance(v, DType)
                }
                if not given & types.keys() or s.orders < order:
                    continue
                try:
                    case = build(op, s, order, types=types)
                except TypeRuleError:
                    continue
                if case is not None:
                    to = "_".join(str(t) for t in types.values())
                    case.id, case.graph.name = f"{op.name}-{i}-{to}-g{order}", f"{op.name}_{i}_{to}_g{order}"
                    yield case


LANES = 3


def lanes_of(a: Array, which: int = 0) -> Array:
    """Three arrays like `a`: itself, its elements moved on, and back to front; scalars count on."""
    if a.dtype.kind == "b":
        rows = [a, ~a, a]
    elif a.ndim == 0 and a.dtype.kind in "iu":
        rows = [a, a + a.dtype.type(1), a + a.dtype.type(2 + which)]
    else:
        flat = a.reshape(-1)
        rows = [a, np.roll(flat, 1 + which).reshape(a.shape), flat[::-1].reshape(a.shape)]
    return np.stack([np.asarray(r) for r in rows])


def in_lanes(orders: Iterable[int] = (0, 1), only: Iterable[str] | None = None) -> Iterator[Case]:
    """Every operation, and its gradient, in three lanes at once: all inputs with lanes, and the first alone."""
    for case in graphs(orders, only):
        params = case.graph.params
        if not params or case.order > 1 or not any(a.size for a in case.arrays):
            continue
        for chosen in (params, params[:1])[: 2 if case.order == 0 and len(params) > 1 else 1]:
            whole = [ops.parameter(f"all_{p.name}", TensorType(p.dtype, (LANES, *p.shape))) for p in chosen]
            results = batched(case.graph.results, dict(zip(chosen, whole, strict=True)), LANES)
            name = f"{case.graph.name}_lanes{len(chosen)}"
            arrays = [lanes_of(a, i) for i, a in enumerate(case.arrays[: len(chosen)])]
            graph = Graph(name, [*whole, *params[len(chosen) :]], results)
            rest = case.arrays[len(chosen) :]
            yield Case(f"{case.id}-lanes{len(chosen)}", graph, [*arrays, *rest], case.op, case.order)


def graphs(orders: Iterable[int] = (0, 1, 2), only: Iterable[str] | None = None) -> Iterator[Case]:
    """Every record × sample × gradient order."""
    chosen = set(only) if only is not None else None
    for op in OPS.values():
        if chosen is not None and op.name not in chosen:
            continue
        for order in orders:
            for i, s in enumerate(samples(op)):
                case = build(op, s, order) if s.orders >= order else None
                if case is not None:
                    case.id = f"{op.name}-{i}-g{order}"
                    case.graph.name = f"{op.name}_{i}_g{order}"
                    yield case


def merged(orders: Iterable[int] = (0, 1, 2), only: Iterable[str] | None = None) -> Iterator[Case]:
    """One graph per operation and order: all its samples side by side, results in order of samples."""
    chosen = set(only) if only is not None else None
    for op in OPS.values():
        if chosen is not None and op.name not in chosen:
            continue
        for order in orders:
            cases = [build(op, s, order, f"s{i}_") for i, s in enumerate(samples(op)) if s.orders >= order]
            found = [c for c in cases if c is not None]
            if found:
                params = [p for c in found for p in c.graph.params]
                results = [r for c in found for r in c.graph.results]
                graph = Graph(f"{op.name}_g{order}", params, results)
                arrays = [a for c in found for a in c.arrays]
                yield Case(f"{op.name}-g{order}", graph, arrays, op.name, order)


def tolerance(dtype: np.dtype[Any] | DType, order: int = 0) -> dict[str, float]:
    """How close a backend comes to the evaluator: keyword arguments of `numpy.testing.assert_allclose`."""
    if isinstance(dtype, np.dtype):
        dtype = ALL[dtype.name] if dtype.kind == "b" else ALL[f"{dtype.kind}{8 * dtype.itemsize}"]
    if not dtype.is_float:
        return {"rtol": 0, "atol": 0}
    bits = {"bf16": 1e-2, "f16": 3e-3, "f32": 2e-5, "f64": 1e-11}[dtype.name]
    return {"rtol": bits * 4**order, "atol": bits * 4**order}
