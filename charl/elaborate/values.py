"""What an expression can be worth: run-time values are graph nodes, everything else is known while transpiling.

Enters: nothing. Leaves: the classes of values and types, their equality, their text, their leaves.
Never evaluates anything.

Compile-time values are Python `bool`, `int`, `float`, `str`, `None`, sizes (`Dim`), `Unknown` (a number or truth
value that is symbolic while a body is checked for all its instances), functions and types. Aggregates hold either
kind: `Tuple`, `Run`, `Instance`. Types are `TensorType` for tensors and the classes at the end for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from charl.dims import Dim
from charl.dtypes import DType
from charl.fixed import fixed, fixed_self
from charl.graph.ir import Node, Size, TensorType
from charl.source import Span

Value: TypeAlias = Any


class ErrorValue:
    """Stands for a value whose computation was reported as an error; using it stays silent."""


ERROR = ErrorValue()


class Silenced(Exception):
    """Raised on the use of an `ErrorValue`: the mistake behind it has been reported."""


@fixed_self
class Absent:
    """A member that this instance does not have (`param b … if bias` with bias = false)."""

    name: str


@fixed_self
class Maybe:
    """A member that exists under a condition not known while the body is checked for all instances."""

    name: str
    value: Value
    condition: Unknown


@dataclass(frozen=True, eq=False)
class Unknown:
    """A compile-time float or bool that is symbolic. `build` makes it a run-time scalar of a type. `op` of `parts` says what
    it is made of; a hyper-parameter is made of nothing."""

    kind: str  # "float" or "bool"
    text: str
    build: Callable[[DType], Node] = field(repr=False)
    op: str = ""
    parts: tuple[Value, ...] = ()

    def __str__(self) -> str:
        return self.text


# ---------------------------------------------------------------- aggregates


@fixed_self
class Tuple:
    """Values side by side."""

    items: tuple[Value, ...]


@fixed_self
class Run:
    """Values of one type in a row. With a symbolic length there is one representative item."""

    items: tuple[Value, ...]
    length: Size

    @property
    def symbolic(self) -> bool:
        return isinstance(self.length, Dim)


@fixed_self
class Instance:
    """A struct or model with a value for every member, in declaration order."""

    type: Any  # InstanceType, or OpaqueType in the check of a generic body
    members: Mapping[str, Value]

    def replace(self, name: str, value: Value) -> Instance:
        return Instance(self.type, {**self.members, name: value})


@fixed_self
class Named:
    """Values by name that are no struct (the arrays of a file)."""

    members: Mapping[str, Value]


# ---------------------------------------------------------------- functions


@dataclass(frozen=True, eq=False)
class Function:
    """A function of the source: declaration, the scope it closes over, and its receiver's type for methods."""

    name: str
    params: tuple[Any, ...]  # ast parameters
    result: Any  # type expression or None
    body: Any
    scope: Any  # Scope in which it was made
    module: Any
    generics: tuple[Any, ...] = ()
    owner: Any = None  # Declaration of a method
    span: Span | None = None
    where: tuple[Any, ...] = ()


@fixed_self
class Method:
    """A method with its receiver: a place, so that it may be written."""

    function: Function
    receiver: Any  # Place


@dataclass(frozen=True, eq=False)
class Builtin:
    """A primitive. `call(elaborator, Arguments)` evaluates it."""

    name: str
    call: Callable[..., Value]


@dataclass(frozen=True, eq=False)
class OpaqueFunction:
    """A function known by its declared type only (a hyper-parameter, in the check for all instances)."""

    name: str
    type: Any  # ast function type
    scope: Any


@dataclass(frozen=True, eq=False)
class Derived:
    """`grad(f)`, `vmap(f)`, …: an operator applied to a function, waiting for its arguments."""

    operator: str
    function: Value
    options: Mapping[str, Value]


@dataclass(frozen=True, eq=False)
class Chosen:
    """The function that a run-time condition chooses: a call of it is that condition between calls of both."""

    condition: Node
    then: Value
    otherwise: Value

    @property
    def name(self) -> str:
        """What messages call it."""
        return " or ".join(getattr(f, "name", "closure") for f in (self.then, self.otherwise))


@dataclass(frozen=True, eq=False)
class Declaration:
    """A struct or model of the source."""

    name: str
    kind: str  # "struct" or "model"
    ast: Any
    module: Any
    scope: Any


FUNCTIONS = (Function, Method, Builtin, OpaqueFunction, Derived, Chosen)

