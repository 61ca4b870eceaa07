"""Nodes on which a rule must fire, and arrays for their parameters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from charl import dtypes, ops
from charl.dtypes import DType
from charl.graph.ir import Node, TensorType, topological
from charl.ops.record import make
from charl.passes.pattern import Apply, Literal, Pattern, Rule, Splat, Var

SHAPES: tuple[tuple[int, ...], ...] = ((), (7,), (2, 1, 3), (0, 4))
DTYPES = (dtypes.f32, dtypes.f64, dtypes.i32, dtypes.i8, dtypes.u32, dtypes.boolean)
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 1e-40, 3e38]


def samples_of(rule: Rule) -> Iterator[Node]:
    """The rule's own samples; without them, its pattern over parameters, for every type and shape it is for."""
    if rule.samples is not None:
        yield from rule.samples()
        return
    for dtype in DTYPES:
        if dtype.kind in rule.kinds and _defined(rule.pattern, dtype):
            for shape in SHAPES:
                yield _instance(rule.pattern, dtype, shape, {})


def _defined(pattern: Pattern, dtype: DType) -> bool:
    try:
        _instance(pattern, dtype, (), {})
    except ops.TypeRuleError:
        return False
    return True


def _instance(pattern: Pattern, dtype: DType, shape: tuple[int, ...], known: dict[str, Node]) -> Node:
    type_ = TensorType(dtype, shape)
    if isinstance(pattern, Literal):
        return ops.full(pattern.value, type_)
    if isinstance(pattern, Splat):
        return known.setdefault(pattern.name, ops.full(3 + len(known), type_))
    if isinstance(pattern, Var):
        return known.setdefault(pattern.name, ops.parameter(pattern.name, type_))
    assert isinstance(pattern, Apply) and pattern.args is not None, pattern
    args = []
    for i, a in enumerate(pattern.args):
        condition = pattern.op == "select" and i == 0
        args.append(_instance(a, dtypes.boolean if condition else dtype, shape, known))
    return make(pattern.op, *args)


def parameters(*nodes: Node) -> list[Node]:
    """Every parameter that the nodes read."""
    return [n for n in topological(nodes) if n.op == "parameter"]


def array(rng: np.random.Generator, node: Node, env: dict[str, int], wild: bool) -> np.ndarray[Any, Any]:
    """Random elements for a parameter; `wild` mixes in NaN, infinities, zeros of both signs and extremes."""
    shape = tuple(n if isinstance(n, int) else env[str(n)] for n in node.shape)
    t = node.dtype.numpy
    if t.kind == "b":
        return rng.random(shape) < 0.5
    if t.kind in "iu":
        limits = np.iinfo(t)
        out = rng.integers(max(limits.min, -5), 6, shape).astype(t)
        extreme = rng.choice(np.array([limits.min, limits.max], t), shape)
        return np.where(rng.random(shape) < (0.2 if wild else 0), extreme, out).astype(t)
    out = rng.normal(size=shape)
    special = rng.choice(SPECIAL, shape)
    with np.errstate(all="ignore"):
        return np.where(rng.random(shape) < (0.5 if wild else 0), special, out).astype(t)
