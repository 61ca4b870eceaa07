"""Names of a kernel made from the kernel alone, and a key under which equal kernels are one.

Enters: a kernel with unique but arbitrary names. Leaves: the same with indices and registers renamed in order of appearance,
without loops of a single turn.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import replace

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Ref
from charl.loops.inline import Memo, rewrite, substitute
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Check,
    Debug,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Local,
    Prefetch,
    Role,
    Simd,
    Stmt,
    Store,
    Transpose,
    Update,
)
from charl.loops.walk import sizes, statements

Size = int | Dim


class _Renamer:
    """Renames; `neutral` forgets hints and places in the source too, so that only the computation is left."""

    def __init__(self, neutral: bool = False) -> None:
        self.neutral = neutral
        self.indices: dict[str, Size] = {}
        self._bound: set[str] = {"VL32", "VL64"}
        self.registers: dict[str, str] = {}
        self.buffers: dict[Buffer, Buffer] = {}
        self.sizes: dict[str, None] = {}
        self._taken: dict[str, int] = {}

    def _fresh(self, prefix: str) -> str:
        n = self._taken.get(prefix, 0)
        self._taken[prefix] = n + 1
        return f"{prefix}.{n}"

    def index(self, name: str) -> str:
        prefix = name.split(".")[0].rstrip("0123456789_") or "i"
        new = self._fresh(prefix)
        self.indices[name] = dims.sym(new)
        self._bound.add(new)
        return new

    def register(self, name: str) -> str:
        if name not in self.registers:
            self.registers[name] = self._fresh("t" if self.neutral else name.rsplit(".", 1)[0])
        return self.registers[name]

    def size(self, x: Size) -> Size:
        out = dims.substitute(x, self.indices, value=self.expr) if not isinstance(x, int) else x
        self._note(out)
        return out

    def _note(self, x: Size) -> None:
        for name in dims.symbols(x) - self._bound:
            self.sizes.setdefault(name)

    def expr(self, e: Expr) -> Expr:
        e = substitute(e, self.indices, Memo())
        out = rewrite(e, self._leaf, Memo())
        self._sizes_of(out, set())
        return out

    def _sizes_of(self, e: Expr, seen: set[int]) -> None:
        if id(e) in seen:
            return
        seen.add(id(e))
        for i in e.indices():
            self._note(i)
        for c in e.children():
            self._sizes_of(c, seen)

    def _leaf(self, e: Expr) -> Expr | None:
        return Ref(self.register(e.name), e.dtype) if isinstance(e, Ref) else None

    def stmt(self, s: Stmt) -> Stmt:
        if isinstance(s, For):
            start, step = self.size(s.start), self.size(s.step)
            stop = None if s.stop is None else self.size(s.stop)
            condition = None if s.condition is None else self.expr(s.condition)
            pays = self.size(s.pays)
            name = self.index(s.index)
            return For(name, stop, self.body(s.body), s.kind, start, step, condition, pays, s.apart)
        if isinstance(s, Simd):
            count = None if s.count is None else self.size(s.count)
            lane = self.index(s.lane)
            return Simd(lane, s.width, count, self.body(s.body))
        if isinstance(s, Let):
            value = self.expr(s.value)
            return Let(self.register(s.name), value, None if self.neutral else s.span)
        if isinstance(s, Local):
            return s
        if isinstance(s, Accumulator):
            initial = None if s.initial is None else self.expr(s.initial)
            return replace(s, name=self.register(s.name), initial=initial)
        if isinstance(s, Update):
            position = None if s.position is None else self.expr(s.position)
            return Update(self.register(s.name), s.fn, self.expr(s.value), position)
        if isinstance(s, Horizontal):
            return replace(s, name=self.register(s.name), source=self.register(s.source))
        if isinstance(s, Store):
            span = None if self.neutral else s.span
            return replace(s, index=self.size(s.index), value=self.expr(s.value), span=span)
        if isinstance(s, Transpose):
            to, to_stride = self.size(s.to), self.size(s.to_stride)
            start, stride = self.size(s.start), self.size(s.stride)
            rows, columns = self.size(s.rows), self.size(s.columns)
            return Transpose(s.target, to, to_stride, s.source, start, stride, rows, columns)
        if isinstance(s, Prefetch):
            return replace(s, index=self.size(s.index))
        if isinstance(s, If):
            return If(self.expr(s.condition), self.body(s.body), self.body(s.otherwise))
        if isinstance(s, Debug):
            return Debug(self.body(s.body))
        assert isinstance(s, Check)
        return replace(s, condition=self.expr(s.condition), spans=() if self.neutral else s.spans)

    def body(self, stmts: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
        """Statements in order; of a loop that turns once only its body."""
        out: list[Stmt] = []
        for s in stmts:
            if isinstance(s, For) and _turns_once(s):
                self.indices[s.index] = s.start
                out += self.body(s.body)
            else:
                out.append(self.stmt(s))
        return tuple(out)


def _turns_once(s: For) -> bool:
    if s.kind != "serial" or s.condition is not None:
        return False
    known = isinstance(s.start, int) and isinstance(s.stop, int) and isinstance(s.step, int)
    return known and s.start < s.stop <= s.start + s.step  # type: ignore[operator]


def _with_buffers(
    stmts: tuple[Stmt, ...], table: dict[Buffer, Buffer], neutral: bool = False
) -> tuple[Stmt, ...]:
    """The same statements over other buffers."""
    from charl.graph.scalar import Load

    memo = Memo()

    def leaf(e: Expr) -> Expr | None:
        if not isinstance(e, Load):
            return None
        index = tuple(dims.substitute(i, {}, value=expr) for i in e.index)
        return Load(table[e.source], index, e.dtype)

    def expr(e: Expr) -> Expr:
        return rewrite(e, leaf, memo)

    def size(x: Size) -> Size:
        return x if isinstance(x, int) else dims.substitute(x, {}, value=expr)

    def stmt(s: Stmt) -> Stmt:
        if isinstance(s, For):
            condition = None if s.condition is None else expr(s.condition)
            start, step, pays = size(s.start), size(s.step), size(s.pays)
            stop = None if s.stop is None else size(s.stop)
            body = tuple(stmt(x) for x in s.body)
            return For(s.index, stop, body, s.kind, start, step, condition, pays, s.apart)
        if isinstance(s, Simd):
            count = None if s.count is None else size(s.count)
            return replace(s, count=count, body=tuple(stmt(x) for x in s.body))
        if isinstance(s, Debug):
            return Debug(tuple(stmt(x) for x in s.body))
        if isinstance(s, If):
            sides = (tuple(stmt(x) for x in side) for side in (s.body, s.otherwise))
            return If(expr(s.condition), *sides)
        if isinstance(s, Let):
            return replace(s, value=expr(s.value))
        if isinstance(s, Local):
            named = f"local{len(table)}" if neutral else s.buffer.name
            table[s.buffer] = replace(s.buffer, name=named)
            return replace(s, buffer=table[s.buffer])
        if isinstance(s, Accumulator):
            return s if s.initial is None else replace(s, initial=expr(s.initial))
        if isinstance(s, Transpose):
            to, to_stride = size(s.to), size(s.to_stride)
            start, stride = size(s.start), size(s.stride)
            rows, columns = size(s.rows), size(s.columns)
            return Transpose(table[s.target], to, to_stride, table[s.source], start, stride, rows, columns)
        if isinstance(s, Prefetch):
            return replace(s, buffer=table[s.buffer], index=size(s.index))
        if isinstance(s, Update):
            return replace(s, value=expr(s.value), position=expr(s.position) if s.position else None)
        if isinstance(s, Store):
            return replace(s, buffer=table[s.buffer], index=size(s.index), value=expr(s.value))
        if isinstance(s, Check):
            return replace(s, condition=expr(s.condition))
        return s

    return tuple(stmt(s) for s in stmts)


def canonical(kernel: Kernel, roles: list[Role]) -> Kernel:
    """Rename indices and registers in order of appearance, set buffer roles, list the dimension variables."""
    table = {b: replace(b, role=role) for b, role in zip(kernel.buffers, roles)}
    renamer = _Renamer()
    nests = tuple(renamer.body(_with_buffers(n, table)) for n in kernel.nests)
    for b in kernel.buffers:
        renamer._note(b.size)
    return replace(
        kernel,
        nests=nests,
        dims=tuple(sorted(renamer.sizes)),
        buffers=tuple(table[b] for b in kernel.buffers),
    )


class Distinct:
    """Kernels, of which one stands for all that compute the same on buffers in the same order."""

    def __init__(self) -> None:
        self.kernels: list[Kernel] = []  # as they came
        self._alike: dict[Hashable, list[Kernel]] = {}
        self._keys: dict[int, str] = {}

    def kept(self, made: Kernel) -> Kernel:
        """The kernel that stands for all equal ones: `made` itself, if it is the first."""
        alike = self._alike.setdefault(_outline(made), [])
        mine = key(made) if alike else None
        found = next((k for k in alike if self._key(k) == mine), None)
        if found is None:
            self.kernels.append(made)
            alike.append(made)
            return made
        share(found, made)
        return found

    def _key(self, kernel: Kernel) -> str:
        """The whole of a kept kernel as text; asked for only where another has the same outline."""
        known = self._keys.get(id(kernel))
        if known is None:
            known = self._keys[id(kernel)] = key(kernel)
        return known


def _outline(kernel: Kernel) -> Hashable:
    """The same for equal kernels, and cheap: kinds of statements, numbers in loops, types of buffers."""
    lines: list[Hashable] = [kernel.dims, *((b.dtype, b.role) for b in kernel.buffers)]
    for nest in kernel.nests:
        for s in statements(nest):
            lines.append(type(s).__name__)
            lines += [x if isinstance(x, int) else None for x in sizes(s)]
    return tuple(lines)


def key(kernel: Kernel) -> str:
    """Equal for kernels that compute the same on buffers in the same order."""
    table = {b: replace(b, name=f"b{i}") for i, b in enumerate(kernel.buffers)}
    renamer = _Renamer(neutral=True)
    nests = tuple(renamer.body(_with_buffers(n, table, True)) for n in kernel.nests)
    shown = [(b.dtype.name, b.role) for b in kernel.buffers]
    return repr((shown, kernel.dims, nests))


def share(kernel: Kernel, other: Kernel) -> None:
    """Let a kernel report the places in the source of an equal one too, which it stands for."""
    checks = iter([s for nest in other.nests for s in statements(nest) if isinstance(s, Check)])

    def joined(s: Stmt) -> Stmt:
        if isinstance(s, Check):
            return replace(s, spans=tuple(dict.fromkeys([*s.spans, *next(checks).spans])))
        if isinstance(s, If):
            body, otherwise = (tuple(joined(x) for x in side) for side in (s.body, s.otherwise))
            return replace(s, body=body, otherwise=otherwise)
        return replace(s, body=tuple(joined(x) for x in s.body)) if isinstance(s, (For, Simd, Debug)) else s

    kernel.nests = tuple(tuple(joined(s) for s in nest) for nest in kernel.nests)
