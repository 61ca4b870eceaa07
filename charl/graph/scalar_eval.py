"""Evaluates scalar expressions at many index points at once.

Enters: an expression, values of its index symbols (one integer, or an array of one per point), and arrays for what it
loads. Leaves: one value per point. A load outside its array is an error, never a wrong value, except that what stands
behind a `Guard` is evaluated only at the points inside it. Uses no operation's `ref` but that of scalar functions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from math import lcm
from typing import Any, TypeAlias

import numpy as np

from charl import dims
from charl.dtypes import DType, bf16, boolean, f16, i32, loaded, odd, rounded, stored
from charl.errors import InternalError
from charl.graph.ir import Node
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce, Ref, Size
from charl.ops import OPS, threefry2x32
from charl.ops.numeric import in_single

Array: TypeAlias = np.ndarray[Any, Any]
Fetch: TypeAlias = Callable[[Any, tuple[Array, ...]], Array]


def element_values(node: Node, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> Array:
    """Every element of `node` by the index-level meaning of its operation, from arrays for its inputs."""
    shape = tuple(dims.evaluate(n, sizes or {}) for n in node.shape)
    names = [f"at.{k}" for k in range(len(shape))]
    expr = OPS[node.op].at(node, tuple(dims.sym(n) for n in names))
    count = int(np.prod(shape))
    grid = np.indices(shape).reshape(len(shape), count)
    env: dict[str, Any] = {**(sizes or {}), **dict(zip(names, grid, strict=True))}
    sources = dict(zip(node.inputs, arrays, strict=True))
    if node.op == "constant":
        sources[node] = OPS["constant"].ref((), node.attrs, shape)
    found = ScalarEvaluator(lambda source, index: sources[source][index]).values(expr, env, count)
    return found.reshape(shape)


class ScalarEvaluator:
    """Values of expressions; `fetch(source, index)` loads at arrays of indices, `registers` holds what `Ref` names."""

    def __init__(self, fetch: Fetch, registers: Mapping[str, Array] | None = None) -> None:
        self.fetch = fetch
        self.registers = registers or {}

    def values(self, expr: Expr, env: Mapping[str, Any], count: int) -> Array:
        """The values at `count` points; symbols of `env` are integers or arrays of `count`."""
        with np.errstate(all="ignore"):
            return self._expr(expr, env, count)

    def _expr(self, e: Expr, env: Mapping[str, Any], count: int) -> Array:
        if isinstance(e, Const):
            return np.full(count, e.value, e.dtype.numpy)
        if isinstance(e, IndexValue):
            return self.size(e.index, env, count).astype(e.dtype.numpy)
        if isinstance(e, Load):
            return self._load(e, env, count)
        if isinstance(e, Apply):
            return self._apply(e, env, count)
        if isinstance(e, Guard):
            return self._guard(e, env, count)
        if isinstance(e, Reduce):
            return self._reduce(e, env, count)
        if isinstance(e, Ref):
            return np.broadcast_to(self.registers[e.name], (count,))
        raise InternalError("scalar_eval", f"no meaning for {type(e).__name__}")

    def _load(self, e: Load, env: Mapping[str, Any], count: int) -> Array:
        index = tuple(self.size(i, env, count) for i in e.index)
        if any((i < 0).any() for i in index):
            raise InternalError("scalar_eval", f"{e} is read at a negative index")
        if count == 0:
            return np.zeros(0, e.dtype.numpy)
        found = np.asarray(self.fetch(e.source, index))
        if e.dtype != e.source.dtype:  # a load that converts
            found = found.astype(e.dtype.numpy)
        return np.broadcast_to(found, (count,))

    def _apply(self, e: Apply, env: Mapping[str, Any], count: int) -> Array:
        args = [self._expr(a, env, count) for a in e.args]
        if e.fn.startswith("threefry"):
            return threefry2x32(*args)[1 if e.fn == "threefry1" else 0]
        if e.fn in _HALVES:
            return _HALVES[e.fn](args[0])
        return in_single(OPS[e.fn].ref, e.fn, e.dtype)(args, {"dtype": e.dtype}, (count,))

    def _guard(self, e: Guard, env: Mapping[str, Any], count: int) -> Array:
        inside = np.ones(count, bool)
        for i, low, high in e.ranges:
            at, bottom, top = (self.size(x, env, count) for x in (i, low, high))
            inside &= (at >= bottom) & (at < top)
        out = np.empty(count, e.dtype.numpy)
        for mask, branch in ((inside, e.then), (~inside, e.other)):
            if mask.any():
                out[mask] = self._expr(branch, _only(env, mask), int(mask.sum()))
        return out

    def _reduce(self, e: Reduce, env: Mapping[str, Any], count: int) -> Array:
        state = _Reduction(e.fn, e.body.dtype, count)

        def step(level: int, env: Mapping[str, Any], points: Array, position: Array) -> None:
            if level == len(e.over):
                state.update(points, self._expr(e.body, env, len(points)), position)
                return
            name, extent = e.over[level]
            n = self.size(extent, env, len(points))
            for k in range(int(n.max(initial=0))):
                mask = k < n
                inner = {**_only(env, mask), name: k}
                step(level + 1, inner, points[mask], (position * n + k)[mask])

        step(0, env, np.arange(count), np.zeros(count, np.int64))
        return state.result(e.dtype)

    def size(self, x: Size, env: Mapping[str, Any], count: int) -> Array:
        """A size or index at every point, as int64."""
        if isinstance(x, int):
            return np.full(count, x, np.int64)
        den = lcm(*(Fraction(c).denominator for _, c in x.terms))
        total = np.zeros(count, np.int64)
        for monomial, c in x.terms:
            above = np.full(count, int(Fraction(c) * den), np.int64)
            below = np.ones(count, np.int64)
            for a, p in monomial:
                value = self._atom(a, env, count)
                above, below = (above * value**p, below) if p > 0 else (above, below * value**-p)
            if (above % below).any():
                raise InternalError("scalar_eval", f"a division in {x} is not exact")
            total = total + above // below
        if (total % den).any():
            raise InternalError("scalar_eval", f"{x} is not an integer")
        return total // den

    def _atom(self, a: dims.Atom, env: Mapping[str, Any], count: int) -> Array:
        if isinstance(a, dims.Sym):
            return np.broadcast_to(np.asarray(env[a.name], np.int64), (count,))
        if isinstance(a, dims.Value):
            return self._expr(a.expr, env, count).astype(np.int64)
        x, y = (self.size(arg, env, count) for arg in a.args)
        return np.asarray(_INTEGER_FUNCTIONS[a.name](x, y))


def _bits(x: Array, t: DType) -> Array:
    return np.asarray(stored(rounded(x, t), t).view(np.uint16).astype(np.uint32))


def _value(x: Array, t: DType) -> Array:
    return np.asarray(loaded(x.astype(np.uint16).view(t.memory), t).astype(np.float32))


def _halves() -> dict[str, Callable[[Array], Array]]:
    """The functions of half floats in registers."""
    out: dict[str, Callable[[Array], Array]] = {}
    for t in (f16, bf16):
        out[f"{t}_round"] = lambda x, t=t: rounded(x, t).astype(np.float32)  # type: ignore[misc]
        out[f"{t}_bits"] = lambda x, t=t: _bits(x, t)  # type: ignore[misc]
        out[f"{t}_value"] = lambda x, t=t: _value(x, t)  # type: ignore[misc]
    out["f32_odd"] = odd
    return out


_HALVES = _halves()

_INTEGER_FUNCTIONS: dict[str, Callable[[Array, Array], Any]] = {
    "floordiv": np.floor_divide,
    "ceildiv": lambda x, y: -np.floor_divide(-x, y),
    "mod": np.mod,
    "min": np.minimum,
    "max": np.maximum,
}


def _only(env: Mapping[str, Any], mask: Array) -> dict[str, Any]:
    return {k: v[mask] if isinstance(v, np.ndarray) and v.ndim else v for k, v in env.items()}


class _Reduction:
    """Accumulators of many points, updated in order."""

    def __init__(self, fn: str, dtype: DType, count: int) -> None:
        self.fn = fn
        self.best = np.full(count, _identity(fn, dtype), dtype.numpy)
        self.where = np.zeros(count, np.int64)
        self.seen = np.zeros(count, bool)

    def update(self, points: Array, values: Array, position: Array) -> None:
        old = self.best[points]
        if self.fn in ("argmax", "argmin"):
            better = values > old if self.fn == "argmax" else values < old
            nan = np.isnan(values) & ~np.isnan(old) if values.dtype.kind == "f" else False
            # Nothing beats a NaN, and the first value always counts (-inf is not greater than the start).
            better = (better & (old == old)) | nan | ~self.seen[points]
            self.best[points] = np.where(better, values, old)
            self.where[points] = np.where(better, position, self.where[points])
        else:
            self.best[points] = OPS[self.fn].ref((old, values), {}, values.shape)
        self.seen[points] = True

    def result(self, dtype: DType) -> Array:
        if self.fn in ("argmax", "argmin"):
            return self.where.astype(i32.numpy)
        return self.best.astype(dtype.numpy)


def _identity(fn: str, dtype: DType) -> Any:
    if fn in ("add", "mul"):
        return 0 if fn == "add" else 1
    if dtype == boolean:
        return fn == "and"
    low = fn in ("max", "argmax")
    if dtype.is_float:
        return -np.inf if low else np.inf
    limits = np.iinfo(dtype.numpy)
    return limits.min if low else limits.max
