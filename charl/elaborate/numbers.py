"""Compile-time numbers: exact arithmetic, symbolic sizes, and how they become run-time scalars.

Enters: an operator and numbers. Leaves: a number, a size, a truth value or an `Unknown`; nodes only on request, in the
element type that is asked for. Integers are exact, floats are f64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import Any

from charl import dims, dtypes, ops
from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.errors import code, fail
from charl.graph.ir import Node, Size
from charl.source import Span

# The element type of a number that meets nothing, and of `zeros(…)`: f64 where a program's f32 is read as that.
REAL: ContextVar[DType] = ContextVar("REAL", default=dtypes.f32)
# While a test is elaborated, what makes an argument of a number in its text.
LITERALS: ContextVar[Callable[[Node, Span], Node] | None] = ContextVar("LITERALS", default=None)


# Sizes that are not 0: differences of sizes that are known to differ.
DIFFERENT: ContextVar[frozenset[Size]] = ContextVar("DIFFERENT", default=frozenset())


def upright(x: Size) -> Size:
    """What is 0 where a size is 0: the same for its multiples."""
    if not isinstance(x, Dim):
        return x
    whole = [c for _, c in x.terms if isinstance(c, int)]
    by = math.gcd(*whole) if len(whole) == len(x.terms) else 1
    found = dims.exact_div(x, -by if x.terms[0][1] < 0 else by)
    return x if found is None else found


def factors(x: Size) -> list[Dim]:
    """The symbols of a product of symbols; nothing for anything else. Such a product is 1 where each of them is."""
    if not isinstance(x, Dim) or len(x.terms) != 1 or x.terms[0][1] != 1:
        return []
    ((powers, _),) = x.terms
    return [dims.atom(a) for a, p in powers] if all(p > 0 for _, p in powers) else []


def differ(a: Size, b: Size) -> bool:
    """Whether two sizes are known to differ, though not by how much."""
    different = DIFFERENT.get()
    if not different:
        return False
    parts = factors(a) if b == 1 else factors(b) if a == 1 else []
    return upright(b - a) in different or any(upright(f - 1) in different for f in parts)


def literal(node: Node, span: Span) -> Node:
    """What the text says, as a run-time value."""
    change = LITERALS.get()
    return node if change is None else change(node, span)


OPERAND = code("E0211", "an operand is of the wrong kind")


INEXACT = code("E0213", "a division of integers is not exact")


LITERAL = code("E0218", "a number does not fit its element type")


ELEMENTWISE: dict[str, str] = {
    **{"+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "**": "pow"},
    **{"==": "eq", "!=": "ne", "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "and": "and", "or": "or"},
}


COMPARISONS = frozenset(["==", "!=", "<", "<=", ">", ">="])


LOGIC = frozenset(["and", "or"])


def elementwise(name: str, *nodes: Node) -> Node:
    """The elementwise operation called `name`, on nodes of equal shapes."""
    return _operation(name)(*nodes)


@cache
def _operation(name: str) -> Callable[..., Node]:
    plain = hasattr(ops, name) and name not in ("pow", "abs", "round", "min", "max")
    return getattr(ops, name if plain else name + "_")  # type: ignore[no-any-return]


def to_node(value: Any, dtype: DType, span: Span) -> Node:
    """A compile-time number or truth value as a run-time scalar of an element type."""
    if isinstance(value, Node):
        return value
    if isinstance(value, v.Unknown):
        return value.build(dtype)
    if isinstance(value, Dim):
        return ops.size_value(value, dtype)
    if not isinstance(value, (bool, int, float)):
        raise fail(OPERAND, f"a number is wanted, and this is {v.describe_value(value)}", span)
    if isinstance(value, bool):
        if dtype is not dtypes.boolean:
            raise fail(
                LITERAL,
                f"a truth value is no {dtype}",
                span,
                help=f"write `where(c, 1, 0)` or `c as {dtype}`",
            )
        return ops.constant(value, dtypes.boolean)
    if dtype.is_integer:
        _check_integer(value, dtype, span)
        return ops.constant(int(value), dtype)
    if dtype.kind == "bool":
        raise fail(LITERAL, f"the number {value} is no truth value", span)
    return ops.constant(float(value), dtype)


def _check_integer(value: Any, dtype: DType, span: Span) -> None:
    if isinstance(value, float):
        raise fail(
            LITERAL,
            f"the number {value} does not fit the element type {dtype}",
            span,
            help="convert the other operand: `… as f32`, or write an integer",
        )
    low = -(1 << (dtype.bits - 1)) if dtype.kind == "int" else 0
    high = (1 << (dtype.bits - (1 if dtype.kind == "int" else 0))) - 1
    if not low <= value <= high:
        raise fail(LITERAL, f"the number {value} does not fit {dtype} ({low} to {high})", span)


def default_dtype(value: Any) -> DType:
    """Element type of a compile-time value that meets nothing (`let mut` of a literal)."""
    if isinstance(value, bool) or (isinstance(value, v.Unknown) and value.kind == "bool"):
        return dtypes.boolean
    return dtypes.i32 if isinstance(value, (int, Dim)) else REAL.get()


def compile_time(op: str, a: Any, b: Any, span: Span) -> Any:
    """An operator on two compile-time numbers; integers are exact, symbolic ones polynomials."""
    if isinstance(a, v.Unknown) or isinstance(b, v.Unknown):
        return unknown_binary(op, a, b)
    if isinstance(a, Dim) or isinstance(b, Dim):
        if isinstance(a, float) or isinstance(b, float):
            return unknown_binary(op, a, b)
        return _symbolic(op, a, b, span)
    try:
        return _numbers(op, a, b, span)
    except ZeroDivisionError:
        raise fail(INEXACT, f"division by zero: `{a} {op} {b}`", span) from None
    except OverflowError:
        raise fail(LITERAL, f"`{a} {op} {b}` is too large", span) from None


def _numbers(op: str, a: Any, b: Any, span: Span) -> Any:
    both = isinstance(a, int) and isinstance(b, int)
    if op == "/" and both:
        if a % b:
            raise fail(
                INEXACT,
                f"{a} / {b} is not an integer",
                span,
                help=f"`/` on integers is exact: write `div({a}, {b})` to round down, or `{a}.0 / {b}`",
            )
        return a // b
    if op == "**" and both and b < 0:
        return float(a) ** b
    if op == "**" and both and (abs(a) > 1 and b > 4096):
        raise OverflowError
    table: dict[str, Callable[[], Any]] = {
        "+": lambda: a + b,
        "-": lambda: a - b,
        "*": lambda: a * b,
        "/": lambda: a / b,
        "%": lambda: a % b if both else a - math.floor(a / b) * b,
        "**": lambda: a**b,
        "==": lambda: a == b,
        "!=": lambda: a != b,
        "<": lambda: a < b,
        "<=": lambda: a <= b,
        ">": lambda: a > b,
        ">=": lambda: a >= b,
    }
    if op not in table:
        raise fail(OPERAND, f"`{op}` needs {'truth values' if op in LOGIC else 'tensors'}", span)
    return table[op]()


def _symbolic(op: str, a: Size, b: Size, span: Span) -> Any:
    if op in ("+", "-", "*"):
        return a + b if op == "+" else a - b if op == "-" else a * b
    if op == "%":
        return dims.mod(a, b)
    if op == "/":
        q = dims.exact_div(a, b)
        if q is None:
            raise fail(
                INEXACT, f"`{a} / {b}` cannot be shown to be an integer", span, help="use `div` to round down"
            )
        return q
    if op == "**":
        if isinstance(b, int) and 0 <= b <= 64:
            return a**b
        return unknown_binary(op, a, b)
    if op in COMPARISONS:
        return compare_sizes(op, a, b)
    raise fail(OPERAND, f"`{op}` does not take integers", span)


def compare_sizes(op: str, a: Size, b: Size) -> Any:
    """A comparison of sizes, which may be 0: decided where it can be proved, else an unknown truth value."""
    if op in (">", ">="):
        return compare_sizes({">": "<", ">=": "<="}[op], b, a)
    diff = b - a
    if op in ("==", "!="):
        if a == b:
            return op == "=="
        if (
            isinstance(diff, int)
            or differ(a, b)
            or dims.nonnegative(diff - 1, least=0)
            or dims.nonnegative(-diff - 1, least=0)
        ):
            return op == "!="
    else:
        gap = 1 if op == "<" else 0
        if dims.nonnegative(diff - gap, least=0):
            return True
        if dims.nonnegative(-diff - 1 + gap, least=0):
            return False
    name = ELEMENTWISE[op]

    def build(_: DType) -> Node:
        return elementwise(name, ops.size_value(a, dtypes.i32), ops.size_value(b, dtypes.i32))

    return v.Unknown("bool", f"{a} {op} {b}", build, op, (a, b))


def unknown_binary(op: str, a: Any, b: Any) -> Any:
    """An operator of which a side is symbolic: built when an element type is asked for."""
    name = ELEMENTWISE[op]
    kind = "bool" if op in COMPARISONS or op in LOGIC else "float"

    def build(dtype: DType) -> Node:
        inner = REAL.get() if op in COMPARISONS else dtype

        def side(x: Any) -> Node:
            if isinstance(x, v.Unknown):
                return x.build(inner)
            return ops.size_value(x, inner) if isinstance(x, Dim) else ops.constant(x, inner)

        return elementwise(name, side(a), side(b))

    return v.Unknown(kind, f"({a} {op} {b})", build, op, (a, b))


def unknown_call(name: str, *args: Any) -> v.Unknown:
    """A scalar function of symbolic compile-time numbers."""

    def build(dtype: DType) -> Node:
        nodes = []
        for x in args:
            if isinstance(x, v.Unknown):
                nodes.append(x.build(dtype))
            else:
                nodes.append(
                    ops.size_value(x, dtype) if isinstance(x, Dim) else ops.constant(float(x), dtype)
                )
        return elementwise(name, *nodes)

    return v.Unknown("float", f"{name}({', '.join(map(str, args))})", build)
