"""The text of `charl transpile --report`: kernels, workspace and operations of every export."""

from __future__ import annotations

from collections.abc import Mapping

from charl.plan.ir import Lowered, Plan


def report(lowered: Mapping[str, Lowered]) -> str:
    """One paragraph per target and export."""
    out: list[str] = []
    for target, program in lowered.items():
        out.append(f"{target}: {len(program.kernels)} distinct kernels")
        for plan in program.plans:
            out += _export(plan)
    return "\n".join(out) + "\n"


def _export(plan: Plan) -> list[str]:
    dims = ", ".join(d.name for d in plan.export.dims)
    head = f"  {plan.export.name}({dims})" if dims else f"  {plan.export.name}"
    lines = [
        f"{head}: {len(plan.calls)} kernels, {plan.flops} operations, workspace {plan.arena_bytes} bytes"
        f" (live at once: {plan.live_bytes})"
    ]
    for call in plan.calls:
        where = f"  {call.kernel.span}" if call.kernel.span else ""
        lines.append(f"    {call.kernel.name}: {call.kernel.flops} operations{where}")
    return lines
