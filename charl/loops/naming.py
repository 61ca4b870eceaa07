"""Names inside a nest: what occurs twice, what loops further in do not change, what would nest too deeply.

Enters: sinks at a given place of a loop nest. Leaves: `Let`s to stand before them, and the sinks with references for what
these name. Makes no loop and no accumulator.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import count as numbered

from charl import dims
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce, Ref
from charl.loops.inline import Hints, Memo, rewrite
from charl.loops.ir import Let, Stmt
from charl.loops.sinks import Sink

# C99 promises 63 levels of brackets, of which a function and its conversion take two.
_DEPTH = 24


class Naming:
    """The registers of one nest. `vectors`: whether lanes may be used at all; `numbers` go into the names."""

    def __init__(
        self, vectors: bool, hints: Hints | None = None, numbers: Iterator[int] | None = None
    ) -> None:
        self.vectors = vectors
        self.hints = Hints() if hints is None else hints
        self.lane: str | None = None
        self.vector_names: set[str] = set()
        self._numbers = numbers if numbers is not None else numbered(1)

    def name(self, prefix: str) -> str:
        """A name that is unique in the nest."""
        return f"{prefix}.{next(self._numbers)}"

    def memo(self) -> Memo:
        """A memo that hands hints on."""
        return Memo(self.hints)

    def replaced(self, sinks: Sequence[Sink], table: dict[int, Expr]) -> list[Sink]:
        """The sinks with expressions replaced: `table` by their identity; the caller holds them."""
        if not table:
            return list(sinks)
        memo = self.memo()
        change = lambda e: table.get(id(e))  # noqa: E731
        return [replace(s, value=rewrite(s.value, change, memo)) for s in sinks]

    def varies(self, e: Expr) -> bool:
        """Whether an expression has a value per lane here."""
        if self.lane is not None and self.lane in e.symbols():
            return True
        return bool(self.vector_names) and any(
            isinstance(x, Ref) and x.name in self.vector_names for x in e.walk()
        )

    def share(self, sinks: Sequence[Sink]) -> tuple[list[Stmt], list[Sink]]:
        """Name what occurs more than once, and what is so deep that compilers would refuse the nesting."""
        uses: dict[Expr, int] = {}
        order: list[Expr] = []
        bound: set[str] = set()  # what stands under them has no value outside of the sum
        canon = self.memo()

        def count(e: Expr) -> None:
            first = uses.get(e)
            if first is not None:
                uses[e] = first + 1
                return
            uses[e] = 1
            if isinstance(e, Guard):
                order.append(e)
                return
            if isinstance(e, Reduce):
                bound.update(name for name, _ in e.over)
            for c in (*e.children(), *self._index_values(e)):
                count(c)
            order.append(e)

        for s in sinks:
            count(s.value)
        purpose = {x: "index" for e in order for x in self._index_values(e)}
        purpose |= {s.value: f"{s.buffer.name}_value" for s in reversed(sinks) if s.buffer is not None}
        named: dict[Expr, Expr] = {}
        lets: list[Stmt] = []

        def replaced(e: Expr) -> Expr:
            found = canon.get(e)
            if found is not None:
                return found
            if e in named:
                return named[e]
            inside = self._index_values(e)
            if isinstance(e, Guard) or not (e.children() or inside):
                return e
            out = e.rebuild(replaced, lambda i: dims.substitute(i, {}, value=replaced) if inside else i)
            out = self._divided(out)
            canon.keep(e, out)
            return out

        depth: dict[Expr, int] = {}
        for e in order:
            depth[e] = 1 + max((depth.get(c, 0) for c in e.children()), default=0)
            deep = depth[e] > _DEPTH and isinstance(e, Apply)
            if e.symbols() & bound:
                continue
            if deep or (uses[e] > 1 and isinstance(e, (Apply, Load, Guard)) and not _trivial(e)):
                value = replaced(e)
                named[e] = self.let(e, value, lets, purpose.get(e))
                canon.keep(e, named[e])
                depth[e] = 0
        return lets, [replace(s, value=replaced(s.value)) for s in sinks]

    def _divided(self, e: Expr) -> Expr:
        """x * (1 / y) as x / y, where nothing else wants the reciprocal, which would have a name else."""
        if not isinstance(e, Apply) or e.fn != "mul" or not e.dtype.is_float:
            return e
        for x, r in (e.args, e.args[::-1]):
            one = isinstance(r, Apply) and r.fn == "div" and r.args[0] == Const(1.0, e.dtype)
            if one and self.varies(r) == self.varies(x):
                return Apply("div", (x, r.children()[1]), e.dtype)
        return e

    def _index_values(self, e: Expr) -> list[Expr]:
        """Run-time values in the indices of an expression, where they are the same for all lanes."""
        found = [x for i in e.indices() for x in dims.values(i)]
        return [] if any(self.varies(x) for x in found) else found

    def let(self, original: Expr, value: Expr, out: list[Stmt], purpose: str | None = None) -> Ref:
        """Name a value: after what it is an element of, else its purpose."""
        if isinstance(original, Load):
            hint = "sum" if original.source.name == "sums" else f"{original.source.name}_element"
            hint = purpose or hint
        else:
            hint = self.hints.get(original) or purpose or _kind(original)
        name = self.name(hint)
        if self.varies(value):
            self.vector_names.add(name)
        out.append(Let(name, value))
        return Ref(name, original.dtype)

    def hoist(self, sinks: Sequence[Sink], inner: frozenset[str]) -> tuple[list[Stmt], list[Sink]]:
        """Compute before the loops over `inner` what does not depend on them."""
        lets, sinks, _ = self.hoisted(sinks, inner)
        return lets, sinks

    def hoisted(
        self, sinks: Sequence[Sink], inner: frozenset[str]
    ) -> tuple[list[Stmt], list[Sink], dict[Expr, Expr]]:
        """The same, with what is named now."""
        found: dict[Expr, Sink] = {}
        places: list[Expr] = []
        seen: set[int] = set()
        bound: set[str] = set()

        def visit(e: Expr) -> None:
            if id(e) in seen:
                return
            seen.add(id(e))
            if isinstance(e, Reduce):
                bound.update(name for name, _ in e.over)
            known = not (e.symbols() & inner or e.symbols() & bound)
            if isinstance(e, (Apply, Load, Guard)) and known and not _trivial(e):
                found.setdefault(e, Sink(e))
                places.append(e)
            elif not isinstance(e, Guard):
                for c in e.children():
                    visit(c)

        for s in sinks:
            visit(s.value)
        lets, shared = self.share(list(found.values()))
        refs: dict[Expr, Expr] = {}
        for e, sink in zip(found, shared):
            refs[e] = sink.value if isinstance(sink.value, Ref) else self.let(e, sink.value, lets)
        return lets, self.replaced(sinks, {id(e): refs[e] for e in places}), refs

    def renamed(self, sinks: Sequence[Sink], known: dict[Expr, Expr]) -> list[Sink]:
        """The sinks with what already has a name in this scope taken by it."""
        if not known:
            return list(sinks)
        memo = self.memo()
        return [replace(s, value=rewrite(s.value, known.get, memo)) for s in sinks]


# What a value is that nothing else gives a name.
_KINDS = {
    **dict.fromkeys(("add", "sum"), "sum"),
    "sub": "difference",
    "mul": "product",
    "div": "quotient",
    **dict.fromkeys(("max", "min"), "bounded"),
    **dict.fromkeys(("eq", "ne", "lt", "le", "gt", "ge", "and", "or", "not"), "holds"),
}


def _kind(e: Expr) -> str:
    while isinstance(e, Apply) and e.fn in ("cast", "bitcast", "neg"):
        e = e.args[0]
    return _KINDS.get(e.fn, "value") if isinstance(e, Apply) else "value"


def _trivial(e: Expr) -> bool:
    """Not worth a name: literals, registers, and conversions of literals."""
    return isinstance(e, (Const, Ref, IndexValue)) or (
        isinstance(e, Apply) and e.fn in ("neg", "cast") and all(_trivial(a) for a in e.args)
    )
