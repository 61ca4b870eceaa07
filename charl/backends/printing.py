"""What every printer shares: text with the strength of its outermost operator, and sizes as expressions.

Enters: fragments of an expression and `charl.dims` polynomials. Leaves: text with the parentheses it needs and few
others. Never knows a language: a printer says how it spells symbols, run-time indices and rounding divisions.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from charl import dims
from charl.dims import Atom, Dim, Func, Sym, Value
from charl.graph.scalar import Expr, Guard
from charl.loops.ir import Kernel

Size = int | Dim


class Level(IntEnum):
    """How strongly an operator binds. C and WGSL agree where no parentheses are left out.

    WGSL has no precedence between shifts, bitwise operators and arithmetic, and compilers of C warn there, so the
    operands of SHIFT and BITWISE stand in parentheses unless they are UNARY.
    """

    LOGIC = 1
    BITWISE = 2
    COMPARE = 3
    SHIFT = 4
    ADD = 5
    MULTIPLY = 6
    UNARY = 7
    PRIMARY = 8


class Text(NamedTuple):
    """A fragment, how strongly it holds together, and the operator that a chain may continue with."""

    text: str
    level: Level = Level.PRIMARY
    chain: str = ""

    def at(self, level: Level) -> str:
        """The fragment as an operand that must bind at least as strongly as `level`."""
        return self.text if self.level >= level else f"({self.text})"


class Operator(NamedTuple):
    """An infix operator: what it binds like and what it demands of its sides."""

    symbol: str
    level: Level
    left: Level
    right: Level


_L = Level
OPERATORS: dict[str, Operator] = {
    "add": Operator("+", _L.ADD, _L.ADD, _L.MULTIPLY),
    "sub": Operator("-", _L.ADD, _L.ADD, _L.MULTIPLY),
    "mul": Operator("*", _L.MULTIPLY, _L.MULTIPLY, _L.UNARY),
    "div": Operator("/", _L.MULTIPLY, _L.MULTIPLY, _L.UNARY),
    "mod": Operator("%", _L.MULTIPLY, _L.MULTIPLY, _L.UNARY),
    "shl": Operator("<<", _L.SHIFT, _L.UNARY, _L.UNARY),
    "shr": Operator(">>", _L.SHIFT, _L.UNARY, _L.UNARY),
    "bitand": Operator("&", _L.BITWISE, _L.UNARY, _L.UNARY),
    "bitor": Operator("|", _L.BITWISE, _L.UNARY, _L.UNARY),
    "bitxor": Operator("^", _L.BITWISE, _L.UNARY, _L.UNARY),
    "eq": Operator("==", _L.COMPARE, _L.ADD, _L.ADD),
    "ne": Operator("!=", _L.COMPARE, _L.ADD, _L.ADD),
    "lt": Operator("<", _L.COMPARE, _L.ADD, _L.ADD),
    "le": Operator("<=", _L.COMPARE, _L.ADD, _L.ADD),
    "gt": Operator(">", _L.COMPARE, _L.ADD, _L.ADD),
    "ge": Operator(">=", _L.COMPARE, _L.ADD, _L.ADD),
    "and": Operator("&&", _L.LOGIC, _L.COMPARE, _L.COMPARE),
    "or": Operator("||", _L.LOGIC, _L.COMPARE, _L.COMPARE),
}


def infix(fn: str, left: Text, right: Text) -> Text:
    """`left fn right` for a function of `OPERATORS`."""
    o = OPERATORS[fn]
    chained = o.level in (Level.LOGIC, Level.BITWISE)  # a && b && c stands without parentheses
    head = left.text if chained and left.chain == fn else left.at(o.left)
    return Text(f"{head} {o.symbol} {right.at(o.right)}", o.level, fn if chained else "")


class SizePrinter:
    """Spells sizes and indices. A printer derives from it; `ranges` says what is known of loop indices."""

    def __init__(self) -> None:
        self.ranges: dict[str, tuple[Size, Size]] = {}

    def symbol(self, name: str) -> str:
        """An index or a dimension variable."""
        raise NotImplementedError

    def run_time(self, expr: Expr) -> Text:
        """A run-time value used as an index."""
        raise NotImplementedError

    def size_function(self, fn: str, args: tuple[str, ...]) -> Text:
        """`floordiv`, `mod`, `ceildiv` (rounding right for negative numbers too), `min`, `max` of two sizes."""
        raise NotImplementedError

    def size(self, x: Size) -> Text:
        """`x` as an expression in the language's index type."""
        if isinstance(x, int):
            return Text(str(x), Level.PRIMARY if x >= 0 else Level.UNARY)
        x = dims.simplify(x, self.ranges)
        if isinstance(x, int):
            return self.size(x)
        (monomial, c), *more = x.terms
        if not more and c == 1 and len(monomial) == 1 and monomial[0][1] == 1:
            return self._atom(monomial[0][0])
        text = dims.render(x, self._leaf)
        return Text(text, self._level(x, text))

    def _level(self, x: Dim, text: str) -> Level:
        if len(x.terms) > 1 and not _quotient(x):
            return Level.ADD
        return Level.UNARY if text.startswith("-") and " " not in text else Level.MULTIPLY

    def _leaf(self, a: Atom) -> str:
        return self._atom(a).at(Level.UNARY)

    def _atom(self, a: Atom) -> Text:
        if isinstance(a, Sym):
            return Text(self.symbol(a.name))
        if isinstance(a, Value):
            return self.run_time(a.expr)
        assert isinstance(a, Func)
        left, right = a.args
        if a.name in ("floordiv", "mod") and self._plain_division(left, right):
            return infix("div" if a.name == "floordiv" else "mod", self.size(left), self.size(right))
        return self.size_function(a.name, (self.size(left).text, self.size(right).text))

    def _plain_division(self, left: Size, right: Size) -> bool:
        """Whether division of machine integers, which truncates, is the one wanted."""
        return dims.nonnegative(left, self.ranges) and dims.nonnegative(right - 1, self.ranges)


def _quotient(x: Dim) -> bool:
    """Whether `dims.render` puts a division around the whole of `x`."""
    return any(not isinstance(c, int) for _, c in x.terms) or any(p < 0 for m, _ in x.terms for _, p in m)


def source_lines(kernel: Kernel) -> list[str]:
    """What to say above a kernel: its comment, then the lines of the user's source that it computes."""
    spans = list(kernel.sources)
    if kernel.span is not None and kernel.span not in spans:
        spans.insert(0, kernel.span)
    lines = dict.fromkeys((s.source, s.line) for s in spans)
    said = [f"{source.name}:{line}: {source.line(line).strip()}" for source, line in lines]
    comment = kernel.comment.strip()
    return [comment, *said] if comment else said


def never(guard: Guard, ranges: Mapping[str, tuple[Size, Size]]) -> bool:
    """Whether some range of a guard is provably empty: compilers warn of comparisons that exclude each other, and refuse
    indices below 0 where they are never reached."""
    return any(
        dims.nonnegative(gap, ranges)
        for i, low, high in guard.ranges
        for gap in (low - high, low - 1 - i, i - high)
    )
