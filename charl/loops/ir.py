"""Loop nests over flat buffers: what C and WGSL print.

A `Kernel` is a list of statements over named buffers. Scalar expressions come from
`charl.graph.scalar`, with `Load(source=Buffer, index=(flat,))` and `Ref` for registers; `Reduce` is
gone (it became loops over accumulators). Decisions (tiling, unrolling, vectors, what runs in parallel)
have been taken; a printer only spells.

Vectors. `Simd(lane, width, count, body)` runs its body once for VL lanes, VL being the number of `width`-bit lanes of
the instruction set: the symbol `VL32` or `VL64` in sizes and indices (a macro in C, 1 where there are no vectors),
always a power of two up to 16. Inside, an expression is a vector exactly when it depends on the symbol `lane`, on a Let that is
a vector, or on a register declared with `vector=True`; everything else is scalar and broadcasts. A load or store whose index has
coefficient 1 in `lane` is contiguous, 0 a broadcast, anything else strided or a gather. With `count`, only lanes below it
take part: loads elsewhere give zero, stores do not
write, an `Update` of a register that was declared outside leaves the other lanes as they are. Every vector value of a region has
elements of exactly `width` bits (bool values are masks and live in registers only).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from charl.dims import Dim
from charl.dtypes import DType
from charl.graph.scalar import Expr
from charl.source import Span

Size: TypeAlias = int | Dim
Kind: TypeAlias = Literal["serial", "parallel", "each", "divided"]
Role: TypeAlias = Literal["input", "output", "inout", "scratch"]


@dataclass(frozen=True, eq=False)
class Buffer:
    """A flat array a kernel is given. Distinct buffers never overlap. `size` is in elements."""

    name: str
    dtype: DType
    size: Size
    role: Role


@dataclass(frozen=True)
class Let:
    """Name the value of an expression; used through `Ref(name, dtype)`."""

    name: str
    value: Expr
    span: Span | None = None


@dataclass(frozen=True)
class Accumulator:
    """Declare a register and start it at the identity of `fn` (or at `initial`).

    `fn` "argmax" / "argmin" keeps the best value (of `dtype`) and its i32 position; a `Ref` to it is the position.
    """

    name: str
    fn: str
    dtype: DType
    vector: bool = False
    initial: Expr | None = None


@dataclass(frozen=True)
class Update:
    """name = fn(name, value). For argmax / argmin `position` is the candidate's position."""

    name: str
    fn: str
    value: Expr
    position: Expr | None = None


@dataclass(frozen=True)
class Horizontal:
    """Declare scalar `name` = the lanes of vector accumulator `source` combined by `fn`."""

    name: str
    fn: str
    source: str
    dtype: DType


@dataclass(frozen=True)
class Store:
    """buffer[index] = value; with `add`, buffer[index] += value."""

    buffer: Buffer
    index: Size
    value: Expr
    add: bool = False
    span: Span | None = None


@dataclass(frozen=True)
class Local:
    """Declare an array on the stack for the rest of the block. `buffer` has the role "scratch" and a size that is constant
    for an instruction set: it holds packed operands, or results on their way to the epilogue, `aligned` to a cache line;
    or a value of the body of a loop.
    """

    buffer: Buffer
    aligned: bool = True


@dataclass(frozen=True)
class Transpose:
    """target[to + c * to_stride + r] = source[start + r * stride + c] for every r below `rows` and c below `columns`."""

    target: Buffer
    to: Size
    to_stride: Size
    source: Buffer
    start: Size
    stride: Size
    rows: Size
    columns: Size


@dataclass(frozen=True)
class Prefetch:
    """Ask for the cache line of buffer[index], which may lie outside the buffer; changes nothing. `near`: to level 1."""

    buffer: Buffer
    index: Size
    near: bool = False


@dataclass(frozen=True)
class If:
    """Run `body` where the bool expression holds, else `otherwise` (empty where lanes decide)."""

    condition: Expr
    body: tuple[Stmt, ...]
    otherwise: tuple[Stmt, ...] = ()


@dataclass(frozen=True)
class For:
    """index from `start` in steps of `step` while below `stop`.

    "parallel": iterations are independent: threads in C, the grid in WGSL. Parallel loops are the outermost of a nest and
    perfectly nested, start at 0 and step by 1 in kernels made for a grid. In C no parallel loop stands in another, and
    threads take part only where `pays`, which depends on sizes, is not negative.

    "each": every thread runs all iterations, and loops in it that are "divided" share theirs out, always the same ones to a
    thread: where loops have equally many, what an iteration writes is read by the thread that wrote it. All that is written
    stands in such loops, but arrays of its own. Threads do not wait for one another before the outer loop ends.

    `apart`: a serial loop whose few iterations are independent as well, around a parallel one; `plan/sharing` may give its
    turns to threads instead.

    With `condition`, which is looked at before each turn, the loop ends where it does not hold; without `stop`, only there.
    """

    index: str
    stop: Size | None
    body: tuple[Stmt, ...]
    kind: Kind = "serial"
    start: Size = 0
    step: Size = 1
    condition: Expr | None = None
    pays: Size = 0
    apart: bool = False


@dataclass(frozen=True)
class Simd:
    """One vector's worth of `body`: see the module's text. `count` None: all lanes take part."""

    lane: str
    width: int
    count: Size | None
    body: tuple[Stmt, ...]


@dataclass(frozen=True)
class Check:
    """Inside `Debug`: report `what` unless `condition` holds, at the places of all that this kernel computes."""

    condition: Expr
    what: str
    spans: tuple[Span, ...]


@dataclass(frozen=True)
class Debug:
    """Statements with registers of their own that debug builds run, and no other: checks, and what they are computed from."""

    body: tuple[Stmt, ...]


Stmt: TypeAlias = (
    "Let | Local | Transpose | Prefetch | Accumulator | Update | Horizontal | Store | If | For | Simd | Check | Debug"
)


@dataclass
class Kernel:
    """One function of the emitted package.

    `nests` run one after another, without dependence on each other (a GPU runs them side by side). `dims` are the
    dimension variables used in extents and indices, arguments of the function.
    """

    name: str
    buffers: tuple[Buffer, ...]
    dims: tuple[str, ...]
    nests: tuple[tuple[Stmt, ...], ...]
    span: Span | None = None
    comment: str = ""
    flops: Size = 0
    sources: tuple[Span, ...] = field(default=(), repr=False)
