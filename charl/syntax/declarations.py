"""Declarations: what a file consists of, functions and models with their members included.

Enters nothing, leaves these classes of the tree. What a declaration refers to is a name: nothing is bound here.
"""

from __future__ import annotations

from charl.source import Span
from charl.syntax.ast import Arg, Block, Expr, Name, Node, Str, Type, node_class


class Item(Node):
    __slots__ = ()


@node_class
class Param(Node):
    """A parameter of a function, struct or model; the type may be missing where it follows from elsewhere."""

    name: Name
    mut: bool
    type: Type | None
    default: Expr | None


@node_class
class Generic(Node):
    """`M` or `E: float` between `<` and `>`."""

    name: Name
    bound: Name | None


@node_class
class Decorator(Node):
    """`@gradient(of: f)`."""

    name: Name
    args: tuple[Arg, ...]


@node_class
class ImportName(Node):
    name: Name
    alias: Name | None  # from `A as B`


@node_class
class Import(Item):
    """`from nn import A` (a module of the library) or `from "blocks.ch" import B` (a file, `is_path`)."""

    module: str
    is_path: bool
    module_span: Span
    names: tuple[ImportName, ...]


@node_class
class Const(Item):
    name: Name
    type: Type | None
    value: Expr
    docs: str


@node_class
class TypeAlias(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    type: Type
    docs: str


@node_class
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


@node_class
class Field(Node):
    """A member with a value: `kind` is "field" (also sub-models), "param" or "state"."""

    kind: str
    name: Name
    type: Type
    default: Expr | None  # initializer of a param or state, default of a field
    condition: Expr | None  # from `if condition`
    docs: str


@node_class
class Struct(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    fields: tuple[Field, ...]
    methods: tuple[Function, ...]
    docs: str


@node_class
class Layers(Node):
    entries: tuple[Expr, ...]


@node_class
class Model(Item):
    name: Name
    generics: tuple[Generic, ...]
    params: tuple[Param, ...]
    fields: tuple[Field, ...]
    methods: tuple[Function, ...]
    layers: Layers | None
    docs: str


@node_class
class Test(Item):
    name: Str
    body: Block
    docs: str


@node_class
class Module(Node):
    """A file. Items with syntax errors in them are left out of `items`; the names they would have bound are in
    `broken`, so that their uses are not reported as well ("*" where such a name could not be read)."""

    docs: str
    items: tuple[Item, ...]
    broken: frozenset[str]
