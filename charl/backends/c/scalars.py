"""Scalar expressions and sizes as C text.

Enters: expressions and sizes of the loop IR, with an environment that names symbols and registers. Leaves: `Text`. Evaluates
nothing twice that the expression does not, keeps `Guard` lazy, never emits statements.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import reduce
from math import lcm
from typing import Any

import numpy as np

from charl import dims
from charl.backends.c import spelling
from charl.backends.c.spelling import AND, ATOM, PRODUCT, SUM, UNARY, Text, at, binary, call, cast
from charl.backends.printing import never
from charl.dtypes import DType, boolean
from charl.errors import InternalError
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref, Size
from charl.loops.ir import Buffer

Ranges = dict[str, tuple[Size, Size]]
Rank = tuple[int, str]
_NO_INDEX = 98  # the rank of a factor without a loop index: behind all that have one


@dataclass
class Scalars:
    """Spells expressions of one element each.

    `symbols` names indices and dimensions in order of nesting, `ranges` bounds them (inclusive); `register` spells a `Ref`,
    `buffer` the array of a `Load`.
    """

    register: Callable[[Ref], Text]
    buffer: Callable[[object], str]
    symbols: dict[str, str] = field(default_factory=dict)
    indices: list[str] = field(default_factory=list)  # symbols that are loop indices, outermost first
    ranges: Ranges = field(default_factory=dict)

    # ------------------------------------------------------------ sizes

    def size(self, x: Size) -> Text:
        """A size or index, of C type ptrdiff_t (or int where it is a literal)."""
        if isinstance(x, int):
            return Text(str(x), UNARY if x < 0 else ATOM)
        terms = [(m, Fraction(c)) for m, c in x.terms]
        below: dict[dims.Atom, int] = {}
        for m, _ in terms:
            for a, p in m:
                if p < 0:
                    below[a] = max(below.get(a, 0), -p)
        den = lcm(*(c.denominator for _, c in terms))
        leaves = {a: self._leaf(a) for a in dict.fromkeys(dims.atoms(x))}
        ranks = {a: self._rank(a, leaf) for a, leaf in leaves.items()}
        spelled = []
        for m, c in sorted(terms, key=lambda t: self._term_order(t[0], t[1], ranks)):
            powers = dict(m)
            for a, p in below.items():
                powers[a] = powers.get(a, 0) + p
            spelled.append((c < 0, self._product(abs(int(c * den)), powers, leaves, ranks)))
        top = self._sum(spelled)
        if not below and den == 1:
            return top
        bottom = self._product(den, below, leaves, ranks)
        return Text(f"{at(top, PRODUCT)} / {at(bottom, ATOM)}", PRODUCT)

    @staticmethod
    def _term_order(m: dims.Monomial, c: Fraction, ranks: Mapping[dims.Atom, Rank]) -> tuple[object, ...]:
        mine = sorted(ranks[a] for a, _ in m)
        constant = not m
        first = mine[0] if mine else (99, "")
        return (constant and c < 0, constant, first[0], -abs(c), len(m), mine)

    def _rank(self, a: dims.Atom, leaf: Text) -> Rank:
        """What factors and terms are sorted by: the outermost loop index in it, and its text."""
        names = dims.symbols(dims.atom(a))
        return next((i for i, s in enumerate(self.indices) if s in names), _NO_INDEX), leaf.text

    @staticmethod
    def _product(
        k: int,
        powers: dict[dims.Atom, int],
        leaves: Mapping[dims.Atom, Text],
        ranks: Mapping[dims.Atom, Rank],
    ) -> Text:
        ranked = sorted(powers, key=lambda a: (ranks[a][0] == _NO_INDEX, ranks[a]))
        factors = [leaves[a] for a in ranked for _ in range(powers[a])]
        if k != 1 or not factors:
            factors.insert(0, Text(str(k), ATOM))
        if len(factors) == 1:
            return factors[0]
        return Text(" * ".join(at(f, UNARY) for f in factors), PRODUCT)

    @staticmethod
    def _sum(terms: list[tuple[bool, Text]]) -> Text:
        first = next((i for i, (minus, _) in enumerate(terms) if not minus), 0)
        terms = [terms[first], *terms[:first], *terms[first + 1 :]]
        minus, head = terms[0]
        total = Text(f"-{at(head, UNARY)}", UNARY) if minus else head
        for minus, t in terms[1:]:
            total = binary("-" if minus else "+", SUM, total, t)
        return total

    def _leaf(self, a: dims.Atom) -> Text:
        if isinstance(a, dims.Sym):
            return Text(self.symbols.get(a.name, a.name), ATOM)
        if isinstance(a, dims.Value):
            return cast("ptrdiff_t", self.expression(a.expr))
        x, y = (self.size(arg) for arg in a.args)
        if a.name in ("min", "max", "ceildiv"):
            return call(f"size_{a.name}", x, y)
        if not all(dims.nonnegative(arg, self.ranges) for arg in a.args):
            return call(f"size_{a.name}", x, y)
        return Text(f"{at(x, PRODUCT)} {'%' if a.name == 'mod' else '/'} {at(y, UNARY)}", PRODUCT)

    # ------------------------------------------------------------ expressions

    def expression(self, e: Expr) -> Text:
        """The value of `e`."""
        if isinstance(e, Const):
            return spelling.literal(e.value, e.dtype)
        if isinstance(e, Ref):
            return self.register(e)
        if isinstance(e, Load):
            place = element(self.buffer(e.source), e.source, self.size(e.index[0]).text)
            return spelling.loaded(Text(place, ATOM), e.source.dtype, e.dtype)
        if isinstance(e, IndexValue):
            return self._index_value(e.index, e.dtype)
        if isinstance(e, Guard):
            if self.never(e):
                return self.expression(e.other)
            condition = self.condition(e)
            if condition is None:
                return self.expression(e.then)
            arms = spelling.choose(condition, self.expression(e.then), self.expression(e.other))
            small = e.dtype.is_integer and e.dtype.bits < 32
            return cast(spelling.c_type(e.dtype), arms) if small else arms
        if isinstance(e, Apply):
            known = outcome(e)
            if known is not None:
                return spelling.literal(known, boolean)
            if (sizes := _sizes(e)) is not None:
                return self.compare(spelling.ORDERS[e.fn], *sizes)
            args = tuple(self.expression(a) for a in e.args)
            return spelling.function(e.fn, args, e.args[-1].dtype, e.dtype)
        raise InternalError("backends.c", f"{type(e).__name__} in a kernel")

    def _index_value(self, index: Size, t: DType) -> Text:
        if isinstance(index, int):
            return spelling.literal(float(index) if t.is_float else index, t)
        if t.kind == "bool":
            return binary("!=", spelling.EQUAL, self.size(index), Text("0", ATOM))
        return cast(spelling.c_type(t), self.size(index))

    def never(self, guard: Guard) -> bool:
        """Whether some range of a guard is provably empty."""
        return never(guard, self.ranges)

    def condition(self, guard: Guard) -> Text | None:
        """Whether a guard's ranges hold; None where that is proved."""
        tests: list[Text] = []
        for i, low, high in guard.ranges:
            if not dims.nonnegative(i - low, self.ranges):
                tests.append(self.compare(">=", i, low))
            if not dims.nonnegative(high - 1 - i, self.ranges):
                tests.append(self.compare("<", i, high))
        return reduce(lambda a, b: binary("&&", AND, a, b), tests) if tests else None

    def compare(self, op: str, a: Size, b: Size) -> Text:
        """a op b with every term on the side where it is positive: `i >= 1` rather than `i - 1 >= 0`."""
        gap = a - b
        right = sum_of(gap, -1)
        return binary(op, spelling.ORDER, self.size(gap + right), self.size(right))


