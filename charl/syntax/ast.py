"""The abstract syntax tree: what a file says, with the place where it says it.

Enters nothing, leaves these classes. Every node has a `span`; nodes are immutable and compared by identity, so
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
def _node(cls: _C) -> _C:
    """A node class. That nodes do not change is the type checker's to see: guarding it at run time would triple
    the time to make one."""
    return dataclass(slots=True, eq=False, repr=False)(cls)  # type: ignore[return-value]


@_node
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


class Item(Node):
    __slots__ = ()


# ---- expressions


@_node
class Name(Expr):
    """A name where it is used, and also where it is declared (parameters, members, items, named arguments)."""

    name: str

    def __str__(self) -> str:
        return self.name


@_node
class Int(Expr):
    value: int


@_node
class Float(Expr):
    value: float
    text: str  # as written


@_node
class Str(Expr):
    value: str  # escapes resolved


@_node
class Bool(Expr):
    value: bool


@_node
class NoneValue(Expr):
    """`None`; in an index, a new axis."""


@_node
class Pack(Expr):
    """`*S`: among the dimensions of a type, or as an argument (`prod(*S)`, `zeros(*S)`)."""

    name: Name


@_node
class Array(Expr):
    """`[a, b, c]`."""

    elements: tuple[Expr, ...]


@_node
class Repeat(Expr):
    """`[value; count]`."""

    value: Expr
    count: Expr


@_node
class Tuple(Expr):
    """`(a, b)`, `(a,)`, `()`."""

    elements: tuple[Expr, ...]


@_node
class Unary(Expr):
    op: str  # "-" or "not"
    operand: Expr


@_node
class Binary(Expr):
    op: str  # + - * / % ** @ == != < <= > >= and or
    left: Expr
    right: Expr
    op_span: Span


@_node
class Pipe(Expr):
    """`value |> function`; the function is any postfix expression."""

    value: Expr
    function: Expr


@_node
class Cast(Expr):
    """`value as element_type`."""

    value: Expr
    to: Name


@_node
class Arg(Node):
    """An argument of a call or of a parametrised type."""

    value: Expr
    name: Name | None
    mut: bool


@_node
class Call(Expr):
    callee: Expr
    args: tuple[Arg, ...]


@_node
class Member(Expr):
    """`value.name`; the name may be a number (`net.0.w`, `pair.1`)."""

    value: Expr
    name: Name


@_node
class Slice(Expr):
    """`start:stop:step` inside an index; a missing part is None."""

    start: Expr | None
    stop: Expr | None
    step: Expr | None


@_node
class Dots(Expr):
    """`...` inside an index."""


@_node
class Index(Expr):
    """`value[items]`; an item is an expression, `NoneValue`, `Slice` or `Dots`."""

    value: Expr
    items: tuple[Expr, ...]


@_node
class Range(Expr):
    """`start..stop`: after `in` of a `for`, or as a pattern of `match`."""

    start: Expr
    stop: Expr


@_node
class ClosureParam(Node):
    pattern: Pattern  # a mutable one has NamePattern.mut
    type: Type | None


@_node
class Closure(Expr):
    """`|params| body`; the body is a `Block` where it stands in braces."""

    params: tuple[ClosureParam, ...]
    body: Expr


@_node
class Block(Expr):
    """`{ statements value }`: `value` is the last expression, None where the block does not end with one."""

    statements: tuple[Statement, ...]
    value: Expr | None


@_node
class If(Expr):
    condition: Expr
    then: Block
    otherwise: Block | If | None


@_node
class For(Expr):
    """`for [const] pattern in iterable [while condition] body`."""

    pattern: Pattern
    const: bool
    iterable: Expr  # a Range, or any expression
    condition: Expr | None
    body: Block


@_node
class While(Expr):
    condition: Expr
    body: Block


@_node
class MatchArm(Node):
    """`a | b => body`; patterns are literals, names of compile-time values, `Range`s; none at all for `_`."""

    patterns: tuple[Expr, ...]
    body: Expr


@_node
class Match(Expr):
    subject: Expr
    arms: tuple[MatchArm, ...]


# ---- patterns


@_node
class NamePattern(Pattern):
    name: Name  # "_" binds nothing
    mut: bool


@_node
class TuplePattern(Pattern):
    elements: tuple[Pattern, ...]


@_node
class ArrayPattern(Pattern):
    elements: tuple[Pattern, ...]


# ---- statements


@_node
class Let(Statement):
    """`let [mut] pattern[: type] = value`; `mut` stands on the patterns."""

    pattern: Pattern
    type: Type | None
    value: Expr


@_node
class Assign(Statement):
    """`place = value`, or `place op= value`; `op` is "" for the plain form, else "+", "-", "*", "/", "%", "**", "@"."""

    target: Expr  # a Name, Member, Index, or a Tuple or Array of those
    op: str
    value: Expr


@_node
class Yield(Statement):
    value: Expr


@_node
class Return(Statement):
    value: Expr | None


@_node
class Assert(Statement):
    condition: Expr
    message: Expr | None


@_node
class ExprStatement(Statement):
    """An expression that is not the last of its block."""

    value: Expr


# ---- types


@_node
class NamedType(Type):
    """`f32`, `int`, `M`, `Digits`, `Dense(i, o)`, `Adam<Digits>`; `args` is None where there are no parentheses."""

    name: Name
    generics: tuple[Type, ...]
    args: tuple[Arg, ...] | None


@_node
class TensorType(Type):
    """`f32[N, 64]`, `bool[]`, `E[*S, d]`; dimensions are expressions or `Pack`s."""

    element: Name
    dims: tuple[Expr, ...]


@_node
class StackType(Type):
    """`Block(d, heads)[depth]`, `Adam<Net>[K]`. Of a bare name it is a `TensorType`: only what the name stands for tells."""

    base: NamedType
    dims: tuple[Expr, ...]


@_node
class TupleType(Type):
    """`(A, B)`; `()` is the unit type."""

    elements: tuple[Type, ...]


@_node
class RunType(Type):
    """`[T; n]`."""

    element: Type
    count: Expr


@_node
class FnTypeParam(Node):
    mut: bool
    type: Type


@_node
class FnType(Type):
    """`fn(A, mut B) -> C`."""

    params: tuple[FnTypeParam, ...]
    returns: Type | None


# ---- items


@_node
class Param(Node):
    """A parameter of a function, struct or model; the type may be missing where it follows from elsewhere."""

    name: Name
    mut: bool
    type: Type | None
    default: Expr | None


@_node
class Generic(Node):
    """`M` or `E: float` between `<` and `>`."""

    name: Name
    bound: Name | None


@_node
class Decorator(Node):
    """`@gradient(of: f)`."""

    name: Name
    args: tuple[Arg, ...]


@_node
class ImportName(Node):
    name: Name
    alias: Name | None  # from `A as B`


@_node
class Import(Item):
    """`from nn import A` (a module of the library) or `from "blocks.ch" import B` (a file, `is_path`)."""

    module: str
    is_path: bool
    module_span: Span
    names: tuple[ImportName, ...]


@_node
class Const(Item):
    name: Name
    type: Type | None
    value: Expr
    docs: str


@_node
class TypeAlias(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    type: Type
    docs: str


@_node
class Function(Item):
    """A function or a method. `body` of the short form (`= expr`) is a Block of that value, and `short` is true."""

    name: Name
    export: bool
    decorators: tuple[Decorator, ...]
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    returns: Type | None
    where: tuple[Expr, ...]
    body: Block
    short: bool
    docs: str


@_node
class Field(Node):
    """A member with a value: `kind` is "field" (also sub-models), "param" or "state"."""

    kind: str
    name: Name
    type: Type
    default: Expr | None  # initializer of a param or state, default of a field
    condition: Expr | None  # from `if condition`
    docs: str


@_node
class Struct(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    fields: tuple[Field, ...]
    methods: tuple[Function, ...]
    docs: str


@_node
class Layers(Node):
    entries: tuple[Expr, ...]


@_node
class Model(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    fields: tuple[Field, ...]
    methods: tuple[Function, ...]
    layers: Layers | None
    docs: str


@_node
class Test(Item):
    name: Str
    body: Block
    docs: str


@_node
class Module(Node):
    """A file. Items with syntax errors in them are left out of `items`; the names they would have bound are in
    `broken`, so that their uses are not reported as well ("*" where such a name could not be read)."""

    docs: str
    items: tuple[Item, ...]
    broken: frozenset[str]


# ---- for readers, tests and walkers


_PARTS: dict[type, tuple[str, ...]] = {}  # the fields of a class that may hold nodes


def _parts(kind: type) -> tuple[str, ...]:
    found = _PARTS.get(kind)
    if found is None:
        plain = ("Span", "str", "bool", "int", "float", "frozenset[str]")
        found = _PARTS[kind] = tuple(f.name for f in fields(kind) if f.type not in plain)
    return found


def children(node: Node) -> Iterator[Node]:
    """The nodes directly below `node`, in the order of its fields."""
    for name in _parts(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif value:
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first; without recursion."""
    stack = [node]
    while stack:
        top = stack.pop()
        yield top
        stack.extend(reversed(list(children(top))))


def dump(value: object) -> str:
    """A tree as text without spans: `Binary(+ Name(a) Int(1))`. Equal text means equal structure."""
    if isinstance(value, Node):
        parts = [dump(getattr(value, f.name)) for f in fields(value) if not f.name.endswith("span")]
        return f"{type(value).__name__}({' '.join(parts)})"
    if isinstance(value, tuple):
        return f"[{' '.join(map(dump, value))}]"
    return repr(value) if isinstance(value, str) else str(value)
