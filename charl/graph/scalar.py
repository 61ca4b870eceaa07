"""Scalar expressions: what one element of a tensor is, as a function of its index.

Operations give their index-level meaning in these (`Op.at`); fusion substitutes one into another; the
loop IR stores them; the C and WGSL printers spell them. Indices and sizes are `charl.dims` polynomials
whose symbols are loop indices and dimension variables; everything else is an `Expr` with an element
type. Immutable, compared by value (sources of loads by identity).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

from charl import dims
from charl.dims import Dim
from charl.dtypes import DType

Size: TypeAlias = int | Dim
Index: TypeAlias = tuple[Size, ...]

# The scalar functions every backend spells. Value: number of arguments. Arithmetic on integers wraps;
# integer `div` floors, `mod` takes the divisor's sign, both give 0 for a zero divisor; float `mod` is
# x - floor(x / y) * y. `min` and `max` propagate NaN. Comparisons and logic give bool. `shr` is logical on
# unsigned and arithmetic on signed types; shifts of at least the width give 0. `cast` truncates float to
# integer (saturating, NaN gives 0). `threefry` is word 0 (or 1 for `threefry1`) of Threefry-2x32-20
# with arguments key0, key1, counter0, counter1, all u32. `sign` of NaN is NaN. `round` goes to even.
FUNCTIONS: dict[str, int] = {
    **dict.fromkeys(("neg", "abs", "sign", "not", "bitnot", "floor", "ceil", "round", "trunc"), 1),
    **dict.fromkeys(("exp", "exp2", "expm1", "log", "log2", "log1p", "sqrt", "rsqrt"), 1),
    **dict.fromkeys(("sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "erf"), 1),
    **dict.fromkeys(("add", "sub", "mul", "div", "mod", "pow", "min", "max", "atan2"), 2),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "and", "or"), 2),
    **dict.fromkeys(("bitand", "bitor", "bitxor", "shl", "shr"), 2),
    "cast": 1,
    "bitcast": 1,
    "select": 3,
    "threefry": 4,
    "threefry1": 4,
}

# Functions of the loop IR alone, where registers hold an f32 for a half float: `f16_round` is the nearest f32 that an f16
# holds (ties to even), `f16_bits` the bits of that f16 as u32, `f16_value` the f32 whose f16 the low 16 bits of a u32 are.
# `f32_odd` is an f64 as f32, cut off, its last bit set where something was: from there it rounds to a half as if once.
HALF_FUNCTIONS = (
    *(f"{half}_{what}" for half in ("f16", "bf16") for what in ("round", "bits", "value")),
    "f32_odd",
)


class Expr:
    """Base of scalar expressions; every one has a `dtype`."""

    dtype: DType

    def children(self) -> tuple[Expr, ...]:
        """Direct sub-expressions (not those inside indices)."""
        return ()

    def symbols(self) -> frozenset[str]:
        """Names of all free index and dimension symbols."""
        return self._symbols

    @cached_property
    def _symbols(self) -> frozenset[str]:
        out: frozenset[str] = frozenset()
        for c in self.children():
            out |= c.symbols()
        for i in self.indices():
            out |= dims.symbols(i)
        return out

    def indices(self) -> Index:
        """Sizes that stand directly in this expression."""
        return ()

    def rebuild(self, child: Callable[[Expr], Expr], index: Callable[[Size], Size]) -> Expr:
        """The same expression over mapped children and indices."""
        raise NotImplementedError

    def substitute(self, env: Mapping[str, Size]) -> Expr:
        """Replace free index symbols (bound names of reductions are unique, so never captured)."""
        if not (self.symbols() & env.keys()):
            return self
        return self.rebuild(lambda e: e.substitute(env), lambda i: dims.substitute(i, env))

    def walk(self) -> Iterator[Expr]:
        """This expression and all below it, those inside run-time indices too."""
        yield self
        for i in self.indices():
            for a in dims.atoms(i):
                if isinstance(a, dims.Value):
                    yield from a.expr.walk()
        for c in self.children():
            yield from c.walk()


@dataclass(frozen=True)
class Const(Expr):
    """A literal: Python float, int or bool."""

    value: float | int | bool
    dtype: DType

    def rebuild(self, child: Any, index: Any) -> Expr:
        return self

    def __str__(self) -> str:
        return f"{self.value!r}:{self.dtype}"


@dataclass(frozen=True)
class Load(Expr):
    """One element of `source`: a graph Node before planning, a loop-level Buffer after.

    Indices are in range by construction (operations clamp what comes from run-time values). In the loop IR `dtype` may be the
    type that stands for the buffer's in registers (`charl.loops.registers`): the load converts.
    """

    source: Any
    index: Index
    dtype: DType

    def indices(self) -> Index:
        return self.index

    def rebuild(self, child: Any, index: Callable[[Size], Size]) -> Expr:
        return Load(self.source, tuple(index(i) for i in self.index), self.dtype)

    def __str__(self) -> str:
        name = getattr(self.source, "name", None) or f"v{id(self.source):x}"
        return f"{name}[{', '.join(map(str, self.index))}]"


@dataclass(frozen=True)
class IndexValue(Expr):
    """An index or size as a number of type `dtype`."""

    index: Size
    dtype: DType

    def indices(self) -> Index:
        return (self.index,)

    def rebuild(self, child: Any, index: Callable[[Size], Size]) -> Expr:
        return IndexValue(index(self.index), self.dtype)

    def __str__(self) -> str:
        return f"({self.index}):{self.dtype}"


@dataclass(frozen=True)
class Apply(Expr):
    """A function of `FUNCTIONS`. All arguments may be evaluated, also both sides of `select`."""

    fn: str
    args: tuple[Expr, ...]
    dtype: DType

    def children(self) -> tuple[Expr, ...]:
        return self.args

    def rebuild(self, child: Callable[[Expr], Expr], index: Any) -> Expr:
        return Apply(self.fn, tuple(child(a) for a in self.args), self.dtype)

    def __str__(self) -> str:
        return f"{self.fn}({', '.join(map(str, self.args))}):{self.dtype}"

    @cached_property
    def _hash(self) -> int:
        return hash((self.fn, self.args, self.dtype))

    def __hash__(self) -> int:
        return self._hash


@dataclass(frozen=True)
class Guard(Expr):
    """`then` where `low <= index < high` for every (index, low, high), else `other`.

    Unlike select, `then` is evaluated only inside the ranges and `other` only outside (loads may be out of bounds elsewhere).
    """

    ranges: tuple[tuple[Size, Size, Size], ...]
    then: Expr
    other: Expr

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        return self.then.dtype

    def children(self) -> tuple[Expr, ...]:
        return (self.then, self.other)

    def indices(self) -> Index:
        return tuple(x for r in self.ranges for x in r)

    def rebuild(self, child: Callable[[Expr], Expr], index: Callable[[Size], Size]) -> Expr:
        ranges = tuple((index(i), index(lo), index(hi)) for i, lo, hi in self.ranges)
        return Guard(ranges, child(self.then), child(self.other))

    def __str__(self) -> str:
        test = " and ".join(f"{lo} <= {i} < {hi}" for i, lo, hi in self.ranges)
        return f"guard({test}, {self.then}, {self.other})"


@dataclass(frozen=True)
class Reduce(Expr):
    """`body` combined by `fn` over all values 0..extent of each (name, extent), in row-major order.

    `fn` is add, mul, max, min, and, or, argmax or argmin. The last two reduce to the i32 position of the first extreme
    (row-major over the reduced indices); NaN counts as the extreme. Names are unique in the program (make them with
    `fresh`). An extent may depend on outer indices and on names to its left. `initial` is what an empty range gives.
    """

    fn: str
    over: tuple[tuple[str, Size], ...]
    body: Expr
    dtype: DType

    def children(self) -> tuple[Expr, ...]:
        return (self.body,)

    def indices(self) -> Index:
        return tuple(extent for _, extent in self.over)

    @cached_property
    def _symbols(self) -> frozenset[str]:
        out = self.body.symbols()
        for _, extent in self.over:
            out |= dims.symbols(extent)
        return out - {name for name, _ in self.over}

    def rebuild(self, child: Callable[[Expr], Expr], index: Callable[[Size], Size]) -> Expr:
        over = tuple((name, index(extent)) for name, extent in self.over)
        return Reduce(self.fn, over, child(self.body), self.dtype)

    def __str__(self) -> str:
        over = ", ".join(f"{n} < {e}" for n, e in self.over)
        return f"{self.fn}[{over}]({self.body})"


@dataclass(frozen=True)
class Updated(Expr):
    """`value`, which becomes the element of a loop-level buffer where it is evaluated: a term of a sum, evaluated once."""

    target: Any
    index: Size
    value: Expr

    @property
    def dtype(self) -> DType:  # type: ignore[override]
        return self.value.dtype

    def children(self) -> tuple[Expr, ...]:
        return (self.value,)

    def indices(self) -> Index:
        return (self.index,)

    def rebuild(self, child: Callable[[Expr], Expr], index: Callable[[Size], Size]) -> Expr:
        return Updated(self.target, index(self.index), child(self.value))

    def __str__(self) -> str:
        return f"updated({self.target.name}[{self.index}], {self.value})"


@dataclass(frozen=True)
class Ref(Expr):
    """A register of the loop IR: a `Let` or an accumulator, by name."""

    name: str
    dtype: DType

    def rebuild(self, child: Any, index: Any) -> Expr:
        return self

    def __str__(self) -> str:
        return f"%{self.name}"


def read(node: Any, index: Index) -> Expr:
    """Element `index` of a graph node."""
    assert len(index) == len(node.shape), (node, index)
    return Load(node, tuple(index), node.dtype)


def apply(fn: str, *args: Expr, dtype: DType | None = None) -> Expr:
    """`fn` of scalars; the result has the last argument's type unless given."""
    from charl.dtypes import boolean

    assert len(args) == FUNCTIONS[fn], fn
    if dtype is None:
        logical = fn in ("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not")
        dtype = boolean if logical else args[-1].dtype
    return Apply(fn, args, dtype)


_COUNTER = [0]


def fresh(prefix: str = "k") -> str:
    """A new index name, such as no emitter of loops gives. Text that leaves the compiler renames them per kernel, so it
    stays stable.
    """
    _COUNTER[0] += 1
    return f"{prefix}._{_COUNTER[0]}"


def polynomial(e: Expr) -> Size | None:
    """An integer as a polynomial of indices and sizes; None where it is none."""
    if isinstance(e, IndexValue):
        return e.index
    if isinstance(e, Const):
        return int(e.value)
    if not isinstance(e, Apply) or e.fn not in ("add", "sub", "mul") or e.dtype.bytes < 4:
        return None
    a, b = (polynomial(x) for x in e.args)
    if a is None or b is None:
        return None
    return a + b if e.fn == "add" else a - b if e.fn == "sub" else a * b
