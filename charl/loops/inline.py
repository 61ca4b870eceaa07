"""Fusion as substitution: the element of a value as one expression over what is stored.

Enters: a node, an index, and a rule that says where to stop. Leaves: a scalar expression, shared parts
being the same object. Never decides what is stored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from math import prod
from typing import Any

from charl import dims
from charl.dims import Dim
from charl.graph.ir import Node
from charl.graph.labels import label
from charl.graph.scalar import (
    Apply,
    Const,
    Expr,
    Guard,
    Index,
    IndexValue,
    Load,
    Reduce,
    Size,
    polynomial,
)
from charl.loops.registers import Registers
from charl.ops.record import OPS
from charl.ops.source import constant_array

_AS_STORED = Registers(frozenset())


def scalar_constant(node: Node) -> Const | None:
    """The value of a constant of one element."""
    if node.op != "constant":
        return None
    data = constant_array(node)
    if data.size != 1:
        return None
    return Const(data.reshape(-1)[0].item(), node.dtype)


class Hints:
    """Words for what expressions are, by their identity; an entry holds its expression, whose id would else pass to another."""

    def __init__(self) -> None:
        self._entries: dict[int, tuple[Expr, str]] = {}

    def get(self, e: Expr) -> str | None:
        """The word for `e`, if there is one."""
        found = self._entries.get(id(e))
        return None if found is None else found[1]

    def give(self, e: Expr, word: str) -> None:
        """`e` is called so from now on."""
        self._entries[id(e)] = e, word


class Memo:
    """What expressions became, by their identity. An entry holds its expression, whose id would else pass to another one.
    What an expression with a hint becomes has it, too."""

    def __init__(self, hints: Hints | None = None) -> None:
        self._entries: dict[int, tuple[Expr, Expr]] = {}
        self._hints = hints

    def get(self, e: Expr) -> Expr | None:
        """What `e` became, if that is known."""
        found = self._entries.get(id(e))
        return None if found is None else found[1]

    def keep(self, e: Expr, out: Expr) -> None:
        """`e` became `out`."""
        self._entries[id(e)] = e, out
        word = self._hints.get(e) if self._hints is not None and out is not e else None
        if word is not None and self._hints is not None:
            self._hints.give(out, word)


class Inliner:
    """Expands nodes into expressions.

    `stop(node)` gives what a load of `node` shall name (the node itself, a buffer, …), or None to expand it.
    `ranges`: bounds of the index symbols in use, inclusive; those of reductions are added as they are met. `flat` gives
    row-major offsets instead of one index per axis. Reductions over at most `unroll` elements are written out.
    `registers`: what stands for element types that are only stored. `made` says what stands for an element that was expanded.
    """

    def __init__(
        self,
        stop: Callable[[Node], Any],
        ranges: Mapping[str, tuple[Size, Size]],
        flat: bool = False,
        wrap: Callable[[Any, Expr, Node], Expr] | None = None,
        unroll: int = 0,
        registers: Registers = _AS_STORED,
        made: Callable[[Node, Index, Expr], Expr] | None = None,
    ) -> None:
        self.unroll = unroll
        self.made = made
        self.registers = registers
        self.stop = stop
        self.ranges: dict[str, tuple[Size, Size]] = dict(ranges)
        self.flat = flat
        self.wrap = wrap
        self._narrowed: dict[str, tuple[Size, Size]] = {}  # what elements being expanded made smaller
        self._elements: dict[tuple[Any, ...], Expr] = {}
        self.places: dict[Load, tuple[Node, Index]] = {}  # of the loads: what they are elements of

    def element(self, node: Node, index: Index) -> Expr:
        """Element `index` of `node`: along an axis of one the first, however that is written."""
        index = tuple(0 if n == 1 else i for i, n in zip(index, node.shape, strict=True))
        key: tuple[Any, ...] = (node, index)
        if self._narrowed:
            names = sorted({n for i in index for n in dims.symbols(i)} & self._narrowed.keys())
            key = (node, index, tuple((n, self._narrowed[n]) for n in names))
        found = self._elements.get(key)
        if found is None:
            found = self._elements[key] = self._expand(node, index)
        return found

    def hints(self) -> Hints:
        """What expressions are called: after the value that computes them, unless one that only shows it has a name."""
        out, named = Hints(), set[int]()
        for (node, *_), e in self._elements.items():
            if id(e) not in named and (node.name or out.get(e) is None):
                out.give(e, label(node))
            if node.name:
                named.add(id(e))
        return out

    def _inside(self, node: Node, index: Index) -> Iterator[tuple[str, tuple[Size, Size]]]:
        """Symbols that have a smaller range where `index` is one of `node`: what is outside of that is not asked for.

        Values that are looked at by themselves count on it, so that a group that expands them must, too.
        """
        for i, n in zip(index, node.shape, strict=True):
            names = [s for s in dims.symbols(i) if s in self.ranges] if isinstance(i, Dim) else []
            if len(names) != 1 or dims.coefficient(i, names[0]) != 1:
                continue
            low, high = self.ranges[names[0]]
            rest = i - dims.sym(names[0])
            first, last = 0 - rest, n - 1 - rest
            if first == low and last == high:
                continue
            above = dims.nonnegative(first - low - 1, self.ranges)
            below = dims.nonnegative(high - last - 1, self.ranges)
            if above or below:
                yield names[0], (first if above else low, last if below else high)

    def _expand(self, node: Node, index: Index) -> Expr:
        constant = scalar_constant(node)
        if constant is not None:
            return self.registers.settled(constant, constant)
        target = self.stop(node)
        if target is not None:
            where = (offset(index, node.shape),) if self.flat else index
            stored = Load(target, where, getattr(target, "dtype", node.dtype))
            load = self.registers.settled(stored, stored)
            if isinstance(load, Load):
                self.places[load] = node, index
            return self.wrap(target, load, node) if self.wrap else load
        expanded = self._computed(node, index)
        return self.made(node, index, expanded) if self.made else expanded

    def _computed(self, node: Node, index: Index) -> Expr:
        """An element of a value that is expanded."""
        inside = dict(self._inside(node, index))
        if not inside:
            return self.map(OPS[node.op].at(node, index), Memo())
        before = {n: self.ranges[n] for n in inside}, self._narrowed
        self.ranges.update(inside)
        self._narrowed = {**self._narrowed, **inside}
        out = self.map(OPS[node.op].at(node, index), Memo())
        self.ranges.update(before[0])
        self._narrowed = before[1]
        return out

    def map(self, e: Expr, memo: Memo) -> Expr:
        """An expression over nodes (as operations give it) as one over what is stored."""
        found = memo.get(e)
        if found is not None:
            return found
        if isinstance(e, Load) and not isinstance(e.source, Node):
            out: Expr = e  # came in with an index that was mapped before
        elif isinstance(e, Load):
            out = self.element(e.source, tuple(self.index(i, memo) for i in e.index))
        elif isinstance(e, Const):
            out = self.registers.settled(e, e)
        elif isinstance(e, Guard):
            out = self._guard(e, memo)
        elif isinstance(e, Reduce) and any(extent == 1 for _, extent in e.over):
            out = self.map(_without_single(e), memo)
        elif isinstance(e, Reduce) and (terms := _terms(e, self.unroll)):
            parts = [self.map(t, memo) for t in terms]
            out = parts[0]
            for part in parts[1:]:
                out = Apply(e.fn, (out, part), out.dtype)
            out = self.registers.reduced(e, out)
        else:
            if isinstance(e, Reduce):
                for name, extent in e.over:
                    self.ranges[name] = (0, self.index(extent, memo) - 1)
            out = e.rebuild(lambda c: self.map(c, memo), lambda i: self.index(i, memo))
            if isinstance(out, Reduce) and not out.over:
                out = Const(0, out.dtype) if out.fn.startswith("arg") else out.body
            elif isinstance(out, IndexValue) and isinstance(out.index, int):
                value = float(out.index) if out.dtype.is_float else out.index
                number = Const(value, out.dtype)
                out = self.registers.settled(number, number)
            elif isinstance(out, Apply) and out.fn in _EXTREMES and all(map(_whole, out.args)):
                number = Const(_EXTREMES[out.fn](a.value for a in out.args), out.dtype)  # type: ignore[attr-defined]
                out = self.registers.settled(number, number)
            else:
                alone = beside_border(e, out.children())
                out = _without_negation(self.registers.settled(e, out)) if alone is None else alone
        memo.keep(e, out)
        return out

    def index(self, i: Size, memo: Memo) -> Size:
        """The same for an index."""
        if isinstance(i, int):
            return i
        if any(isinstance(a, (dims.Value, dims.Func)) for a in dims.atoms(i)):
            return dims.substitute(i, {}, value=lambda e: self._place(self.map(e, memo)), ranges=self.ranges)
        return i

    def _place(self, e: Expr) -> Expr | Size:
        """A run-time index; the size that it is, where it is brought into a range in which it is proved to lie."""
        if isinstance(e, Apply) and e.fn == "max" and isinstance(e.args[0], Apply) and e.args[0].fn == "min":
            at, high, low = map(polynomial, (*e.args[0].args, e.args[1]))
            if at is not None and high is not None and low is not None:
                known = partial(dims.nonnegative, ranges=self.ranges)
                return at if known(high - at) and known(at - low) else e
        return e

    def _guard(self, guard: Guard, memo: Memo) -> Expr:
        """A guard without the bounds that the ranges prove; only what may be evaluated is looked at."""
        left: list[tuple[Size, Size, Size]] = []
        for bounds in guard.ranges:
            i, low, high = (self.index(x, memo) for x in bounds)
            inside = dims.nonnegative(i - low, self.ranges) and dims.nonnegative(high - 1 - i, self.ranges)
            if dims.nonnegative(low - 1 - i, self.ranges) or dims.nonnegative(i - high, self.ranges):
                return self.map(guard.other, memo)
            if not inside:
                left.append((i, low, high))
        then = self.map(guard.then, memo)
        return Guard(tuple(left), then, self.map(guard.other, memo)) if left else then


def _without_negation(e: Expr) -> Expr:
    """x + -y as x - y, to the bit."""
    if isinstance(e, Apply) and e.fn == "add" and e.dtype.is_float:
        for x, y in (e.args, e.args[::-1]):
            if isinstance(y, Apply) and y.fn == "neg":
                return Apply("sub", (x, y.args[0]), e.dtype)
    return e


def beside_border(e: Expr, args: Sequence[Expr]) -> Expr | None:
    """What a sum is whose sides became `args`, one of them the zeros around a value; None for any other. (-0 + 0 would be 0.)"""
    if isinstance(e, Apply) and e.fn == "add" and len(args) == 2:
        for was, side, other in zip(e.args, args, reversed(args), strict=True):
            zero = isinstance(side, Const) and side.value == 0 and side.dtype.is_float
            if zero and _bordered(was) and other.dtype == side.dtype:
                return other
    return None


def _bordered(e: Expr) -> bool:
    if isinstance(e, Load) and isinstance(e.source, Node):
        return e.source.op in ("pad", "concatenate")
    return isinstance(e, Guard)


# What brings an index into range, of numbers too.
_EXTREMES: dict[str, Callable[..., int]] = {"min": min, "max": max}


def _whole(e: Expr) -> bool:
    return isinstance(e, Const) and e.dtype.is_integer


def _without_single(e: Reduce) -> Reduce:
    """The same reduction without the indices that take one value."""
    env = {name: 0 for name, extent in e.over if extent == 1}
    over = tuple((name, extent) for name, extent in e.over if extent != 1)
    return Reduce(e.fn, over, e.body.substitute(env), e.dtype)


def _terms(e: Reduce, limit: int) -> list[Expr]:
    """The body at every index, where these are few and known; else nothing."""
    extents = [extent for _, extent in e.over if isinstance(extent, int)]
    if e.fn.startswith("arg") or len(extents) < len(e.over) or not 0 < prod(extents) <= limit:
        return []
    names = [name for name, _ in e.over]
    return [e.body.substitute(dict(zip(names, at, strict=True))) for at in product(*map(range, extents))]


def offset(index: Index, shape: tuple[Size, ...]) -> Size:
    """Row-major offset of an index."""
    total: Size = 0
    for i, size in zip(index, shape):
        total = total * size + i
    return dims.recombined(total)


def rewrite(e: Expr, change: Callable[[Expr], Expr | None], memo: Memo) -> Expr:
    """Replace sub-expressions of a DAG; `change` gives the replacement or None to descend. Keeps sharing.

    Expressions inside run-time indices are rewritten too.
    """
    found = memo.get(e)
    if found is not None:
        return found
    out = change(e)
    if out is None:
        changed = False

        def child(c: Expr) -> Expr:
            nonlocal changed
            new = rewrite(c, change, memo)
            changed = changed or new is not c
            return new

        def index(i: Size) -> Size:
            nonlocal changed
            if not any(isinstance(a, (dims.Value, dims.Func)) for a in dims.atoms(i)):
                return i
            new = dims.substitute(i, {}, value=child)
            return new

        new = e.rebuild(child, index)
        out = new if changed else e
    memo.keep(e, out)
    return out


def substitute(e: Expr, env: Mapping[str, Size], memo: Memo) -> Expr:
    """Replace index symbols in a DAG of expressions, keeping sharing."""
    found = memo.get(e)
    if found is not None:
        return found
    if not (e.symbols() & env.keys()):
        out = e
    else:
        value = lambda x: substitute(x, env, memo)  # noqa: E731
        out = e.rebuild(value, lambda i: dims.substitute(i, env, value=value))
    memo.keep(e, out)
    return out
