"""What may be evaluated where a guard does not hold.

Enters: scalar expressions of a kernel and the ranges of its indices. Leaves: the symbols through which an expression may need a
guard, whether it needs none, and what may go before one with the guard inside. Never moves anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Const, Expr, Guard, Load, Reduce
from charl.loops.ir import Buffer

Size = int | Dim
Ranges = Mapping[str, tuple[Size, Size]]
_Guards = tuple[tuple[tuple[tuple[Size, Size, Size], ...], bool], ...]  # ranges, and whether inside of them


def needed_by(guard: Guard) -> frozenset[str]:
    """The symbols through which what is guarded may need it: those of the indices, or of the bounds around fixed ones."""
    found = (dims.symbols(i) or dims.symbols(low) | dims.symbols(high) for i, low, high in guard.ranges)
    return frozenset[str]().union(*found)


def anywhere(e: Expr, ranges: Ranges) -> bool:
    """Whether all that an expression reads is there, whatever holds around it; its own guards count."""
    met: dict[tuple[int, int], bool] = {}
    kept: list[Ranges] = []  # what is known in parts of it; an id of theirs must not pass to another

    def visit(e: Expr, known: Ranges) -> bool:
        key = id(e), id(known)
        if key not in met:
            met[key] = here(e, known)
        return met[key]

    def here(e: Expr, known: Ranges) -> bool:
        if isinstance(e, Load) and isinstance(e.source, Buffer):
            (at,) = e.index
            if not (dims.nonnegative(at, known) and dims.nonnegative(e.source.size - 1 - at, known)):
                return False
        if not all(visit(x, known) for i in e.indices() for x in dims.values(i)):
            return False
        if isinstance(e, Guard):
            inside = {**known, **{str(i): (low, high - 1) for i, low, high in e.ranges if _is_symbol(i)}}
            kept.append(inside)
            return visit(e.then, inside) and visit(e.other, known)
        if isinstance(e, Reduce):
            known = {**known, **{name: (0, extent - 1) for name, extent in e.over}}
            kept.append(known)
        return all(visit(c, known) for c in e.children())

    return visit(e, ranges)


def _is_symbol(i: Size) -> bool:
    return isinstance(i, Dim) and dims.symbols(i) == {str(i)}


def guarded_inside(values: Iterable[Expr]) -> dict[Reduce, list[Reduce]]:
    """The reductions without another inside, with what guards them around their terms instead: these may go before it.

    To each, which ones it stands for.
    """
    found: dict[Reduce, list[Reduce]] = {}
    seen: dict[tuple[int, _Guards], bool] = {}

    def visit(e: Expr, guards: _Guards) -> bool:
        """Whether a reduction is in it."""
        key = (id(e), guards)
        if key in seen:
            return seen[key]
        below = [visit(x, guards) for i in e.indices() for x in dims.values(i)]
        if isinstance(e, Guard):
            below += [visit(c, (*guards, (e.ranges, c is e.then))) for c in e.children()]
        else:
            below += [visit(c, guards) for c in e.children()]
        seen[key] = any(below) or isinstance(e, Reduce)
        if isinstance(e, Reduce) and not any(below):
            body = e.body
            for ranges, inside in reversed(guards):
                nothing = Const(0, body.dtype)
                body = Guard(ranges, body, nothing) if inside else Guard(ranges, nothing, body)
            found.setdefault(Reduce(e.fn, e.over, body, e.dtype), []).append(e)
        return seen[key]

    for e in values:
        visit(e, ())
    return found
