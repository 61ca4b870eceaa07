"""Writes at run-time indices: updates one after the other, those of an index together.

Enters: the sink of an indexed write over the axes of its updates, and where it is left out. Leaves: loops over the updates in
their order; axes along which neither index nor condition changes are the innermost, of elements apart, which run on lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Apply, Expr, Guard, Load, Ref
from charl.loops.emit import Emitter
from charl.loops.inline import rewrite
from charl.loops.ir import For, If, Stmt
from charl.loops.nests.axes import Axis, collapse, store_width
from charl.loops.sinks import Sink, divisible_by_lanes, lanes
from charl.loops.threads import serial
from charl.plan.access import nodes_of

Size = int | Dim
_LEAST = 8  # elements of a row from which on some instruction set fills a vector

Elements = Callable[[Sequence[Axis], Sequence[Sink]], tuple[Stmt, ...]]


def updated(
    emitter: Emitter,
    caps: Capabilities,
    axes: Sequence[Axis],
    sink: Sink,
    condition: Expr | None,
    apart: frozenset[str],
    elements: Elements,
) -> tuple[Stmt, ...]:
    """The loops over `axes`. Updates that differ along those `apart` never meet. `elements` makes loops over elements apart."""
    tied = {n for x in dims.values(sink.index) for n in x.symbols()}
    tied |= condition.symbols() if condition is not None else set()
    outer = max((k + 1 for k, a in enumerate(axes) if a.name in tied), default=0)
    rows, inner = axes[:outer], axes[outer:]
    if sink.add and inner:
        elements = lambda axes, sinks: _sums(emitter, axes, sinks)  # noqa: E731
    if not rows:
        return elements(inner, [sink])
    lets, (condition, sink) = _placed(emitter, condition, sink)
    names, sink = _named(emitter, sink, frozenset(a.name for a in inner))
    body: tuple[Stmt, ...] = (*names, *(serial(s) for s in elements(inner, [sink])))
    if condition is not None:
        body = (If(condition, body),)
    body = (*lets, *body)
    for axis in reversed(rows):
        body = (For(axis.name, axis.extent, body, "parallel" if axis.name in apart else "serial"),)
    return body


def _sums(emitter: Emitter, axes: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    """Loops that add to elements apart. What fills no vector goes one by one: loads with a mask wait for stores with one."""
    axes, sinks = collapse(list(axes), sinks)
    *outer, last = axes
    read_back = [_read_back(s) for s in sinks]
    width = store_width(emitter, last, read_back)
    out: tuple[Stmt, ...] = ()
    start: Size = 0
    if width is not None and not (isinstance(last.extent, int) and last.extent < _LEAST):
        step = lanes(width)
        whole = divisible_by_lanes(last.extent, width)
        start = last.extent if whole else dims.floordiv(last.extent, step) * step
        out = (For(last.name, start, (emitter.vector(last.name, width, None, read_back),), step=step),)
    if start != last.extent:
        name = emitter.name(last.name.split(".")[0])
        memo = emitter.memo()
        rest = emitter.block([s.at({last.name: dims.sym(name)}, memo) for s in sinks])
        out += (For(name, last.extent, rest, start=start),)
    for axis in reversed(outer):
        out = (For(axis.name, axis.extent, out),)
    return out


def _read_back(sink: Sink) -> Sink:
    """The sink with what lies there as part of the value."""
    assert sink.buffer is not None
    old = Load(sink.buffer, (sink.index,), sink.value.dtype)
    return replace(sink, value=Apply("add", (old, sink.value), old.dtype), add=False)


def _placed(
    emitter: Emitter, condition: Expr | None, sink: Sink
) -> tuple[list[Stmt], tuple[Expr | None, Sink]]:
    """Names for what the condition and the place of an update have in common."""
    places = list(dict.fromkeys(dims.values(sink.index)))
    tests = [] if condition is None else [condition]
    lets, shared = emitter.share([Sink(x) for x in (*tests, *places)])
    table = dict(zip(places, (s.value for s in shared[len(tests) :]), strict=True))
    return lets, (shared[0].value if tests else None, _at(emitter, sink, table))


def _named(emitter: Emitter, sink: Sink, inner: frozenset[str]) -> tuple[list[Stmt], Sink]:
    """Names for run-time indices that the loops over `inner` do not change."""
    under = {id(x) for e in nodes_of(sink.value) if isinstance(e, Guard) for x in nodes_of(e)}
    loads = [e for e in nodes_of(sink.value) if isinstance(e, Load) and id(e) not in under]
    found = dict.fromkeys(x for i in (sink.index, *(e.index[0] for e in loads)) for x in dims.values(i))
    fixed = [x for x in found if not isinstance(x, Ref) and not x.symbols() & inner]
    lets, shared = emitter.share([Sink(x) for x in fixed])
    table: dict[Expr, Expr] = {}
    for x, s in zip(fixed, shared, strict=True):
        table[x] = emitter.let(x, s.value, lets, "place")
    return lets, _at(emitter, sink, table)


def _at(emitter: Emitter, sink: Sink, table: dict[Expr, Expr]) -> Sink:
    """The sink with other expressions in its indices and its value."""
    memo = emitter.memo()
    index = dims.substitute(sink.index, {}, value=lambda e: table.get(e, e))
    return replace(sink, index=index, value=rewrite(sink.value, table.get, memo))
