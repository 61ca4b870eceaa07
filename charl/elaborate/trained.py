"""Which leaves of a value are trained: what `Grad`, `leaves` and arithmetic leaf by leaf go over.

Enters: a value. Leaves: its floating leaves; of a model, those of its `param`s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from charl.elaborate import values as v
from charl.graph.ir import Node


def map_leaves(value: Any, change: Callable[[Node], Node]) -> Any:
    """`change` on the floating leaves (of a model: its params), the others left alone."""
    chosen = {p for p, _ in trained_leaves(value)}
    return v.rebuild(value, lambda path, n: change(n) if path in chosen else n)


def trained_leaves(value: Any, path: str = "") -> list[tuple[str, Node]]:
    """What `Grad` of a value holds: its floating leaves; of a model, those of its `param`s."""
    if isinstance(value, Node):
        return [(path, value)] if value.dtype.is_float else []
    if isinstance(value, v.ErrorValue):
        raise v.Silenced
    skipped = state_members(value)
    out: list[tuple[str, Node]] = []
    for name, part in v.children(value):
        if name not in skipped:
            out.extend(trained_leaves(part, f"{path}.{name}" if path else name))
    return out


def state_members(value: Any) -> frozenset[str]:
    """Members of a model that are kept but not trained."""
    if isinstance(value, v.Instance) and isinstance(value.type, v.InstanceType):
        fields = value.type.declaration.ast.fields
        return frozenset(f.name.name for f in fields if f.kind == "state")
    return frozenset()
