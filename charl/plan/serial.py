"""Which loops and branches become one kernel, in which they stand themselves, and what of them is local to it.

Enters: levels in order. Leaves: yes or no for a region. A region whose body is a few small computations costs more in calls (or
dispatches) than in arithmetic. On a grid such a kernel is one invocation, so that only little work may go there; elsewhere
nothing is lost but threads and the tiles of a contraction.
"""

from __future__ import annotations

from charl.backends.capabilities import Capabilities
from charl.dims import nonnegative
from charl.graph.ir import Node
from charl.loops.lower import flops_of
from charl.plan.fusion import Group
from charl.plan.levels import Branch, Level, Loop

WORK = 2048  # operations of one computation, of a contraction on any target
_GROUPS = 96  # computations of a body: more make a function that nobody reads
LOCAL = 64  # elements of a value that is an array on the stack


def serial(group: Group, region: Loop | Branch, caps: Capabilities) -> bool:
    """Whether a region is one kernel."""
    levels = list(_levels(region))
    groups = [
        (level, g) for level in levels for step in level.steps if step[0] not in level.inner for g in step
    ]
    if len(groups) > _GROUPS or not all(_small(level, g, caps) for level, g in groups):
        return False
    outside: set[Node] = set(group.members[0].inputs) | set(group.stored)
    inside = {n for _, g in groups for n in g.stored}
    for level in levels:
        for node in level.fusion.order:
            if level.fusion.leaf(node) and node.op == "constant":
                outside.add(node)
    return len(outside - inside) <= caps.max_buffers


def _levels(region: Loop | Branch) -> list[Level]:
    out: list[Level] = []
    for level in region.levels:
        out.append(level)
        for inner in level.inner.values():
            out += _levels(inner)
    return out


def _small(level: Level, group: Group, caps: Capabilities) -> bool:
    work = flops_of(level.fusion, group)
    if nonnegative(WORK - work):
        return True
    return not caps.grid and not group.heavy and not isinstance(work, int)