def outcome(e: Apply) -> bool | None:
    """What the order of small integers and constants is by their types alone, if it is: compilers warn of such tests."""
    if e.fn not in ("lt", "le", "gt", "ge"):
        return None
    a, b = (_limits(x) for x in (e.args if e.fn in ("lt", "le") else e.args[::-1]))
    if a is None or b is None:
        return None
    strict = e.fn in ("lt", "gt")
    if a[1] < b[0] or (a[1] == b[0] and not strict):
        return True
    return False if a[0] > b[1] or (a[0] == b[1] and strict) else None


def _sizes(e: Apply) -> tuple[Size, Size] | None:
    """The sizes that a comparison compares, which need not be made numbers of another type."""
    if e.fn not in spelling.ORDERS:
        return None
    sizes = [
        x.index for x in e.args if isinstance(x, IndexValue) and x.dtype.kind == "int" and x.dtype.bits >= 32
    ]
    return (sizes[0], sizes[1]) if len(sizes) == 2 else None


def _limits(e: Expr) -> tuple[int, int] | None:
    """The least and the greatest value of a constant, or of a small integer made wider."""
    if isinstance(e, Const) and e.dtype.is_integer:
        return int(e.value), int(e.value)
    if isinstance(e, IndexValue) and isinstance(e.index, int) and e.dtype.is_integer:
        return e.index, e.index
    if not (isinstance(e, Apply) and e.fn == "cast" and e.dtype.is_integer):
        return None
    source = e.args[0].dtype
    if not source.is_integer or source.bits >= 32 or (source.kind == "int" and e.dtype.kind == "uint"):
        return None
    limits = np.iinfo(source.numpy)
    return int(limits.min), int(limits.max)


def sum_of(x: Size, sign: int) -> Size:
    """The terms of a size that have `sign`, as a positive sum."""
    if isinstance(x, int):
        return max(0, sign * x)
    total: Size = 0
    for m, c in x.terms:
        if c * sign > 0:
            total = total + dims.Dim(((m, c * sign),)) if m else total + c * sign
    return total


def element(name: str, buffer: Any, index: str) -> str:
    """An element of a buffer; a local one of one element is a variable."""
    return name if is_variable(buffer) else f"{name}[{index}]"


def moved(pointer: str, index: Size, text: str) -> str:
    """`pointer` moved by an index, whose C text is `text`. It is added up first, so that no pointer lies before the array."""
    positive = index > 0 if isinstance(index, int) else all(c > 0 for _, c in index.terms)
    return f"{pointer} + {text}" if positive else f"{pointer} + ({text})"


def is_variable(buffer: Any) -> bool:
    """Whether a buffer is declared as a plain variable."""
    return isinstance(buffer, Buffer) and buffer.role == "scratch" and buffer.size == 1


def c_size(size: Size, names: Mapping[str, str]) -> str:
    """A size as a C expression of type ptrdiff_t."""
    return _spelled(size, names).text


def _spelled(size: Size, names: Mapping[str, str]) -> Text:
    def never(_: object) -> Text:
        raise InternalError("backends.c", f"the size {size} depends on run-time values")

    return Scalars(never, lambda _: never(_).text, symbols=dict(names)).size(size)


def factor(size: Size, names: Mapping[str, str]) -> str:
    """A size as an operand of a product."""
    return at(_spelled(size, names), PRODUCT)
