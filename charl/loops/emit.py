"""From expressions to statements: reductions become loops over registers, shared parts become names.

Enters: sinks (stores and updates with their expressions) at a given place of a loop nest. Leaves: statements. What
does not depend on an inner loop is computed before it; what occurs twice is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import count as numbered

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce, Ref
from charl.loops.chains import chain_count, combined
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import (
    Accumulator,
    Buffer,
    For,
    Horizontal,
    Kind,
    Let,
    Simd,
    Stmt,
)
from charl.loops.sinks import Sink, divisible_by_lanes, interleaved, lanes
from charl.loops.vectors import contiguous_loads, lane_width, strided_loads
from charl.plan.access import nodes_of

Size = int | Dim
# C99 promises 63 levels of brackets, of which a function and its conversion take two.
_DEPTH = 24


class Emitter:
    """Makes the statements of one nest. `vectors`: whether lanes may be used at all; `numbers` go into the names."""

    def __init__(
        self, vectors: bool, hints: dict[int, str] | None = None, numbers: Iterator[int] | None = None
    ) -> None:
        self.vectors = vectors
        self.hints = hints or {}
        self.lane: str | None = None
        self._vector_names: set[str] = set()
        self._numbers = numbers if numbers is not None else numbered(1)

    def name(self, prefix: str) -> str:
        """A name that is unique in the nest."""
        return f"{prefix}.{next(self._numbers)}"

    # ------------------------------------------------------------ blocks

    def block(self, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """Statements that evaluate and consume all sinks here; every index they use is in scope."""
        out, sinks = self.reductions(sinks, frozenset())
        lets, sinks = self._share(sinks)
        if all(s.register for s in sinks):
            return (*out, *interleaved(lets, sinks))
        if _overwrites(sinks):
            return (*out, *self._values_first(lets, sinks))
        return (*out, *lets, *(s.statement() for s in sinks))

    def simultaneous(self, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """As `block`, but every value is there before the first is stored."""
        if len(sinks) < 2:
            return self.block(sinks)
        out, sinks = self.reductions(sinks, frozenset())
        return (*out, *self._values_first(*self._share(sinks)))

    def _values_first(self, lets: list[Stmt], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        stores: list[Stmt] = []
        for s in sinks:
            if isinstance(s.value, (Const, Ref)):
                stores.append(s.statement())
                continue
            name = self.name(self.hints.get(id(s.value)) or (s.buffer.name if s.buffer else "value"))
            lets.append(Let(name, s.value, s.span))
            stores.append(replace(s, value=Ref(name, s.value.dtype)).statement())
        return (*lets, *stores)

    def replaced(self, sinks: Sequence[Sink], table: dict[int, Expr]) -> list[Sink]:
        """The sinks with expressions replaced: `table` by their identity; the caller holds them."""
        if not table:
            return list(sinks)
        memo = Memo()
        change = lambda e: table.get(id(e))  # noqa: E731
        return [replace(s, value=rewrite(s.value, change, memo)) for s in sinks]

    def varies(self, e: Expr) -> bool:
        """Whether an expression has a value per lane here."""
        if self.lane is not None and self.lane in e.symbols():
            return True
        return bool(self._vector_names) and any(
            isinstance(x, Ref) and x.name in self._vector_names for x in e.walk()
        )

    # ------------------------------------------------------------ sharing and hoisting

    def _share(self, sinks: Sequence[Sink]) -> tuple[list[Stmt], list[Sink]]:
        """Name what occurs more than once, and what is so deep that compilers would refuse the nesting."""
        uses: dict[Expr, int] = {}
        order: list[Expr] = []
        canon = Memo()

        def count(e: Expr) -> None:
            first = uses.get(e)
            if first is not None:
                uses[e] = first + 1
                return
            uses[e] = 1
            if isinstance(e, Guard):
                order.append(e)
                return
            for c in (*e.children(), *self._index_values(e)):
                count(c)
            order.append(e)

        for s in sinks:
            count(s.value)
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
            canon.keep(e, out)
            return out

        depth: dict[Expr, int] = {}
        for e in order:
            depth[e] = 1 + max((depth.get(c, 0) for c in e.children()), default=0)
            deep = depth[e] > _DEPTH and isinstance(e, Apply)
            if deep or (uses[e] > 1 and isinstance(e, (Apply, Load, Guard)) and not _trivial(e)):
                value = replaced(e)
                named[e] = self._let(e, value, lets)
                canon.keep(e, named[e])
                depth[e] = 0
        return lets, [replace(s, value=replaced(s.value)) for s in sinks]

    def _index_values(self, e: Expr) -> list[Expr]:
        """Run-time values in the indices of an expression, where they are the same for all lanes."""
        found = [x for i in e.indices() for x in dims.values(i)]
        return [] if any(self.varies(x) for x in found) else found

    def _let(self, original: Expr, value: Expr, out: list[Stmt]) -> Ref:
        hint = self.hints.get(id(original))
        if hint is None and isinstance(original, Load):
            hint = "sum" if original.source.name == "sums" else f"{original.source.name}_element"
        name = self.name(hint or "t")
        if self.varies(value):
            self._vector_names.add(name)
        out.append(Let(name, value))
        return Ref(name, original.dtype)

    def hoist(self, sinks: Sequence[Sink], inner: frozenset[str]) -> tuple[list[Stmt], list[Sink]]:
        """Compute before the loops over `inner` what does not depend on them."""
        lets, sinks, _ = self._hoisted(sinks, inner)
        return lets, sinks

    def _hoisted(
        self, sinks: Sequence[Sink], inner: frozenset[str]
    ) -> tuple[list[Stmt], list[Sink], dict[Expr, Expr]]:
        """The same, with what is named now."""
        found: dict[Expr, Sink] = {}
        places: list[Expr] = []
        seen: set[int] = set()

        def visit(e: Expr) -> None:
            if id(e) in seen:
                return
            seen.add(id(e))
            if isinstance(e, (Apply, Load, Guard)) and not (e.symbols() & inner) and not _trivial(e):
                found.setdefault(e, Sink(e))
                places.append(e)
            elif not isinstance(e, Guard):
                for c in e.children():
                    visit(c)

        for s in sinks:
            visit(s.value)
        lets, shared = self._share(list(found.values()))
        refs: dict[Expr, Expr] = {}
        for e, sink in zip(found, shared):
            refs[e] = sink.value if isinstance(sink.value, Ref) else self._let(e, sink.value, lets)
        return lets, self.replaced(sinks, {id(e): refs[e] for e in places}), refs

    # ------------------------------------------------------------ reductions

    def reductions(
        self, sinks: Sequence[Sink], inner: frozenset[str], later: frozenset[Buffer] = frozenset()
    ) -> tuple[list[Stmt], list[Sink]]:
        """Lower every reduction that does not depend on the loops over `inner` and reads nothing of `later`; the rest stays."""
        out: list[Stmt] = []
        sinks = list(sinks)
        while True:
            ready = self._ready(sinks, inner, later)
            if not ready:
                return out, sinks
            table: dict[int, Expr] = {}
            known: dict[Expr, Expr] = {}
            done: dict[Expr, Expr] = {}
            for batch in _batches(ready):
                stmts, refs, named = self._reduce(batch)
                out += stmts
                table.update((id(r), ref) for r, ref in zip(batch, refs))
                known |= named
                done |= zip(batch, refs)
            sinks = self.replaced(sinks, table)
            if any(
                x in done for s in sinks for x in nodes_of(s.value, indices=True) if isinstance(x, Reduce)
            ):
                known |= done  # the same one again, in an index for example
            sinks = self._renamed(sinks, known)

    def _ready(self, sinks: Iterable[Sink], inner: frozenset[str], later: frozenset[Buffer]) -> list[Reduce]:
        """Reductions to lower now: independent of `inner` and `later`, and holding none that could go before them."""
        found: dict[int, Reduce] = {}
        state: dict[tuple[int, frozenset[str]], bool] = {}

        def visit(e: Expr, blocked: frozenset[str]) -> bool:
            """Whether something below is ready or was found ready."""
            key = (id(e), blocked)
            if key in state:
                return state[key]
            below = False
            under = blocked | {n for n, _ in e.over} if isinstance(e, Reduce) else blocked
            if isinstance(e, Guard):  # what does not depend on what is guarded may go before it
                under = blocked.union(*(_guarded(*r) for r in e.ranges))
            for i in e.indices():
                for x in dims.values(i):  # what a guard looks at is evaluated in any case
                    below = visit(x, blocked) or below
            for c in e.children():
                below = visit(c, under) or below
            if isinstance(e, Reduce) and not below and not (e.symbols() & blocked) and not _reads(e, later):
                found[id(e)] = e
                below = True
            state[key] = below
            return below

        for s in sinks:
            visit(s.value, inner)
        return list(found.values())

    def _renamed(self, sinks: Sequence[Sink], known: dict[Expr, Expr]) -> list[Sink]:
        """The sinks with what already has a name in this scope taken by it."""
        if not known:
            return list(sinks)
        memo = Memo()
        return [replace(s, value=rewrite(s.value, known.get, memo)) for s in sinks]

    def _reduce(
        self, batch: Sequence[Reduce], initial: Sequence[Expr | None] = ()
    ) -> tuple[list[Stmt], list[Expr], dict[Expr, Expr]]:
        """One loop nest for reductions with equal extents, which start at `initial` where that is given.

        Leaves its statements, the results, and what was named before the loop.
        """
        over = batch[0].over
        bodies: list[Expr] = []
        for r in batch:
            rename: dict[str, Size] = {b: dims.sym(a) for (a, _), (b, _) in zip(over, r.over) if a != b}
            bodies.append(substitute(r.body, rename, Memo()) if rename else r.body)
        names = frozenset(n for n, _ in over)
        width = self._lane_along(batch, bodies, over[-1])
        registers = [self.name(self.hints.get(id(r), _LABELS.get(r.fn, "acc"))) for r in batch]
        sinks = [
            Sink(body, register=name, fn=r.fn, position=_position(over) if r.fn.startswith("arg") else None)
            for r, body, name in zip(batch, bodies, registers)
        ]
        vector = [width is not None or self.varies(body) for body in bodies]
        declared: list[Stmt] = [
            Accumulator(name, r.fn, body.dtype, v, start)
            for r, body, name, v, start in zip(
                batch, bodies, registers, vector, initial or [None] * len(batch)
            )
        ]
        lets, sinks, named = self._hoisted(sinks, names)
        if width is None:
            self._vector_names.update(name for name, v in zip(registers, vector) if v)
            refs: list[Expr] = [Ref(name, r.dtype) for name, r in zip(registers, batch)]
            return [*lets, *declared, *self._loops(over, sinks, None, ())], refs, named
        count = chain_count(over[-1][1], width, [s.value for s in sinks])
        chains = [{n: self.name(n.rsplit(".", 1)[0]) for n in registers} for _ in range(1, count)]
        for chain in chains:
            declared += [Accumulator(chain[s.register], s.fn, s.value.dtype, True) for s in sinks]
        out = [*lets, *declared, *self._loops(over, sinks, width, chains)]
        if chains:
            joined = combined([(s.register, s.fn, s.value.dtype) for s in sinks], chains)
            out.append(Simd(self.name("lane"), width, None, joined))
        totals = [self.name(self.hints.get(id(r), "total")) for r in batch]
        out += [Horizontal(t, s.fn, s.register, s.value.dtype) for t, s in zip(totals, sinks)]
        return out, [Ref(t, r.dtype) for t, r in zip(totals, batch)], named

    def accumulate(self, parts: Sequence[tuple[Reduce, Sink]], written_out: bool) -> tuple[Stmt, ...]:
        """Add each reduction to what its sink's place holds, all in one loop, or in none where it is `written_out`."""
        initial: list[Expr | None] = []
        for r, sink in parts:
            assert sink.buffer is not None
            initial.append(Load(sink.buffer, (sink.index,), r.dtype))
        (_, extent), *rest = parts[0][0].over
        if written_out and not rest and isinstance(extent, int):
            return self._terms(parts, initial, extent)
        out, refs, _ = self._reduce([r for r, _ in parts], initial)
        return (*out, *(replace(s, value=ref).statement() for ref, (_, s) in zip(refs, parts)))

    def _terms(
        self, parts: Sequence[tuple[Reduce, Sink]], initial: Sequence[Expr | None], extent: int
    ) -> tuple[Stmt, ...]:
        """The terms of sums one after another, added to `initial`, and the stores."""
        registers = [self.name("sum") for _ in parts]
        declared: list[Stmt] = [
            Accumulator(name, "add", r.dtype, self.varies(r.body), start)
            for name, (r, _), start in zip(registers, parts, initial)
        ]
        self._vector_names.update(
            name for name, (r, _) in zip(registers, parts, strict=True) if self.varies(r.body)
        )
        terms: list[Sink] = []
        for k in range(extent):
            for name, (r, _) in zip(registers, parts):
                terms.append(Sink(substitute(r.body, {r.over[0][0]: k}, Memo()), register=name, fn="add"))
        stores = [
            replace(sink, value=Ref(name, r.dtype)).statement() for name, (r, sink) in zip(registers, parts)
        ]
        return (*declared, *self.block(terms), *stores)

    def _loops(
        self,
        over: Sequence[tuple[str, Size]],
        sinks: Sequence[Sink],
        width: int | None,
        chains: Sequence[dict[str, str]],
    ) -> tuple[Stmt, ...]:
        (name, extent), rest = over[0], over[1:]
        if rest:
            names = frozenset(n for n, _ in rest)
            out, sinks = self.reductions(sinks, names)
            lets, sinks = self.hoist(sinks, names)
            return (For(name, extent, (*out, *lets, *self._loops(rest, sinks, width, chains))),)
        if width is None:
            return (For(name, extent, self.block(sinks)),)
        if not chains:
            return self.lane_loop(name, extent, width, sinks)
        block = lanes(width) * (len(chains) + 1)
        stop = dims.floordiv(extent, block) * block
        if isinstance(extent, int) and extent % (512 // width * (len(chains) + 1)) == 0:
            stop = extent
        turns = list(sinks)
        for n, chain in enumerate(chains, 1):
            moved = [s.at({name: dims.sym(name) + lanes(width) * n}, Memo()) for s in sinks]
            turns += [replace(s, register=chain.get(s.register, s.register)) for s in moved]
        first = For(name, stop, (self._region(name, width, None, turns),), step=block)
        if stop == extent:
            return (first,)
        left = self.name(name.split(".")[0])
        moved = [s.at({name: dims.sym(left)}, Memo()) for s in sinks]
        return (first, *self.lane_loop(left, extent, width, moved, begin=stop))

    def lane_loop(
        self,
        name: str,
        extent: Size,
        width: int,
        sinks: Sequence[Sink],
        kind: Kind = "serial",
        begin: Size = 0,
    ) -> tuple[Stmt, ...]:
        """A loop over `name` in steps of one vector, with a partial vector at the end where needed."""
        step = lanes(width)
        full = dims.floordiv(extent, step) * step
        if divisible_by_lanes(extent, width):
            full = extent
        out: list[Stmt] = []
        if not (isinstance(extent, int) and extent < 512 // width):
            whole = self._region(name, width, None, sinks)
            out.append(For(name, full, (whole,), kind, begin, step))
        if full != extent:
            tail = self.name(name.split(".")[0])
            moved = [s.at({name: dims.sym(tail)}, Memo()) for s in sinks]
            start = begin if not out else full
            count = dims.minimum(extent - dims.sym(tail), step)
            region = self._region(tail, width, count, moved)
            out.append(For(tail, extent, (region,), start=start, step=step))
        return tuple(out)

    def _region(self, name: str, width: int, count: Size | None, sinks: Sequence[Sink]) -> Simd:
        lane = self.name("lane")
        memo = Memo()
        env: dict[str, Size] = {name: dims.sym(name) + dims.sym(lane)}
        moved = [s.at(env, memo) for s in sinks]
        return self.region(lane, width, count, lambda: self.block(moved))

    def region(self, lane: str, width: int, count: Size | None, body: Callable[[], tuple[Stmt, ...]]) -> Simd:
        """A vector region around what `body` emits; its indices contain `lane`."""
        outer, self.lane = self.lane, lane
        names = set(self._vector_names)
        stmts = body()
        self.lane, self._vector_names = outer, names
        return Simd(lane, width, count, stmts)

    def _lane_along(
        self, batch: Sequence[Reduce], bodies: Sequence[Expr], last: tuple[str, Size]
    ) -> int | None:
        """The width to vectorise a reduction along its last index, None where it does not pay or cannot be."""
        name, extent = last
        if not self.vectors or self.lane is not None or (isinstance(extent, int) and extent < 4):
            return None
        if any(r.fn not in ("add", "mul", "max", "min") or r.dtype.kind == "bool" for r in batch):
            return None
        if strided_loads(bodies, name) or not contiguous_loads(bodies, name):
            return None
        widths = {b.dtype.bits for b in bodies}
        width = lane_width(bodies, name)
        return width if widths == {width} else None


_LABELS = {
    "add": "sum",
    "mul": "product",
    "max": "largest",
    "min": "smallest",
    "argmax": "best",
    "argmin": "best",
}


def _position(over: Sequence[tuple[str, Size]]) -> Expr:
    from charl.dtypes import i32

    where: Size = 0
    for name, extent in over:
        where = where * extent + dims.sym(name)
    return IndexValue(where, i32)


def _reads(e: Expr, later: frozenset[Buffer]) -> bool:
    """Whether an expression reads buffers that are not written yet."""
    return bool(later) and any(isinstance(x, Load) and x.source in later for x in nodes_of(e, indices=True))


def _guarded(index: Size, low: Size, high: Size) -> frozenset[str]:
    """The symbols through which an expression may need a guard: those of the index, or of the bounds around a fixed one."""
    return frozenset(dims.symbols(index) or dims.symbols(low) | dims.symbols(high))


def _batches(ready: Sequence[Reduce]) -> list[list[Reduce]]:
    """Reductions that can share a loop: equal extents."""
    found: dict[tuple[Size, ...], list[Reduce]] = {}
    for r in ready:
        found.setdefault(tuple(e for _, e in r.over), []).append(r)
    return list(found.values())


def _trivial(e: Expr) -> bool:
    """Not worth a name: literals, registers, and conversions of literals."""
    return isinstance(e, (Const, Ref, IndexValue)) or (
        isinstance(e, Apply) and e.fn in ("neg", "cast") and all(_trivial(a) for a in e.args)
    )


def _overwrites(sinks: Sequence[Sink]) -> bool:
    """Whether a sink reads the element that one before it stores: it is to have what was there before."""
    stored: set[tuple[Buffer, Size]] = set()
    for s in sinks:
        if stored and any(
            isinstance(e, Load) and (e.source, e.index[0]) in stored for e in nodes_of(s.value)
        ):
            return True
        if s.buffer is not None:
            stored.add((s.buffer, s.index))
    return False
