"""The loop IR as text, for `--dump` and for tests that compare before and after.

Enters: kernels. Leaves: text that depends on nothing but the kernel: names made unique by a counter are numbered anew.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from charl.loops.ir import (
    Accumulator,
    Check,
    Debug,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Local,
    Prefetch,
    Simd,
    Stmt,
    Store,
    Transpose,
    Update,
)

_FRESH = re.compile(r"\b([A-Za-z_]\w*)\.\d+\b")


def print_kernel(kernel: Kernel) -> str:
    """One kernel: its buffers and dimensions, then its nests."""
    lines = [f"kernel {kernel.name}({', '.join(kernel.dims)}) flops {kernel.flops}"]
    lines += [f"    {b.role} {b.name}: {b.dtype}[{b.size}]" for b in kernel.buffers]
    for nest in kernel.nests:
        lines += ["  nest", *_body(nest, 2)]
    return _numbered("\n".join(lines)) + "\n"


def _numbered(text: str) -> str:
    """Unique names numbered by their first appearance in this text."""
    seen: dict[str, str] = {}
    count: dict[str, int] = {}

    def new(m: re.Match[str]) -> str:
        if m[0] not in seen:
            count[m[1]] = count.get(m[1], 0) + 1
            seen[m[0]] = f"{m[1]}.{count[m[1]]}"
        return seen[m[0]]

    return _FRESH.sub(new, text)


def _body(body: tuple[Stmt, ...], depth: int) -> Iterator[str]:
    pad = "    " * depth
    for s in body:
        if isinstance(s, (For, Simd, If, Debug)):
            yield pad + _head(s)
            yield from _body(s.body, depth + 1)
            if isinstance(s, If) and s.otherwise:
                yield pad + "else"
                yield from _body(s.otherwise, depth + 1)
        else:
            yield pad + _line(s)


def _head(s: For | Simd | If | Debug) -> str:
    if isinstance(s, Debug):
        return "debug"
    if isinstance(s, If):
        return f"if {s.condition}"
    if isinstance(s, Simd):
        count = "" if s.count is None else f" count {s.count}"
        return f"simd {s.lane} width {s.width}{count}"
    step = "" if s.step == 1 else f" step {s.step}"
    stop = "" if s.stop is None else s.stop
    test = "" if s.condition is None else f" while {s.condition}"
    apart = " apart" if s.apart else ""
    return f"{s.kind if s.kind != 'serial' else 'for'} {s.index} in {s.start}..{stop}{step}{test}{apart}"


def _line(s: Stmt) -> str:
    if isinstance(s, Let):
        return f"let %{s.name} = {s.value}"
    if isinstance(s, Local):
        return f"local {s.buffer.name}: {s.buffer.dtype}[{s.buffer.size}]"
    if isinstance(s, Transpose):
        target = f"{s.target.name}[{s.to} + c * {s.to_stride} + r]"
        return f"{target} = {s.source.name}[{s.start} + r * {s.stride} + c] for r below {s.rows}, c below {s.columns}"
    if isinstance(s, Prefetch):
        return f"prefetch {s.buffer.name}[{s.index}]"
    if isinstance(s, Accumulator):
        start = "" if s.initial is None else f" from {s.initial}"
        return f"{'vector ' if s.vector else ''}accumulator %{s.name}: {s.dtype} {s.fn}{start}"
    if isinstance(s, Update):
        position = "" if s.position is None else f" at {s.position}"
        return f"%{s.name} = {s.fn}(%{s.name}, {s.value}){position}"
    if isinstance(s, Horizontal):
        return f"let %{s.name} = {s.fn} over lanes of %{s.source}"
    if isinstance(s, Store):
        return f"{s.buffer.name}[{s.index}] {'+=' if s.add else '='} {s.value}"
    assert isinstance(s, Check), s
    return f"check {s.condition}: {s.what}"
