"""What strategies share: loops and parts of a nest, and the ways to open, merge and tile loops.

Enters: axes and sinks. Leaves: statements, or sinks at other indices. Never chooses a strategy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from charl import dims
from charl.dims import Dim
from charl.graph.scalar import Load, Reduce
from charl.loops.emit import Emitter
from charl.loops.inline import Memo
from charl.loops.ir import For, Stmt
from charl.loops.sinks import Sink
from charl.loops.vectors import lane_width
from charl.plan.access import nodes_of

Size = int | Dim

# Elements up to which neighbours of a vector may lie apart, where they would be scalars otherwise.
HOPS = 4


@dataclass(frozen=True)
class Axis:
    """A loop of a nest: its index symbol and extent."""

    name: str
    extent: Size


@dataclass(frozen=True)
class Part:
    """Sinks that share inner axes (none for values with one element a row)."""

    inner: tuple[Axis, ...]
    sinks: tuple[Sink, ...]


def wrap(axes: Sequence[Axis], body: tuple[Stmt, ...]) -> tuple[Stmt, ...]:
    """Loops over rows, none of which depends on another."""
    for axis in reversed(axes):
        body = (For(axis.name, axis.extent, body, "parallel"),)
    return body


def store_width(emitter: Emitter, axis: Axis, sinks: Sequence[Sink], hops: int = 1) -> int | None:
    """The width for lanes along `axis` if every sink can be a vector and stores neighbours at most `hops` elements apart."""
    if not emitter.vectors or (isinstance(axis.extent, int) and axis.extent < 4):
        return None
    width = lane_width([s.value for s in sinks], axis.name)
    if width is None:
        return None
    for s in sinks:
        assert s.buffer is not None
        step = dims.coefficient(s.index, axis.name)
        if not isinstance(step, int) or not 0 < step <= hops or s.add:
            return None
        if s.value.dtype.kind == "bool" or s.value.dtype.bits != width:
            return None
    return width


def collapse(axes: list[Axis], sinks: Sequence[Sink]) -> tuple[list[Axis], Sequence[Sink]]:
    """Merge neighbouring axes that every index uses only as one running index."""
    i = len(axes) - 2
    while i >= 0:
        outer, inner = axes[i], axes[i + 1]
        if not any(_splits(s, outer, inner) for s in sinks):
            env: dict[str, Size] = {outer.name: 0}
            memo = Memo()
            sinks = [s.at(env, memo) for s in sinks]
            axes[i : i + 2] = [Axis(inner.name, outer.extent * inner.extent)]
        i -= 1
    return axes, sinks


def _splits(s: Sink, outer: Axis, inner: Axis) -> bool:
    """Whether an index of the sink depends on two axes other than through outer * extent + inner."""

    def bad(i: Size) -> bool:
        names = dims.symbols(i)
        if outer.name not in names and inner.name not in names:
            return False
        a, b = dims.coefficient(i, outer.name), dims.coefficient(i, inner.name)
        return a is None or b is None or a != b * inner.extent

    if bad(s.index):
        return True
    return any(bad(i) for e in nodes_of(s.value) for i in e.indices())


def rereads(reduces: Sequence[Reduce], name: str) -> bool:
    """Whether some operand of a reduction is the same for neighbours along `name`."""
    return any(isinstance(e, Load) and name not in e.symbols() for r in reduces for e in nodes_of(r.body))


def instances(sinks: Sequence[Sink], env: Mapping[str, Sequence[Size]]) -> list[Sink]:
    """The sinks at every combination of the given index values, the last index varying fastest."""
    out: list[Sink] = list(sinks)
    for name, values in reversed(list(env.items())):
        if len(values) == 1 and values[0] == dims.sym(name):
            continue
        copies: list[Sink] = []
        for value in values:
            memo = Memo()
            copies += [s.at({name: value}, memo) for s in out]
        out = copies
    return out


def tiled(
    emitter: Emitter,
    axes: Sequence[Axis],
    tile: dict[str, int],
    body: Callable[[dict[str, Sequence[Size]]], tuple[Stmt, ...]],
    env: dict[str, Sequence[Size]] | None = None,
) -> tuple[Stmt, ...]:
    """Loops over `axes`, those in `tile` in steps of so many elements at once, then the remainder one by one."""
    env = env or {}
    if not axes:
        return body(env)
    axis, rest = axes[0], axes[1:]
    size = tile.get(axis.name, 1)
    if size == 1:
        inner = tiled(emitter, rest, tile, body, {**env, axis.name: [dims.sym(axis.name)]})
        return (For(axis.name, axis.extent, inner, "parallel"),)
    full = dims.floordiv(axis.extent, size) * size
    values = [dims.sym(axis.name) + r for r in range(size)]
    out: tuple[Stmt, ...] = ()
    if full != 0:
        inner = tiled(emitter, rest, tile, body, {**env, axis.name: values})
        out = (For(axis.name, full, inner, "parallel", step=size),)
    if full != axis.extent:
        name = emitter.name(axis.name.split(".")[0])
        inner = tiled(emitter, rest, tile, body, {**env, axis.name: [dims.sym(name)]})
        out += (For(name, axis.extent, inner, "parallel", start=full),)
    return out
