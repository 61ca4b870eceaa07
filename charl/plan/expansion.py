"""Which values are computed where they are used, and how each value reads others then.

Enters: an optimised graph and the capabilities of a target. Leaves: for each value whether uses of it contain its expression, and
the facts of what is left. Never groups anything.

Policy. Views and cheap functions of stored values are expanded where they are used, but what a contraction or sliding windows
read again for other elements is stored. A value whose one use takes it through views is computed there; a contraction whose
one use is a transposition or a part of it is computed in that order.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import nonnegative, product
from charl.graph.ir import Graph, Node, Size
from charl.graph.scalar import Const, Guard, Load, Reduce
from charl.ops.record import OPS
from charl.plan.access import REGIONS, Facts, LoopFacts, is_rearranged, is_view, nodes_of
from charl.plan.widened import loads_convert, seldom

# Elements of a window up to which it is written out, and read around its borders rather than from a padded copy.
TAPS = 32
# Places along the last axis from which on their borders are few, and such that a vector holds.
_WIDE, _NARROW = 12, 5
# An element this cheap (in additions) is computed again rather than stored.
_RECOMPUTE = 2
# Values at most that an indexed write computes, and elements of a row that lanes pay for.
_WRITTEN = 32
_LANES = 8


@dataclass(eq=False)
class Expansion:
    """What is expanded and what is not."""

    graph: Graph
    caps: Capabilities
    updates: Mapping[Node, Node]  # new value → the parameter whose buffer takes it
    apart: frozenset[Node]  # these share a kernel with nobody
    taken: Mapping[Node, Node]  # value → the one whose buffer it takes over (see `ties`): such a copy is none

    def __post_init__(self) -> None:
        self.order = self.graph.nodes()
        self.views = {n for n in self.order if n.op not in REGIONS and is_view(n)}
        self.results = {r for r in self.graph.results if r.op != "parameter"}
        self.results |= {n for n in self.order if n.attrs.get("laid")}  # see `layouts`
        # A copy is of something stored.
        self.results |= {i for n in self.apart for i in n.inputs if i.op != "parameter"}
        # So are what a loop or branch is given, and what is overwritten.
        self.given = {i: n for n in self.order if n.regions for i in n.inputs}
        self.results |= {i for i in (*self.given, *self.taken.values()) if i.op not in ("parameter", "item")}
        # A copy that takes over its source is that; an indexed write that takes over is a value of its own, computed later.
        self.uncopied = {n: source for n, source in self.taken.items() if not self.writes(n)}
        self.results -= self.uncopied.keys()
        self.cheap: set[Node] = set()
        self.spoiled: set[Node] = set()  # operands that contractions read again, and what views show of
        self.facts: dict[Node, Facts | LoopFacts] = {}
        self._viewed: dict[Node, Facts] = {}
        self._mark_cheap()
        self._mark_rearranged()
        # Where no view is stored and read again, what looks through all views is what looks through expanded ones.
        self._seen_through = not any(i in self.views & self.results for n in self.order for i in n.inputs)

    def leaf(self, node: Node) -> bool:
        """What no kernel of these groups computes: parameters, tables, loops, branches and what they leave."""
        if node.op in REGIONS:
            return True
        return node.op == "parameter" or (node.op == "constant" and node.shape != () and _elements(node) != 1)

    def expanded(self, node: Node) -> bool:
        """Whether uses of the node contain its expression (unless it is a result, which is stored)."""
        return (node in self.views or node in self.cheap) and node not in self.results

    def fact(self, node: Node) -> Facts | LoopFacts:
        """Access facts of a node, made once."""
        found = self.facts.get(node)
        if found is None:
            found = self.facts[node] = self._fact(node)
        return found

    def _fact(self, node: Node) -> Facts | LoopFacts:
        if node.op in REGIONS:
            return LoopFacts(node, self.uncopied)
        viewed = self._through_views(node)
        same = self._seen_through and not any(r.node in self.cheap for r in viewed.reads)
        return viewed if same else Facts(node, self.expanded)

    def _through_views(self, node: Node) -> Facts:
        if node not in self._viewed:
            self._viewed[node] = Facts(node, self.views.__contains__)
        return self._viewed[node]

    def writes(self, node: Node) -> bool:
        """Whether the node is computed by its write form: on top of its operand, or because updates may meet."""
        record = OPS[node.op]
        return record.write is not None and (
            node in self.taken or (self.caps.scatter and not record.distinct)
        )

    def _mark_cheap(self) -> None:
        """Elementwise values that cost less to compute again than to store, and that no contraction reads."""
        spoiled = self.spoiled
        for node in reversed(self.order):
            if node in self.views:
                if node in spoiled:
                    spoiled.update(node.inputs)
            elif not self.leaf(node) and (self.writes(node) or self._reads_again(node)):
                spoiled.update(self._read_as_stored(node, side) for side in range(len(node.inputs)))
        total: dict[Node, int] = {}
        stored: dict[Node, frozenset[Node]] = {}  # what a cheap value comes from
        for node in self.order:
            if node in self.views or self.leaf(node) or node in self.results or node in spoiled:
                continue
            facts = self._through_views(node)
            if facts.reduces or self.writes(node):  # the second is stored, where what it takes over lies
                continue
            inputs = {r.node for r in facts.reads}
            cost = facts.cost + sum(total.get(i, 0) for i in inputs)
            sources = frozenset(s for i in inputs for s in stored.get(i, (i,)))
            # two smaller values: an outer product, or what is chosen by where it lies
            smaller = all(nonnegative(_elements(node) - _elements(i) - 1) for i in sources)
            if cost <= _RECOMPUTE and (len(sources) <= 1 or (len(sources) == 2 and smaller)):
                total[node], stored[node] = cost, sources
                self.cheap.add(node)
        self._mark_written(spoiled)
        self._mark_moved(spoiled)

    def _read_as_stored(self, node: Node, side: int) -> Node:
        """What is to be stored for an operand that is read again: itself, or what loads convert where that costs less."""
        operand = at = node.inputs[side]
        while at in self.views and len(at.inputs) == 1:
            at = at.inputs[0]
        converted = loads_convert(at, self.caps) and seldom(node, side, self.caps)
        return at.inputs[0] if converted or (self._bordered(at) and self._alone(node, at)) else operand

    def _bordered(self, node: Node) -> bool:
        """Whether a value is another with something around it."""
        if self.leaf(node) or len(node.inputs) != 1 or node.regions:
            return False
        e = self._through_views(node).expr
        return isinstance(e, Guard) and isinstance(e.then, Load) and isinstance(e.other, Const)

    def _alone(self, node: Node, operand: Node) -> bool:
        """Whether short windows over an operand are reduced, each element of the result by a window of its own."""
        facts = self._through_views(node)
        total = [e for e in nodes_of(facts.expr) if isinstance(e, Reduce)]
        sizes = [*node.shape, *(n for e in total for _, n in e.over)]
        if self.caps.max_lanes == 1 or len(total) != 1 or not all(isinstance(n, int) for n in sizes):
            return False
        extents = [n for _, n in total[0].over if isinstance(n, int)]
        own = {str(i) for i in facts.own if not isinstance(i, int)}
        used = [{s for i in r.index for s in dims.symbols(i)} for r in facts.reads if r.node is operand]
        places = node.shape[-1]
        wide = isinstance(places, int) and (places >= _WIDE or _NARROW <= places <= self.caps.max_lanes)
        return wide and prod(extents) <= TAPS and len(used) == 1 and own <= used[0]

    def _reads_again(self, node: Node) -> bool:
        facts = self._through_views(node)
        return facts.heavy or facts.slides

    def _uses(self) -> dict[Node, list[Node]]:
        """Who has each value as an input, as many times as it is one."""
        uses: dict[Node, list[Node]] = {node: [] for node in self.order}
        for node in self.order:
            for i in node.inputs:
                uses[i].append(node)
        return uses

    def _mark_written(self, spoiled: set[Node]) -> None:
        """What is computed for the updates of an indexed write alone, each element once: computed as it is written."""
        writes = [] if self.caps.grid else [n for n in self.order if not self.leaf(n) and self.writes(n)]
        uses = self._uses() if writes else {}
        for write in writes:
            update, lanes = _update_of(write)
            found: dict[Node, None] = {}
            waiting = [] if update is None else [self._behind_views(update, uses)]
            while waiting and len(found) < _WRITTEN:
                node = waiting.pop()
                if len(uses[node]) == 1 and self._may_be_written(node, lanes):
                    found[node] = None
                    facts = self._through_views(node)
                    same = {
                        r.node for r in facts.reads if r.index == facts.own and r.node.shape == node.shape
                    }
                    waiting += [x for i in node.inputs if (x := self._behind_views(i, uses)) in same]
            read = self._read_by(found)
            if write not in self.taken:
                self.cheap |= found.keys()
            elif not read & self._overwritten(write):
                self.cheap |= found.keys()
                spoiled |= read  # they may be made of what is overwritten

    def _behind_views(self, node: Node, uses: Mapping[Node, list[Node]]) -> Node:
        """What a value shows all of, to its one user."""
        while node in self.views and len(node.inputs) == len(uses[node]) == 1:
            if not self._no_larger(node, node.inputs[0]):
                break
            (node,) = node.inputs
        return node

    def _may_be_written(self, node: Node, lanes: bool) -> bool:
        """Whether a value may be computed by the kernel that writes it, which runs it on `lanes` or not."""
        if self.leaf(node) or node in self.views | self.results | self.apart or self.writes(node):
            return False
        facts = self._through_views(node)
        if facts.reduces or (facts.cost > _RECOMPUTE and not lanes):
            return False
        own = [r.node for r in facts.reads if r.index == facts.own and not self.leaf(r.node)]
        return not any(self._through_views(x).reduces for x in own)  # their kernels have it at hand

    def _read_by(self, nodes: Iterable[Node]) -> set[Node]:
        """The stored values that these are made of."""
        waiting, inside = list(nodes), set(nodes) | self.cheap
        out: set[Node] = set()
        while waiting:
            new = {r.node for r in self._through_views(waiting.pop()).reads} - out
            out |= new
            waiting += new & inside
        return out

    def _overwritten(self, write: Node) -> set[Node]:
        """The values in whose buffer a write changes elements."""
        out: set[Node] = set()
        while write in self.taken and self.taken[write] not in out:
            write = self.taken[write]
            out.add(write)
        return out

    def _mark_moved(self, spoiled: set[Node]) -> None:
        """Elementwise values whose one use takes them through views (transposed, cut, …): computed where they are used."""
        uses = self._uses()
        settled = self.results | spoiled | self.cheap
        for node in self.order:
            if node in self.views or node in settled or self.leaf(node) or self.writes(node):
                continue
            last = node
            while (
                len(uses[last]) == 1 and uses[last][0] in self.views and self._no_larger(uses[last][0], last)
            ):
                last = uses[last][0]
            if last is node or len(uses[last]) != 1 or last in self.results:
                continue
            user = uses[last][0]
            if user in self.views or not self._once(user, uses) or self._through_views(node).reduces:
                continue
            reads = [r for r in Facts(user, lambda n: False).reads if r.node is last]
            own = tuple(dims.sym(f"@{d}") if size != 1 else 0 for d, size in enumerate(user.shape))
            if user.shape == last.shape and all(r.index == own and not r.reduced for r in reads):
                self.cheap.add(node)

    def _mark_rearranged(self) -> None:
        """Contractions whose one use is a transposition or a part of them: that is computed, in its order."""
        uses = self._uses()
        for view in self.order:
            source = view.inputs[0] if view in self.views and len(view.inputs) == 1 else None
            if source is None or source in self.views or self.leaf(source) or source in self.results:
                continue
            if self.writes(source):
                continue  # written where it lies, update by update
            once = len(uses[source]) == 1 and is_rearranged(view) and self._no_larger(view, source)
            if once and Facts(source, self.expanded).heavy:
                self.views.discard(view)
                self.cheap.add(source)

    def _once(self, node: Node, uses: Mapping[Node, list[Node]]) -> bool:
        """Whether each element of an elementwise value is evaluated at most once, wherever it is expanded."""
        while (node in self.cheap or node in self.views) and node not in self.results:
            if len(uses[node]) != 1 or not self._no_larger(uses[node][0], node):
                return False
            node = uses[node][0]
        return True

    def _no_larger(self, view: Node, of: Node) -> bool:
        return nonnegative(_elements(of) - _elements(view))


def _elements(node: Node) -> Size:
    return product(node.shape)


def _update_of(write: Node) -> tuple[Node | None, bool]:
    """The input whose elements an indexed write stores, each once, and whether some that lie side by side stay so."""
    record = OPS[write.op].write
    assert record is not None
    form = record(write)
    at = tuple(dims.sym(f"@{d}") for d in range(len(form.over)))
    value, last = form.value(at), form.over[-1] if at else 1
    lanes = bool(at) and form.index(at)[-1] == at[-1] and not (isinstance(last, int) and last < _LANES)
    return (value.source if isinstance(value, Load) else None), lanes
