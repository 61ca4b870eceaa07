"""A loop or branch whose body is small as one kernel: the loop itself stands in it, and what it computes in local variables.

Enters: a loop or branch with its levels, and where every stored value lives. Leaves: a `Kernel` and the places of its buffers.
Decides nothing: `plan.serial` says which regions come here, and what is local.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import count

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim, product
from charl.dtypes import u32
from charl.graph.ir import Node
from charl.graph.scalar import Expr, Load
from charl.loops.ir import Buffer, For, If, Kernel, Local, Stmt, Store
from charl.loops.lower import UNROLLED, Bound, Lowering, flops_of, truth
from charl.plan.fusion import Group
from charl.plan.ir import Place
from charl.plan.levels import Branch, Level, Loop
from charl.source import Span

Size = int | Dim
# A carried value of so many elements is kept in local variables while the loop runs.
_KEPT = 32


def region_kernel(
    name: str, group: Group, region: Loop | Branch, place: Callable[[Node], Place], caps: Capabilities
) -> tuple[Kernel, tuple[Place, ...]]:
    """The kernel of a region, and its arguments."""
    serial = replace(caps, grid=False, scatter=True, packed=0)
    lowering = _Region(place, serial, Bound(numbers=count(1)))
    return lowering.kernel(name, group, region)


class _Region:
    def __init__(self, place: Callable[[Node], Place], caps: Capabilities, bound: Bound) -> None:
        self.place = place
        self.caps = caps
        self.bound = bound
        self.spans: dict[Span, None] = {}

    def kernel(self, name: str, group: Group, region: Loop | Branch) -> tuple[Kernel, tuple[Place, ...]]:
        kept = self._kept(region)
        body, flops = self._region(region)
        first: list[Stmt] = []
        last: list[Stmt] = []
        for place, (own, whole) in kept.items():
            self.bound.buffers.pop(place)
            self.bound.buffers[replace(place, kind="local")] = own
            self.bound.buffers[place] = whole
            first += _copy(own, whole)
            last += _copy(whole, own) if place in self.bound.stored else ()
            self.bound.loaded.add(place)
        locals_ = [Local(b, aligned=False) for b in self.bound.buffers.values() if b.role == "scratch"]
        spans = dict.fromkeys([*(n.span for n in group.members if n.span), *self.spans])
        return self.bound.kernel(name, [(*locals_, *first, *body, *last)], spans, flops)

    def _kept(self, region: Loop | Branch) -> dict[Place, tuple[Buffer, Buffer]]:
        """Small carried values → the local array that stands for each, and its buffer."""
        out: dict[Place, tuple[Buffer, Buffer]] = {}
        for place in dict.fromkeys(self.place(x) for x in region.carried):
            if isinstance(place.size, int) and place.size <= _KEPT and place.kind != "local":
                own = Buffer(place.name, place.dtype, place.size, "scratch")
                out[place] = own, self.bound.buffer(place)
                self.bound.buffers[place] = own
        return out

    # ------------------------------------------------------------ statements

    def _region(self, region: Loop | Branch) -> tuple[tuple[Stmt, ...], Size]:
        if isinstance(region, Branch):
            (then, cost), (otherwise, other) = (self._level(side) for side in region.levels)
            if not then and not otherwise:
                return (), 0
            return (If(self._truth(region.condition), then, otherwise),), dims.maximum(cost, other)
        body, cost = self._level(region.level)
        condition = None if region.condition is None else self._truth(region.condition)
        loop = For(region.index, region.extent, body, condition=condition)
        return (loop,), cost * (1 if region.extent is None else region.extent)

    def _truth(self, node: Node) -> Expr:
        place = self.place(node)
        buffer = self.bound.buffer(place)
        self.bound.loaded.add(place)
        load = Load(buffer, (0,), buffer.dtype)
        return truth(load) if buffer.dtype == u32 else load

    def _level(self, level: Level) -> tuple[tuple[Stmt, ...], Size]:
        out: list[Stmt] = []
        flops: Size = 0
        lowering = Lowering(level.fusion, self.place, self.caps, level.ranges, level.rows, self.bound)
        readers = _readers(level)
        waiting: list[Group] = []

        def flush() -> None:
            if waiting:
                out.extend(lowering.block(waiting, _wanted(level, waiting, readers)))
                waiting.clear()

        for step in level.steps:
            inner = level.inner.get(step[0])
            if inner is not None:
                flush()
                body, cost = self._region(inner)
                out += body
                flops = flops + cost
                continue
            for g in step:
                self.spans |= dict.fromkeys(n.span for n in g.members if n.span)
                flops = flops + flops_of(level.fusion, g)
                if _tiny(level, g):
                    waiting.append(g)
                    continue
                flush()
                out += lowering.group(g)
        flush()
        return tuple(out), flops


def _tiny(level: Level, group: Group) -> bool:
    """Whether all values of a group are few elements, so that they are written out without loops."""
    if level.fusion.writes(group.members[0]):
        return False
    sizes = [product(n.shape) for n in group.members]
    return all(isinstance(s, int) and s <= UNROLLED for s in sizes)


def _readers(level: Level) -> dict[Node, set[Group]]:
    out: dict[Node, set[Group]] = {}
    for group in level.fusion.groups.values():
        for n in group.members:
            for read in level.fusion.fact(n).reads:
                out.setdefault(read.node, set()).add(group)
    return out


def _wanted(level: Level, groups: Sequence[Group], readers: Mapping[Node, set[Group]]) -> list[Node]:
    """What somebody beside these groups reads."""
    results, inside = set(level.fusion.graph.results), set(groups)
    return [
        n
        for g in groups
        for n in g.stored
        if n in results or n in level.fusion.given or readers.get(n, set()) - inside
    ]


def _copy(to: Buffer, source: Buffer) -> Iterable[Stmt]:
    if to.size == 1:
        return (Store(to, 0, Load(source, (0,), source.dtype)),)
    k = dims.sym("k")
    return (For("k", to.size, (Store(to, k, Load(source, (k,), source.dtype)),)),)
