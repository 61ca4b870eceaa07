"""A plan as text: calls in order with the places of their buffers, for `--dump` and for people."""

from __future__ import annotations

from charl.plan.ir import Lowered, Place, Plan


def print_plan(plan: Plan) -> str:
    """One line per call, after a line about memory."""
    head = f"{plan.export.name}: workspace {plan.arena_bytes} bytes, live {plan.live_bytes}, {plan.flops} operations"
    lines = [head]
    for call in plan.calls:
        pairs = zip(call.places, call.kernel.buffers)
        lines.append(f"  {call.kernel.name}({', '.join(f'{b.role} {_place(p)}' for p, b in pairs)})")
    return "\n".join(lines) + "\n"


def print_plans(lowered: Lowered) -> str:
    """Every export's plan."""
    return "\n".join(print_plan(p) for p in lowered.plans)


def _place(place: Place) -> str:
    where = f"@{place.offset}" if place.kind == "arena" else ""
    return f"{place.kind} {place.name}: {place.dtype}[{place.size}]{where}"
