"""Kernels of the loop IR as WGSL modules, one invocation for a point of the parallel loops.

Enters: a `Kernel` lowered for a grid. Leaves: the text of one module with the entry point `main`. The bindings of group 0
are the kernel's buffers in order, then, where the kernel has dimension variables, a uniform struct of them (i32 each).
Never reorders, fuses or tiles; only spells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from charl import dims
from charl.backends.names import Names, identifier, stem
from charl.backends.printing import Level, SizePrinter, Text, infix, never, source_lines
from charl.backends.wgsl import scalar
from charl.backends.wgsl.reserved import RESERVED
from charl.dtypes import DType, i32
from charl.errors import InternalError
from charl.graph.scalar import Apply, Const, Expr, Guard, IndexValue, Load, Ref
from charl.loops.ir import Accumulator, Buffer, Debug, For, If, Kernel, Let, Local, Size, Stmt, Store, Update

WORKGROUP = 64
_DEEPEST = 24  # operators in one expression; shader compilers recurse over them
_INDICES = "ijklmnpqrs"  # of loops, outermost first

Nest = tuple[Stmt, ...]


def peel(nest: Nest) -> tuple[list[For], Nest]:
    """The perfectly nested parallel loops around a nest, outermost first, and what they enclose."""
    loops: list[For] = []
    while len(nest) == 1 and isinstance(nest[0], For) and nest[0].kind == "parallel":
        loop = nest[0]
        if dims.symbols(extent(loop)) & {f.index for f in loops}:
            break
        if loop.start != 0 or loop.step != 1:
            raise InternalError("wgsl", f"parallel loop over {loop.index} does not count from 0 by 1")
        loops.append(loop)
        nest = loop.body
    return loops, nest


def extent(loop: For) -> Size:
    """How many turns a parallel loop has."""
    assert loop.stop is not None
    return loop.stop


def points(nest: Nest) -> Size:
    """How many invocations a nest wants."""
    return dims.product(extent(loop) for loop in peel(nest)[0])


def grid(kernel: Kernel) -> Size:
    """How many invocations a kernel wants: its nests stand side by side."""
    total: Size = 0
    for nest in kernel.nests:
        total = total + points(nest)
    return total


def print_kernel(kernel: Kernel) -> str:
    """The module of a kernel. Raises InternalError on loop IR that was not made for a grid."""
    return _Printer(kernel).module()


class _Printer(SizePrinter):
    def __init__(self, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel
        self.names = Names(RESERVED | scalar.helper_names())
        self.lines: list[str] = []
        self.indent = 0
        self.bound: dict[str, str] = {}
        self.depths: dict[Expr, int] = {}
        self.buffers: dict[Buffer, str] = {b: self.names.allocate(b.name, "data") for b in kernel.buffers}
        members = Names(RESERVED)
        self.dims = {d: members.allocate(d, "size") for d in kernel.dims}

    # ------------------------------------------------------------ the module

    def module(self) -> str:
        """Comment, helpers, bindings, entry point."""
        self.main()
        main = self.lines
        self.lines = []
        self.bindings()
        head = "".join(f"// {line}\n" for line in source_lines(self.kernel))
        used = re.findall(r"\b(\w+)\(", "\n".join(main))
        helpers = "".join(f"{body}\n" for body in scalar.helpers(used))
        return head + "\n" * bool(head) + "\n".join(self.lines) + "\n\n" + helpers + "\n".join(main) + "\n"

    def bindings(self) -> None:
        for i, b in enumerate(self.kernel.buffers):
            access = "read" if b.role == "input" else "read_write"
            kind = element(b.dtype)
            self.emit(f"@group(0) @binding({i}) var<storage, {access}> {self.buffers[b]}: array<{kind}>;")
        if self.dims:
            fields = ", ".join(f"{name}: i32" for name in self.dims.values())
            self.emit(f"struct Sizes {{ {fields} }}")
            self.emit(f"@group(0) @binding({len(self.kernel.buffers)}) var<uniform> sizes: Sizes;")

    def main(self) -> None:
        self.emit(f"@compute @workgroup_size({WORKGROUP})")
        nests = [n for n in self.kernel.nests if points(n) != 0]
        with self.block(
            "fn main(@builtin(global_invocation_id) invocation: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>)"
        ):
            start = f"invocation.x + {WORKGROUP}u * groups.x * invocation.y"
            self.emit(f"{'var' if len(nests) > 1 else 'let'} point = {start};")
            for number, nest in enumerate(nests):
                last = number + 1 == len(nests)
                total = self.unsigned(points(nest))
                with self.block(f"if (point < {total})"):
                    self.nest(nest)
                    if not last:
                        self.emit("return;")
                if not last:
                    self.emit(f"point -= {total};")

    def unsigned(self, x: Size) -> str:
        return f"{x}u" if isinstance(x, int) else f"u32({self.size(x).text})"

    def nest(self, nest: Nest) -> None:
        loops, body = peel(nest)
        for number, loop in enumerate(loops):
            self.ranges[loop.index] = (0, extent(loop) - 1)
            inner = dims.product(extent(f) for f in loops[number + 1 :])
            text = "point"
            if inner != 1:
                text += f" / {self.unsigned(inner)}"
            if number and loop.stop != 1:
                text += f" % {self.unsigned(extent(loop))}"
            if loop.stop == 1:
                text = "0u"
            name = self.bind_index(loop.index)
            self.emit(f"let {name} = i32({text});")
        self.body(body)

    # ------------------------------------------------------------ lines and scopes

    def emit(self, line: str) -> None:
        self.lines.append("    " * self.indent + line if line else "")

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Braces; names made inside end with them."""
        self.emit(head + " {")
        self.indent += 1
        names, bound, ranges = self.names, self.bound, self.ranges
        self.names, self.bound, self.ranges = names.inner(), dict(bound), dict(ranges)
        yield
        self.names, self.bound, self.ranges = names, bound, ranges
        self.indent -= 1
        self.emit("}")

    def bind(self, name: str, hint: str, default: str = "value") -> str:
        self.bound[name] = self.names.allocate(hint, default)
        return self.bound[name]

    def bind_index(self, name: str) -> str:
        self.bound[name] = self.names.first(_INDICES)
        return self.bound[name]

    # ------------------------------------------------------------ statements

    def body(self, statements: Sequence[Stmt]) -> None:
        for s in statements:
            self.statement(s)

    def statement(self, s: Stmt) -> None:
        if isinstance(s, Let):
            value = self.expr(s.value).text
            self.emit(f"let {self.bind(s.name, stem(s.name))} = {value};")
        elif isinstance(s, Store):
            self.store(s)
        elif isinstance(s, Accumulator):
            self.accumulator(s)
        elif isinstance(s, Update):
            self.update(s)
        elif isinstance(s, Local):
            self.local(s.buffer)
        elif isinstance(s, For):
            self.loop(s)
        elif isinstance(s, If):
            self.branch(s)
        elif not isinstance(s, Debug):  # for debug builds of C
            raise InternalError(
                "wgsl", f"{type(s).__name__} in kernel {self.kernel.name}, which is for a grid"
            )

    def branch(self, s: If) -> None:
        with self.block(f"if ({self.expr(s.condition).text})"):
            self.body(s.body)
        if s.otherwise:
            self.lines.pop()
            with self.block("} else"):
                self.body(s.otherwise)

    def local(self, b: Buffer) -> None:
        """An array of the invocation's own."""
        self.buffers[b] = self.names.allocate(b.name, "tile")
        kind = element(b.dtype)
        self.emit(
            f"var {self.buffers[b]}: {kind if variable(b) else f'array<{kind}, {self.size(b.size).text}>'};"
        )

    def store(self, s: Store) -> None:
        place = self.buffers[s.buffer]
        if not variable(s.buffer):
            place += f"[{self.size(s.index).text}]"
        value = self.expr(s.value)
        if s.buffer.dtype.kind == "bool":
            value = scalar.call("u32", value)
        if s.add:
            self.emit(scalar.combine("add", place, value, s.buffer.dtype))
        else:
            self.emit(f"{place} = {value.text};")

    def accumulator(self, s: Accumulator) -> None:
        initial = self.expr(s.initial) if s.initial is not None else scalar.identity(s.fn, s.dtype)
        name = self.bind(s.name, stem(s.name), "sum")
        kind = scalar.TYPES[s.dtype.name]
        if s.fn in ("argmax", "argmin"):
            self.emit(f"var {name} = 0;")
            self.emit(f"var {self.bind(best(s.name), f'best_{identifier(name)}')}: {kind} = {initial.text};")
        else:
            self.emit(f"var {name}: {kind} = {initial.text};")

    def update(self, s: Update) -> None:
        value = self.expr(s.value)
        if s.fn not in ("argmax", "argmin"):
            self.emit(scalar.combine(s.fn, self.bound[s.name], value, s.value.dtype))
            return
        assert s.position is not None, s
        position = self.expr(s.position).text
        candidate = self.names.allocate("candidate")
        self.emit(f"let {candidate} = {value.text};")
        extreme = self.bound[best(s.name)]
        with self.block(f"if ({scalar.better(s.fn, Text(candidate), Text(extreme), s.value.dtype).text})"):
            self.emit(f"{extreme} = {candidate};")
            self.emit(f"{self.bound[s.name]} = {position};")

    def loop(self, s: For) -> None:
        if isinstance(s.start, int) and isinstance(s.stop, int) and s.stop <= s.start:
            return  # its body may divide by the extent, and a division by a constant 0 is refused
        if s.stop is None:
            assert s.condition is not None
            with self.block(f"while ({self.expr(s.condition).text})"):
                self.body(s.body)
            return
        start, stop = self.size(s.start).text, self.size(s.stop).at(Level.ADD)
        if s.condition is not None:
            stop += f" && {self.expr(s.condition).at(Level.COMPARE)}"
        names, bound = self.names, self.bound
        self.names, self.bound = names.inner(), dict(bound)
        name = self.bind_index(s.index)
        step = f"{name}++" if s.step == 1 else f"{name} += {self.size(s.step).text}"
        with self.block(f"for (var {name} = {start}; {name} < {stop}; {step})"):
            self.ranges[s.index] = (s.start, s.stop - 1)
            self.body(s.body)
        self.names, self.bound = names, bound

    # ------------------------------------------------------------ sizes

    def symbol(self, name: str) -> str:
        if name in self.bound:
            return self.bound[name]
        if name in self.dims:
            return f"sizes.{self.dims[name]}"
        raise InternalError("wgsl", f"unknown index {name} in kernel {self.kernel.name}")

    def run_time(self, expr: Expr) -> Text:
        return scalar.cast(self.expr(expr), expr.dtype, i32)

    def size_function(self, fn: str, args: tuple[str, ...]) -> Text:
        name = {"floordiv": "div_i32", "mod": "mod_i32", "ceildiv": "ceildiv_i32"}.get(fn, fn)
        return Text(f"{name}({', '.join(args)})")

    # ------------------------------------------------------------ expressions

    def expr(self, e: Expr) -> Text:
        """The text of an expression; what cannot stand inside one is emitted as statements before it."""
        if isinstance(e, Const):
            return scalar.literal(e.value, e.dtype)
        if isinstance(e, Ref):
            return Text(self.bound[e.name])
        if isinstance(e, Load):
            name = self.buffers[e.source]
            text = Text(name if variable(e.source) else f"{name}[{self.size(e.index[0]).text}]")
            return infix("ne", text, Text("0u")) if e.dtype.kind == "bool" else text
        if isinstance(e, IndexValue):
            return self.index_value(e)
        if isinstance(e, Guard):
            return self.guard(e)
        if not isinstance(e, Apply):
            raise InternalError("wgsl", f"{type(e).__name__} in kernel {self.kernel.name}")
        text = scalar.apply(e.fn, [self.expr(a) for a in e.args], e.args, e.dtype)
        return self.named(text) if self.depth(e) % _DEEPEST == 0 else text

    def index_value(self, e: IndexValue) -> Text:
        if isinstance(e.index, int):
            return scalar.literal(e.index, e.dtype)
        return scalar.cast(self.size(e.index), i32, e.dtype)

    def named(self, text: Text, hint: str = "part") -> Text:
        name = self.names.allocate(hint)
        self.emit(f"let {name} = {text.text};")
        return Text(name)

    def depth(self, e: Expr) -> int:
        if not isinstance(e, (Apply, Guard)):
            return 0
        known = self.depths.get(e)
        if known is None:
            known = self.depths[e] = 1 + max(map(self.depth, e.children()))
        return known

    def guard(self, e: Guard) -> Text:
        """A variable that starts at `other` and becomes `then` in range: WGSL has no lazy conditional."""
        if never(e, self.ranges):
            return self.expr(e.other)
        condition = self.in_range(e)
        if condition is None:
            return self.expr(e.then)
        initial = f" = {self.expr(e.other).text}" if isinstance(e.other, Const) else ""
        name = self.names.allocate("inside" if initial else "chosen")
        kind = scalar.TYPES[e.dtype.name]
        self.emit(f"var {name}: {kind}{initial};")
        with self.block(f"if ({condition.text})"):
            self.emit(f"{name} = {self.expr(e.then).text};")
        if not initial:
            self.lines.pop()
            with self.block("} else"):
                self.emit(f"{name} = {self.expr(e.other).text};")
        return Text(name)

    def in_range(self, e: Guard) -> Text | None:
        """The condition of a guard without what is known anyway; None where nothing is left."""
        condition: Text | None = None
        for index, low, high in e.ranges:
            for fn, bound, slack in (("ge", low, index - low), ("lt", high, high - index - 1)):
                if not dims.nonnegative(slack, self.ranges):
                    test = infix(fn, self.size(index), self.size(bound))
                    condition = test if condition is None else infix("and", condition, test)
        return condition


def element(t: DType) -> str:
    """What an array holds for elements of type `t`."""
    return scalar.TYPES[scalar.memory(t).name]


def variable(b: Buffer) -> bool:
    """Whether a buffer is declared as a plain variable."""
    return b.role == "scratch" and b.size == 1


def best(name: str) -> str:
    """The key of the extreme value that goes with the position `name`."""
    return f"{name}/best"
