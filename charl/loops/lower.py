"""Groups become kernels: substitution, strategy, loops.

Enters: the groups of one step and where every stored value lives. Leaves: a `Kernel` and the places of its buffers, in order.
Names in a kernel depend on the kernel alone, so that equal computations are equal text.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product as product_of

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim, product
from charl.dtypes import DType, boolean, u32
from charl.graph.ir import Node
from charl.graph.scalar import Apply, Const, Expr, Index, Load, Reduce, Updated
from charl.loops.canonical import canonical
from charl.loops.checks import index_checks
from charl.loops.emit import Emitter
from charl.loops.ends import sums_end, with_rest
from charl.loops.inline import Inliner, Memo, offset
from charl.loops.ir import Buffer, Kernel, Role, Stmt
from charl.loops.nests import Axis, Part, build_nest
from charl.loops.nests.updates import updated
from charl.loops.registers import Registers
from charl.loops.reused import homes
from charl.loops.sinks import Rest, Sink
from charl.loops.threads import threaded
from charl.loops.walk import buffers
from charl.ops.record import OPS
from charl.plan.access import nodes_of
from charl.plan.fusion import Fusion, Group
from charl.plan.ir import Place
from charl.plan.masks import Conditions, Reading, both
from charl.source import Span

Size = int | Dim


UNROLLED = 8  # elements of values and terms of sums that are written out in a kernel without loops over them


@dataclass
class Bound:
    """What the nests of a kernel have in common: buffers by their place, how they are used, numbers for names."""

    buffers: dict[Place, Buffer] = field(default_factory=dict)
    loaded: set[Place] = field(default_factory=set)
    stored: set[Place] = field(default_factory=set)
    numbers: Iterator[int] | None = None

    def buffer(self, place: Place) -> Buffer:
        """The buffer of a place."""
        if place not in self.buffers:
            role: Role = "scratch" if place.kind == "local" else "input"
            self.buffers[place] = Buffer(place.name, place.dtype, place.size, role)
        return self.buffers[place]

    def scratch(self, name: str, dtype: DType, size: int) -> Buffer:
        """An array of the workspace for this kernel alone."""
        place = Place("scratch", name, dtype, size)
        self.loaded.add(place)
        self.stored.add(place)
        return self.buffer(place)

    def kernel(
        self, name: str, nests: Sequence[tuple[Stmt, ...]], spans: Iterable[Span], flops: Size
    ) -> tuple[Kernel, tuple[Place, ...]]:
        """The kernel of nests over these buffers, and the places of its arguments in order."""
        order = {"parameter": 0, "constant": 1, "result": 2, "arena": 3, "scratch": 4}
        touched = buffers(tuple(s for nest in nests for s in nest))  # an index into equal elements is not
        given = {
            p: b
            for p, b in self.buffers.items()
            if b.role != "scratch" and (b in touched or p in self.stored)
        }
        given = dict(sorted(given.items(), key=lambda item: order[item[0].kind]))
        shown = [s.shown for s in spans]
        kernel = Kernel(
            name,
            tuple(given.values()),
            (),
            tuple(nests),
            shown[0] if shown else None,
            flops=flops,
            sources=tuple(sorted(set(shown), key=lambda x: (x.source.path, x.start))),
        )
        return canonical(kernel, [self._role(p) for p in given]), tuple(given)

    def _role(self, place: Place) -> Role:
        if place in self.stored:
            return "inout" if place in self.loaded else "output"
        return "input"


@dataclass
class Lowering:
    """The kernel of one step under construction."""

    fusion: Fusion
    place: Callable[[Node], Place]  # of a stored value or a leaf
    caps: Capabilities
    outer: Mapping[str, tuple[Size, Size]] = field(default_factory=dict)  # indices of the loops around
    stacked: Mapping[Node, Size] = field(default_factory=dict)  # the row of values that are one of many
    bound: Bound = field(default_factory=lambda: Bound())
    read: dict[Node, Buffer] = field(default_factory=dict)  # stored values that the present nest reads

    def kernel(self, name: str, step: Sequence[Group]) -> tuple[Kernel, tuple[Place, ...]]:
        """Lower all groups of a step."""
        nests = [self.group(g) for g in step]
        flops: Size = 0
        for g in step:
            flops = flops + flops_of(self.fusion, g)
        return self.bound.kernel(name, nests, (n.span for g in step for n in g.members if n.span), flops)

    # ------------------------------------------------------------ buffers

    def _buffer(self, node: Node) -> Buffer:
        return self.bound.buffer(self.place(node))

    def _load(self, target: Buffer, load: Expr, node: Node) -> Expr:
        self.bound.loaded.add(self.place(node))
        self.read[node] = target
        return truth(load) if node.dtype == boolean and target.dtype == u32 else load

    def inliner(
        self,
        stop: Callable[[Node], Buffer | None],
        ranges: Mapping[str, tuple[Size, Size]],
        unroll: int = 0,
        load: Callable[[Buffer, Expr, Node], Expr] | None = None,
        made: Callable[[Node, Index, Expr], Expr] | None = None,
    ) -> Inliner:
        """What expands values into expressions over stored ones, as registers of the target hold them."""
        registers = Registers(self.caps.stored)
        return Inliner(
            stop, ranges, flat=True, wrap=load or self._load, unroll=unroll, registers=registers, made=made
        )

    # ------------------------------------------------------------ groups

    def group(self, group: Group) -> tuple[Stmt, ...]:
        """The nest of a group."""
        self.read.clear()
        rows = tuple(Axis(f"i{d}", size) for d, size in enumerate(group.space))
        ranges: dict[str, tuple[Size, Size]] = {a.name: (0, a.extent - 1) for a in rows}
        ranges.update(self.outer)
        inside = set(group.members)
        kept = {} if self.caps.grid else homes(self.fusion, group, self.place, self.stacked)

        def stop(node: Node) -> Buffer | None:
            if node in kept:
                return self._buffer(kept[node])
            if node in inside or self.fusion.expanded(node):
                return None
            return self._buffer(node)

        def load(target: Buffer, element: Expr, node: Node) -> Expr:
            return element if node in kept else self._load(target, element, node)

        passing = set(group.passing).intersection(group.stored)

        def made(node: Node, index: Index, value: Expr) -> Expr:
            if node not in passing:
                return value
            self.bound.stored.add(self.place(node))
            return Updated(self._buffer(node), offset(index, node.shape), value)

        inliner = self.inliner(stop, ranges, load=load, made=made if passing else None)
        if self.fusion.writes(group.members[0]):
            nest = self._scatter(group.members[0], inliner, stop)
            return (*self._checks(group.members, nest), *nest)
        parts: dict[tuple[Size, ...], list[Sink]] = {}
        axes: dict[tuple[Size, ...], tuple[Axis, ...]] = {}
        waiting: list[Part] = []
        written: list[tuple[Node, Index, Expr]] = []
        last = set(kept.values())  # what overwrites a kept value comes behind all that reads it
        whole = [n for n in group.stored if n not in passing]
        for node in (*kept, *sorted(whole, key=last.__contains__)):
            inner = node.shape[group.rows :]
            if inner not in axes:
                axes[inner] = tuple(Axis(f"j{len(axes)}_{d}", size) for d, size in enumerate(inner))
                inliner.ranges.update({a.name: (0, a.extent - 1) for a in axes[inner]})
            index = _element(node, [*rows, *axes[inner]])
            if node in kept:
                waiting.append(Part(axes[inner], (self._kept(node, kept[node], index, inliner),)))
            else:
                parts.setdefault(inner, []).append(self._sink(node, index, inliner))
                written.append((node, index, parts[inner][-1].value))
        emitter = Emitter(self.caps.max_lanes > 1, inliner.hints(), self.bound.numbers, self.bound.scratch)
        emitter.ranges = inliner.ranges
        rows = tuple(a for a in rows if a.extent != 1)
        ordered = _merged({k: (axes[k], v) for k, v in parts.items()})
        limits = self._limits(written, inliner) if group.heavy and emitter.vectors and not passing else ()
        if not group.heavy and emitter.vectors:
            waiting, ordered = self._ends(
                emitter, inliner, [*self.outer, *(a.name for a in rows)], waiting, ordered
            )
        nest = build_nest(emitter, self.caps, rows, ordered, group.heavy, waiting, limits)
        nest = threaded(nest, self.caps)
        return (*self._checks(group.members, nest), *nest)

    def _limits(self, written: Sequence[tuple[Node, Index, Expr]], inliner: Inliner) -> tuple[Size, ...]:
        """Sizes at least 0 wherever a term of the group's one sum is not 0 and the sum is looked at."""
        reading = Reading(self.fusion.masks, inliner.places.get, inliner.ranges)
        roots: list[tuple[Expr, Conditions]] = []
        for node, index, value in written:
            needed = self.fusion.masks.needed(node) if _harmless(value) else ()
            env = {f"@{d}": i for d, i in enumerate(index)}
            roots.append((value, needed and tuple(dims.substitute(f, env) for f in needed)))
        sums = {e: where for e, where in reading.uses(roots).items() if isinstance(e, Reduce)}
        if len(sums) != 1:
            return ()
        ((total, where),) = sums.items()
        assert isinstance(total, Reduce)
        return both(where, reading.outside(total.body, 0.0)) or ()

    def _ends(
        self, emitter: Emitter, inliner: Inliner, rows: Sequence[str], kept: list[Part], parts: list[Part]
    ) -> tuple[list[Part], list[Part]]:
        """The parts, whose sinks know where masks hide the rest of a row; where sums end the emitter is told.

        What was kept in the buffer of another value has written that one's rest, where it is the same.
        """
        reading = Reading(self.fusion.masks, inliner.places.get, inliner.ranges)
        emitter.ends = sums_end(reading, [s for p in (*kept, *parts) for s in p.sinks], rows)

        def told(p: Part, there: Container[tuple[Buffer | None, Rest | None]] = ()) -> Part:
            wide = [a.name for a in p.inner if a.extent != 1]
            if len(wide) != 1:
                return p
            sinks = (with_rest(reading, s, wide[0], rows) for s in p.sinks)
            return replace(
                p, sinks=tuple(s.without_rest() if (s.buffer, s.rest) in there else s for s in sinks)
            )

        first = [told(p) for p in kept]
        there = {(s.buffer, s.rest) for p in first for s in p.sinks if s.rest}
        return first, [told(p, there) for p in parts]

    def block(self, groups: Sequence[Group], wanted: Sequence[Node]) -> tuple[Stmt, ...]:
        """Groups of few elements without loops: each element of what is wanted is written out, the rest stands in these."""
        self.read.clear()
        members = [n for g in groups for n in g.members]
        inside = set(members)

        def stop(node: Node) -> Buffer | None:
            return None if node in inside or self.fusion.expanded(node) else self._buffer(node)

        inliner = self.inliner(stop, self.outer, UNROLLED)
        sinks = [
            self._sink(n, index, inliner)
            for n in wanted
            for index in product_of(*(range(size) for size in n.shape if isinstance(size, int)))
        ]
        emitter = Emitter(self.caps.max_lanes > 1, inliner.hints(), self.bound.numbers)
        nest = emitter.simultaneous(sinks)
        return (*self._checks(members, nest), *nest)

    def _sink(self, node: Node, index: tuple[Size, ...], inliner: Inliner) -> Sink:
        buffer = self._buffer(node)
        self.bound.stored.add(self.place(node))
        value = inliner.element(node, index)
        to = offset(index, node.shape)
        if node in self.stacked:
            to = to + self.stacked[node] * product(node.shape)
        return Sink(stored(value, buffer.dtype), buffer, to, span=node.span)

    def _kept(self, node: Node, home: Node, index: tuple[Size, ...], inliner: Inliner) -> Sink:
        """A value that waits in the buffer of another."""
        buffer = self._buffer(home)
        value = stored(inliner.map(OPS[node.op].at(node, index), Memo()), buffer.dtype)
        return Sink(value, buffer, offset(index, node.shape), span=node.span)

    def _scatter(
        self, node: Node, inliner: Inliner, stop: Callable[[Node], Buffer | None]
    ) -> tuple[Stmt, ...]:
        """Copy the operand, then write every update in order."""
        write = OPS[node.op].write
        assert write is not None
        form = write(node)
        buffer = self._buffer(node)
        place = self.place(node)
        self.bound.stored.add(place)
        base = node.inputs[0]
        copy: tuple[Stmt, ...] = ()
        if node in self.fusion.taken or (self.fusion.leaf(base) and self.place(base) is place):
            self.bound.loaded.add(place)
        else:
            index = tuple(0 if s == 1 else dims.sym(f"i{d}") for d, s in enumerate(node.shape))
            inliner.ranges.update({f"i{d}": (0, s - 1) for d, s in enumerate(node.shape)})
            value = inliner.element(base, index)
            emitter = Emitter(self.caps.max_lanes > 1, numbers=self.bound.numbers)
            axes = [Axis(f"i{d}", s) for d, s in enumerate(node.shape) if s != 1]
            sink = Sink(stored(value, buffer.dtype), buffer, offset(index, node.shape), span=node.span)
            copy = threaded(build_nest(emitter, self.caps, axes, [Part((), (sink,))], False), self.caps)
        at: Index = tuple(0 if size == 1 else dims.sym(f"u{d}") for d, size in enumerate(form.over))
        axes = [Axis(f"u{d}", size) for d, size in enumerate(form.over) if size != 1]
        inliner.ranges.update({a.name: (0, a.extent - 1) for a in axes})
        to = tuple(inliner.index(i, Memo()) for i in form.index(at))
        apart = frozenset(str(i) for i, j in zip(at, to) if i == j)
        condition = None if form.condition is None else inliner.map(form.condition(at), Memo())
        value = inliner.map(form.value(at), Memo())
        adds = form.combine == "add"
        if adds and node.dtype.name in self.caps.stored:
            value = self._added(buffer, offset(to, node.shape), value, node)
            adds = False
        sink = Sink(stored(value, buffer.dtype), buffer, offset(to, node.shape), adds, span=node.span)
        emitter = Emitter(self.caps.max_lanes > 1, inliner.hints(), self.bound.numbers)

        def elements(inner: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
            return build_nest(emitter, self.caps, inner, [Part((), tuple(sinks))], False)

        nest = updated(emitter, self.caps, axes, sink, condition, apart, elements)
        return (*copy, *threaded(nest, self.caps))

    def _added(self, buffer: Buffer, index: Size, value: Expr, node: Node) -> Expr:
        """What is at an index plus a value, of a type that lies in memory only."""
        self.bound.loaded.add(self.place(node))
        registers = Registers(self.caps.stored)
        old = Load(buffer, (index,), node.dtype)
        return registers.settled(
            Apply("add", (old, old), node.dtype),
            Apply("add", (registers.settled(old, old), value), value.dtype),
        )

    def _checks(self, members: Sequence[Node], nest: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Debug builds look at every run-time index before it is clamped."""
        if not self.caps.reports:
            return ()
        facts = [self.fusion.fact(m) for m in members]
        ordered = {r.node for f in facts for r in f.reads}  # what the group waits for
        self.read = {n: b for n, b in self.read.items() if n in ordered}
        waiting = [x for f in facts for x in f.checked]
        inside, met = set(members), set(waiting)
        while waiting:  # what only checks read
            n = waiting.pop()
            if n not in inside:
                self.read[n] = self._buffer(n)
                continue
            new = {r.node: None for r in self.fusion.fact(n).reads if r.node not in met}
            met.update(new)
            waiting += new
        return index_checks(members, self.fusion, self.read, self.inliner, self.outer, nest)


def _element(node: Node, axes: Sequence[Axis]) -> Index:
    """The element of a value that loops over these axes are at."""
    return tuple(0 if size == 1 else dims.sym(a.name) for a, size in zip(axes, node.shape))


def _merged(parts: Mapping[tuple[Size, ...], tuple[Sequence[Axis], Sequence[Sink]]]) -> list[Part]:
    """Sinks by the axes of their rows; axes of one element have no loop, so that parts may have the same ones."""
    merged: dict[tuple[Axis, ...], list[Sink]] = {}
    for axes, sinks in parts.values():
        merged.setdefault(tuple(a for a in axes if a.extent != 1), []).extend(sinks)
    return [Part(k, tuple(v)) for k, v in merged.items()]


# Functions that leave finite numbers finite.
_HARMLESS = frozenset(
    ("add", "sub", "mul", "neg", "abs", "min", "max", "select", "cast", "ne", "eq", "le", "lt", "ge", "gt")
)


def _harmless(e: Expr) -> bool:
    """Whether an expression stays finite where its sum is 0 instead of what it would be."""
    inside = {id(x) for r in nodes_of(e) if isinstance(r, Reduce) for x in nodes_of(r.body)}
    return all(x.fn in _HARMLESS for x in nodes_of(e) if isinstance(x, Apply) and id(x) not in inside)


def truth(load: Expr) -> Expr:
    """A stored word as a truth value."""
    return Apply("ne", (load, Const(0, u32)), boolean)


def stored(value: Expr, dtype: DType) -> Expr:
    """A value as its buffer keeps it: truth values of the workspace are words, so that lanes can load them."""
    if value.dtype == boolean and dtype == u32:
        return Apply("select", (value, Const(1, u32), Const(0, u32)), u32)
    return value


def flops_of(fusion: Fusion, group: Group) -> Size:
    """Arithmetic operations of a group: each member once per element, reductions by their extents."""
    total: Size = 0
    for node in group.members:
        if node.regions or node.op == "item":
            continue
        write = OPS[node.op].write if fusion.writes(node) else None
        if write is not None and not OPS[node.op].distinct:  # an addition for each update
            total = total + product(write(node).over)
            continue
        written = node.inputs[1] if write is not None else node
        total = total + _expr_flops(fusion.fact(node).expr) * product(written.shape)
    return total


def _expr_flops(e: Expr) -> Size:
    inside: set[int] = set()
    total: Size = 0
    for x in nodes_of(e, indices=True):
        if isinstance(x, Reduce):
            extent = product(s for _, s in x.over)
            if not any(dims.symbols(s) & {"@0", "@1", "@2", "@3", "@4"} for _, s in x.over):
                total = total + (_expr_flops(x.body) + 1) * extent
            inside |= {id(y) for y in nodes_of(x.body)}
    return total + sum(1 for x in nodes_of(e) if isinstance(x, Apply) and id(x) not in inside)
