"""Calls that are elaborated once: a further call with alike arguments gets the graph of the first, made anew for it.

Enters: a function with the values that a call gives it. Leaves: the value of the call, and what it writes. Two calls are alike
where all that elaboration can tell apart is equal: the function, types, compile-time values, which tensors are the same one,
which places may be written, the mode, and what is known of sizes. What a body is for other arguments is never guessed:
whatever depends on more than that (`spoil`) is elaborated each time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from charl import dims
from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.elaborate.copies import Copies, rigid
from charl.elaborate.numbers import DIFFERENT, LITERALS
from charl.elaborate.parameters import Call, is_mut
from charl.elaborate.scope import Place
from charl.graph.ir import Node, Size, TensorType, now, places
from charl.source import Span

if TYPE_CHECKING:
    from charl.elaborate.elaborator import Elaborator

_ROOTED = frozenset({bool, int, str, type(None)})


class _Particular(Exception):
    """A value that stands for itself alone, so that no other call is like this one."""


class _Reader:
    """What elaboration can see of some values, as a hashable form. Tensors and the symbols of sizes are numbered: which name a
    dimension has makes no difference."""

    def __init__(self, inserted: set[Node], skeletons: dict[Dim, tuple[Any, tuple[str, ...]]]) -> None:
        self.inserted = inserted
        self.skeletons = skeletons
        self.nodes: dict[Node, int] = {}
        self.symbols: dict[str, int] = {}
        self.functions: set[Any] = set()

    def form(self, x: Any) -> Any:
        """The form of a value; raises _Particular."""
        kind = type(x)
        if kind is Node:
            number = self.nodes.get(x)
            if number is not None:
                return number
            self.nodes[x] = len(self.nodes)
            return (self._tensor(x.type), x in self.inserted, x.name is None)
        if kind is v.Instance:
            return (self.type(x.type), *[(n, self.form(y)) for n, y in x.members.items()])
        if kind in _ROOTED:
            return (kind, x)
        if kind is float:
            return ("float", repr(x))  # 0.0 and -0.0 differ, NaN is itself
        if isinstance(x, Dim):
            return self._size(x)
        if isinstance(x, (v.Tuple, v.Run)):
            length = self._size(x.length) if isinstance(x, v.Run) else None
            return (type(x), length, *map(self.form, x.items))
        if isinstance(x, v.Maybe):
            return ("maybe", x.name, x.condition, self.form(x.value))
        if isinstance(x, v.Absent):
            return ("absent", x.name)
        if isinstance(x, v.Derived):
            options = tuple((n, self.form(y)) for n, y in x.options.items())
            return ("derived", x.operator, self.form(x.function), options)
        if isinstance(x, (v.Function, v.Builtin, v.OpaqueFunction)) and x.name != "closure":
            self.functions.add(x)
            return x
        if v.is_type(x):
            return self.type(x)
        if isinstance(x, (v.Unknown, v.Declaration, DType)):
            return x
        raise _Particular

    def type(self, t: Any) -> Any:
        """The form of a type."""
        if isinstance(t, TensorType):
            return self._tensor(t)
        if isinstance(t, v.InstanceType):
            arguments = [(n, self.form(x)) for n, x in t.arguments]
            return (t.declaration, t.part, t.lanes, t.each, *map(self._size, t.lead), None, *arguments)
        if isinstance(t, (v.TupleType, v.RunType)):
            length = self._size(t.length) if isinstance(t, v.RunType) else None
            return (type(t), length, *map(self.type, t.items))
        if isinstance(t, (v.Plain, v.OpaqueType)):
            return t
        raise _Particular

    def known(self) -> Any:
        """What is known of the sizes that occur."""
        facts = dims.KNOWN.get()
        return tuple((k, facts[n]) for n, k in self.symbols.items() if n in facts) if facts else ()

    def _tensor(self, t: TensorType) -> Any:
        for x in t.shape:
            if type(x) is not int:
                return (t.dtype, *map(self._size, t.shape))
        return t

    def _size(self, x: Size) -> Any:
        if not isinstance(x, Dim):
            return x
        found = self.skeletons.get(x)
        if found is None:
            names = tuple(sorted(dims.symbols(x)))
            numbered = {n: dims.sym(f"${k}") for k, n in enumerate(names)}
            found = self.skeletons[x] = dims.substitute(x, numbered), names
        skeleton, names = found
        return (skeleton, *[self.symbols.setdefault(n, len(self.symbols)) for n in names])


@dataclass
class _Recorded:
    """One call as it was elaborated."""

    start: int  # nodes born behind it were made for the call
    inputs: list[Node]
    given: list[str | None]  # their names before the call
    symbols: list[str]  # of the sizes of the arguments
    value: Any
    names: dict[Node, str | None]  # of what is given back, before the caller names it
    written: list[tuple[int | str, Any]]  # a `mut` argument by position, "self" or "rng": what it holds then
    labelled: list[tuple[int, str | None]]  # inputs that got a name on the way
    obligations: list[Any]
    call: Span
    place: Span | None
    user: Span | None
    nodes: list[Node] | None = None  # what was made, in the order it was made in
    rigid: bool = False  # holds what cannot be written in other symbols


class Reuse:
    """The calls of one elaboration."""

    def __init__(self, el: Elaborator) -> None:
        self.el = el
        self.calls: dict[Any, _Recorded] = {}
        self.skeletons: dict[Dim, tuple[Any, tuple[str, ...]]] = {}  # in numbered symbols, and their own
        self.after: dict[Node, Node] = {}  # values written over others, whose names they took
        self.spoiled = 0  # counts what happened that only the call under way may rely on
        self.bound = 0  # … that only the check for all instances may rely on

    def spoil(self) -> None:
        """What is being elaborated depends on more than the arguments of its calls."""
        self.spoiled += 1

    def bind(self) -> None:
        """What is being elaborated is so only in the check for all instances."""
        self.bound += self.el.checking

    def call(self, f: v.Function, call: Call, receiver: Place | None, elaborate: Any) -> Any:
        """The value of a call: `elaborate()`, or what an earlier call like it gave."""
        el = self.el
        if el.host is not None or el.reveal is not None or call.extra or LITERALS.get() is not None:
            return elaborate()[0]
        reader = _Reader(el._inserted, self.skeletons)
        try:
            form = self._form(reader, f, call, receiver)
        except _Particular:
            return elaborate()[0]
        inputs, symbols = list(reader.nodes), list(reader.symbols)
        for phase in (None, (el.checking, el.exporting)):
            found = self.calls.get((form, phase))
            if found is not None and (found.symbols == symbols or not _rigid(found)):
                return self._again(found, inputs, symbols, call, receiver)
        return self._recorded(form, reader, f, call, receiver, elaborate)

    def _recorded(
        self, form: Any, reader: _Reader, f: v.Function, call: Call, receiver: Place | None, elaborate: Any
    ) -> Any:
        """A call elaborated, and kept for others like it."""
        el = self.el
        spoiled, bound, owed = self.spoiled, self.bound, len(el.obligations)
        held = [(k, p, p.get()) for k, p in _silent(f, call, receiver)]
        start, (place, user) = now(), places()
        inputs, given = list(reader.nodes), [n.name for n in reader.nodes]
        value, pairs = elaborate()
        if self.spoiled != spoiled:
            return value
        written: list[tuple[int | str, Any]] = [(k, p.get()) for k, p, old in held if p.get() is not old]
        for p, a in pairs:
            if a is not None and is_mut(p):
                k = next(i for i, b in enumerate(call.arguments) if b is a)
                written.append((k, a.place.get()))
        nodes = [n for x in (value, *(y for _, y in written)) for n in _nodes(x, reader.functions)]
        names = {n: n.name for n in nodes if n is not None}
        if None not in nodes:
            phase = (el.checking, el.exporting) if self.bound != bound else None
            self.calls[(form, phase)] = _Recorded(
                start,
                inputs,
                given,
                list(reader.symbols),
                value,
                names,
                written,
                [(k, n.name) for k, n in enumerate(inputs) if n.name != given[k]],
                el.obligations[owed:],
                call.span,
                place,
                user,
            )
        return value

    def _form(self, reader: _Reader, f: v.Function, call: Call, receiver: Place | None) -> Any:
        if f.name == "closure":
            raise _Particular
        out: list[Any] = [f]
        if receiver is not None:
            out += [reader.form(receiver.get()), receiver.mutable]
        if f.owner is not None and call.mode is not None:
            out.append(reader.form(call.mode.training))
            if call.mode.rng is not None:
                out += [reader.form(call.mode.rng.get()), call.mode.rng.mutable]
        out += [(a.name, a.place is not None, reader.form(a.value)) for a in call.arguments]
        out.append(reader.known())
        different = DIFFERENT.get()
        if self.el.assumed or different:  # they speak of sizes by name
            out.append((frozenset(self.el.assumed.items()), different, *reader.symbols))
        return tuple(out)

    def _again(
        self, found: _Recorded, inputs: list[Node], symbols: list[str], call: Call, receiver: Place | None
    ) -> Any:
        """The value of a recorded call for other arguments, written to its places."""
        for k, name in found.labelled:
            inputs[k].name = name
        renamed = {a: dims.sym(b) for a, b in zip(found.symbols, symbols, strict=True) if a != b}
        copies = Copies(dict(zip(found.inputs, inputs, strict=True)), found.given, renamed)
        copies.moved((found.place, found.user), places())
        copies.calls = found.call, call.span
        inserted, names, after = self.el._inserted, found.names, self.after
        for node in _made(found):
            name = node.name
            if node in names or node in after or node.op == "reshape":
                name = self._name(found, node, copies)
            elif name is not None:
                name = copies.renamed(name)
            copy = copies.of(node, name)
            if node in inserted:
                inserted.add(copy)
        self.el.obligations += [copies.obligation(o) for o in found.obligations]
        for where, after in found.written:
            _place(where, call, receiver).set(copies.value(after))
        return copies.value(found.value)

    def _name(self, found: _Recorded, node: Node, copies: Copies) -> str | None:
        """The name of a copy: after the place that it was written to, where that is what named it."""
        name = found.names.get(node, node.name)
        before: Node | None = node
        while before is not None and before not in copies.table:
            before = self.after.get(before)
        if before is None and node.op == "reshape" and node.inputs[0].type == node.type:
            before = node.inputs[0] if node.inputs[0].name == name else None  # what a derivative is taken by
        return copies.table[before].name if before is not None else copies.renamed(name)


def _silent(f: v.Function, call: Call, receiver: Place | None) -> Iterator[tuple[str, Place]]:
    """Places that a call may write without naming them."""
    if call.mode is not None and call.mode.rng is not None and f.owner is not None:
        yield "rng", call.mode.rng
    if receiver is not None:
        yield "self", receiver


def _place(which: int | str, call: Call, receiver: Place | None) -> Any:
    if isinstance(which, int):
        return call.arguments[which].place
    return receiver if which == "self" else call.mode.rng  # type: ignore[union-attr]


def _nodes(x: Any, given: set[Any]) -> Iterator[Node | None]:
    """The tensors of a value; None for what may hold others where nobody sees them."""
    if isinstance(x, Node):
        yield x
    elif isinstance(x, (v.Unknown, v.ErrorValue)) or (isinstance(x, v.FUNCTIONS) and x not in given):
        yield None
    for _, part in v.children(x):
        yield from _nodes(part, given)


def _made(found: _Recorded) -> list[Node]:
    """The nodes that were made for a call and are part of what it gives, in the order they were made in."""
    if found.nodes is None:
        seen: set[Node] = set()
        stack = list(found.names)
        while stack:
            node = stack.pop()
            if node not in seen and node.born > found.start and node.op != "parameter":
                seen.add(node)
                stack.extend(node.inputs)
        found.nodes = sorted(seen, key=lambda n: n.born)
        found.rigid = any(map(rigid, found.nodes))
    return found.nodes


def _rigid(found: _Recorded) -> bool:
    return bool(_made(found)) and found.rigid