# ---------------------------------------------------------------- types


@fixed
class InstanceType:
    """A declaration with all its parameters. `part` is "all", or "grad" for `Grad<S>` of an S with other leaves.

    `lead` are axes that every tensor has before its declared ones (what `vmap` stacks). `lanes` counts first axes that
    every tensor lacks (what `vmap` gives its function of a struct that holds the axis itself). `each` says what stands in
    place of every tensor (a Hessian has the gradient's derivatives there).
    """

    declaration: Declaration
    arguments: tuple[tuple[str, Any], ...]
    part: str = "all"
    lead: tuple[Size, ...] = ()
    lanes: int = 0
    each: str = ""
    span: Span | None = field(default=None, compare=False, repr=False)  # where it was asked for

    @property
    def plain(self) -> bool:
        """Whether every tensor is of its declared shape."""
        return not self.lead and not self.lanes and not self.each

    @property
    def name(self) -> str:
        return self.declaration.name

    def argument(self, name: str) -> Any:
        return dict(self.arguments)[name]

    def __str__(self) -> str:
        return describe_instance(self)


@fixed
class TupleType:
    items: tuple[Any, ...]

    def __str__(self) -> str:
        return f"({', '.join(map(describe, self.items))}{',' if len(self.items) == 1 else ''})"


@fixed
class RunType:
    """`[T; n]`; `items` are the element types, one where they agree."""

    items: tuple[Any, ...]
    length: Size

    def __str__(self) -> str:
        if len(self.items) > 1 and any(t != self.items[0] for t in self.items):
            return f"[{', '.join(map(describe, self.items))}]"
        return f"[{describe(self.items[0]) if self.items else '_'}; {self.length}]"


@dataclass(frozen=True)
class Plain:
    """The type of a compile-time value: int, float, bool, str, None, function, type."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class OpaqueType:
    """A type parameter in the check of a generic body: one floating leaf of unknown shape stands for all. It stacks."""

    name: str
    leaf: TensorType
    lead: tuple[Size, ...] = ()
    lanes: int = 0
    each = None
    of: object = field(default_factory=object)  # the parameter: another may have the same name

    def __str__(self) -> str:
        axes = f"[{', '.join(map(str, self.lead))}]" if self.lead else ""
        return "an element of " * self.lanes + self.name + axes


def type_of(value: Value) -> Any:
    """The type of a value. Raises Silenced for an error value."""
    if isinstance(value, Node):
        return value.type
    if isinstance(value, Instance):
        return value.type
    if isinstance(value, Tuple):
        return TupleType(tuple(type_of(v) for v in value.items))
    if isinstance(value, Run):
        return RunType(_uniform(tuple(type_of(v) for v in value.items)), value.length)
    if isinstance(value, ErrorValue):
        raise Silenced
    return Plain(plain_name(value))


def _uniform(types: tuple[Any, ...]) -> tuple[Any, ...]:
    return types[:1] if types and all(t == types[0] for t in types) else types


def plain_name(value: Value) -> str:
    """Name of the kind of a compile-time value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, (int, Dim)):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    if value is None:
        return "None"
    if isinstance(value, Unknown):
        return value.kind
    if isinstance(value, FUNCTIONS):
        return "function"
    if isinstance(value, Named):
        return "named arrays"
    return "type"


def describe(type_: Any) -> str:
    """A type as a user would write it."""
    return str(type_)


def describe_value(value: Value) -> str:
    """The type of a value in a message; compile-time numbers show themselves."""
    if isinstance(value, (bool, int, float, Dim, Unknown)) and not isinstance(value, Node):
        shown = str(value).lower() if isinstance(value, bool) else str(value)
        return f"{plain_name(value)} ({shown})"
    if isinstance(value, (Function, Builtin, OpaqueFunction, Chosen)):
        return f"the function `{value.name}`"
    if isinstance(value, Declaration):
        return f"the {value.kind} `{value.name}`"
    return describe(type_of(value))


def describe_instance(t: InstanceType) -> str:
    """`Adam<Digits>`, `Dense(64, 10)`; functions and defaults show by name."""
    head = t.name
    types = [describe(v) for n, v in t.arguments if is_type(v)]
    sizes = [_argument_text(v) for n, v in t.arguments if not is_type(v)]
    head += f"<{', '.join(types)}>" if types else ""
    head += f"({', '.join(sizes)})" if sizes else ""
    head = f"Grad<{head}>" if t.part == "grad" else head
    head += f"[{', '.join(map(str, t.lead))}]" if t.lead else ""
    head += f" of {t.each}" if t.each else ""
    return "an element of " * t.lanes + head


