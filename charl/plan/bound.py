"""How little workspace the kernels of a plan could do with, in whatever order.

Enters: a plan, and numbers for its dimensions. Leaves: bytes. While a step runs, every buffer is needed that was filled by
something which must run before the step, or by the step itself, and that the step or something that must run behind it still
reads. What fills a buffer runs before what reads it, and what reads a value runs before what overwrites it, as the update of a
parameter does: no order changes that. The most of these sums is a lower bound for every order and every placing. Never changes
a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from charl import dims
from charl.plan.arena import aligned
from charl.plan.ir import Call, Place, Plan, Step, inside


@dataclass
class _Use:
    """What a step reads and fills: buffers of the workspace, and parameters. `within`: the bound of what it keeps to itself."""

    reads: set[Place] = field(default_factory=set)
    fills: set[Place] = field(default_factory=set)
    within: int = 0


def lower_bound(plan: Plan, sizes: Mapping[str, int] | None = None) -> int:
    """Bytes of workspace below which no order of the kernels can go. `sizes`: of dimensions that are not fixed."""
    return _bound(plan.steps, sizes or {}, frozenset())


def _bound(steps: Sequence[Step], sizes: Mapping[str, int], outside: frozenset[Place]) -> int:
    uses = [_use(steps, k, sizes, outside) for k in range(len(steps))]
    before: list[int] = []  # a bit for each step that must run before step k, and its own
    filled_by: dict[Place, int] = {}
    first: dict[Place, int] = {}
    needed: dict[Place, int] = {}  # a bit for each step that must run before a use of the buffer
    read: dict[Place, int] = {}  # … before a reader, and for the reader
    for k, use in enumerate(uses):
        mask = 1 << k
        for place in use.reads:
            if place in filled_by:
                mask |= before[filled_by[place]]
        for place in use.fills:
            mask |= read.get(place, 0)
        before.append(mask)
        for place in use.reads:
            read[place] = read.get(place, 0) | mask
        for place in (*use.reads, *use.fills):
            needed[place] = needed.get(place, 0) | mask
        for place in use.fills:
            filled_by[place] = k
            first.setdefault(place, k)
    live = [use.within for use in uses]
    for place, start in first.items():
        if place in outside or place.kind != "arena":
            continue
        size = dims.evaluate(aligned(place.size * place.dtype.bytes), sizes)
        for k, mask in enumerate(before):
            if mask >> start & 1 and needed[place] >> k & 1:
                live[k] += size
    return max(live, default=0)


def _use(steps: Sequence[Step], k: int, sizes: Mapping[str, int], outside: frozenset[Place]) -> _Use:
    step, use = steps[k], _Use()
    _collect((step,), use)
    others = (s for i, s in enumerate(steps) if i != k)
    if not isinstance(step, Call):
        shared = _Use()
        _collect(others, shared)
        around = frozenset((shared.reads | shared.fills) & (use.reads | use.fills))
        own = (use.reads | use.fills) - around - outside
        use.within = max(_bound(body, sizes, outside | around) for body in inside(step))
        use.reads -= own
        use.fills -= own
    return use


def _collect(steps: Iterable[Step], use: _Use) -> None:
    for step in steps:
        if isinstance(step, Call):
            for place, buffer in zip(step.places, step.kernel.buffers, strict=True):
                if buffer.role != "output":
                    use.reads.add(place)
                if buffer.role != "input":
                    use.fills.add(place)
        elif step.condition is not None:
            use.reads.add(step.condition)
        for body in inside(step):
            _collect(body, use)
