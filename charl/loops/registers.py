"""What registers hold: an element type that a target only stores is computed as the wider one that stands for it.

Enters: a scalar expression as operations give it, and the same made of parts that are in registers. Leaves: its value in
registers. Whatever is computed is brought back to what the type holds (half floats are rounded, integers wrap), so that a
value is the same whether it is fused or stored. Loads convert, and so do stores, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from charl.dtypes import DType, accumulator, boolean, f64, i32, rounded, u32
from charl.graph.scalar import Apply, Const, Expr, IndexValue, Load, Reduce

# Functions whose result the type of their arguments holds, be it a half float or a small integer.
_CLOSED = frozenset(["min", "max", "sign", "floor", "ceil", "round", "trunc"])
_CLOSED_ON = {
    "float": _CLOSED | {"neg", "abs"},
    "int": _CLOSED | {"mod", "bitand", "bitor", "bitxor", "bitnot"},
    "uint": _CLOSED | {"abs", "div", "mod", "bitand", "bitor", "bitxor"},
}


@dataclass(frozen=True)
class Registers:
    """`stored`: names of the element types that lie in memory only."""

    stored: frozenset[str]

    def of(self, t: DType) -> DType:
        """The type of a register for values of type `t`."""
        return accumulator(t) if t.name in self.stored else t

    def settled(self, e: Expr, out: Expr) -> Expr:
        """`e`, whose parts in registers make `out`."""
        if isinstance(e, Apply):
            return self._applied(e, out.children())
        if e.dtype.name not in self.stored:
            return out
        if isinstance(e, Const):
            return Const(_number(e), self.of(e.dtype))
        if isinstance(e, Load):
            return Load(e.source, e.index, self.of(e.dtype))
        if isinstance(e, IndexValue):
            assert isinstance(out, IndexValue)
            return _held(IndexValue(out.index, self.of(e.dtype)), e.dtype)
        if isinstance(e, Reduce):
            assert isinstance(out, Reduce)
            return self.reduced(e, Reduce(out.fn, out.over, out.body, self.of(e.dtype)))
        return out

    def reduced(self, e: Reduce, total: Expr) -> Expr:
        """A reduction, which `total` computes in registers."""
        if e.dtype.name not in self.stored:
            return total
        if e.fn in ("max", "min"):  # of nothing it is the type's own extreme
            return _clamped(total, e.dtype) if e.dtype.is_integer else total
        return _held(total, e.dtype)

    def _applied(self, e: Apply, args: Sequence[Expr]) -> Expr:
        source, t = e.args[-1].dtype, e.dtype
        if not any(x.name in self.stored for x in (t, source)):
            return Apply(e.fn, tuple(args), t)
        if e.fn == "cast":
            return self._cast(args[0], source, t)
        if e.fn == "bitcast":
            return self._bitcast(args[0], source, t)
        out = Apply(e.fn, tuple(args), self.of(t))
        if t == boolean or e.fn == "select" or e.fn in _CLOSED_ON[t.kind]:
            return out
        if e.fn == "shr":  # 0 where the count is at least the width
            bits = Const(t.bits, out.dtype)
            inside = Apply("lt", (args[1], bits), boolean)
            return Apply("select", (inside, out, Const(0, out.dtype)), out.dtype)
        return _held(out, t)

    def _cast(self, x: Expr, source: DType, t: DType) -> Expr:
        wide = self.of(t)
        out = x if x.dtype == wide else Apply("cast", (x,), wide)
        if t.name not in self.stored or source == t:
            return out
        if t.is_half and x.dtype == f64:
            out = Apply("f32_odd", (x,), wide)
        return _clamped(out, t) if source.is_float and t.is_integer else _held(out, t)

    def _bitcast(self, x: Expr, source: DType, t: DType) -> Expr:
        if source.is_half and source.name in self.stored:
            x = Apply(f"{source}_bits", (x,), u32)
        if t.is_half and t.name in self.stored:
            bits = x if x.dtype == u32 else Apply("cast", (x,), u32)
            return Apply(f"{t}_value", (bits,), self.of(t))
        return self._cast(x, x.dtype if x.dtype.is_integer else source, t)


def _number(e: Const) -> float | int:
    """The value of a constant as its type holds it."""
    if e.dtype.is_float:
        return float(rounded(e.value, e.dtype))
    low = -(1 << (e.dtype.bits - 1)) if e.dtype.kind == "int" else 0
    return (int(e.value) - low) % (1 << e.dtype.bits) + low


def _held(x: Expr, t: DType) -> Expr:
    """A number in a register as the nearest (of floats) or the congruent one (of integers) that `t` holds."""
    if t.is_float:
        return Apply(f"{t}_round", (x,), x.dtype)
    if t.kind == "uint":
        return Apply("bitand", (x, Const((1 << t.bits) - 1, u32)), u32)
    empty = Const(32 - t.bits, i32)
    return Apply("shr", (Apply("shl", (x, empty), i32), empty), i32)


def _clamped(x: Expr, t: DType) -> Expr:
    """An integer in a register brought between the least and the greatest number of `t`."""
    low = -(1 << (t.bits - 1)) if t.kind == "int" else 0
    least, greatest = Const(low, x.dtype), Const(low + (1 << t.bits) - 1, x.dtype)
    below = Apply("min", (x, greatest), x.dtype)
    return Apply("max", (below, least), x.dtype) if t.kind == "int" else below
