"""Names, and the places they stand for.

Enters: names with values. Leaves: look-ups, and places that can be read and written through members, items and
leaves. Writing rebinds the variable at the root of a place; values never change. A journal records writes, so
that two branches can be elaborated from the same state. Never evaluates an expression.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol

from charl.elaborate.values import Absent, Instance, Maybe, Named, Run, Tuple, Value, children
from charl.fixed import fixed
from charl.source import Span

_BIRTHS = count()  # orders variables and marks by when they came to be; nothing else depends on it


class Journal:
    """Which variables that existed at a mark were written since, and what they held before."""

    def __init__(self) -> None:
        self._frames: list[tuple[int, dict[Binding, Value]]] = []

    def note(self, binding: Binding) -> None:
        for start, frame in self._frames:
            if binding.born < start:
                frame.setdefault(binding, binding.value)

    @property
    def inside(self) -> bool:
        """Whether a branch, a loop or a lane is under way: what is computed in it does not exist outside."""
        return bool(self._frames)

    @property
    def depth(self) -> int:
        """How many collections are open."""
        return len(self._frames)

    def open(self) -> dict[Binding, Value]:
        """Begins to collect {variable: value before} of everything written from now on, until `close`."""
        before: dict[Binding, Value] = {}
        self._frames.append((next(_BIRTHS), before))
        return before

    def close(self, depth: int) -> None:
        """Ends the collections that were opened since there were so many."""
        del self._frames[depth:]

    @contextmanager
    def frame(self) -> Iterator[dict[Binding, Value]]:
        """Collects {variable: value before} of everything written inside."""
        depth = self.depth
        try:
            yield self.open()
        finally:
            self.close(depth)


@dataclass(eq=False, slots=True)
class Binding:
    """A variable. With `alias` it stands for a place (the element of a `mut` place in a `for`)."""

    name: str
    value: Value = None
    mutable: bool = False
    span: Span | None = None
    alias: Place | None = None
    born: int = field(default_factory=_BIRTHS.__next__)


@dataclass(eq=False, slots=True)
class Mode:
    """Training mode of a method: whether it trains, and the stream it draws from."""

    training: Value = False
    rng: Place | None = None


@dataclass(eq=False, slots=True)
class Scope:
    """Names of one block; `parent` is looked up next."""

    parent: Scope | None = None
    names: dict[str, Binding] = field(default_factory=dict)
    function: Any = None  # the Frame this scope belongs to

    def __post_init__(self) -> None:
        if self.function is None and self.parent is not None:
            self.function = self.parent.function

    def find(self, name: str) -> Binding | None:
        scope: Scope | None = self
        while scope is not None:
            found = scope.names.get(name)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def bind(
        self,
        name: str,
        value: Value,
        span: Span | None = None,
        mutable: bool = False,
        alias: Place | None = None,
    ) -> Binding:
        binding = Binding(name, value, mutable, span, alias)
        self.names[name] = binding
        return binding

    def visible(self) -> Iterator[str]:
        """Every name in reach, inner ones first (for suggestions)."""
        scope: Scope | None = self
        while scope is not None:
            yield from scope.names
            scope = scope.parent


# ---------------------------------------------------------------- places


class Place(Protocol):
    """Something that holds a value."""

    def get(self) -> Value: ...

    def set(self, value: Value) -> None: ...

    @property
    def mutable(self) -> bool: ...

    @property
    def root(self) -> Binding | None: ...


@fixed
class Variable:
    """A variable as a place; an alias forwards to what it stands for."""

    binding: Binding
    journal: Journal

    def get(self) -> Value:
        return self.binding.alias.get() if self.binding.alias is not None else self.binding.value

    def set(self, value: Value) -> None:
        if self.binding.alias is not None:
            self.binding.alias.set(value)
        else:
            self.journal.note(self.binding)
            self.binding.value = value

    @property
    def mutable(self) -> bool:
        return self.binding.alias.mutable if self.binding.alias is not None else self.binding.mutable

    @property
    def root(self) -> Binding | None:
        return self.binding.alias.root if self.binding.alias is not None else self.binding


@fixed
class Temporary:
    """The value of an expression: readable, and writable without effect where `mutable`."""

    value: Value
    mutable: bool = False
    root: Binding | None = None

    def get(self) -> Value:
        return self.value

    def set(self, value: Value) -> None:
        raise AssertionError("a temporary is not written")


@fixed
class Part:
    """A member of an instance or an item of a tuple or run."""

    base: Any  # Place
    name: str

    def get(self) -> Value:
        return part(self.base.get(), self.name)

    def set(self, value: Value) -> None:
        self.base.set(with_part(self.base.get(), self.name, value))

    @property
    def mutable(self) -> bool:
        return bool(self.base.mutable)

    @property
    def root(self) -> Binding | None:
        return self.base.root  # type: ignore[no-any-return]


@fixed
class Leaf:
    """One tensor deep inside a place, by its path."""

    base: Any  # Place
    path: str

    def get(self) -> Value:
        value, path = self.base.get(), self.path
        while path:
            _, value, path = _entered(value, path)
        return value

    def set(self, value: Value) -> None:
        self.base.set(_with_leaf(self.base.get(), self.path, value))

    @property
    def mutable(self) -> bool:
        return bool(self.base.mutable)

    @property
    def root(self) -> Binding | None:
        return self.base.root  # type: ignore[no-any-return]


def _entered(value: Value, path: str) -> tuple[str, Value, str]:
    """The part of an aggregate that a path leads to first: its name (which may have dots), itself, the rest of the path."""
    head, _, rest = path.partition(".")
    if isinstance(value, Instance) and head in value.members:
        inner = value.members[head]
        return head, inner.value if isinstance(inner, Maybe) else inner, rest
    for name, inner in children(value):
        if path == name or path.startswith(f"{name}."):
            return name, inner, path[len(name) + 1 :]
    raise KeyError(path)


def _with_leaf(value: Value, path: str, new: Value) -> Value:
    if not path:
        return new
    name, inner, rest = _entered(value, path)
    inner = _with_leaf(inner, rest, new)
    if isinstance(value, Named):
        return Named({**value.members, name: inner})
    return with_part(value, name, inner)


def part(value: Value, name: str) -> Value:
    """A member or an item by name; what it is worth may be `Absent` or `Maybe`."""
    if isinstance(value, Maybe):  # it was tested where it was named
        value = value.value
    if isinstance(value, Instance):
        return value.members[name]
    assert isinstance(value, (Tuple, Run))
    return value.items[int(name)]


def with_part(value: Value, name: str, new: Value) -> Value:
    """The aggregate with one part replaced."""
    if isinstance(value, Maybe):
        return Maybe(value.name, with_part(value.value, name, new), value.condition)
    if isinstance(value, Instance):
        old = value.members[name]
        if isinstance(old, Maybe) and not isinstance(new, (Maybe, Absent)):
            new = Maybe(old.name, new, old.condition)
        return value.replace(name, new)
    assert isinstance(value, (Tuple, Run))
    items = tuple(new if i == int(name) else v for i, v in enumerate(value.items))
    return Tuple(items) if isinstance(value, Tuple) else Run(items, value.length)
