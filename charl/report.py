"""The text of `charl transpile --report`: kernels, source, machine code, workspace and operations of every export.

Enters: what planning left for each target, and the files of the package. Leaves: text. Machine code is what the compiler at hand
makes of the package (see `codesize`); without one it is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from charl.backends.c import api as c_api
from charl.codesize import code_sizes
from charl.plan.bound import lower_bound
from charl.plan.ir import Lowered, Plan

_FUNCTION = re.compile(r"^(?:static )?(?:void|size_t|enum \w+) (\w+)\(.*?^}\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class _Sizes:
    """Bytes by function of one target. `entries`: the functions of each plan besides its kernels; `prefix` of kernels' names."""

    source: Mapping[str, int]
    code: Mapping[str, int]
    entries: Mapping[int, tuple[str, ...]]
    prefix: str

    def of(self, plan: Plan) -> str:
        """The functions of a plan, each once, and what they take; kernels that exports share count in each."""
        kernels = dict.fromkeys(f"{self.prefix}{c.kernel.name}" for c in plan.calls)
        names = [k for k in (*kernels, *self.entries.get(id(plan), ())) if k in self.source]
        parts = [f"{len(names)} functions", f"{_total(self.source, names)} bytes of source"]
        if self.code:
            parts.append(f"{_total(self.code, names)} bytes of code")
        return ", ".join(parts)


def report(lowered: Mapping[str, Lowered], files: Mapping[str, bytes], name: str) -> str:
    """One paragraph per target and export. `files`: the package called `name`."""
    out: list[str] = []
    for target, program in lowered.items():
        sizes, made = _c(program, files, name) if target == "c" else (_shaders(files, target), "")
        total = f"{sum(sizes.source.values())} bytes of source"
        total += f", {sum(sizes.code.values())} bytes of code ({made})" if sizes.code else ""
        out.append(f"{target}: {len(program.kernels)} distinct kernels, {total}")
        for plan in program.plans:
            out += _export(plan, sizes)
    return "\n".join(out) + "\n"


def _c(program: Lowered, files: Mapping[str, bytes], name: str) -> tuple[_Sizes, str]:
    source = {m[1]: len(m[0].encode()) for m in _FUNCTION.finditer(files[f"{name}.c"].decode())}
    api = c_api.of(program, name)
    functions = [*api.functions, *(i.function for i in api.initializers if i.function is not None)]
    entries = {id(f.plan): (f.name, f.workspace_name) for f in functions}
    made = code_sizes(files, name)
    return _Sizes(source, made.functions if made else {}, entries, f"{name}_"), made.command if made else ""


def _shaders(files: Mapping[str, bytes], target: str) -> _Sizes:
    end = f".{target}"
    shaders = {p.rsplit("/", 1)[-1].removesuffix(end): len(d) for p, d in files.items() if p.endswith(end)}
    return _Sizes(shaders, {}, {}, "")


def _total(sizes: Mapping[str, int], names: Iterable[str]) -> int:
    return sum(sizes.get(n, 0) for n in names)


def _export(plan: Plan, sizes: _Sizes) -> list[str]:
    dims = ", ".join(d.name for d in plan.export.dims)
    head = f"  {plan.export.name}({dims})" if dims else f"  {plan.export.name}"
    lines = [
        f"{head}: {len(plan.calls)} kernels ({sizes.of(plan)}), {plan.flops} operations, workspace {plan.arena_bytes} bytes"
        f" (live at once: {plan.live_bytes}{_least(plan)})"
    ]
    for call in plan.calls:
        where = f"  {call.kernel.span}" if call.kernel.span else ""
        lines.append(f"    {call.kernel.name}: {call.kernel.flops} operations{where}")
    return lines


def _least(plan: Plan) -> str:
    """What no order of the kernels goes below; nothing where sizes are not known."""
    return "" if plan.export.dims else f", in any order at least {lower_bound(plan)}"
