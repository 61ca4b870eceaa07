"""Vector expressions as calls of the SIMD headers.

Enters: expressions inside a `Simd` region. Leaves: the text of a vector (or mask), and statements that must stand
before it: branches of lazy guards, and the small loops over lanes that compute what has no vector form. Never
chooses a vector width: the region has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from charl import dims, dtypes
from charl.backends.c import spelling
from charl.backends.c.lanes import (
    Region,
    below,
    lane_depends,
    reads_memory,
    references,
    run_time_values,
    size_depends,
    vector_type,
)
from charl.backends.c.scalars import Scalars, is_variable, moved
from charl.backends.c.spelling import ATOM, Text
from charl.dtypes import DType
from charl.errors import InternalError
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref, Size
from charl.loops.ir import Buffer

if TYPE_CHECKING:
    from charl.backends.c.printer import KernelPrinter

_MASK_LOGIC = {
    "and": "and",
    "or": "or",
    "min": "and",
    "mul": "and",
    "max": "or",
    "add": "or",
    "eq": "eq",
    "ne": "ne",
}


def converting(memory: DType, register: DType) -> str:
    """What the names of functions between vectors and memory say where the elements there are of another type."""
    return "" if memory == register else f"_{memory}"


class Vectors:
    """Spells the vectors of one region."""

    def __init__(self, host: KernelPrinter, region: Region) -> None:
        self.host = host
        self.region = region
        self._memo: dict[int, tuple[Expr, bool]] = {}
        # of the loop that is printed: what turns read again, and names of factors of its sums
        self.again: frozenset[Buffer] = frozenset()
        self.factors: frozenset[str] = frozenset()
        self.shared: frozenset[str] = frozenset()  # names of vectors that a few products of the region share

    def depends(self, e: Expr) -> bool:
        return lane_depends(e, self.region, self.host.registers, self._memo)

    def _varies(self, x: Size) -> bool:
        return size_depends(x, self.region, self.host.registers, self._memo)

    def type(self, t: DType) -> str:
        if not self._fits(t):
            raise InternalError("backends.c", f"{t} in a vector of {self.region.width}-bit elements")
        return vector_type(t, self.region.width)

    def _fits(self, t: DType) -> bool:
        return t.kind == "bool" or t.bits == self.region.width

    def stride(self, index: Size) -> Size | None:
        """Coefficient of an index along the lanes; None where it has none."""
        if isinstance(index, int):
            return 0
        if any(self.depends(e) for e in run_time_values(index)):
            return None
        return dims.coefficient(index, self.region.lane)

    def base(self, index: Size) -> Size:
        """An index at lane 0."""
        return dims.substitute(index, {self.region.lane: 0})

    def pointer(self, buffer: Buffer, index: Size) -> str:
        """Address of the element at lane 0."""
        first = self.base(index)
        name = ("&" if is_variable(buffer) else "") + self.host.buffer(buffer)
        if first == 0:
            return name
        text = self.host.scalars.size(first).text
        if self._guarded and buffer.dtype.kind != "bool":
            return f"{buffer.dtype}_near({name}, {text})"
        return moved(name, first, text)

    @property
    def _guarded(self) -> bool:
        """Whether lanes are left out by a condition on an index, so that the first may lie outside of what is read."""
        return self.region.mask is not None and self.region.count is None

    # ------------------------------------------------------------ masks

    def mask(self) -> str | None:
        """The mask of lanes that take part; None where all do."""
        region = self.region
        if region.mask is None and region.count is not None:
            region.mask = region.name
            assert region.slot is not None
            lines, where, indent = region.slot
            m = f"vm{region.width}"
            lines[where] = f"{indent}const {m} {region.mask} = {m}_range(0, {region.count.text});"
        return region.mask

    @contextmanager
    def masked(self, mask: str) -> Iterator[None]:
        """Only lanes of `mask` (already combined with the region's) take part in what is printed inside."""
        kept, self.region.mask = self.region.mask, mask
        count, self.region.count = self.region.count, None
        yield
        self.region.mask, self.region.count = kept, count

    def narrowed(self, condition: str, wanted: str = "inside") -> str:
        """Name of the mask `condition` and the region's own."""
        outer = self.mask()
        w = self.region.width
        text = f"vm{w}_and({outer}, {condition})" if outer else condition
        name = self.host.scope.allocate(wanted)
        self.host.emit(f"const vm{w} {name} = {text};")
        return name

    # ------------------------------------------------------------ expressions

    def vector(self, e: Expr) -> str:
        """The vector of `e`'s values in all lanes that take part (zero or anything in others)."""
        if not self.depends(e):
            return f"{self.type(e.dtype)}_set1({self.host.scalars.expression(e).text})"
        if isinstance(e, Ref):
            return self.host.registers[e.name].name
        if not self._fits(e.dtype):
            raise InternalError("backends.c", f"{e.dtype} in a vector of {self.region.width}-bit elements")
        if isinstance(e, Load):
            return self._load(e)
        if isinstance(e, IndexValue):
            return self._index_value(e)
        if isinstance(e, Guard):
            return self._guard(e)
        if isinstance(e, Apply):
            return self._apply(e)
        raise InternalError("backends.c", f"{type(e).__name__} in a vector")

    def spreads(self, e: Expr) -> bool:
        """Whether a factor of what a loop sums is one element for all lanes, and to be read from memory in each turn."""
        if not isinstance(e, Load) or e.source not in self.again or self.depends(e) or self._guarded:
            return False
        plain = e.source.dtype == e.dtype and not is_variable(e.source)
        return plain and e.dtype.name in ("f32", "f64") and self._fits(e.dtype)

    def factor(self, e: Expr) -> str:
        """The vector of a factor of what is summed."""
        if isinstance(e, Load) and self.spreads(e):
            return f"{self.type(e.dtype)}_spread({self.pointer(e.source, e.index[0])})"
        return self.vector(e)

    def _load(self, e: Load) -> str:
        stride = self.stride(e.index[0])
        if stride is None or e.dtype.kind == "bool":
            return self.by_lane(e)
        mask = self.mask()
        args = [self.pointer(e.source, e.index[0])]
        name = f"{self.type(e.dtype)}_load{converting(e.source.dtype, e.dtype)}"
        if stride != 1:
            name += "_strided"
            args.append(self.host.scalars.size(stride).text)
        if mask:
            name += "_mask"
            args.append(mask)
        return f"{name}({', '.join(args)})"

    def _index_value(self, e: IndexValue) -> str:
        stride = self.stride(e.index)
        if stride is None or e.dtype.kind == "bool":
            return self.by_lane(e)
        size = self.host.scalars.size
        first, step = size(self.base(e.index)), size(stride)
        if e.dtype.is_float:
            i = dtypes.i32 if e.dtype.bits == 32 else dtypes.i64
            return f"{self.type(e.dtype)}_from_{i.name}({self._ramp(i, first, step)})"
        return self._ramp(e.dtype, first, step)

    def _ramp(self, t: DType, first: Text, step: Text) -> str:
        ctype = spelling.c_type(t)
        args = [x.text if x.text.isdigit() else spelling.cast(ctype, x).text for x in (first, step)]
        return f"{self.type(t)}_ramp({args[0]}, {args[1]})"

    def _apply(self, e: Apply) -> str:
        source = e.args[-1].dtype
        if not all(self._fits(a.dtype) for a in e.args):
            return self.by_lane(e)
        if terms := _literal_and_product(e):
            return f"{self.type(e.dtype)}_fma({', '.join(map(self.vector, terms))})"
        if bound := _bound(e):
            fn = "most" if e.fn == "max" else "least"
            return f"{self.type(e.dtype)}_{fn}({', '.join(map(self.vector, bound))})"
        args = [self.vector(a) for a in e.args]
        w = self.region.width
        if e.fn == "not":
            return f"vm{w}_not({args[0]})"
        if e.fn == "cast":
            return self._conversion(args[0], source, e.dtype)
        if e.fn == "bitcast":
            same = source == e.dtype
            return args[0] if same else f"{self.type(e.dtype)}_of_bits_{source.name}({args[0]})"
        if source.kind == "bool" and e.fn != "select":
            return self._on_masks(e.fn, args)
        return f"{self.type(source)}_{e.fn}({', '.join(args)})"

    def _on_masks(self, fn: str, args: list[str]) -> str:
        m = f"vm{self.region.width}"
        if fn in _MASK_LOGIC:
            return f"{m}_{_MASK_LOGIC[fn]}({args[0]}, {args[1]})"
        a, b = args if fn in ("lt", "le") else args[::-1]
        return f"{m}_{'and' if fn in ('lt', 'gt') else 'or'}({m}_not({a}), {b})"

    def _conversion(self, x: str, source: DType, result: DType) -> str:
        if source == result:
            return x
        if result.kind == "bool":
            v = self.type(source)
            zero = spelling.literal(0.0 if source.is_float else 0, source).text
            return f"{v}_ne({x}, {v}_set1({zero}))"
        if source.kind == "bool":
            v = self.type(result)
            one, zero = (spelling.literal(float(b) if result.is_float else b, result).text for b in (1, 0))
            return f"{v}_select({x}, {v}_set1({one}), {v}_set1({zero}))"
        return f"{self.type(result)}_from_{source.name}({x})"

    def zero_outside(self, e: Expr) -> bool:
        """Whether the lanes that do not take part hold 0: what is loaded there, and sums and products of that."""
        if isinstance(e, Load):
            return self.stride(e.index[0]) not in (None, 0)
        if isinstance(e, Ref):
            return self.host.registers[e.name].zero
        if isinstance(e, Apply) and e.fn in ("add", "sub", "mul"):
            return all(self.zero_outside(a) for a in e.args)
        return False

    # ------------------------------------------------------------ guards

    def _guard(self, e: Guard) -> str:
        if self.host.scalars.never(e):
            return self.vector(e.other)
        uniform = tuple(r for r in e.ranges if not any(self._varies(x) for x in r))
        if len(uniform) == len(e.ranges):
            return self._uniform_guard(e)
        if uniform and self._reads_one(e.then):  # no mask holds back what all lanes read at one place
            varying = tuple(r for r in e.ranges if r not in uniform)
            return self._uniform_guard(Guard(uniform, Guard(varying, e.then, e.other), e.other))
        condition = self._range_mask(e)
        if condition is None:
            return self.by_lane(e)
        inside = self.narrowed(condition)
        zero = isinstance(e.other, Const) and not e.other.value
        with self.masked(inside):
            then = self.vector(e.then)
        if zero and isinstance(e.then, Load) and "_mask(" in then:
            return then
        return f"{self.type(e.dtype)}_select({inside}, {then}, {self._other(e, inside)})"

    def _reads_one(self, e: Expr) -> bool:
        """Whether all lanes read some element at one place."""
        return any(isinstance(x, Load) and not self.depends(x) for x in below(e))

    def _other(self, e: Guard, inside: str) -> str:
        """The value outside a guard's ranges: only there is what it reads known to be in bounds."""
        if not reads_memory(e.other):
            return self.vector(e.other)
        at = len(self.host.lines)
        outside = self.narrowed(f"vm{self.region.width}_not({inside})", "outside")
        with self.masked(outside):
            text = self.vector(e.other)
        later = [line for line in (*self.host.lines[at + 1 :], text) if line is not None]
        if not re.search(rf"\b{outside}\b", "\n".join(later)):
            self.host.lines[at] = None  # what is read is the same in all lanes
        return text

    def _uniform_guard(self, e: Guard) -> str:
        condition = self.host.scalars.condition(e)
        if condition is None:
            return self.vector(e.then)
        name = self.host.scope.allocate("guarded")
        lazy = reads_memory(e.other)
        first = "" if lazy else f" = {self.vector(e.other)}"
        self.host.emit(f"{self.type(e.dtype)} {name}{first};")
        with self.host.block(f"if ({condition.text})"):
            self.host.emit(f"{name} = {self.vector(e.then)};")
        if lazy:
            self.host.lines.pop()
            with self.host.block("} else"):
                self.host.emit(f"{name} = {self.vector(e.other)};")
        return name

    def _range_mask(self, e: Guard) -> str | None:
        """The lanes inside a guard's ranges where they are an interval, as an expression; else None."""
        size = self.host.scalars.size
        m = f"vm{self.region.width}"
        parts: list[str] = []
        for i, low, high in e.ranges:
            if self._varies(low) or self._varies(high):
                return None
            stride = self.stride(i)
            if stride == 0:
                one = replace(e, ranges=((i, low, high),))
                uniform = self.host.scalars.condition(one)
                parts += [f"{m}_set1({uniform.text})"] if uniform else []
            elif stride == 1:
                first = self.base(i)
                parts.append(f"{m}_range({size(low - first).text}, {size(high - first).text})")
            else:
                return None
        text = parts[0] if parts else f"{m}_set1(true)"
        for p in parts[1:]:
            text = f"{m}_and({text}, {p})"
        return text

    # ------------------------------------------------------------ lane by lane

    def by_lane(self, e: Expr) -> str:
        """A vector computed in a loop over lanes: for computed indices and mixed element sizes."""
        v, c = self.type(e.dtype), spelling.c_type(e.dtype)
        array = self.host.scope.allocate("lanes")
        scalars = self.spilled(e)
        self.host.emit(f"{c} {array}[{self.region.lanes}] = {{{'false' if e.dtype.kind == 'bool' else 0}}};")
        with self.lane_loop(scalars) as lane:
            self.host.emit(f"{array}[{lane}] = {scalars.expression(e).text};")
        return f"{v}_load({array})"

    def spilled(self, *expressions: Expr) -> Scalars:
        """Scalars over one lane: vector registers that the expressions read are written to arrays first."""
        arrays: dict[str, str] = {}
        for e in expressions:
            for r in references(e):
                register = self.host.registers[r.name]
                if register.vector and r.name not in arrays:
                    arrays[r.name] = self.host.scope.allocate(f"{register.name}_lanes")
                    self.host.emit(f"{spelling.c_type(r.dtype)} {arrays[r.name]}[{self.region.lanes}];")
                    v = vector_type(r.dtype, self.region.width)
                    self.host.emit(f"{v}_store({arrays[r.name]}, {register.name});")
        outer = self.host.scalars
        lane = self.host.scope.index(self.region.lane if self.region.lane.startswith("lane") else "lane")

        def register_text(r: Ref) -> Text:
            if r.name in arrays:
                return Text(f"{arrays[r.name]}[{lane}]", ATOM)
            return outer.register(r)

        return Scalars(
            register_text,
            outer.buffer,
            {**outer.symbols, self.region.lane: lane},
            [*outer.indices, self.region.lane],
            {**outer.ranges, self.region.lane: (0, 15)},
        )

    @contextmanager
    def lane_loop(self, scalars: Scalars) -> Iterator[str]:
        """A loop over the lanes that take part."""
        lane = scalars.symbols[self.region.lane]
        stop = self.region.lanes
        allowed = None
        if self.region.count is not None:
            stop = f"size_min({self.region.count.text}, {stop})"
        elif self.region.mask is not None:
            allowed = self.host.scope.allocate("allowed")
            self.host.emit(f"bool {allowed}[{stop}];")
            self.host.emit(f"vm{self.region.width}_store({allowed}, {self.region.mask});")
        with self.host.block(f"for (ptrdiff_t {lane} = 0; {lane} < {stop}; ++{lane})"):
            if allowed is None:
                yield lane
            else:
                with self.host.block(f"if ({allowed}[{lane}])"):
                    yield lane


def _literal_and_product(e: Apply) -> tuple[Expr, Expr, Expr] | None:
    """The factors of a product that a literal is added to, and that: no difference of two products is rounded only in part."""
    if e.fn != "add" or not e.dtype.is_float:
        return None
    for literal, product in (e.args, e.args[::-1]):
        if isinstance(literal, Const) and isinstance(product, Apply) and product.fn == "mul":
            return product.args[0], product.args[1], literal
    return None


def _bound(e: Apply) -> tuple[Expr, Expr] | None:
    """The literal that a number is bounded by, which is no NaN, and the number."""
    if e.fn not in ("max", "min") or not e.dtype.is_float:
        return None
    for bound, x in (e.args[::-1], e.args):
        if isinstance(bound, Const) and bound.value == bound.value:
            return bound, x
    return None
