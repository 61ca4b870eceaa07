"""Reductions of everything up to an element, carried from one to the next: N steps, where each by itself would take N / 2.

Enters: sinks with reductions over `k < i + c`, or `k < N - i` from the other end, whose terms do not depend on the place i
along a row axis. Leaves: their loops, serial along that axis; lanes run along another, or several rows take turns, as one
would wait for its sum; None where reductions are others. Threads share the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Const, Expr, Guard, Reduce, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import substitute
from charl.loops.ir import Accumulator, For, Stmt
from charl.loops.nests.axes import HOPS, Axis, collapse, instances, store_width, tiled, wrap
from charl.loops.nests.columns import column_loops, together
from charl.loops.sinks import Sink, identity, lanes
from charl.plan.access import nodes_of

Size = int | Dim
Ranges = tuple[tuple[Size, Size, Size], ...]

_ROWS = 8  # that take turns
_FUNCTIONS = ("add", "mul", "max", "min", "and", "or")


@dataclass(frozen=True)
class _Carried:
    """A reduction that grows along an axis, where it is evaluated: the ranges that hold there."""

    total: Reduce
    ranges: Ranges


def running(emitter: Emitter, rows: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...] | None:
    """The loops of sinks whose reductions grow along one of `rows`; None where none does, or they cannot be carried."""
    found = {i for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce) for i in _grown(e, rows)}
    if len(found) != 1:
        return None
    ((name, step),) = found
    axis = next(a for a in rows if a.name == name)
    if step < 0:
        memo = emitter.memo()
        back: dict[str, Size] = {name: axis.extent - 1 - dims.sym(name)}
        sinks = [s.at(back, memo) for s in sinks]
    if _carried(sinks, axis) is None:
        return None
    others, sinks = collapse([a for a in rows if a.name != name], sinks)
    last = others[-1] if others else None
    plain = emitter.replaced(
        sinks, {id(c.total): Ref("", c.total.dtype) for c in _carried(sinks, axis) or ()}
    )
    width = store_width(emitter, last, plain, HOPS) if last else None
    bodies = [Sink(c.total.body, s.buffer, s.index) for s in sinks for c in _carried([s], axis) or ()]
    if last is None or width is None or store_width(emitter, last, bodies, HOPS) != width:
        return _scalars(emitter, others, axis, sinks)
    return _columns(emitter, others, axis, sinks, width)


def _grown(total: Reduce, rows: Sequence[Axis]) -> list[tuple[str, int]]:
    """Row axes along which a reduction takes one element more, or less, a step."""
    out = []
    for _, extent in total.over:
        for a in rows:
            step = dims.coefficient(extent, a.name) if a.name in dims.symbols(extent) else 0
            if step in (1, -1):
                assert isinstance(step, int)
                out.append((a.name, step))
    return out


def _carried(sinks: Sequence[Sink], axis: Axis) -> list[_Carried] | None:
    """The reductions of sinks that grow along an axis; None where one of them cannot be carried along it."""
    out: dict[int, _Carried] = {}
    fits = True

    def visit(e: Expr, ranges: Ranges | None) -> None:
        nonlocal fits
        if isinstance(e, Reduce) and _grown(e, [axis]):
            known = out.setdefault(id(e), _Carried(e, ranges or ()))
            fits = fits and ranges is not None and known.ranges == ranges and _fits(known, axis)
        elif isinstance(e, Guard):
            visit(e.then, None if ranges is None else (*ranges, *e.ranges))
            visit(e.other, None)
        else:
            for c in e.children():
                visit(c, None if isinstance(e, Reduce) else ranges)

    for s in sinks:
        visit(s.value, ())
    return list(out.values()) if fits else None


def _fits(c: _Carried, axis: Axis) -> bool:
    """Whether each term is of one place, and the places that count are one run from a known place on."""
    (k, _), *rest = c.total.over
    if c.total.fn not in _FUNCTIONS or axis.name in c.total.body.symbols():
        return False
    if any(axis.name in dims.symbols(n) or k in dims.symbols(n) for _, n in rest):
        return False
    return _first(c, axis) is not None


def _first(c: _Carried, axis: Axis) -> int | None:
    """How many terms are there before the first place takes one."""
    before = c.total.over[0][1] - dims.sym(axis.name)
    begin = 0
    for index, low, _ in c.ranges:
        if axis.name not in dims.symbols(index):
            continue
        at = index - dims.sym(axis.name)
        if not isinstance(at, int) or not isinstance(low, int):
            return None
        begin = max(begin, low - at)
    first = begin + before - 1
    return first if isinstance(first, int) and first >= 0 else None


def _scalars(emitter: Emitter, others: Sequence[Axis], axis: Axis, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    """One element after another, of several rows in turn."""
    tile: dict[str, int] = {}
    if others:
        extent = others[-1].extent
        even = [n for n in range(_ROWS // 2, _ROWS + 1) if isinstance(extent, int) and extent % n == 0]
        tile = {others[-1].name: max(even, default=_ROWS // 2)}

    def body(env: dict[str, Sequence[Size]]) -> tuple[Stmt, ...]:
        return _steps(emitter, axis, instances(sinks, env))

    return tiled(emitter, others, tile, body)


def _columns(
    emitter: Emitter, others: Sequence[Axis], axis: Axis, sinks: Sequence[Sink], width: int
) -> tuple[Stmt, ...]:
    """Lanes along the last of the other axes, several vectors at once."""
    last = others[-1]

    def columns(start: Size, stop: Size, count: int, partial: bool) -> tuple[Stmt, ...]:
        j, lane = emitter.name(last.name.split(".")[0]), emitter.name("lane")
        at: Mapping[str, Sequence[Size]] = {
            last.name: [dims.sym(j) + lanes(width) * u + dims.sym(lane) for u in range(count)]
        }
        limit = dims.minimum(last.extent - dims.sym(j), lanes(width)) if partial else None
        body = emitter.region(lane, width, limit, lambda: _steps(emitter, axis, instances(sinks, at)))
        return (For(j, stop, (body,), "parallel", start, lanes(width) * count),)

    vectors = together(last.extent, width, len(sinks))
    return wrap(others[:-1], column_loops(columns, last.extent, width, vectors))


def _steps(emitter: Emitter, axis: Axis, sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    """What is carried, and the loop along `axis` that adds to it and takes it."""
    lets, sinks = emitter.hoist(sinks, frozenset([axis.name]))
    carried = _carried(sinks, axis)
    assert carried is not None
    registers: dict[tuple[Reduce, Ranges], str] = {}
    declared: list[Stmt] = []
    before: list[Stmt] = []
    updates: list[Sink] = []
    table: dict[int, Expr] = {}
    for c in carried:
        name = registers.get((c.total, c.ranges))
        if name is None:
            name = registers[(c.total, c.ranges)] = emitter.name(emitter.hints.get(c.total) or "running")
            declared.append(Accumulator(name, c.total.fn, c.total.dtype, emitter.varies(c.total.body)))
            if emitter.varies(c.total.body):
                emitter.vector_names.add(name)
            term = _term(c)
            if first := _first(c, axis):
                k = c.total.over[0][0]
                before.append(For(k, first, emitter.block([Sink(term, register=name, fn=c.total.fn)])))
            updates.append(_update(emitter, c, axis, term, name))
        table[id(c.total)] = Ref(name, c.total.dtype)
    body = (*emitter.block(updates), *emitter.block(emitter.replaced(sinks, table)))
    return (*lets, *declared, *before, For(axis.name, axis.extent, body))


def _term(c: _Carried) -> Expr:
    """What is added at a place of the first loop of a reduction."""
    total, rest = c.total, c.total.over[1:]
    return Reduce(total.fn, rest, total.body, total.dtype) if rest else total.body


def _update(emitter: Emitter, c: _Carried, axis: Axis, term: Expr, name: str) -> Sink:
    """What a place adds, where the reduction counts."""
    k, extent = c.total.over[0]
    value = substitute(term, {k: extent - 1}, emitter.memo())
    ranges = tuple(r for r in c.ranges if axis.name in dims.symbols(r[0]))
    if ranges:
        none: Const = identity(c.total.fn, c.total.dtype)
        value = Guard(ranges, value, none)
    return Sink(value, register=name, fn=c.total.fn)
