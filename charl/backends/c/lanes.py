"""What differs between the lanes of a vector, and the registers that hold one value or a vector.

Enters: expressions and indices, with the region that is printed and the registers so far. Leaves: facts about them. Never
spells anything but the name of a vector's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from charl import dims
from charl.backends.c.spelling import Text
from charl.dtypes import DType
from charl.graph.scalar import Apply, Expr, Load, Ref, Size
from charl.loops.ir import Buffer, For, Let, Stmt, Update
from charl.loops.walk import expressions, statements

# Uses of a vector up to which compilers take it from memory for each.
_FEW = 3


@dataclass(frozen=True)
class Register:
    """A `Let` or accumulator: its C name; for argmax and argmin `name` holds the position and `best` the value."""

    name: str
    dtype: DType
    vector: bool = False
    width: int = 0
    best: str = ""
    region: object = None
    zero: bool = False  # 0 in lanes that do not take part


@dataclass(eq=False)
class Region:
    """A `Simd` being printed. `mask` names the lanes that take part (made on first use, called `name`); `count` bounds them."""

    lane: str
    width: int
    count: Text | None
    mask: str | None = None
    slot: tuple[list[str | None], int, str] | None = None  # where the mask's declaration goes
    name: str = ""

    @property
    def lanes(self) -> str:
        return f"VL{self.width}"


def vector_type(t: DType, width: int) -> str:
    """The name of the vector of elements `t` (masks for bool)."""
    if t.kind == "bool":
        return f"vm{width}"
    return f"v{t.name}"


def lane_depends(
    e: Expr, region: Region, registers: dict[str, Register], memo: dict[int, tuple[Expr, bool]]
) -> bool:
    """Whether `e` differs between lanes."""
    found = memo.get(id(e))
    if found is not None:
        return found[1]
    if isinstance(e, Ref):
        out = registers[e.name].vector
    else:
        out = any(size_depends(i, region, registers, memo) for i in e.indices()) or any(
            lane_depends(c, region, registers, memo) for c in e.children()
        )
    memo[id(e)] = (e, out)
    return out


def size_depends(
    x: Size, region: Region, registers: dict[str, Register], memo: dict[int, tuple[Expr, bool]]
) -> bool:
    """Whether a size differs between lanes."""
    if isinstance(x, int):
        return False
    if region.lane in dims.symbols(x):
        return True
    return any(lane_depends(e, region, registers, memo) for e in run_time_values(x))


def read_again(loop: For) -> frozenset[Buffer]:
    """What a loop reads at places where the turn before has read: windows that slide."""
    found: dict[Buffer, set[Size]] = {}
    for s in statements(loop.body):
        for x in (x for e in expressions(s) for x in below(e) if isinstance(x, Load)):
            found.setdefault(x.source, set()).add(x.index[0])
    turn = {loop.index: dims.sym(loop.index) + loop.step}
    return frozenset(
        b for b, at in found.items() if len(at) > 1 and any(dims.substitute(i, turn) in at - {i} for i in at)
    )


def factors(body: tuple[Stmt, ...]) -> frozenset[str]:
    """Names of loads that serve as factors of products that sums take, and as nothing else."""
    found = {s.name for s in body if isinstance(s, Let) and isinstance(s.value, Load)}
    for s in statements(body):
        used = list(expressions(s))
        if isinstance(s, Update) and s.fn == "add" and isinstance(s.value, Apply) and s.value.fn == "mul":
            used = [x for x in s.value.args if not isinstance(x, Ref)]
        found -= {r.name for e in used for r in references(e)}
    return frozenset(found)


def shared(body: tuple[Stmt, ...]) -> frozenset[str]:
    """Names of loads that a few of the products share which sums take: compilers make each of these read them from memory."""
    uses: dict[str, int] = {}
    for s in statements(body):
        if isinstance(s, Update) and s.fn == "add" and isinstance(s.value, Apply) and s.value.fn == "mul":
            for x in s.value.args:
                if isinstance(x, Ref):
                    uses[x.name] = uses.get(x.name, 0) + 1
    return frozenset(
        s.name
        for s in statements(body)
        if isinstance(s, Let) and isinstance(s.value, Load) and 1 < uses.get(s.name, 0) <= _FEW
    )


def run_time_values(x: Size) -> Iterator[Expr]:
    """Expressions inside a size, those below functions too."""
    for a in dims.atoms(x):
        if isinstance(a, dims.Value):
            yield a.expr
        elif isinstance(a, dims.Func):
            for arg in a.args:
                yield from run_time_values(arg)


def below(e: Expr) -> Iterator[Expr]:
    """Every distinct expression from `e` down, those inside run-time indices too, in order."""
    seen: set[int] = set()
    stack: list[Expr] = [e]
    while stack:
        x = stack.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        yield x
        stack += reversed(x.children())
        for i in x.indices():
            stack += run_time_values(i)


def references(e: Expr) -> Iterator[Ref]:
    """Every register an expression reads, each once, in order."""
    names: set[str] = set()
    for x in below(e):
        if isinstance(x, Ref) and x.name not in names:
            names.add(x.name)
            yield x


def reads_memory(e: Expr) -> bool:
    """Whether an expression reads memory, which must not happen where a guard leaves it out."""
    return any(isinstance(x, Load) for x in below(e))
