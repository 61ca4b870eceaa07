"""The text of `charl transpile --report`: kernels, their source, workspace and operations of every export."""

from __future__ import annotations

import re
from collections.abc import Mapping

from charl.plan.ir import Lowered, Plan

_FUNCTION = re.compile(r"^(?:static )?void (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)


def report(lowered: Mapping[str, Lowered], files: Mapping[str, bytes]) -> str:
    """One paragraph per target and export. `files`: the package, for the sizes of its functions."""
    out: list[str] = []
    for target, program in lowered.items():
        sizes = _function_sizes(files) if target == "c" else {}
        total = f", {sum(sizes.values())} bytes of source" if sizes else ""
        out.append(f"{target}: {len(program.kernels)} distinct kernels{total}")
        for plan in program.plans:
            out += _export(plan, sizes)
    return "\n".join(out) + "\n"


def _function_sizes(files: Mapping[str, bytes]) -> dict[str, int]:
    """Bytes of every function without a result, as kernels are, in the C files of a package."""
    texts = [data.decode() for name, data in files.items() if name.endswith(".c") and "selftest" not in name]
    return {m[1]: len(m[0]) for text in texts for m in _FUNCTION.finditer(text)}


def _export(plan: Plan, sizes: Mapping[str, int]) -> list[str]:
    dims = ", ".join(d.name for d in plan.export.dims)
    head = f"  {plan.export.name}({dims})" if dims else f"  {plan.export.name}"
    names = {c.kernel.name for c in plan.calls}
    source = sum(size for name, size in sizes.items() if any(name.endswith(f"_{n}") for n in names))
    functions = f" ({len(names)} functions, {source} bytes of source)" if sizes else ""
    lines = [
        f"{head}: {len(plan.calls)} kernels{functions}, {plan.flops} operations, workspace {plan.arena_bytes} bytes"
        f" (live at once: {plan.live_bytes})"
    ]
    for call in plan.calls:
        where = f"  {call.kernel.span}" if call.kernel.span else ""
        lines.append(f"    {call.kernel.name}: {call.kernel.flops} operations{where}")
    return lines
