"""Steps that compute the same on other buffers: only the first is lowered.

Enters: the groups of a step and where their values live. Leaves: a key that equal computations share, and the buffers in an
order that depends on the computation alone. A network repeats its layers, and a lowered kernel costs far more than its key.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

from charl.graph.ir import Node
from charl.loops.ir import Kernel
from charl.ops.record import OPS
from charl.plan.fusion import Fusion, Group
from charl.plan.ir import Place

Known = dict[
    Hashable, tuple[Kernel, tuple[int | Place, ...]]
]  # key → kernel, and the number of the place of each buffer; its scratch as it is


class Signature:
    """What a step computes. `places` are those that it reads or writes, as they are met."""

    def __init__(self, fusion: Fusion, place: Callable[[Node], Place | None], step: Sequence[Group]) -> None:
        self.places: dict[Place, int] = {}
        self._fusion = fusion
        self._place = place
        self.key: Hashable = tuple(self._group(g) for g in step)

    def _group(self, group: Group) -> Hashable:
        lines: list[Hashable] = []
        numbers: dict[Node, int] = {}
        inside = set(group.members)
        for root in group.members:
            stack = [(root, False)]
            while stack:
                node, done = stack.pop()
                if node in numbers:
                    continue
                computed = node in inside or self._fusion.expanded(node)
                if computed and not done:
                    stack.append((node, True))
                    stack += [(i, False) for i in reversed(node.inputs)]
                    continue
                numbers[node] = len(lines)
                lines.append(self._computed(node, numbers) if computed else self._at(node))
        stored = tuple((numbers[n], self._at(n)) for n in group.stored)
        if group.heavy:  # sums leave out what masks hide
            lines += [self._fusion.masks.key(n) for n in numbers if n not in inside or n in group.stored]
        members = tuple(numbers[n] for n in group.members)
        return group.rows, group.space, group.heavy, members, stored, tuple(lines)

    def _computed(self, node: Node, numbers: dict[Node, int]) -> Hashable:
        # The text of a number tells 1 from 1.0 and 0.0 from -0.0, which are equal as keys.
        attrs = tuple((k, v if isinstance(v, bytes) else repr(v)) for k, v in sorted(node.attrs.items()))
        indexed = OPS[node.op].indexed
        # A debug build reports the place in the source.
        span = node.span.shown if indexed and node.span else None
        return node.op, attrs, node.type, span, tuple(numbers[i] for i in node.inputs)

    def _at(self, node: Node) -> Hashable:
        place = self._place(node)
        if place is None:  # a value that is met but never read: the index that would read it is out of range
            return node.type
        number = self.places.setdefault(place, len(self.places))
        return number, place.kind, place.dtype, place.size, node.type
