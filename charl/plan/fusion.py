"""Which values are computed together, and which are stored.

Enters: an optimised graph and the capabilities of a target. Leaves: groups of nodes, each to become one loop nest over
its row space, and the set of stored values. Never orders groups and never places buffers.

Policy. What is not expanded where it is used (see `expansion`) starts a group and joins
the group of a value that it reads, when each element reads only elements of its own row: the first `rows` axes of
everything in a group are the same loops. A contraction keeps all its axes as rows, so it takes elementwise
consumers (its epilogue) and no more; what a contraction reads is stored. Joining must not make a cycle of groups.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from charl import dims
from charl.dims import nonnegative, product
from charl.graph.ir import Node, Shape, Size
from charl.plan.access import Facts, LoopFacts, Read, like
from charl.plan.conditions import Conditions, conditions
from charl.plan.expansion import Expansion
from charl.plan.masks import Masks
from charl.plan.passing import passes

# Additions that may stand under a condition on the index, such as the parts of a concatenation.
_GUARDED = 48
# Rows of a target without loops in parallel over inner axes, and serial kernels of any target, hold at most this much.
_SERIAL_ELEMENTS = 1024
# So many small values or groups that compute the same are calls of one function, unless they make next to nothing.
ALIKE = 4
TINY = 64
# Additions up to which a value is made again of what is stored anyway, how many times smaller such a part costs nothing, and how
# often values are looked for that may be.
_AGAIN = 3
_SMALLER = 8
_ROUNDS = 2
# Elements of other places that one element may compute again, nested ones counted: a butterfly of three stages, not of ten.
_MOVED = 32
# Values that one kernel holds: its expressions are as deep, and what walks them calls itself for each step.
_MEMBERS = 512
# Elements of a sum from which on it is added up in blocks.
_DEEP = 512


@dataclass(eq=False)
class Group:
    """Values computed in one loop nest. `before` has a bit for each group that must run earlier."""

    id: int
    members: list[Node]
    rows: int  # number of leading axes that are the common loops
    space: tuple[Size, ...]  # the sizes of these axes
    heavy: bool = False
    closed: bool = False  # takes nobody in
    split: bool = (
        False  # cut off from what it reads, so that both bind few enough buffers: never merged again
    )
    before: int = 0
    first: int = 0  # the number of the group that came with its first member
    latest: int = 0  # … and with its latest
    stored: list[Node] = field(default_factory=list)
    reads: dict[Node, None] = field(default_factory=dict)  # what members read, in order
    shapes: set[Shape] = field(default_factory=set)  # of members
    reduced: set[int] = field(default_factory=set)  # ranks of members that reduce
    passing: list[Node] = field(default_factory=list)  # members that the contraction updates as it reads them


class Fusion(Expansion):
    """The result: groups in a valid order, and where each node went."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.split: set[Node] = set()  # nodes that share a group with nothing they read
        self._group()
        for _ in range(_ROUNDS):  # what is made of such values comes after them
            if not (again := self._made_again()):
                break
            self.cheap |= again
            self.facts = {n: f for n, f in self.facts.items() if not any(r.node in again for r in f.reads)}
            self._group()

    def _group(self) -> None:
        self.readers: dict[Node, set[Node]] = {}
        self.group_of: dict[Node, Group] = {}
        self.groups: dict[int, Group] = {}
        self._made = -1
        self._moved: dict[Node, frozenset[Read]] = {}
        self._used: dict[Node, Counter[Hashable]] = {}
        placed = [
            n
            for n in self.order
            if n.regions or (not self.leaf(n) and (not self.expanded(n) or n in self.results))
        ]
        for node in placed:
            for read in self.fact(node).reads:
                self.readers.setdefault(read.node, set()).add(node)
        for node in placed:
            if node.regions:
                self._place_region(node)
            else:
                self._place(node)
        self._store()

    @cached_property
    def conditions(self) -> dict[Node, Conditions]:
        """Value → what holds whenever it is needed."""
        return conditions(self.graph)

    @cached_property
    def masks(self) -> Masks:
        """Where values are 0, and where they are looked at."""
        return Masks(self)

    def cut(self, nodes: set[Node]) -> None:
        """Group again, with these nodes apart from what they read."""
        self.split |= nodes
        self._group()

    # ------------------------------------------------------------ grouping

    def _place_region(self, node: Node) -> None:
        """A loop or branch and all it leaves: a group of its own, behind what it reads."""
        self._made += 1
        items = [n for n in self.order if n.op == "item" and n.inputs[0] is node]
        group = Group(self._made, [node, *items], 0, (), heavy=True, closed=True)
        self._begin(group, self.fact(node))

    def _begin(self, group: Group, fact: Facts | LoopFacts) -> None:
        """A new group runs behind what it reads."""
        group.first = group.latest = self._made
        group.reads = dict.fromkeys(r.node for r in fact.reads)
        for read in group.reads:
            source = self.group_of.get(read)
            if source:
                group.before |= source.before | (1 << source.id)
        self.groups[group.id] = group
        for n in group.members:
            self.group_of[n] = group

    def _place(self, node: Node) -> None:
        fact = self.fact(node)
        self._made += 1
        closed = self.writes(node) or node in self.apart or (fact.heavy and self._grows_in_place(node))
        group = Group(self._made, [node], node.rank, node.shape, fact.heavy, closed)
        group.split = node in self.split
        group.shapes = {node.shape}
        group.reduced = {node.rank} if fact.reduces else set()
        self._begin(group, fact)
        if group.heavy and not group.split:
            self._update_in_passing(node, fact, group)
        if group.heavy or group.closed or group.split:
            return
        chosen: list[Group] = []
        for source in self._candidates(fact):
            pairs = [(c, source) for c in chosen]
            fits = (
                all(self._unites(a, b, node, fact) for a, b in pairs)
                if pairs
                else self._joins(node, fact, source)
            )
            if fits:
                chosen.append(source)
        self._moved[node] = self._moves(fact, chosen)
        if self._again(self._moved[node]) > _MOVED:
            chosen, self._moved[node] = [], frozenset()
        if chosen:
            first, *others = chosen
            rows = min(self._new_rows(node, fact, g) for g in chosen)
            for other in (*others, group):
                self._merge(first, other, rows)

    def _update_in_passing(self, node: Node, fact: Facts | LoopFacts, group: Group) -> None:
        """Where a contraction reads each element of what is updated in place once, it updates it: what computes the new value
        becomes part of it."""
        for read in fact.reads:
            source = self.group_of.get(read.node)
            if source is None or not passes(self, read, fact, source):
                continue
            rows, closed, passing = group.rows, group.closed, list(source.members)
            self._merge(source, group, min(source.rows, rows))
            source.rows, source.space, source.closed, source.passing = rows, node.shape, closed, passing
            source.shapes, source.reduced = {node.shape}, {node.rank}
            return

    def _grows_in_place(self, node: Node) -> bool:
        """Whether a sum is so deep that it grows in memory block by block, and nothing that it updates could hold it meanwhile.

        It has an array of its own then, where the caches hold that, and what is done with it is a kernel of its own.
        """
        if node.op != "contract" or self.caps.grid or node in self.results:
            return False
        depth = product(node.inputs[0].shape[d] for d in node.attrs["sum"][0])
        size = product(node.shape) * node.dtype.bytes
        if not (
            isinstance(depth, int) and isinstance(size, int) and depth >= _DEEP and size <= self.caps.cache[1]
        ):
            return False
        seen, waiting = {node}, [node]
        while waiting:
            for n in self.readers.get(waiting.pop(), ()):
                if n.shape != node.shape or n in seen or self.fact(n).heavy:
                    continue
                if n in self.updates:
                    return True
                seen.add(n)
                waiting.append(n)
        return False

    def _moves(self, fact: Facts | LoopFacts, sources: list[Group]) -> frozenset[Read]:
        """Reads of other places than the own element, in groups that a node joins: each computes that element again."""
        out: set[Read] = set()
        for read in fact.reads:
            if self.group_of.get(read.node) not in sources:
                continue
            if read.reduced or fact.prefix(read) == read.node.rank:
                out |= self._moved.get(read.node, frozenset())
            else:
                out.add(read)
        return frozenset(out)

    def _again(self, moves: frozenset[Read]) -> int:
        """How many elements are computed again for one element with these moves."""
        return sum(1 + self._again(self._moved.get(r.node, frozenset())) for r in moves)

    def _candidates(self, fact: Facts | LoopFacts) -> list[Group]:
        """Groups the node reads from: contractions first, then the latest."""
        found = {
            self.group_of[r.node].id: self.group_of[r.node] for r in fact.reads if r.node in self.group_of
        }
        return sorted(found.values(), key=lambda g: (not g.heavy, -g.id))

    def _new_rows(self, node: Node, fact: Facts | LoopFacts, source: Group) -> int:
        """Common leading axes if `node` joined; -1 when rows of the group would not be rows of the node."""
        rows = min(source.rows, node.rank)
        for read in fact.reads:
            if self.group_of.get(read.node) is source:
                rows = min(rows, fact.prefix(read))
        return rows

    def _joins(self, node: Node, fact: Facts | LoopFacts, source: Group) -> bool:
        rows = self._new_rows(node, fact, source)
        if source.closed or source.space[:rows] != node.shape[:rows] or len(source.members) >= _MEMBERS:
            return False
        if any(r.node in source.passing for r in fact.reads):
            return False
        if source.heavy and (rows < source.rows or fact.reduces or node.rank != source.rows):
            return False
        if source.heavy and self._scalar(fact):
            return False
        if self._not_to_guard(fact, source):
            return False
        if any(self._reads_reduced(r, rows) for r in fact.reads if self.group_of.get(r.node) is source):
            return False
        both = (source, self.group_of[node])
        if not self._rows_allowed(both, rows) or not self._buffers_allowed(both):
            return False
        return self.acyclic(fact, source)

    def _not_to_guard(self, fact: Facts | LoopFacts, source: Group) -> bool:
        """Under a condition nothing can be named: what is used twice there is written out twice, and so on downwards. Nor is
        there a loop: a sum for each place would have to stand before it, where not every place has one."""
        if not isinstance(fact, Facts) or not any(self.group_of.get(n) is source for n in fact.guarded):
            return False
        if any(self.fact(n).reduces and n.rank > fact.guarding for n in source.members):
            return True
        return sum(self.fact(n).cost for n in source.members) > _GUARDED

    def _scalar(self, fact: Facts | LoopFacts) -> bool:
        """Whether a value would keep a contraction that it joined from running on vectors."""
        return self.caps.max_lanes > 1 and isinstance(fact, Facts) and fact.mixed

    def acyclic(self, fact: Facts | LoopFacts, source: Group) -> bool:
        """Whether no other group that the node reads from runs after `source`."""
        others = {self.group_of[r.node] for r in fact.reads if r.node in self.group_of} - {source}
        return not any(g.before >> source.id & 1 for g in others)

    def _reads_reduced(self, read: Read, rows: int) -> bool:
        """A value that holds a reduction may not be evaluated again inside another reduction's loop of the row."""
        return read.reduced and self.fact(read.node).reduces and read.node.rank > rows

    def _unites(self, a: Group, b: Group, node: Node, fact: Facts | LoopFacts) -> bool:
        """Whether two groups that the node reads from can be one, and the node with them."""
        if (
            b.closed
            or a.split
            or b.split
            or (a.heavy and b.heavy)
            or any(r.node in (*a.passing, *b.passing) for r in fact.reads)
            or not self.acyclic(fact, b)
            or self._not_to_guard(fact, b)
            or b.before >> a.id & 1
        ):
            return False
        rows = min(self._new_rows(node, fact, a), self._new_rows(node, fact, b))
        if a.space[:rows] != b.space[:rows]:
            return False
        if any(self._reads_reduced(r, rows) for r in fact.reads if self.group_of.get(r.node) is b):
            return False
        for g in (a, b):
            if g.heavy and rows < g.rows:
                return False
        members = [*a.members, *b.members, node]
        if (a.heavy or b.heavy) and (self._scalar(fact) or any(self._scalar(self.fact(n)) for n in members)):
            return False
        if (a.heavy or b.heavy) and any(
            n.rank != rows or self.fact(n).reduces for n in members if not self.fact(n).heavy
        ):
            return False
        all_ = (a, b, self.group_of[node])
        return self._rows_allowed(all_, rows) and self._buffers_allowed(all_)

    def _buffers_allowed(self, groups: Sequence[Group]) -> bool:
        """Whether the target can bind what these as one would read and store, if nobody else joined."""
        if self.caps.max_buffers > 2 * len(self.order):
            return True
        inside = {n for g in groups for n in g.members}
        stored = [n for n in inside if n in self.results or self.readers.get(n, inside) - inside]
        return len(self._bound(groups, inside, stored)) <= self.caps.max_buffers

    def _rows_allowed(self, groups: Sequence[Group], rows: int) -> bool:
        """Whether values with reductions all finish once a row, and a row is small enough for what runs it."""
        if any(g.reduced - {rows} for g in groups):
            return False
        shapes = {s for g in groups for s in g.shapes}
        if rows == 0 and any(shapes):
            return self._small(shapes, rows) and not self._one_of_many(groups)
        if self.caps.grid and any(len(s) > rows for s in shapes):
            return self._small(shapes, rows) and any(g.reduced for g in groups)
        return True

    def _one_of_many(self, groups: Sequence[Group]) -> bool:
        """Whether the last of these is one of many that do the same with a number of the others: they share a function."""
        node, others = groups[-1].members[0], groups[:-1]
        size = product(node.shape)
        if self.caps.grid or (isinstance(size, int) and size <= TINY):
            return False
        numbers = [
            r.node for r in self.fact(node).reads if not r.node.rank and self.group_of.get(r.node) in others
        ]
        return any(self._alike(n)[like(node)] >= ALIKE for n in numbers)

    def _alike(self, value: Node) -> Counter[Hashable]:
        """How many equal operations read a value."""
        if value not in self._used:
            self._used[value] = Counter(map(like, self.readers[value]))
        return self._used[value]

    @staticmethod
    def _small(shapes: set[Shape], rows: int) -> bool:
        inner = (product(s[rows:]) for s in shapes)
        return all(isinstance(i, int) and i <= _SERIAL_ELEMENTS for i in inner)

    def _merge(self, into: Group, other: Group, rows: int) -> None:
        """Move all of `other` into `into`; its ancestors become ancestors of whatever depends on the result."""
        bit, gone = 1 << into.id, 1 << other.id
        for node in other.members:
            self.group_of[node] = into
        into.members += other.members
        fresh = other.latest == other.first == self._made and not other.before & ~(into.before | bit)
        into.reads |= other.reads
        into.shapes |= other.shapes
        into.reduced |= other.reduced
        into.rows, into.space, into.heavy = rows, into.space[:rows], into.heavy or other.heavy
        into.before = (into.before | other.before) & ~bit & ~gone
        del self.groups[other.id]
        into.first, into.latest = min(into.first, other.first), self._made
        self.groups[into.id] = self.groups.pop(
            into.id
        )  # in order of the latest member, so that the search may end
        if fresh:
            return  # nobody runs behind `other` yet, and it adds nothing that runs before
        for g in reversed(self.groups.values()):
            if g.latest < into.first:
                break  # made whole before the first of them
            if g is not into and g.before & (bit | gone):
                g.before = (g.before & ~gone) | bit | into.before

    # ------------------------------------------------------------ storing

    def _store(self) -> None:
        """A value is stored when another group or the caller reads it; a group of which nobody reads anything goes."""
        self._drop_dead()
        needed = set(self.results)
        for group in self.groups.values():
            needed.update(n for n in group.reads if self.group_of.get(n, group) is not group)
        position = {n: i for i, n in enumerate(self.order)}
        for group in self.groups.values():
            group.members.sort(key=lambda n: position[n])
            group.stored = [n for n in group.members if n in needed or n.op == "item"]

    def _made_again(self) -> set[Node]:
        """Stored values that take fewer loads and stores where each user makes them of what is stored anyway.

        A user reads no more than before: it has what they are made of, or reads one array in the place of another.
        """
        stored = {n for g in self.groups.values() for n in g.stored}
        overwritten = set(self.updates.values())
        out: set[Node] = set()
        for node in self.order:
            fact = self.facts.get(node)
            if node not in stored or not isinstance(fact, Facts) or not self._simple(node, fact):
                continue
            made_of = {r.node for r in fact.reads}
            size = product(node.shape)
            large = {n for n in made_of if not nonnegative(size - _SMALLER * product(n.shape))}
            if made_of & (out | overwritten) or not all(self.leaf(n) or n in stored for n in large):
                continue
            users = {self.group_of[n] for n in self.readers[node]} - {self.group_of[node]}
            if all(len(large - u.reads.keys()) <= (len(large) == 1) for u in users):
                out.add(node)
        return out

    def _simple(self, node: Node, fact: Facts) -> bool:
        """Whether a value is elementwise, of little work, and may be made wherever it is used."""
        return (
            fact.cost <= _AGAIN
            and not (fact.reduces or fact.mixed or fact.guarded or self.writes(node))
            and not (node in self.results or node in self.apart or node in self.spoiled)
            and not any(True for r in fact.reads for i in r.index for _ in dims.values(i))
        )

    def _drop_dead(self) -> None:
        """Leave out what only serves an index that is never looked at, as that along an axis of one element."""
        todo = [self.group_of[n] for n in self.results if n in self.group_of]
        live = set(todo)
        while todo:
            for node in todo.pop().reads:
                source = self.group_of.get(node)
                if source is not None and source not in live:
                    live.add(source)
                    todo.append(source)
        if len(live) < len(self.groups):
            self.groups = {k: g for k, g in self.groups.items() if g in live}
            self.group_of = {n: g for n, g in self.group_of.items() if g in live}

    def _bound(self, groups: Sequence[Group], inside: set[Node], stored: Iterable[Node]) -> set[Node]:
        """What is read from outside and what is stored; an update shares the buffer of its parameter."""
        out = {self.updates.get(n, n) for n in stored}
        for group in groups:
            out |= group.reads.keys() - inside
        return out

    def buffers(self, group: Group) -> set[Node]:
        """The values that a kernel of a group reads or stores; those of a loop or branch bind for themselves."""
        if group.members[0].regions:
            return set()
        return self._bound((group,), set(group.members), group.stored)

    def overfull(self) -> set[Node]:
        """Where to cut the groups that bind more buffers than the target has."""
        return {
            g.members[len(g.members) // 2]
            for g in self.groups.values()
            if len(g.members) > 1 and len(self.buffers(g)) > self.caps.max_buffers
        }
