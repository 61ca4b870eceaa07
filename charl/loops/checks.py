"""Checks of run-time indices, for debug builds.

Enters: the values of a group and the nest that computes them. Leaves: statements to stand in front of it that look at every index
before it is clamped. They read what the nest reads, and indices that can be at one place only, which no element needs (see
`plan.access`); a kernel does the same with and without them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from charl import dims
from charl.dims import Dim
from charl.dtypes import boolean
from charl.graph.ir import Node
from charl.graph.scalar import Apply, Const, Expr, IndexValue, polynomial
from charl.loops import walk
from charl.loops.emit import Emitter
from charl.loops.inline import Inliner
from charl.loops.ir import Buffer, Check, Debug, For, Stmt
from charl.loops.sinks import Sink
from charl.ops.record import OPS, Indexed
from charl.passes.values import VIEWS
from charl.plan.fusion import Fusion

Size = int | Dim
Ranges = Mapping[str, tuple[Size, Size]]


class _NotRead(Exception):
    """A value that the nest does not read."""


def index_checks(
    members: Sequence[Node],
    fusion: Fusion,
    read: Mapping[Node, Buffer],
    inliner: Callable[[Callable[[Node], Buffer | None], Ranges], Inliner],
    ranges: Ranges,
    nest: Sequence[Stmt],
) -> tuple[Stmt, ...]:
    """What a nest shall hold of its indices.

    `read`: the stored values that it reads. `inliner` makes what expands values until it is told to stop. `ranges`: of the
    loops around.
    """
    inside = set(members)

    def stop(node: Node) -> Buffer | None:
        if node in inside or fusion.expanded(node):
            return None
        if node not in read:
            raise _NotRead
        return read[node]

    out: dict[Stmt, None] = {}
    known: frozenset[str] | None = None
    for node in _computed(members, fusion):
        for indexed in (OPS[node.op].indexed or _none)(node):
            if _vouched(node, indexed.operand):
                continue
            try:
                check = _check(node, indexed, fusion, inliner(stop, ranges), ranges)
            except _NotRead:
                continue
            if check is None:
                continue
            known = _symbols(nest) | ranges.keys() if known is None else known
            if _symbols([check]) <= known:
                out[check] = None
    return tuple(out)


def _vouched(node: Node, index: Node) -> bool:
    """Whether the library indexes by what it computed itself: it may count on what happens to indices outside."""
    while index.op in VIEWS or index.op == "cast":
        if not index.inputs:
            break
        index = index.inputs[0]
    return index.op != "parameter" and _of_library(node) and _of_library(index)


def _of_library(node: Node) -> bool:
    return node.span is not None and node.span.user is not None


def _none(node: Node) -> Sequence[Indexed]:
    return ()


def _computed(members: Sequence[Node], fusion: Fusion) -> Iterator[Node]:
    """The members, and what stands in their expressions."""
    seen: set[Node] = set()
    waiting = list(reversed(members))
    while waiting:
        node = waiting.pop()
        if node in seen or fusion.leaf(node):
            continue
        seen.add(node)
        yield node
        waiting += [x for x in reversed(node.inputs) if fusion.expanded(x)]


def _check(node: Node, indexed: Indexed, fusion: Fusion, inliner: Inliner, ranges: Ranges) -> Debug | None:
    """The check of one operand; None where it is proved."""
    index = indexed.operand
    names = [(f"c{d}", n) for d, n in enumerate(index.shape) if n != 1]
    value = inliner.element(
        index, tuple(0 if n == 1 else dims.sym(f"c{d}") for d, n in enumerate(index.shape))
    )
    within = {**ranges, **{name: (0, n - 1) for name, n in names}}
    top = indexed.extent - indexed.size
    if _at_least(value, within) and _at_most(value, top, within):
        return None
    low = Apply("ge", (value, Const(0, value.dtype)), boolean)
    if indexed.size == 1:
        what = f"index out of range: it must be at least 0 and below {indexed.extent}"
        high = Apply("lt", (value, IndexValue(indexed.extent, value.dtype)), boolean)
    else:
        what = f"slice out of range: its start must be at least 0 and at most {top}"
        high = Apply("le", (value, IndexValue(top, value.dtype)), boolean)
    holds: Expr = Apply("and", (low, high), boolean)
    for condition, taken in sorted(fusion.conditions[node], key=lambda c: (c[0].born, c[1])):
        given = inliner.element(condition, ())
        holds = Apply("or", (Apply("not", (given,), boolean) if taken else given, holds), boolean)
    sums, (sink,) = Emitter(vectors=False).reductions([Sink(holds)], frozenset())
    body: tuple[Stmt, ...] = (*sums, Check(sink.value, what, (node.span.shown,) if node.span else ()))
    for name, n in reversed(names):
        body = (For(name, n, body),)
    return Debug(body)


def _symbols(statements: Iterable[Stmt]) -> frozenset[str]:
    """Every symbol in statements, less those of their own loops."""
    out: set[str] = set()
    own: set[str] = set()
    for s in walk.statements(tuple(statements)):
        own |= {s.index} if isinstance(s, For) else set()
        for x in walk.sizes(s):
            out |= dims.symbols(x)
        for e in walk.expressions(s):
            out |= e.symbols()
    return frozenset(out - own)


# ---------------------------------------------------------------- proofs


def _at_least(e: Expr, ranges: Ranges) -> bool:
    """Whether a value is proved to be 0 or more."""
    size = polynomial(e)
    if size is not None:
        return dims.nonnegative(size, ranges)
    if isinstance(e, Apply) and e.fn in ("max", "min"):
        return (any if e.fn == "max" else all)(_at_least(a, ranges) for a in e.args)
    return False


def _at_most(e: Expr, top: Size, ranges: Ranges) -> bool:
    """Whether a value is proved to be `top` or less."""
    size = polynomial(e)
    if size is not None:
        return dims.nonnegative(top - size, ranges)
    if isinstance(e, Apply) and e.fn in ("max", "min"):
        return (all if e.fn == "max" else any)(_at_most(a, top, ranges) for a in e.args)
    return False
