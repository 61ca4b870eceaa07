"""A checked program as the later levels see it: records, exports, graphs. Made by `elaborate`.

Leaves of an argument are its tensors in declaration order, with paths such as `layer.0.w`. An export's
graph has one parameter per leaf of all arguments, in order, then nothing else; its results are the leaves of the
result, then the final value of every leaf of every `mut` argument, in order (the same node as the parameter where it
does not change).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from charl.graph.ir import Graph, Size, TensorType
from charl.source import Span

Tree: TypeAlias = "TensorType | Record"


@dataclass(frozen=True)
class Field:
    """One member of a record."""

    name: str  # "w", or "0" for the first entry of a run, a tuple or `layers`
    type: Tree
    doc: str = ""
    trained: bool = False  # a `param`


@dataclass(frozen=True)
class Record:
    """A model or struct at given sizes, a tuple, or a run (array) of one type.

    `name` is what the user wrote ("Digits", "Adam"); `kind` is "model", "struct", "tuple" or "run". Two records with equal
    fields and name are one C struct; `Adam<Digits>` and `Adam<Other>` differ and get numbered names.
    """

    name: str
    kind: str
    fields: tuple[Field, ...]
    doc: str = ""


def leaves(tree: Tree, path: str = "") -> Iterator[tuple[str, TensorType]]:
    """(path, type) of every tensor, in order. Absent members do not appear."""
    if isinstance(tree, TensorType):
        yield path, tree
        return
    for f in tree.fields:
        yield from leaves(f.type, f"{path}.{f.name}" if path else f.name)


@dataclass(frozen=True)
class Argument:
    """A parameter of an export; `mut` means in-out. `default` is that of a number, where the program gives one."""

    name: str
    type: Tree
    mut: bool = False
    doc: str = ""
    span: Span | None = field(default=None, repr=False, compare=False)
    default: bool | int | float | None = None


@dataclass(frozen=True)
class DimVar:
    """A dimension variable of an export that is an argument of the emitted function, or was.

    `low`..`high` are inclusive bounds (`high` None: unbounded); a fixed one has been substituted and does not appear.
    `multiple_of` comes from `where T % 4 == 0`.
    """

    name: str
    low: int = 0
    high: int | None = None
    multiple_of: int = 1


@dataclass
class Export:
    """One entry point. `constraints` are (text, left, relation, right, span) to check on entry."""

    name: str
    doc: str
    arguments: tuple[Argument, ...]
    result: Tree | None
    graph: Graph
    dims: tuple[DimVar, ...]
    constraints: tuple[tuple[str, Size, str, Size, Span | None], ...] = ()
    span: Span | None = None
    role: str = "export"  # "init" for the generated initializers


@dataclass(frozen=True)
class Assertion:
    """What to say where an assertion fails. `labels`: what its two sides are called; none where it compares nothing."""

    text: str  # "digits.ch:14:12: close(a, b)", and its message
    labels: tuple[str, ...]
    scalar: bool  # each side is one number


@dataclass
class Test:
    """A `test` block: an export whose arguments are `given`.

    Its results: the number of the assertion that fails, or 0; of the two sides of that, the element at which they differ most,
    and both there.
    """

    name: str
    export: Export
    given: tuple[Any, ...]  # NumPy arrays, one for each argument
    assertions: tuple[Assertion, ...]  # 1, 2, …


@dataclass
class Program:
    """Everything a package is made from."""

    name: str  # the module's name: digits
    doc: str
    exports: list[Export]
    records: list[Record]  # every record that an export mentions, inner ones first
    path: str = ""
    digest: str = ""  # sha256 of source and options
    tests: list[Test] = field(default_factory=list)
