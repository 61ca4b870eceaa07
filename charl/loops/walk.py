"""Walking statements of the loop IR.

Enters: statements. Leaves: their parts, in order. Knows which expressions and sizes a statement has, so that no
other module lists them again.
"""

from __future__ import annotations

from collections.abc import Iterator

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Expr, Load
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Check,
    Debug,
    For,
    If,
    Let,
    Local,
    Prefetch,
    Simd,
    Stmt,
    Store,
    Transpose,
    Update,
)

Size = int | Dim


def expressions(s: Stmt) -> tuple[Expr, ...]:
    """Expressions that stand directly in a statement."""
    if isinstance(s, (Let, Store)):
        return (s.value,)
    if isinstance(s, Accumulator):
        return () if s.initial is None else (s.initial,)
    if isinstance(s, Update):
        return (s.value,) if s.position is None else (s.value, s.position)
    if isinstance(s, For):
        return () if s.condition is None else (s.condition,)
    return (s.condition,) if isinstance(s, (If, Check)) else ()


def sizes(s: Stmt) -> tuple[Size, ...]:
    """Sizes that stand directly in a statement."""
    if isinstance(s, For):
        return (s.start, s.step, s.pays) if s.stop is None else (s.start, s.stop, s.step, s.pays)
    if isinstance(s, Simd):
        return () if s.count is None else (s.count,)
    if isinstance(s, Local):
        return (s.buffer.size,)
    if isinstance(s, Transpose):
        return (s.to, s.to_stride, s.start, s.stride, s.rows, s.columns)
    return (s.index,) if isinstance(s, (Store, Prefetch)) else ()


def body(s: Stmt) -> tuple[Stmt, ...]:
    """Statements inside a statement."""
    if isinstance(s, If):
        return (*s.body, *s.otherwise)
    return s.body if isinstance(s, (For, Simd, Debug)) else ()


def statements(inside: tuple[Stmt, ...]) -> Iterator[Stmt]:
    """Every statement, those inside others too, in order."""
    for s in inside:
        yield s
        yield from statements(body(s))


def buffers(inside: tuple[Stmt, ...]) -> set[Buffer]:
    """What statements load from and store to, those inside others too."""
    out: set[Buffer] = set()
    seen: dict[int, Expr] = {}
    waiting: list[Expr] = []
    for s in statements(inside):
        waiting += (*expressions(s), *(e for size in sizes(s) for e in dims.values(size)))
        if isinstance(s, (Store, Prefetch)):
            out.add(s.buffer)
        elif isinstance(s, Transpose):
            out |= {s.source, s.target}
    while waiting:
        e = waiting.pop()
        if id(e) in seen:
            continue
        seen[id(e)] = e
        if isinstance(e, Load):
            out.add(e.source)
        waiting += (*e.children(), *(x for i in e.indices() for x in dims.values(i)))
    return out


def register_widths(nest: tuple[Stmt, ...]) -> dict[str, int]:
    """For each register of a nest that a vector region updates, the width of the region's elements."""

    def walk(inside: tuple[Stmt, ...], width: int) -> Iterator[tuple[str, int]]:
        for s in inside:
            if isinstance(s, Update) and width:
                yield s.name, width
            yield from walk(body(s), s.width if isinstance(s, Simd) else width)

    return dict(walk(nest, 0))
