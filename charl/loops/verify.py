"""Checks kernels: what a printer may take for granted.

Enters: a kernel. Leaves: nothing, or an InternalError that says which rule is broken. An index is refused when it is provably
outside its buffer; one about which nothing can be proved passes (the evaluator catches it when it runs).
"""

from __future__ import annotations

from collections.abc import Iterator

from charl import dims
from charl.dtypes import DType, accumulator
from charl.errors import InternalError
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Reduce, Ref, Size
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Debug,
    For,
    Horizontal,
    If,
    Kernel,
    Let,
    Local,
    Prefetch,
    Simd,
    Stmt,
    Store,
    Transpose,
    Update,
)
from charl.loops.walk import body, expressions, sizes

_VECTOR_SIZES = {"VL32": (1, 16), "VL64": (1, 8)}


def verify(kernel: Kernel) -> None:
    """Raise InternalError unless `kernel` is well formed."""
    _Verifier(kernel).run()


class _Verifier:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.buffers = set(kernel.buffers)
        self.symbols: set[str] = {*kernel.dims, *_VECTOR_SIZES}
        self.ranges: dict[str, tuple[Size, Size]] = dict(_VECTOR_SIZES)
        self.registers: dict[str, bool] = {}  # name -> is a vector
        self.accumulators: dict[str, Accumulator] = {}
        self.region: Simd | None = None
        self.unproved = False  # where a guard or a loop that never runs makes bounds unknown
        self._checked: dict[tuple[int, str], Expr] = {}

    def run(self) -> None:
        for nest in self.kernel.nests:
            self.registers, self.accumulators = {}, {}
            self.statements(nest)

    def require(self, holds: bool, what: str) -> None:
        if not holds:
            raise InternalError("loops.verify", f"kernel {self.kernel.name}: {what}")

    # ------------------------------------------------------------ statements

    def statements(self, inside: tuple[Stmt, ...]) -> None:
        registers, accumulators = dict(self.registers), dict(self.accumulators)
        for s in inside:
            for x in sizes(s):
                self.size(x)
            for e in expressions(s):
                self.expression(e)
            self.statement(s)
        self.registers, self.accumulators = registers, accumulators

    def statement(self, s: Stmt) -> None:
        if isinstance(s, For):
            self.require(s.stop is not None or s.condition is not None, f"loop {s.index} has no end")
            self.bind(s.index, (s.start, s.start if s.stop is None else s.stop - 1), s)
        elif isinstance(s, Simd):
            self.require(self.region is None, f"vector region {s.lane} inside another")
            self.require(s.width in (32, 64), f"vectors of {s.width}-bit elements")
            self.region = s
            self.bind(s.lane, (0, dims.sym(f"VL{s.width}") - 1), s)
            self.region = None
        elif isinstance(s, If):
            self.require(s.condition.dtype.kind == "bool", f"condition of type {s.condition.dtype}")
            self.statements(s.body)
            self.statements(s.otherwise)
        elif isinstance(s, Let):
            self.define(s.name, self.varies(s.value))
            self.fits(s.value)
        elif isinstance(s, Local):
            self.require(s.buffer.role == "scratch", f"local array {s.buffer.name} is a {s.buffer.role}")
            self.buffers.add(s.buffer)
        elif isinstance(s, Transpose):
            self.transpose(s)
        elif isinstance(s, Prefetch):
            self.require(s.buffer in self.buffers, f"buffer {s.buffer.name} is not an argument")
        elif isinstance(s, Accumulator):
            self.define(s.name, s.vector)
            self.accumulators[s.name] = s
        elif isinstance(s, Update):
            self.update(s)
        elif isinstance(s, Horizontal):
            found = self.accumulators.get(s.source)
            self.require(found is not None and found.vector, f"{s.source} has no lanes to combine")
            self.define(s.name, False)
        elif isinstance(s, Store):
            self.store(s)
        elif isinstance(s, Debug):
            self.statements(s.body)

    def bind(self, name: str, bounds: tuple[Size, Size], s: Stmt) -> None:
        self.require(name not in self.symbols, f"index {name} is bound twice")
        self.symbols.add(name)
        outside = self.unproved
        empty = dims.nonnegative(bounds[0] - bounds[1] - 1, self.ranges)
        # as many turns as an index around says: none, it may be
        some = dims.symbols(bounds[1]).isdisjoint(self.ranges) or dims.nonnegative(
            bounds[1] - bounds[0], self.ranges
        )
        self.unproved = outside or empty or not some
        self.ranges[name] = bounds
        self.statements(body(s))
        self.unproved = outside
        self.symbols.discard(name)
        del self.ranges[name]

    def define(self, name: str, vector: bool) -> None:
        self.require(name not in self.registers, f"register {name} is declared twice")
        self.registers[name] = vector

    def update(self, s: Update) -> None:
        found = self.accumulators.get(s.name)
        self.require(found is not None, f"{s.name} is updated and was not declared")
        assert found is not None
        self.require(s.fn == found.fn, f"{s.name} combines by {found.fn}, updated by {s.fn}")
        self.require(s.value.dtype == found.dtype, f"{s.name} of {found.dtype} updated with {s.value.dtype}")
        self.require(s.fn.startswith("arg") == (s.position is not None), f"{s.name} and its position")
        if found.vector:
            self.require(self.region is not None, f"vector {s.name} is updated outside a vector region")
            self.fits(s.value)
        else:
            self.require(not self.varies(s.value), f"one register {s.name} for the values of all lanes")

    def transpose(self, s: Transpose) -> None:
        self.require(self.region is None, "a transposition inside a vector region")
        self.require(s.target.role != "input", f"{s.target.name} is an input and written")
        same = converts(s.source.dtype, s.target.dtype)
        self.require(same, f"{s.source.dtype} is stored to {s.target.name}")
        self.access(s.target, s.to)
        self.access(s.source, s.start)

    def store(self, s: Store) -> None:
        self.require(s.buffer.role != "input", f"{s.buffer.name} is an input and written")
        self.require(converts(s.buffer.dtype, s.value.dtype), f"{s.value.dtype} is stored to {s.buffer.name}")
        self.access(s.buffer, s.index)
        if self.region is not None and self.varies(s.value):
            self.fits(s.value)
            stays = self.region.lane not in dims.symbols(s.index)
            self.require(not stays, f"all lanes write {s.buffer.name}[{s.index}]")

    # ------------------------------------------------------------ expressions

    def expression(self, e: Expr) -> None:
        key = (id(e), self.region.lane if self.region else "")
        if key in self._checked:
            return
        self._checked[key] = e
        self.require(not isinstance(e, Reduce), "a reduction that was not lowered")
        if isinstance(e, Ref):
            self.require(e.name in self.registers, f"register {e.name} is read and was not declared")
            lonely = self.registers[e.name] and self.region is None
            self.require(not lonely, f"vector register {e.name} is read outside a vector region")
        elif isinstance(e, Load):
            self.require(converts(e.source.dtype, e.dtype), f"{e.source.name} is read as {e.dtype}")
            self.require(len(e.index) == 1, f"{e.source.name} is read at {len(e.index)} indices")
            self.access(e.source, e.index[0])
        for x in e.indices():
            self.size(x)
        if isinstance(e, Guard):
            self._guard(e)
            return
        for c in e.children():
            self.expression(c)

    def _guard(self, e: Guard) -> None:
        """What stands behind a guard may assume its ranges; where it cannot be used, bounds are not proved."""
        self.expression(e.other)
        outside, self.unproved = self.unproved, True
        self.expression(e.then)
        self.unproved = outside

    def access(self, buffer: Buffer, index: Size) -> None:
        self.require(buffer in self.buffers, f"buffer {buffer.name} is not an argument")
        self.size(index)
        if not self.unproved:
            outside = dims.nonnegative(-1 - index, self.ranges) or (
                dims.nonnegative(index - buffer.size, self.ranges)
            )
            self.require(not outside, f"{buffer.name}[{index}] is outside its {buffer.size} elements")

    def size(self, x: Size) -> None:
        unknown = sorted(dims.symbols(x) - self.symbols)
        self.require(not unknown, f"{', '.join(unknown)} in {x} is not bound")
        for e in _values(x):
            self.expression(e)

    def varies(self, e: Expr) -> bool:
        """Whether an expression has a value per lane."""
        if self.region is None:
            return False
        if self.region.lane in e.symbols():
            return True
        return any(isinstance(x, Ref) and self.registers.get(x.name, False) for x in e.walk())

    def fits(self, e: Expr) -> None:
        """Vectors have elements of the region's width."""
        if self.region is None or not self.varies(e) or isinstance(e, (Const, Guard)):
            return
        if e.dtype.kind != "bool":
            width = self.region.width
            self.require(e.dtype.bits == width, f"{e.dtype} in a vector of {width}-bit elements")
        if isinstance(e, Apply):
            for c in e.args:
                self.fits(c)
        elif isinstance(e, (Load, IndexValue)):
            self.require(e.dtype.kind != "bool", "bool values in memory are read by a vector")


def converts(memory: DType, register: DType) -> bool:
    """Whether loads and stores bring elements of one type in memory into registers of another: of its own, or its stand-in."""
    return register in (memory, accumulator(memory))


def _values(x: Size) -> Iterator[Expr]:
    for a in dims.atoms(x):
        if isinstance(a, dims.Value):
            yield a.expr
        elif isinstance(a, dims.Func):
            for arg in a.args:
                yield from _values(arg)
