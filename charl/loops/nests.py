"""Strategies: the loops around the elements of a group, and what its accumulators look like.

Enters: the sinks of one group over its row indices. Leaves: one nest of statements. Strategies, in the order they are tried:
a grid (one invocation per row), lanes along the last output axis (with a register tile where operands are
read again), lanes along the reduction, lanes along inner axes of a row, plain loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

from charl import dims
from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.graph.scalar import Expr, Load, Reduce
from charl.loops.emit import Emitter, Sink, divisible_by_lanes, lanes
from charl.loops.inline import substitute
from charl.loops.ir import Buffer, For, Local, Stmt
from charl.loops.vectors import contiguous_loads, lane_width, strided_loads
from charl.plan.access import expr_cost, nodes_of

Size = int | Dim

# Additions per element from which an epilogue is a loop over the tile rather than written out for each register.
_LONG_EPILOGUE = 8


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


def build_nest(
    emitter: Emitter, caps: Capabilities, rows: Sequence[Axis], parts: Sequence[Part], heavy: bool
) -> tuple[Stmt, ...]:
    """The loops of one group."""
    if caps.grid:
        return _wrap(rows, _row(emitter, parts), "parallel")
    if len(parts) == 1 and not parts[0].inner:
        return _full(emitter, caps, list(rows), parts[0].sinks, heavy)
    return _wrap(rows, _row(emitter, parts), "serial")


def _wrap(axes: Sequence[Axis], body: tuple[Stmt, ...], kind: str) -> tuple[Stmt, ...]:
    for axis in reversed(axes):
        body = (For(axis.name, axis.extent, body, kind=kind),)  # type: ignore[arg-type]
    return body


# ---------------------------------------------------------------- rows with inner axes


def _row(emitter: Emitter, parts: Sequence[Part]) -> tuple[Stmt, ...]:
    """Everything of one row: its reductions, then each part over its inner axes."""
    inner = frozenset(a.name for p in parts for a in p.inner)
    flat = [s for p in parts for s in p.sinks]
    out, flat = emitter.reductions(flat, inner)
    lets, flat = emitter.hoist(flat, inner) if inner else ([], flat)
    out += lets
    at = 0
    done: list[Stmt] = []
    for part in parts:
        mine = flat[at : at + len(part.sinks)]
        at += len(part.sinks)
        done += _inner(emitter, part.inner, mine) if part.inner else emitter.block(mine)
    return (*out, *done)


def _inner(emitter: Emitter, axes: Sequence[Axis], sinks: Sequence[Sink]) -> tuple[Stmt, ...]:
    axes, sinks = _collapse(list(axes), sinks)
    axis, rest = axes[0], axes[1:]
    if rest:
        names = frozenset(a.name for a in rest)
        lets, sinks = emitter.hoist(sinks, names)
        return (For(axis.name, axis.extent, (*lets, *_inner(emitter, rest, sinks))),)
    width = _store_width(emitter, axis, sinks)
    if width is None:
        return (For(axis.name, axis.extent, emitter.block(sinks)),)
    return emitter.lane_loop(axis.name, axis.extent, width, sinks)


def _store_width(emitter: Emitter, axis: Axis, sinks: Sequence[Sink]) -> int | None:
    """The width for lanes along `axis` if every sink stores contiguously and can be a vector."""
    if not emitter.vectors or (isinstance(axis.extent, int) and axis.extent < 4):
        return None
    width = lane_width([s.value for s in sinks], axis.name)
    if width is None:
        return None
    for s in sinks:
        assert s.buffer is not None
        if dims.coefficient(s.index, axis.name) != 1 or s.buffer.dtype.bits != width or s.add:
            return None
        if s.value.dtype.kind == "bool" or s.value.dtype.bits != width:
            return None
    return width


def _collapse(axes: list[Axis], sinks: Sequence[Sink]) -> tuple[list[Axis], Sequence[Sink]]:
    """Merge neighbouring axes that every index uses only as one running index."""
    i = len(axes) - 2
    while i >= 0:
        outer, inner = axes[i], axes[i + 1]
        if not any(_splits(s, outer, inner) for s in sinks):
            env: dict[str, Size] = {outer.name: 0}
            memo: dict[int, Expr] = {}
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


# ---------------------------------------------------------------- one element a row


def _full(
    emitter: Emitter, caps: Capabilities, rows: list[Axis], sinks: Sequence[Sink], heavy: bool
) -> tuple[Stmt, ...]:
    reduces = [e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)]
    if not rows:
        return emitter.block(sinks)
    if not reduces:
        rows, sinks = _collapse(rows, sinks)
    width = _store_width(emitter, rows[-1], sinks)
    bodies = [r.body for r in reduces]
    if width is not None and reduces and strided_loads(bodies, rows[-1].name):
        along = reduces[0].over[-1][0]
        if not strided_loads(bodies, along) and contiguous_loads(bodies, along):
            width = None
    if width is None:
        return _scalar_rows(emitter, rows, sinks, reduces, heavy)
    return _lane_rows(emitter, caps, rows, sinks, reduces, heavy, width)


def _scalar_rows(
    emitter: Emitter, rows: list[Axis], sinks: Sequence[Sink], reduces: Sequence[Reduce], heavy: bool
) -> tuple[Stmt, ...]:
    """Scalar elements; reductions may run on lanes along themselves. Contractions take 2 × 4 elements at once."""
    tile = {a.name: t for a, t in zip(rows[-2:], (2, 4)[-len(rows[-2:]) :])} if heavy else {}
    tile = {n: t for n, t in tile.items() if _rereads(reduces, n)}
    body = lambda env: emitter.block(_instances(sinks, env))  # noqa: E731
    return _tiled(emitter, rows, tile, body)


def _lane_rows(
    emitter: Emitter,
    caps: Capabilities,
    rows: list[Axis],
    sinks: Sequence[Sink],
    reduces: Sequence[Reduce],
    heavy: bool,
    width: int,
) -> tuple[Stmt, ...]:
    """Lanes along the last axis; a register tile of rows × vectors where operands are read again."""
    last, before = rows[-1], rows[:-1]
    if not reduces:
        names = frozenset([last.name])
        lets, sinks = emitter.hoist(sinks, names)
        return _wrap(before, (*lets, *emitter.lane_loop(last.name, last.extent, width, sinks)), "serial")
    vectors = 2 if heavy and _rereads(reduces, last.name) else 1
    tile = {}
    if heavy and before and _rereads(reduces, before[-1].name):
        tile = {before[-1].name: _tile_rows(before[-1].extent, caps.registers)}

    def columns(start: Size, stop: Size, count: int, partial: bool) -> tuple[Stmt, ...]:
        j = emitter.name(last.name.split(".")[0])

        def body(env: dict[str, Sequence[Size]]) -> tuple[Stmt, ...]:
            lane = emitter.name("lane")
            at = [dims.sym(j) + lanes(width) * u + dims.sym(lane) for u in range(count)]
            limit = dims.minimum(last.extent - dims.sym(j), lanes(width)) if partial else None
            values = {**env, last.name: at}
            return (
                emitter.region(
                    lane, width, limit, lambda: _register_tile(emitter, sinks, values, lane, width)
                ),
            )

        return (For(j, stop, _tiled(emitter, before, tile, body), start=start, step=lanes(width) * count),)

    return _column_loops(columns, last.extent, width, vectors)


def _register_tile(
    emitter: Emitter, sinks: Sequence[Sink], values: dict[str, Sequence[Size]], lane: str, width: int
) -> tuple[Stmt, ...]:
    """One tile of vectors: all its reductions in one loop, then what is done with them.

    An epilogue of some size is a loop over the tile, kept on the stack meanwhile; a short one is written out.
    """
    count = prod(len(v) for v in values.values())
    reduces = list(dict.fromkeys(e for s in sinks for e in nodes_of(s.value) if isinstance(e, Reduce)))
    nested = any(isinstance(e, Reduce) for r in reduces for e in nodes_of(r.body))
    if nested or count < 4 or sum(expr_cost(s.value) for s in sinks) < _LONG_EPILOGUE:
        return emitter.block(_instances(sinks, values))
    loops = [(n, v, emitter.name(n.split(".")[0])) for n, v in values.items() if len(v) > 1]
    slot: Size = 0
    for _, v, index in loops:
        slot = slot * len(v) + dims.sym(index)
    declared: list[Stmt] = []
    sums: list[Sink] = []
    table: dict[int, Expr] = {}
    for r in reduces:
        kept = Buffer("sums", r.dtype, lanes(width) * count, "scratch")
        declared.append(Local(kept))
        table[id(r)] = Load(kept, (slot * lanes(width) + dims.sym(lane),), r.dtype)
        for i, chosen in enumerate(product(*values.values())):
            env = dict(zip(values, chosen))
            sums.append(Sink(substitute(r, env, {}), kept, lanes(width) * i + dims.sym(lane)))
    env = {n: v[0] for n, v in values.items()}
    env |= {n: v[0] + (v[1] - v[0]) * dims.sym(index) for n, v, index in loops}
    memo: dict[int, Expr] = {}
    moved = [s.at(env, memo) for s in emitter.replaced(sinks, table, reduces)]
    sums_first = emitter.block(sums)
    lets, moved = emitter.hoist(moved, frozenset(index for _, _, index in loops))
    body = emitter.block(moved)
    for _, v, index in reversed(loops):
        body = (For(index, len(v), body),)
    return (*declared, *sums_first, *lets, *body)


def _column_loops(
    columns: Callable[[Size, Size, int, bool], tuple[Stmt, ...]], extent: Size, width: int, vectors: int
) -> tuple[Stmt, ...]:
    """Full tiles, then single vectors, the last of which may be partial; what cannot occur is left out."""
    widest = 512 // width
    if isinstance(extent, int) and extent < widest:
        return columns(0, extent, 1, True)
    out: tuple[Stmt, ...] = ()
    start: Size = 0
    if vectors > 1 and not (isinstance(extent, int) and extent < vectors * widest):
        block = lanes(width) * vectors
        whole = isinstance(extent, int) and extent % (widest * vectors) == 0
        start = extent if whole else dims.floordiv(extent, block) * block
        out = columns(0, start, vectors, False)
    if start != extent:
        out += columns(start, extent, 1, not divisible_by_lanes(extent, width))
    return out


def _tile_rows(extent: Size, registers: int) -> int:
    """Rows of a register tile of two vectors each, beside the operands.

    A constant extent is divided evenly where some number of rows does; one that is not known takes a power of two, which
    batch sizes often are multiples of.
    """
    # More rows leave too few registers for the operands: 784 x 128 x 32 ran at 71 % of the limit with 14, at 96 % with 8.
    limit = registers * 3 // 8
    if not isinstance(extent, int):
        return registers // 4
    if extent <= limit:
        return extent
    return max(range(max(limit // 2, 1), limit + 1), key=lambda r: (-(extent % r), r))


def _rereads(reduces: Sequence[Reduce], name: str) -> bool:
    """Whether some operand of a reduction is the same for neighbours along `name`."""
    return any(isinstance(e, Load) and name not in e.symbols() for r in reduces for e in nodes_of(r.body))


def _instances(sinks: Sequence[Sink], env: dict[str, Sequence[Size]]) -> list[Sink]:
    """The sinks at every combination of the given index values."""
    out = list(sinks)
    for name, values in env.items():
        if len(values) == 1 and values[0] == dims.sym(name):
            continue
        copies: list[Sink] = []
        memos: list[dict[int, Expr]] = [{} for _ in values]
        for value, memo in zip(values, memos):
            copies += [s.at({name: value}, memo) for s in out]
        out = copies
    return out


def _tiled(
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
        inner = _tiled(emitter, rest, tile, body, {**env, axis.name: [dims.sym(axis.name)]})
        return (For(axis.name, axis.extent, inner),)
    full = dims.floordiv(axis.extent, size) * size
    values = [dims.sym(axis.name) + r for r in range(size)]
    out: tuple[Stmt, ...] = ()
    if full != 0:
        inner = _tiled(emitter, rest, tile, body, {**env, axis.name: values})
        out = (For(axis.name, full, inner, step=size),)
    if full != axis.extent:
        name = emitter.name(axis.name.split(".")[0])
        inner = _tiled(emitter, rest, tile, body, {**env, axis.name: [dims.sym(name)]})
        out += (For(name, axis.extent, inner, start=full),)
    return out
