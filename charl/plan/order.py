"""In which order groups run, which small ones run as one kernel, and what is updated in place.

Enters: the groups of `fusion`. Leaves: steps, each a list of independent groups, with every reader of a `mut` parameter before
the group that overwrites it. Never changes what a group computes.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Hashable, Mapping
from math import inf

from charl.dims import product
from charl.graph.ir import Node
from charl.plan.fusion import ALIKE, TINY, Fusion, Group
from charl.plan.memory import Memory
from charl.plan.repeats import Signature
from charl.plan.ties import Chains

# Small groups that free more than this do not wait for others.
_SMALL_BYTES = 1 << 16
# The share of the memory which an order of more kernels may need at most.
_MUCH_LESS = 0.9
# Groups that make at most this many elements, without a contraction, share a kernel with others like them.
_SMALL = 1024


def in_place_conflicts(fusion: Fusion, updates: Mapping[Node, Node], chains: Chains) -> list[Node]:
    """Values that cannot be written over another one while they are computed.

    `updates`: new value → the parameter whose buffer takes it. Its group may read the parameter only at the element that it
    writes, and no group that must run later may read the old value. The same holds for the takeovers of `chains`, one of which
    is given where it stands in the way.
    """
    found = [_unfit(fusion, v, p, chains) for v, p in updates.items()]
    unfit = [x for x in dict.fromkeys(found) if x is not None]
    return unfit or _closing(fusion, updates, chains)


def _unfit(fusion: Fusion, value: Node, parameter: Node, chains: Chains) -> Node | None:
    """What keeps `value` from being written over its parameter: itself, or a takeover before or behind it."""
    first, last = chains.first(value), chains.last(parameter)
    if first is parameter:
        return None
    if first.op == "parameter":  # it would lie where that one does
        return chains.taker[first]
    if last is not parameter:
        needed = last in fusion.graph.results or not _reads_own_element(fusion, first, value, last)
        return chains.taker[parameter] if needed else None
    return None if _reads_own_element(fusion, first, value, parameter) else value


def _closing(fusion: Fusion, updates: Mapping[Node, Node], chains: Chains) -> list[Node]:
    """A value that closes a cycle of groups which wait for each other, if there is one."""
    stuck = _cycle(dependencies(fusion, updates, chains))
    if not stuck:
        return []
    found = [t for t in fusion.taken if _writer(fusion, t) in stuck][-1:]
    readers = _readers(fusion)
    for value, parameter in updates.items():  # one that waits for a reader of what it overwrites
        first = chains.first(value)
        if first.op == "parameter":  # it lies there already
            continue
        writer = _writer(fusion, first)
        if (
            value not in fusion.apart
            and writer in stuck
            and (readers.get(chains.last(parameter), set()) - {writer}) & stuck
        ):
            found.append(value)
    if found:  # what costs least to copy
        sizes = [product(x.shape) for x in found]
        return [min(zip(sizes, found), key=lambda p: p[0] if isinstance(p[0], int) else inf)[1]]
    raise AssertionError("a cycle of groups that no update closes")


def _writer(fusion: Fusion, value: Node) -> Group:
    """The group that writes `value`; of a copy that is none, the loop or branch that is given it."""
    found = fusion.group_of.get(value)
    return found if found is not None else fusion.group_of[fusion.given[value]]


def _reads_own_element(fusion: Fusion, head: Node, value: Node, parameter: Node) -> bool:
    """Whether the group that writes `head`, which ends as `value`, may write it over `parameter`."""
    group = _writer(fusion, head)
    if group.members[0].regions:
        reads = fusion.fact(group.members[0]).reads
        return not any(r.node is parameter for r in reads)
    if head is not value:
        value = head
    inner = {n.shape for n in group.stored if n.rank > group.rows}
    holding = [parameter]  # … and members made of it: evaluated again wherever they are read
    met = {parameter}
    for held in holding:
        for node in fusion.readers.get(held, ()):
            if fusion.group_of.get(node) is not group or (
                held in group.passing and node not in group.passing
            ):
                continue  # the contraction reads the new value, from a register
            fact = fusion.fact(node)
            for read in (r for r in fact.reads if r.node is held):
                own = fact.prefix(read) == held.rank and not read.reduced
                if held is parameter:
                    own = own and node.rank == held.rank
                    own = own or product(held.shape) == product(node.shape) == 1
                    own = own and not (value.rank > group.rows and len(inner) > 1)
                if not own:
                    return False
            if node not in met:
                met.add(node)
                holding.append(node)
    return True


def _readers(fusion: Fusion) -> dict[Node, set[Group]]:
    """The groups that read each value."""
    readers: dict[Node, set[Group]] = {}
    for group in fusion.groups.values():
        for node in group.reads:
            readers.setdefault(node, set()).add(group)
    return readers


def dependencies(fusion: Fusion, updates: Mapping[Node, Node], chains: Chains) -> dict[Group, set[Group]]:
    """Groups that must run before each group: it reads their values, or overwrites what they read."""
    readers = _readers(fusion)
    before: dict[Group, set[Group]] = {g: set() for g in fusion.groups.values()}
    for group in fusion.groups.values():
        for node in group.reads:
            source = fusion.group_of.get(node)
            if source is not None and source is not group:
                before[group].add(source)
    for taker, taken in fusion.taken.items():
        writer = _writer(fusion, taker)
        before[writer] |= readers.get(taken, set()) - {writer}
    for value, parameter in updates.items():
        first, last = chains.first(value), chains.last(parameter)
        if first is parameter:
            continue
        writer = _writer(fusion, first)
        before[writer] |= readers.get(last, set()) - {writer}
        if last is not parameter:
            before[writer] |= {_writer(fusion, last)} - {writer}
    return before


def _cycle(before: Mapping[Group, set[Group]]) -> set[Group]:
    """Groups that wait for each other: what is left when those that may go first, and those for whom nobody waits, are gone."""
    left = {g: set(b) for g, b in before.items()}
    while True:
        awaited = set().union(*left.values())
        gone = {g for g, b in left.items() if not b or g not in awaited}
        if not gone:
            return set(left)
        left = {g: b - gone for g, b in left.items() if g not in gone}


def schedule(fusion: Fusion, updates: Mapping[Node, Node], chains: Chains) -> list[list[Group]]:
    """Steps in order: as the program has it, or with what frees memory first, whichever needs less at once.

    Large groups run alone; small ones wait and go together, unless they free more than a little or many compute the same. Where
    much less is needed without, none waits: an optimizer's count of steps may keep every update from freeing what it reads.
    """
    before = dependencies(fusion, updates, chains)
    memory, minor = Memory(fusion, updates), _shared(fusion)

    def frugally(groups: list[Group]) -> Group:
        return min(groups, key=memory.growth)

    plain = _steps(fusion, before, minor, memory, lambda groups: groups[0])
    frugal = _steps(fusion, before, minor, memory, frugally)
    best = min((plain, frugal), key=memory.peak)
    prompt = _steps(fusion, before, minor, memory, frugally, wait=False)
    return prompt if memory.peak(prompt) < _MUCH_LESS * memory.peak(best) else best


def _steps(
    fusion: Fusion,
    before: Mapping[Group, set[Group]],
    minor: set[Group],
    memory: Memory,
    choose: Callable[[list[Group]], Group],
    wait: bool = True,
) -> list[list[Group]]:
    behind: dict[Group, list[Group]] = {g: [] for g in before}
    for g, earlier in before.items():
        for other in earlier:
            behind[other].append(g)
    missing = {g: len(earlier) for g, earlier in before.items()}
    ready = sorted((g for g in before if not missing[g]), key=_number)
    steps: list[list[Group]] = []
    memory.reset()
    while ready:
        small = [g for g in ready if g in minor]
        large = [g for g in ready if g not in minor]
        if small and (not (wait and large) or any(memory.growth(g) < -_SMALL_BYTES for g in small)):
            step = _within_limit(small, fusion)
        else:
            step = [choose(large)]
        steps.append(step)
        memory.run(step)
        for group in step:
            ready.remove(group)
            for g in behind[group]:
                missing[g] -= 1
                if not missing[g]:
                    insort(ready, g, key=_number)
    assert not any(missing.values()), "a cycle of groups"
    return steps


def _number(group: Group) -> int:
    return group.id


def _shared(fusion: Fusion) -> set[Group]:
    """Small groups that share a kernel with others, whatever these compute.

    Several that do the same work are one function, called for each, where a call costs next to nothing.
    """
    small = [g for g in fusion.groups.values() if _is_small(g)]
    if fusion.caps.grid:
        return set(small)
    alike: dict[Hashable, list[Group]] = {}
    for group in small:
        key = Signature(fusion, lambda node: None, [group]).key
        alike.setdefault(key if _elements(group) > TINY else group, []).append(group)
    return {g for same in alike.values() if len(same) < ALIKE for g in same}


def _is_small(group: Group) -> bool:
    if group.heavy or group.closed:
        return False  # (a loop or branch is both)
    return _elements(group) <= _SMALL


def _elements(group: Group) -> int:
    """Elements of the largest value of a group; more than any small one has where that is not known."""
    sizes = [product(n.shape) for n in group.members]
    return max(s if isinstance(s, int) else _SMALL + 1 for s in sizes)


def _within_limit(groups: list[Group], fusion: Fusion) -> list[Group]:
    """As many groups as one kernel of the target can bind buffers for, at least one."""
    taken: list[Group] = []
    buffers: set[Node] = set()
    for group in groups:
        mine = fusion.buffers(group)
        if taken and len(buffers | mine) > fusion.caps.max_buffers:
            break
        buffers |= mine
        taken.append(group)
    return taken
