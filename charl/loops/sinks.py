"""What the loops of a nest evaluate and where it goes, and the sizes and values that all of them use.

Enters: expressions. Leaves: sinks at any indices, and the statements that consume their values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from charl import dims
from charl.dims import Dim
from charl.dtypes import DType
from charl.graph.scalar import Const, Expr, Ref
from charl.loops.inline import Memo, substitute
from charl.loops.ir import Buffer, Let, Stmt, Store, Update
from charl.source import Span

Size = int | Dim


@dataclass(frozen=True)
class Rest:
    """Where along its last axis a value is the same for all elements that follow, and what.

    `written`: whether these are to be stored; they may lie there before.
    """

    start: Size
    value: Const
    written: bool = True


@dataclass(frozen=True)
class Sink:
    """Where a value goes: an element of a buffer, or an accumulator."""

    value: Expr
    buffer: Buffer | None = None
    index: Size = 0
    add: bool = False
    register: str = ""
    fn: str = ""
    position: Expr | None = None
    span: Span | None = None
    rest: Rest | None = None

    def statement(self) -> Stmt:
        """The statement that consumes the value."""
        if self.buffer is not None:
            return Store(self.buffer, self.index, self.value, self.add, self.span)
        return Update(self.register, self.fn, self.value, self.position)

    def at(self, env: dict[str, Size], memo: Memo) -> Sink:
        """The same sink at other indices."""
        rest = self.rest and replace(self.rest, start=dims.substitute(self.rest.start, env))
        value, index = substitute(self.value, env, memo), dims.substitute(self.index, env)
        position = self.position and substitute(self.position, env, memo)
        return replace(self, value=value, index=index, position=position, rest=rest)

    def resting(self, start: Size) -> Sink:
        """The same sink with its rest from another place on."""
        return replace(self, rest=self.rest and replace(self.rest, start=start))

    def without_rest(self) -> Sink:
        """The same sink, whose rest lies there already."""
        return replace(self, rest=self.rest and replace(self.rest, written=False))


@dataclass(frozen=True)
class Whole:
    """Where `test` holds, if there is one, sums are whole, and these sinks are made of them instead of storing them."""

    test: Expr | None
    sinks: Callable[[Sequence[Expr]], Sequence[Sink]]


def identity(fn: str, dtype: DType) -> Const:
    """What `fn` combines with any value to leave it unchanged."""
    if fn in ("and", "or"):
        return Const(fn == "and", dtype)
    if fn in ("max", "argmax"):
        low = float("-inf") if dtype.is_float else -(2 ** (dtype.bits - 1)) if dtype.kind == "int" else 0
        return Const(low, dtype)
    if fn in ("min", "argmin"):
        top = 2 ** (dtype.bits - (dtype.kind == "int")) - 1 if not dtype.is_float else float("inf")
        return Const(top, dtype)
    one = 1 if fn == "mul" else 0
    return Const(float(one) if dtype.is_float else one, dtype)


def lanes(width: int) -> Dim:
    """The number of lanes of `width`-bit elements, as a size."""
    return dims.sym(f"VL{width}")


def divisible_by_lanes(extent: Size, width: int) -> bool:
    """Whether every instruction set's lane count divides `extent`."""
    return isinstance(extent, int) and extent % (512 // width) == 0


def interleaved(lets: Sequence[Stmt], sinks: Sequence[Sink]) -> list[Stmt]:
    """Every name just before its first use: compilers keep the order, and many live names would leave the registers."""
    waiting = {x.name: x for x in lets if isinstance(x, Let)}
    used = {x.name for s in sinks for e in (s.value, s.position) if e for x in e.walk() if isinstance(x, Ref)}
    out: list[Stmt] = []

    def name(x: Let) -> None:
        for ref in x.value.walk():
            if isinstance(ref, Ref) and ref.name in waiting:
                name(waiting.pop(ref.name))
        out.append(x)

    inner = {r.name for x in waiting.values() for r in x.value.walk() if isinstance(r, Ref)}
    for x in list(waiting.values()):  # what stands in an index, where a walk does not come, goes first
        if x.name not in used | inner and x.name in waiting:
            del waiting[x.name]
            name(x)
    for s in sinks:
        for e in (s.value, s.position):
            for ref in e.walk() if e else ():
                if isinstance(ref, Ref) and ref.name in waiting:
                    name(waiting.pop(ref.name))
        out.append(s.statement())
    return out
