"""From expressions to statements: reductions become loops over registers.

Enters: sinks (stores and updates with their expressions) at a given place of a loop nest. Leaves: statements. What is
computed before a loop, and what is computed once, `naming.py` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import inf, prod

from charl import dims
from charl.dims import Dim
from charl.dtypes import DType, boolean
from charl.graph.scalar import Const, Expr, Guard, IndexValue, Load, Reduce, Ref, Updated
from charl.loops.chains import chain_count, combined
from charl.loops.ends import ended
from charl.loops.guards import anywhere, guarded_inside, needed_by
from charl.loops.inline import Hints, Memo, rewrite, substitute
from charl.loops.ir import (
    Accumulator,
    Buffer,
    For,
    Horizontal,
    If,
    Kind,
    Let,
    Simd,
    Stmt,
    Store,
    Update,
)
from charl.loops.naming import Naming
from charl.loops.sinks import Sink, Whole, divisible_by_lanes, interleaved, lanes
from charl.loops.vectors import contiguous_loads, lane_width, strided_loads
from charl.plan.access import nodes_of

Size = int | Dim

# Terms up to which the reductions of a vector are written out: those of a pool's window.
_WRITTEN_OUT = 9


class Emitter(Naming):
    """Makes the statements of one nest. `scratch`: gives arrays of the workspace, where the target has one for kernels."""

    def __init__(
        self,
        vectors: bool,
        hints: Hints | None = None,
        numbers: Iterator[int] | None = None,
        scratch: Callable[[str, DType, int], Buffer] | None = None,
    ) -> None:
        super().__init__(vectors, hints, numbers)
        self.scratch = scratch
        self.ends: dict[str, Size] = {}  # of reductions, by their index
        self.ranges: Mapping[str, tuple[Size, Size]] = {}  # of indices, inclusive

    # ------------------------------------------------------------ blocks

    def block(self, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        """Statements that evaluate and consume all sinks here; every index they use is in scope."""
        out, sinks = self.reductions(sinks, frozenset())
        lets, sinks = self.share(sinks)
        if any(isinstance(e, Updated) for s in sinks for e in nodes_of(s.value)):
            return (*out, *self._updating(lets, sinks))
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
        return (*out, *self._values_first(*self.share(sinks)))

    def _updating(self, lets: Sequence[Stmt], sinks: Sequence[Sink]) -> list[Stmt]:
        """What is updated as sinks take it has a name, and is stored behind the sink: until then, what was there is read."""
        out: list[Stmt] = []
        stores: list[Stmt] = []
        named: dict[Expr, Expr] = {}
        memo = Memo()

        def plain(e: Expr) -> Expr | None:
            if not isinstance(e, Updated):
                return None
            if e not in named:
                value = rewrite(e.value, plain, memo)
                name = self.name(f"{e.target.name}_value")
                if self.varies(value):
                    self.vector_names.add(name)
                out.append(Let(name, value))
                named[e] = Ref(name, e.dtype)
                stores.append(Store(e.target, e.index, named[e]))
            return named[e]

        for x in lets:
            out.append(replace(x, value=rewrite(x.value, plain, memo)) if isinstance(x, Let) else x)
        for s in sinks:
            value = rewrite(s.value, plain, memo)
            out += [replace(s, value=value).statement(), *stores]
            stores.clear()
        return out

    def _values_first(self, lets: list[Stmt], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
        stores: list[Stmt] = []
        for s in sinks:
            if isinstance(s.value, (Const, Ref)):
                stores.append(s.statement())
                continue
            name = self.name(self.hints.get(s.value) or (s.buffer.name if s.buffer else "value"))
            lets.append(Let(name, s.value, s.span))
            stores.append(replace(s, value=Ref(name, s.value.dtype)).statement())
        return (*lets, *stores)

    # ------------------------------------------------------------ reductions

    def reductions(
        self, sinks: Sequence[Sink], inner: frozenset[str], later: frozenset[Buffer] = frozenset()
    ) -> tuple[list[Stmt], list[Sink]]:
        """Lower every reduction that does not depend on the loops over `inner` and reads nothing of `later`; the rest stays."""
        out: list[Stmt] = []
        sinks = list(sinks)
        while True:
            ready: dict[Reduce, list[Reduce]] = {}
            for r in self._ready(sinks, inner, later):
                ready.setdefault(r, []).append(r)
            if not ready and not inner and not later:
                ready = guarded_inside(s.value for s in sinks)
            if not ready:
                return out, sinks
            table: dict[int, Expr] = {}
            known: dict[Expr, Expr] = {}
            done: dict[Expr, Expr] = {}
            for batch in _batches(ready):
                stmts, refs, named = self._reduce(batch)
                out += stmts
                table.update((id(r), ref) for total, ref in zip(batch, refs) for r in ready[total])
                known |= named
                done |= zip(batch, refs)
            sinks = self.replaced(sinks, table)
            if any(
                x in done for s in sinks for x in nodes_of(s.value, indices=True) if isinstance(x, Reduce)
            ):
                known |= done  # the same one again, in an index for example
            sinks = self.renamed(sinks, known)

    def _ready(self, sinks: Iterable[Sink], inner: frozenset[str], later: frozenset[Buffer]) -> list[Reduce]:
        """Reductions to lower now: independent of `inner` and `later`, and holding none that could go before them."""
        found: dict[int, Reduce] = {}
        state: dict[tuple[int, frozenset[str], frozenset[str]], bool] = {}

        def visit(e: Expr, blocked: frozenset[str], guarded: frozenset[str]) -> bool:
            """Whether something below is ready or was found ready."""
            key = (id(e), blocked, guarded)
            if key in state:
                return state[key]
            below = False
            own = blocked | {n for n, _ in e.over} if isinstance(e, Reduce) else blocked
            under = guarded | needed_by(e) if isinstance(e, Guard) else guarded
            for i in e.indices():
                for x in dims.values(i):  # what a guard looks at is evaluated in any case
                    below = visit(x, blocked, guarded) or below
            for c in e.children():
                below = visit(c, own, under) or below
            if isinstance(e, Reduce) and not below and not (e.symbols() & blocked) and not _reads(e, later):
                # What does not depend on what is guarded may go before it, and so may what reads only what is there.
                below = not (e.symbols() & guarded) or anywhere(e, self.ranges)
                if below:
                    found[id(e)] = e
            state[key] = below
            return below

        for s in sinks:
            visit(s.value, inner, frozenset())
        return list(found.values())

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
            bodies.append(substitute(r.body, rename, self.memo()) if rename else r.body)
        names = frozenset(n for n, _ in over)
        width = self._lane_along(batch, bodies, over[-1])
        words = [self.hints.get(r) for r in batch]
        each = "" if width is None else "_lanes"
        registers = [
            self.name(f"{w}{each}" if w else _LABELS.get(r.fn, "acc"))
            for w, r in zip(words, batch, strict=True)
        ]
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
        lets, sinks, named = self.hoisted(sinks, names)
        if width is None:
            self.vector_names.update(name for name, v in zip(registers, vector) if v)
            refs: list[Expr] = [Ref(name, r.dtype) for name, r in zip(registers, batch)]
            few = self.lane is not None and _number(over) * len(batch) <= _WRITTEN_OUT
            loops = self.block(_each(over, sinks, self.memo)) if few else self._loops(over, sinks, None, ())
            return [*lets, *declared, *loops], refs, named
        end = self._end(batch)
        count = chain_count(over[-1][1], width, [s.value for s in sinks], end is not None)
        chains = [{n: self.name(n.rsplit(".", 1)[0]) for n in registers} for _ in range(1, count)]
        for chain in chains:
            declared += [Accumulator(chain[s.register], s.fn, s.value.dtype, True) for s in sinks]
        loops = self._loops(over, sinks, width, chains)
        out = [*lets, *declared, *(loops if end is None else ended(loops, end, self.ranges))]
        if chains:
            joined = combined([(s.register, s.fn, s.value.dtype) for s in sinks], chains)
            out.append(Simd(self.name("lane"), width, None, joined))
        totals = [self.name(w or "total") for w in words]
        out += [Horizontal(t, s.fn, s.register, s.value.dtype) for t, s in zip(totals, sinks)]
        return out, [Ref(t, r.dtype) for t, r in zip(totals, batch)], named

    def _end(self, batch: Sequence[Reduce]) -> Size | None:
        """Where all of these reductions end."""
        ends = {self.ends.get(r.over[-1][0]) for r in batch}
        return ends.pop() if len(ends) == 1 else None

    def accumulate(
        self,
        parts: Sequence[tuple[Reduce, Sink]],
        written_out: bool,
        before: Size | None = None,
        whole: Whole | None = None,
    ) -> tuple[Stmt, ...]:
        """Add each reduction to what its sink's place holds, all in one loop, or in none where it is `written_out`.

        `before`: how many terms the place holds, where that is known; without any it holds nothing yet. It is read behind the
        loop then, whose first terms need not wait for it. `whole`: what is done with the sums once they are.
        """
        held: list[Expr] = []
        for r, sink in parts:
            assert sink.buffer is not None
            held.append(Load(sink.buffer, (sink.index,), r.dtype))
        (_, extent), *rest = parts[0][0].over
        if written_out and not rest and isinstance(extent, int):
            return self._terms(parts, held, extent)
        out, refs, _ = self._reduce([r for r, _ in parts], held if before is None else ())
        if before is not None and before != 0:
            added = tuple(Update(x.name, "add", e) for x, e in zip(refs, held) if isinstance(x, Ref))
            out.append(If(IndexValue(before, boolean), added))
        stores = tuple(replace(s, value=ref).statement() for ref, (_, s) in zip(refs, parts))
        if whole is None:
            return (*out, *stores)
        last = self.block(whole.sinks(refs))
        return (*out, *(last if whole.test is None else [If(whole.test, last, stores)]))

    def _terms(
        self, parts: Sequence[tuple[Reduce, Sink]], initial: Sequence[Expr | None], extent: int
    ) -> tuple[Stmt, ...]:
        """The terms of sums one after another, added to `initial`, and the stores."""
        registers = [self.name("sum") for _ in parts]
        declared: list[Stmt] = [
            Accumulator(name, "add", r.dtype, self.varies(r.body), start)
            for name, (r, _), start in zip(registers, parts, initial)
        ]
        self.vector_names.update(
            name for name, (r, _) in zip(registers, parts, strict=True) if self.varies(r.body)
        )
        terms: list[Sink] = []
        for k in range(extent):
            for name, (r, _) in zip(registers, parts):
                terms.append(
                    Sink(substitute(r.body, {r.over[0][0]: k}, self.memo()), register=name, fn="add")
                )
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
            moved = [s.at({name: dims.sym(name) + lanes(width) * n}, self.memo()) for s in sinks]
            turns += [replace(s, register=chain.get(s.register, s.register)) for s in moved]
        first = For(name, stop, (self.vector(name, width, None, turns),), step=block)
        if stop == extent:
            return (first,)
        left = self.name(name.split(".")[0])
        moved = [s.at({name: dims.sym(left)}, self.memo()) for s in sinks]
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
            whole = self.vector(name, width, None, sinks)
            out.append(For(name, full, (whole,), kind, begin, step))
        if full != extent:
            tail = self.name(name.split(".")[0])
            moved = [s.at({name: dims.sym(tail)}, self.memo()) for s in sinks]
            start = begin if not out else full
            count = dims.minimum(extent - dims.sym(tail), step)
            region = self.vector(tail, width, count, moved)
            out.append(For(tail, extent, (region,), start=start, step=step))
        return tuple(out)

    def fill(
        self, name: str, start: Size, extent: Size, width: int, sinks: Sequence[Sink]
    ) -> tuple[Stmt, ...]:
        """Write what is behind `start` and the vector in which it lies. In parts of vectors, as compilers call memset else."""
        step = lanes(width)
        tail = self.name(name.split(".")[0])
        memo = self.memo()
        moved = [s.at({name: dims.sym(tail)}, memo) for s in sinks]
        rest = [replace(s, value=s.rest.value, rest=None) for s in moved if s.rest and s.rest.written]
        if not rest:
            return ()
        region = self.vector(tail, width, dims.minimum(extent - dims.sym(tail), step), rest)
        first = dims.floordiv(start + step - 1, step) * step
        return (For(tail, extent, (region,), start=first, step=step),)

    def vector(self, name: str, width: int, count: Size | None, sinks: Sequence[Sink]) -> Simd:
        """The sinks at `name` and behind it, on one vector."""
        lane = self.name("lane")
        memo = self.memo()
        env: dict[str, Size] = {name: dims.sym(name) + dims.sym(lane)}
        moved = [s.at(env, memo) for s in sinks]
        return self.region(lane, width, count, lambda: self.block(moved))

    def region(self, lane: str, width: int, count: Size | None, body: Callable[[], tuple[Stmt, ...]]) -> Simd:
        """A vector region around what `body` emits; its indices contain `lane`."""
        outer, self.lane = self.lane, lane
        names = set(self.vector_names)
        stmts = body()
        self.lane, self.vector_names = outer, names
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


def _number(over: Sequence[tuple[str, Size]]) -> float:
    """How many elements a reduction has; infinitely many where that is not known."""
    return prod(n if isinstance(n, int) else inf for _, n in over)


def _each(over: Sequence[tuple[str, Size]], sinks: Sequence[Sink], memo: Callable[[], Memo]) -> list[Sink]:
    """The sinks at every index of few, one after another."""
    names = [name for name, _ in over]
    return [
        s.at(dict(zip(names, at, strict=True)), memo())
        for at in product(*(range(n) for _, n in over if isinstance(n, int)))
        for s in sinks
    ]


def _position(over: Sequence[tuple[str, Size]]) -> Expr:
    from charl.dtypes import i32

    where: Size = 0
    for name, extent in over:
        where = where * extent + dims.sym(name)
    return IndexValue(where, i32)


def _reads(e: Expr, later: frozenset[Buffer]) -> bool:
    """Whether an expression reads buffers that are not written yet."""
    return bool(later) and any(isinstance(x, Load) and x.source in later for x in nodes_of(e, indices=True))


def _batches(ready: Iterable[Reduce]) -> list[list[Reduce]]:
    """Reductions that can share a loop: equal extents."""
    found: dict[tuple[Size, ...], list[Reduce]] = {}
    for r in ready:
        found.setdefault(tuple(e for _, e in r.over), []).append(r)
    return list(found.values())


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
