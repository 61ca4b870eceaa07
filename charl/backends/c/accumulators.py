"""Accumulators: sums and extremes in registers, of one value or of one in each lane.

Enters: their declarations, updates and horizontal reductions, with the printer of their kernel. Leaves: lines of that
kernel, and the registers under which expressions read them. Where lanes are left out, their part is left alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charl import dtypes
from charl.backends.c import spelling
from charl.backends.c.lanes import Register, vector_type
from charl.backends.c.spelling import ATOM, Text, c_type
from charl.graph.scalar import Apply, Const, Expr, IndexValue
from charl.loops.ir import Accumulator, Horizontal, Update
from charl.loops.sinks import identity

if TYPE_CHECKING:
    from charl.backends.c.printer import KernelPrinter


def declare(p: KernelPrinter, s: Accumulator) -> None:
    """The registers of a sum or extreme, with what it starts from."""
    t = s.dtype
    width = p.widths.get(s.name, 32) if t.kind == "bool" else t.bits
    kind = vector_type(t, width) if s.vector else c_type(t)
    initial = s.initial if s.initial is not None else identity(s.fn, t)
    if s.vector and isinstance(initial, Const):
        value = f"{kind}_set1({spelling.literal(initial.value, t).text})"
    else:
        value = p.value(initial, s.vector)
    name, best = p.scope.allocate(s.name), ""
    if s.fn in ("argmax", "argmin"):
        best = p.scope.allocate(f"{name}_best")
        p.emit(f"{kind} {best} = {value};")
        place = "vi64" if width == 64 else "vi32"
        p.emit(f"{place} {name} = {place}_set1(0);" if s.vector else f"int32_t {name} = 0;")
    else:
        p.emit(f"{kind} {name} = {value};")
    p.registers[s.name] = Register(name, t, s.vector, width, best, p.region())


def update(p: KernelPrinter, s: Update) -> None:
    """One more term."""
    r = p.registers[s.name]
    if s.fn in ("argmax", "argmin"):
        _update_position(p, s, r)
    elif r.vector:
        _update_vector(p, s, r)
    else:
        value = p.scalars.expression(s.value)
        if s.fn == "add" and (r.dtype.is_float or r.dtype.name in ("u32", "u64")):
            p.emit(f"{r.name} += {value.text};")
        else:
            new = spelling.function(s.fn, (Text(r.name, ATOM), value), r.dtype, r.dtype)
            p.emit(f"{r.name} = {new.text};")


def _update_vector(p: KernelPrinter, s: Update, r: Register) -> None:
    assert p.vectors is not None
    v, e = p.vectors.type(r.dtype), s.value
    if s.fn == "add" and isinstance(e, Apply) and e.fn == "mul" and r.dtype.is_float and p.vectors.depends(e):
        a, b = (p.vectors.factor(x) for x in e.args)
        new = f"{v}_fma({a}, {b}, {r.name})"
    else:
        new = f"{v}_{s.fn}({r.name}, {p.vectors.vector(e)})"
    same = s.fn == "add" and p.vectors.zero_outside(e)
    mask = None if same or r.region is p.vectors.region else p.vectors.mask()
    p.emit(f"{r.name} = {f'{v}_select({mask}, {new}, {r.name})' if mask else new};")


def _update_position(p: KernelPrinter, s: Update, r: Register) -> None:
    """The first extreme wins, and the first NaN over all."""
    assert s.position is not None
    word = "exceeds" if s.fn == "argmax" else "precedes"
    value, better = p.scope.allocate("candidate"), p.scope.allocate("better")
    if not r.vector:
        place = p.scalars.expression(s.position).text
        p.emit(f"const {c_type(r.dtype)} {value} = {p.scalars.expression(s.value).text};")
        with p.block(f"if ({r.dtype.name}_{word}({value}, {r.best}))"):
            p.emit(f"{r.best} = {value};")
            p.emit(f"{r.name} = {place};")
        return
    assert p.vectors is not None
    v, w = p.vectors.type(r.dtype), r.width
    p.emit(f"const {v} {value} = {p.vectors.vector(s.value)};")
    test = f"{v}_{word}({value}, {r.best})"
    mask = p.vectors.mask()
    test = f"vm{w}_and({mask}, {test})" if mask else test
    p.emit(f"const vm{w} {better} = {test};")
    place = p.vectors.vector(_widened(s.position, w))
    p.emit(f"{r.best} = {v}_select({better}, {value}, {r.best});")
    p.emit(f"{r.name} = vi{w}_select({better}, {place}, {r.name});")


def horizontal(p: KernelPrinter, s: Horizontal) -> None:
    """All lanes of an accumulator as one scalar."""
    r = p.registers[s.source]
    v = vector_type(r.dtype, r.width)
    mask = p.vectors.mask() if p.vectors is not None else None
    value = r.best or r.name
    if mask:
        rest = spelling.literal(identity(s.fn, r.dtype).value, r.dtype).text
        value = f"{v}_select({mask}, {value}, {v}_set1({rest}))"
    place = ""
    if r.best:
        place = f", {r.name}"
        if mask:
            place = f", vi{r.width}_select({mask}, {r.name}, vi{r.width}_set1(INT32_MAX))"
    name = p.scope.allocate(s.name)
    t = dtypes.i32 if r.best else s.dtype
    p.emit(f"const {c_type(t)} {name} = {v}_reduce_{s.fn}({value}{place});")
    p.registers[s.name] = Register(name, t, region=p.region())


def _widened(position: Expr, width: int) -> Expr:
    """A position with elements of the vector's width."""
    t = dtypes.i64 if width == 64 else dtypes.i32
    if isinstance(position, IndexValue):
        return IndexValue(position.index, t)
    return position if position.dtype == t else Apply("cast", (position,), t)
