"""Sample inputs of elementwise operations, from the domain in their row.

Enters: arity, element types, domain. Leaves: samples of ranks 0 to 5, sizes 0 and 1, odd sizes, ties, NaN and infinity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product

import numpy as np

from charl.dtypes import DType, boolean, f16, f32, f64, i8, i16, i32, i64, u8, u32, u64
from charl.ops.common import Array, array, orders_of, sample
from charl.ops.record import Sample

__all__: list[str] = []  # nothing here is offered as `charl.ops.…`

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, -2.5, float("inf"), float("-inf"), float("nan"))


def _corners(dtype: DType) -> Sequence[float]:
    if dtype == boolean:
        return (False, True)
    if dtype.is_float:
        return SPECIAL
    limits = np.iinfo(dtype.numpy)
    return (
        limits.min,
        limits.max,
        0,
        1,
        2,
        7,
        limits.max - 1,
        *((-1, -2, -7) if dtype.kind == "int" else ()),
    )


def _grid(dtype: DType, arity: int) -> tuple[Array, ...]:
    """Every combination of corner cases."""
    rows = list(product(_corners(dtype), repeat=arity))
    return tuple(np.array([r[k] for r in rows]).astype(dtype.numpy) for k in range(arity))


def samples_of(
    name: str, arity: int, dtypes: Sequence[DType], domain: tuple[float, ...], orders: int
) -> Callable[[np.random.Generator], Iterator[Sample]]:
    """Samples of a function over `domain` (low, high of each argument)."""

    def arrays(rng: np.random.Generator, shape: tuple[int, ...], t: DType) -> tuple[Array, ...]:
        return tuple(array(rng, shape, t, *domain[2 * k : 2 * k + 2]) for k in range(arity))

    def samples(rng: np.random.Generator) -> Iterator[Sample]:
        tested = [t for t in (f32, i32, boolean, f64, i8, i64, u32) if t in dtypes]
        for shape, order in (((), 1), ((17,), 2), ((0, 2), 0), ((1, 3, 1, 2, 3), 0)):
            yield sample(*arrays(rng, shape, tested[0]), orders=min(order, orders))
        if f64 in tested:
            yield sample(*arrays(rng, (2, 1, 3), f64), orders=orders)
        for t in tested:
            yield sample(*_grid(t, arity), orders=0)

    return samples


def select_samples(rng: np.random.Generator, only_value: bool = False) -> Iterator[Sample]:
    """Conditions with two values; with `only_value`, one value alone."""
    for t, shape in (
        (f32, ()),
        (f32, (0, 2)),
        (f32, (19,)),
        (f64, (2, 3)),
        (i32, (2, 1, 3)),
        (boolean, (5,)),
        (i8, (1, 2, 3, 2)),
        (i64, (3, 1, 1, 2, 2)),
    ):
        a, b = array(rng, shape, t), array(rng, shape, t)
        arrays = (a,) if only_value else (array(rng, shape, boolean), a, b)
        yield sample(*arrays, orders=orders_of(t))
    if not only_value:
        values = np.array([np.nan, np.inf, 1, 2], np.float32)
        yield sample([True, False, True, False], values, values[::-1], orders=0)


def cast_samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Between every two kinds, with what does not fit."""
    wild = [0.0, -0.0, 0.9, -0.9, 1.5, -3.7, 300.0, -300.0, 3e9, -3e9, 1e30, -1e30, np.inf, -np.inf, np.nan]
    for to in (i8, u8, i16, i32, u32, i64, u64, boolean, f16, f64):
        yield sample(np.array(wild, np.float32), dtype=to, orders=0)
    for source in (i8, i32, u32, i64, boolean):
        for to in (f32, i8, u8, i32, u32, i64, boolean):
            if source != to:
                yield sample(*_grid(source, 1), dtype=to, orders=0)
    yield sample(array(rng, (), f32), dtype=f64)
    yield sample(array(rng, (3, 5), f64), dtype=f32, orders=0)
    yield sample(array(rng, (2, 0), f32), dtype=f64, orders=1)
    yield sample(array(rng, (2, 1, 3, 1, 2), i32), dtype=f32, orders=0)


def bitcast_samples(rng: np.random.Generator) -> Iterator[Sample]:
    """Between types of four and of eight bytes."""
    values = np.array([0.0, -0.0, 1.0, -2.5, np.inf, 3e-39], np.float32)
    yield sample(values, dtype=u32, orders=0)
    yield sample(values.view(np.int32).reshape(2, 3), dtype=f32, orders=0)
    yield sample(array(rng, (7,), f64), dtype=i64, orders=0)
    yield sample(array(rng, (1, 2, 1, 3, 2), u32, 0, 9), dtype=i32, orders=0)
    yield sample(array(rng, (0, 2), i32), dtype=f32, orders=0)
