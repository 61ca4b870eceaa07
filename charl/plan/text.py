"""A plan as text: calls in order with the places of their buffers, for `--dump` and for people."""

from __future__ import annotations

from collections.abc import Sequence

from charl.plan.ir import Call, Choose, Lowered, Place, Plan, Step


def print_plan(plan: Plan) -> str:
    """One line per call, loop and branch, after a line about memory."""
    head = f"{plan.export.name}: workspace {plan.arena_bytes} bytes, live {plan.live_bytes}, {plan.flops} operations"
    return "\n".join([head, *_lines(plan.steps, "  ")]) + "\n"


def _lines(steps: Sequence[Step], indent: str) -> list[str]:
    lines: list[str] = []
    for step in steps:
        if isinstance(step, Call):
            pairs = zip(step.places, step.kernel.buffers)
            lines.append(
                f"{indent}{step.kernel.name}({', '.join(f'{b.role} {_place(p)}' for p, b in pairs)})"
            )
        elif isinstance(step, Choose):
            lines += [f"{indent}if {_place(step.condition)}", *_lines(step.then, indent + "  ")]
            lines += [f"{indent}else", *_lines(step.otherwise, indent + "  ")]
        else:
            bound = "" if step.extent is None else f" below {step.extent}"
            test = "" if step.condition is None else f" while {_place(step.condition)}"
            test += "" if step.threads is None else f" on {step.threads.most} threads"
            lines += [f"{indent}for {step.index}{bound}{test}", *_lines(step.body, indent + "  ")]
    return lines


def print_plans(lowered: Lowered) -> str:
    """Every export's plan."""
    return "\n".join(print_plan(p) for p in lowered.plans)


def _place(place: Place) -> str:
    where = f"@{place.offset}" if place.kind in ("arena", "scratch") else ""
    return f"{place.kind} {place.name}: {place.dtype}[{place.size}]{where}"