def _argument_text(v: Value) -> str:
    if isinstance(v, bool):
        return str(v).lower()
    return str(getattr(v, "name", v))


def is_type(value: Any) -> bool:
    """Whether a value is a type (argument of a generic, right side of an alias)."""
    return isinstance(value, (TensorType, InstanceType, TupleType, RunType, OpaqueType, Plain))


def is_compile_time_number(value: Value) -> bool:
    """int, float or a symbolic one; not bool."""
    if isinstance(value, bool):
        return False
    if isinstance(value, Unknown):
        return value.kind == "float"
    return isinstance(value, (int, float, Dim))


def is_table(value: Value) -> bool:
    """Whether a value is an array literal of numbers, nested or not, which becomes a tensor where one is wanted."""
    if not isinstance(value, Run) or value.symbolic or not value.items:
        return False
    return all(is_table(x) or is_compile_time_number(x) for x in value.items)


# ---------------------------------------------------------------- leaves


def children(value: Value) -> list[tuple[str, Value]]:
    """Named parts of an aggregate; nothing for anything else."""
    if isinstance(value, Instance):
        return [(n, v.value if isinstance(v, Maybe) else v) for n, v in value.members.items()]
    if isinstance(value, Named):
        return list(value.members.items())
    if isinstance(value, (Tuple, Run)):
        return [(str(i), v) for i, v in enumerate(value.items)]
    return []


def leaves(value: Value, path: str = "") -> Iterator[tuple[str, Node]]:
    """(path, node) of every tensor in a value, in declaration order."""
    if isinstance(value, Node):
        yield path, value
    elif isinstance(value, ErrorValue):
        raise Silenced
    for name, part in children(value):
        yield from leaves(part, f"{path}.{name}" if path else name)


def rebuild(value: Value, change: Callable[[str, Node], Value], path: str = "") -> Value:
    """The same aggregate with every tensor replaced by `change(path, node)`."""

    def below(name: str) -> str:
        return f"{path}.{name}" if path else name

    if isinstance(value, Node):
        return change(path, value)
    if isinstance(value, Instance):
        new = {n: _rebuild_member(v, change, below(n)) for n, v in value.members.items()}
        return Instance(value.type, new)
    if isinstance(value, Named):
        return Named({n: rebuild(v, change, below(n)) for n, v in value.members.items()})
    if isinstance(value, Tuple):
        return Tuple(tuple(rebuild(v, change, below(str(i))) for i, v in enumerate(value.items)))
    if isinstance(value, Run):
        items = tuple(rebuild(v, change, below(str(i))) for i, v in enumerate(value.items))
        return Run(items, value.length)
    return value


def stacked(value: Value, sizes: tuple[Size, ...]) -> Value:
    """An aggregate whose tensors have got first axes of these sizes, with types that say so."""

    def change(t: Any) -> Any:
        inner = sizes[: max(len(sizes) - t.lanes, 0)]
        return replace(t, lead=(*inner, *t.lead), lanes=max(t.lanes - len(sizes), 0))

    return _retyped(value, change)


def element(value: Value) -> Value:
    """An aggregate whose tensors have lost their first axis, with types that say so."""

    def change(t: Any) -> Any:
        return replace(t, lead=t.lead[1:]) if t.lead else replace(t, lanes=t.lanes + 1)

    return _retyped(value, change)


def with_lead(value: Value, count: int, sizes: tuple[Size, ...]) -> Value:
    """A stack whose first `count` axes have become axes of these sizes."""
    return _retyped(value, lambda t: replace(t, lead=(*sizes, *t.lead[count:])))


def _retyped(value: Value, change: Callable[[Any], Any]) -> Value:
    if isinstance(value, Instance):
        return Instance(change(value.type), {n: _retyped(x, change) for n, x in value.members.items()})
    if isinstance(value, Maybe):
        return Maybe(value.name, _retyped(value.value, change), value.condition)
    if isinstance(value, Tuple):
        return Tuple(tuple(_retyped(x, change) for x in value.items))
    if isinstance(value, Run):
        return Run(tuple(_retyped(x, change) for x in value.items), value.length)
    return value


def _rebuild_member(v: Value, change: Callable[[str, Node], Value], path: str) -> Value:
    if isinstance(v, Maybe):
        return Maybe(v.name, rebuild(v.value, change, path), v.condition)
    return rebuild(v, change, path)
