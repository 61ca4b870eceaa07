"""What a level holds in the workspace while its groups run one after another.

Enters: groups, and what they read and store. Leaves: how much a group adds or frees if it ran next, and the peak of an order.
Sizes that are not known count as if their variables were 64. Never decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from charl import dims
from charl.dims import product
from charl.graph.ir import Node
from charl.plan.fusion import Fusion, Group

_USUAL = 64


class Memory:
    """Bytes of the values that live between groups; what updates a parameter or is a result needs none."""

    def __init__(self, fusion: Fusion, updates: Mapping[Node, Node]) -> None:
        elsewhere = {*updates, *fusion.graph.results, *fusion.taken}
        self._made: dict[Group, dict[Node, int]] = {}
        self._read: dict[Group, set[Node]] = {}
        self._readers: dict[Node, set[Group]] = {}
        sizes: dict[Node, int] = {}
        for group in fusion.groups.values():
            self._made[group] = {n: _bytes(n) for n in group.stored if n not in elsewhere and n.op != "loop"}
            sizes |= self._made[group]
        for group in fusion.groups.values():
            self._read[group] = {n for n in group.reads if n in sizes}
            for n in self._read[group]:
                self._readers.setdefault(n, set()).add(group)
        self._sizes = sizes
        self.reset()

    def reset(self) -> None:
        """Nothing has run."""
        self._left = {n: len(g) for n, g in self._readers.items()}

    def growth(self, group: Group) -> int:
        """Bytes that live after the group and did not before; less than 0 where it is the last to read something."""
        freed = sum(self._sizes[n] for n in self._read[group] if self._left[n] == 1)
        return sum(self._made[group].values()) - freed

    def run(self, step: Iterable[Group]) -> None:
        """Count what a step has read."""
        for group in step:
            for n in self._read[group]:
                self._left[n] -= 1

    def peak(self, steps: Sequence[Sequence[Group]]) -> int:
        """The most that lives at once over an order."""
        self.reset()
        now = most = 0
        for step in steps:
            now += sum(sum(self._made[g].values()) for g in step)
            most = max(most, now)
            for group in step:
                for n in self._read[group]:
                    self._left[n] -= 1
                    now -= self._sizes[n] if not self._left[n] else 0
                now -= sum(size for n, size in self._made[group].items() if n not in self._readers)
        return most


def _bytes(node: Node) -> int:
    return dims.sampled(product(node.shape), _USUAL) * max(node.dtype.bits // 8, 1)
