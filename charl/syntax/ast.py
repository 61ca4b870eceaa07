"""The abstract syntax tree: what a file says, with the place where it says it.

Enters nothing, leaves these classes: expressions, patterns, statements and types; the items of a file, which hold them,
are in `declarations.py`. Every node has a `span`; nodes are immutable and compared by identity, so
that they may be keys. Names are not resolved, types are not known, constants are not folded here. Two trees
are compared, or read by a person, through `dump`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TypeVar, dataclass_transform

from charl.source import Span

_C = TypeVar("_C", bound=type)


@dataclass_transform(frozen_default=True, eq_default=False)
def node_class(cls: _C) -> _C:
    """As `fixed_self` (fixed.py), shown by `dump`."""
    return dataclass(slots=True, eq=False, repr=False)(cls)  # type: ignore[return-value]


@node_class
class Node:
    span: Span

    def __repr__(self) -> str:
        return dump(self)


class Expr(Node):
    __slots__ = ()


class Type(Node):
    __slots__ = ()


class Pattern(Node):
    __slots__ = ()


class Statement(Node):
    __slots__ = ()


# ---- expressions


@node_class
class Name(Expr):
    """A name where it is used, and also where it is declared (parameters, members, items, named arguments)."""

    name: str

    def __str__(self) -> str:
        return self.name


@node_class
class Int(Expr):
    value: int


@node_class
class Float(Expr):
    value: float
    text: str  # as written


@node_class
class Str(Expr):
    value: str  # escapes resolved


@node_class
class Bool(Expr):
    value: bool


@node_class
class NoneValue(Expr):
    """`None`; in an index, a new axis."""


@node_class
class Pack(Expr):
    """`*S`: among the dimensions of a type, or as an argument (`prod(*S)`, `zeros(*S)`)."""

    name: Name


@node_class
class Array(Expr):
    """`[a, b, c]`."""

    elements: tuple[Expr, ...]


@node_class
class Repeat(Expr):
    """`[value; count]`."""

    value: Expr
    count: Expr


@node_class
class Tuple(Expr):
    """`(a, b)`, `(a,)`, `()`."""

    elements: tuple[Expr, ...]


@node_class
class Unary(Expr):
    op: str  # "-" or "not"
    operand: Expr


@node_class
class Binary(Expr):
    op: str  # + - * / % ** @ == != < <= > >= and or
    left: Expr
    right: Expr
    op_span: Span


@node_class
class Pipe(Expr):
    """`value |> function`; the function is any postfix expression."""

    value: Expr
    function: Expr


@node_class
class Cast(Expr):
    """`value as element_type`."""

    value: Expr
    to: Name


@node_class
class Arg(Node):
    """An argument of a call or of a parametrised type."""

    value: Expr
    name: Name | None
    mut: bool


@node_class
class Call(Expr):
    callee: Expr
    args: tuple[Arg, ...]


@node_class
class Member(Expr):
    """`value.name`; the name may be a number (`net.0.w`, `pair.1`)."""

    value: Expr
    name: Name


@node_class
class Slice(Expr):
    """`start:stop:step` inside an index; a missing part is None."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None


@node_class
class Dots(Expr):
    """`...` inside an index."""


@node_class
class Index(Expr):
    """`value[items]`; an item is an expression, `NoneValue`, `Slice` or `Dots`."""

    value: Expr
    items: tuple[Expr, ...]


@node_class
class Range(Expr):
    """`start..stop`: after `in` of a `for`, or as a pattern of `match`."""

    start: Expr
    stop: Expr


@node_class
class ClosureParam(Node):
    pattern: Pattern  # a mutable one has NamePattern.mut
    type: Type | None


@node_class
class Closure(Expr):
    """`|params| body`; the body is a `Block` where it stands in braces."""

    params: tuple[ClosureParam, ...]
    body: Expr


@node_class
class Block(Expr):
    """`{ statements value }`: `value` is the last expression, None where the block does not end with one."""

    statements: tuple[Statement, ...]
    value: Expr | None


@node_class
class If(Expr):
    condition: Expr
    then: Block
    otherwise: Block | If | None


@node_class
class For(Expr):
    """`for [const] pattern in iterable [while condition] body`."""

    pattern: Pattern
    const: bool
    iterable: Expr  # a Range, or any expression
    condition: Expr | None
    body: Block


@node_class
class While(Expr):
    condition: Expr
    body: Block


@node_class
class MatchArm(Node):
    """`a | b => body`; patterns are literals, names of compile-time values, `Range`s; none at all for `_`."""

    patterns: tuple[Expr, ...]
    body: Expr


@node_class
class Match(Expr):
    subject: Expr
    arms: tuple[MatchArm, ...]


# ---- patterns


@node_class
class NamePattern(Pattern):
    name: Name  # "_" binds nothing
    mut: bool


@node_class
class TuplePattern(Pattern):
    elements: tuple[Pattern, ...]


@node_class
class ArrayPattern(Pattern):
    elements: tuple[Pattern, ...]


# ---- statements


@node_class
class Let(Statement):
    """`let [mut] pattern[: type] = value`; `mut` stands on the patterns."""

    pattern: Pattern
    type: Type | None
    value: Expr


@node_class
class Assign(Statement):
    """`place = value`, or `place op= value`; `op` is "" for the plain form, else "+", "-", "*", "/", "%", "**", "@"."""

    target: Expr  # a Name, Member, Index, or a Tuple or Array of those
    op: str
    value: Expr


@node_class
class Yield(Statement):
    value: Expr


@node_class
class Return(Statement):
    value: Expr | None


@node_class
class Assert(Statement):
    condition: Expr
    message: Expr | None


@node_class
class ExprStatement(Statement):
    """An expression that is not the last of its block."""

    value: Expr


# ---- types


@node_class
class NamedType(Type):
    """`f32`, `int`, `M`, `Digits`, `Dense(i, o)`, `Adam<Digits>`; `args` is None where there are no parentheses."""

    name: Name
    generics: tuple[Type, ...]
    args: tuple[Arg, ...] | None


@node_class
class TensorType(Type):
    """`f32[N, 64]`, `bool[]`, `E[*S, d]`; dimensions are expressions or `Pack`s."""

    element: Name
    dims: tuple[Expr, ...]


@node_class
class StackType(Type):
    """`Block(d, heads)[depth]`, `Adam<Net>[K]`. Of a bare name it is a `TensorType`: only what the name stands for tells."""

    base: NamedType
    dims: tuple[Expr, ...]


@node_class
class TupleType(Type):
    """`(A, B)`; `()` is the unit type."""

    elements: tuple[Type, ...]


@node_class
class RunType(Type):
    """`[T; n]`."""

    element: Type
    count: Expr


@node_class
class FnTypeParam(Node):
    mut: bool
    type: Type


@node_class
class FnType(Type):
    """`fn(A, mut B) -> C`."""

    params: tuple[FnTypeParam, ...]
    returns: Type | None


# ---- for readers, tests and walkers


_PARTS: dict[type, tuple[str, ...]] = {}  # the fields of a class that may hold nodes


def _parts(kind: type) -> tuple[str, ...]:
    found = _PARTS.get(kind)
    if found is None:
        plain = ("Span", "str", "bool", "int", "float", "frozenset[str]")
        found = _PARTS[kind] = tuple(f.name for f in fields(kind) if f.type not in plain)
    return found


def children(node: Node) -> list[Node]:
    """The nodes directly below `node`, in the order of its fields."""
    out: list[Node] = []
    for name in _parts(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            out.append(value)
        elif value:
            out.extend(value)
    return out


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first; without recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(children(top)))


def dump(value: object) -> str:
    """A tree as text without spans: `Binary(+ Name(a) Int(1))`. Equal text means equal structure."""
    if isinstance(value, Node):
        parts = [dump(getattr(value, f.name)) for f in fields(value) if not f.name.endswith("span")]
        return f"{type(value).__name__}({' '.join(parts)})"
    if isinstance(value, tuple):
        return f"[{' '.join(map(dump, value))}]"
    return repr(value) if isinstance(value, str) else str(value)
