"""Kernels of the loop IR as C99 functions that are C++ too.

Enters: a `Kernel`. Leaves: the text of one function. Vectors become calls of the SIMD headers, what C's operators do not
say exactly becomes calls of `scalar.h`; `charl.backends.c.headers` finds from the text which of them a package needs.
`Check` becomes `<PREFIX>_CHECK(condition, what, where)`, a macro of the package. Never decides a tile, an order or a
vector width.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from charl import dims, dtypes
from charl.backends.c import accumulators, spelling
from charl.backends.c.lanes import Region, Register, factors, read_again, shared, vector_type
from charl.backends.c.layout import WIDTH, wrapped
from charl.backends.c.quoting import located, plain, quoted
from charl.backends.c.scalars import Scalars, element, is_variable, moved
from charl.backends.c.spelling import ATOM, CHOICE, Text, at, c_type
from charl.backends.c.vectors import Vectors, converting
from charl.backends.c.words import Scope
from charl.backends.printing import source_lines
from charl.dtypes import DType
from charl.errors import InternalError
from charl.graph.scalar import Apply, Expr, IndexValue, Ref, Size
from charl.loops.ir import (
    Accumulator,
    Buffer,
    Check,
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
from charl.loops.walk import register_widths

_INDENT = "    "
_THREADS = {"parallel": "PARALLEL_FOR", "each": "EACH_THREAD_FOR", "divided": "DIVIDED_FOR"}
LINE = 64  # bytes of a cache line
VECTOR_SYMBOLS = {"VL32": (1, 16), "VL64": (1, 8)}


def print_kernel(kernel: Kernel, prefix: str) -> str:
    """The definition of `<prefix>_<kernel.name>` with a comment above it; ends in a newline."""
    return KernelPrinter(kernel, prefix).function()


class KernelPrinter:
    """Prints one kernel. Names are allocated here, so that nothing compiled before changes them."""

    def __init__(self, kernel: Kernel, prefix: str) -> None:
        self.kernel = kernel
        self.prefix = prefix
        self.lines: list[str | None] = []
        self.depth = 1
        self.scope = Scope(taken=[f"{prefix}_{kernel.name}"])
        self.registers: dict[str, Register] = {}
        self.vectors: Vectors | None = None
        self.buffers = {b: self.scope.allocate(b.name, "buffer") for b in kernel.buffers}
        self.dims = {d: self.scope.allocate(d, "size") for d in kernel.dims}
        self.scalars = Scalars(self._register, self.buffer)
        self.scalars.symbols.update(self.dims)
        self.scalars.ranges.update(VECTOR_SYMBOLS)
        self.widths: dict[str, int] = {}  # of registers, in this nest

    def buffer(self, b: object) -> str:
        """The C name of a buffer."""
        assert isinstance(b, Buffer)
        return self.buffers[b]

    def _register(self, r: Ref) -> Text:
        return Text(self.registers[r.name].name, ATOM)

    # ------------------------------------------------------------ lines

    def emit(self, line: str) -> None:
        """One line at the present depth, or several where it is long."""
        self.lines += wrapped(_INDENT * self.depth + line)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Braces with names and symbols of their own."""
        self.emit(f"{head} {{".lstrip())
        self.depth += 1
        outer, self.scope = self.scope, Scope(self.scope)
        yield
        self.scope = outer
        self.depth -= 1
        self.emit("}")

    # ------------------------------------------------------------ the function

    def _signature(self) -> str:
        """Return type, name and parameters: the buffers in order, then the dimensions."""
        parameters = []
        for b in self.kernel.buffers:
            const = "const " if b.role == "input" else ""
            parameters.append(f"{const}{c_type(b.dtype)} *restrict {self.buffers[b]}")
        parameters += [f"ptrdiff_t {name}" for name in self.dims.values()]
        head = f"static void {self.prefix}_{self.kernel.name}("
        line = head + ", ".join(parameters or ["void"]) + ")"
        if len(line) <= WIDTH:
            return line
        return head + "".join(f"\n{_INDENT * 2}{p}," for p in parameters)[:-1] + ")"

    def function(self) -> str:
        """Comment, signature and body."""
        nests = self.kernel.nests
        for n, nest in enumerate(nests):
            self.widths = register_widths(nest)
            if n and not all(isinstance(s, Store) for s in (*nests[n - 1], *nest)):
                self.lines.append("")
            if len(nests) > 1 and not all(isinstance(s, (For, Store, Debug)) for s in nest):  # it declares
                with self.block(""):
                    self.statements(nest)
            else:
                self.statements(nest)
        body = [line for line in self.lines if line is not None]
        text = "\n".join(body)
        always = re.sub(r"#ifdef.*?#endif", "", text, flags=re.S)
        words = set(_WORD.findall(always))
        unused = [n for n in (*self.buffers.values(), *self.dims.values()) if n not in words]
        head = [f"{_INDENT}(void){n};" for n in unused]
        return "\n".join([*self._comment(), self._signature(), "{", *head, *body, "}"]) + "\n"

    def _comment(self) -> list[str]:
        lines = [plain(line) for text in source_lines(self.kernel) for line in text.splitlines()]
        return ["/* " + "\n * ".join(lines) + " */"] if lines else []

    # ------------------------------------------------------------ statements

    def statements(self, body: tuple[Stmt, ...]) -> None:
        """Statements in order, in the present block."""
        for s in body:
            if isinstance(s, For):
                self._for(s)
            elif isinstance(s, Simd):
                self._simd(s)
            elif isinstance(s, If):
                self._if(s)
            elif isinstance(s, Let):
                self._let(s)
            elif isinstance(s, Local):
                self._local(s)
            elif isinstance(s, Transpose):
                self._transpose(s)
            elif isinstance(s, Prefetch):
                self._prefetch(s)
            elif isinstance(s, Accumulator):
                accumulators.declare(self, s)
            elif isinstance(s, Update):
                accumulators.update(self, s)
            elif isinstance(s, Horizontal):
                accumulators.horizontal(self, s)
            elif isinstance(s, Store):
                self._store(s)
            elif isinstance(s, Debug):
                self._debug(s)
            else:
                self._check(s)

    def _debug(self, s: Debug) -> None:
        self.lines.append(f"#ifdef {self.prefix.upper()}_DEBUG")
        if len(s.body) > 1:
            with self.block(""):
                self.statements(s.body)
        else:
            self.statements(s.body)
        self.lines.append("#endif")

    def _for(self, s: For) -> None:
        size, test = self.scalars.size, ""
        if s.condition is not None:
            test = self.scalars.expression(s.condition).text
        if s.stop is None:
            with self.block(f"while ({test})"):
                self.statements(s.body)
            return
        start, stop, step = size(s.start), size(s.stop), size(s.step)
        outer = self.scope
        self.scope = Scope(outer)
        name = self.scope.index(s.index)
        forward = f"++{name}" if s.step == 1 else f"{name} += {step.text}"
        limit = at(stop, spelling.SUM) + (f" && {test}" if test else "")
        if s.kind != "serial":
            condition = self.scalars.compare(">=", s.pays, 0).text
            self.emit(_THREADS[s.kind] if s.pays == 0 else f"{_THREADS[s.kind]}_IF({condition})")
        with self.block(f"for (ptrdiff_t {name} = {start.text}; {name} < {limit}; {forward})"):
            self.scalars.symbols[s.index] = name
            self.scalars.indices.append(s.index)
            self.scalars.ranges[s.index] = (s.start, s.stop - 1)
            self._turn(s)
            self.scalars.indices.pop()
            del self.scalars.ranges[s.index]
        self.scope = outer

    def _turn(self, s: For) -> None:
        """The body of a loop."""
        v = self.vectors
        if v is None:
            self.statements(s.body)
            return
        around = v.again, v.factors
        v.again = read_again(s)
        v.factors = factors(s.body) if v.again else frozenset()
        self.statements(s.body)
        v.again, v.factors = around

    def _simd(self, s: Simd) -> None:
        if self.vectors is not None:
            raise InternalError("backends.c", f"a vector region inside another in kernel {self.kernel.name}")
        count = None if s.count is None else self.scalars.size(_uncapped(s.count, s.width))
        region = Region(s.lane, s.width, count)
        if count is not None:
            self.lines.append(None)
            region.slot = (self.lines, len(self.lines) - 1, _INDENT * self.depth)
            region.name = self.scope.allocate(
                "active"
            )  # here, where it is declared, whatever block uses it first
        self.scalars.ranges[s.lane] = (0, 15)
        self.vectors = Vectors(self, region)
        self.vectors.shared = shared(s.body)
        self.statements(s.body)
        self.vectors = None
        del self.scalars.ranges[s.lane]

    def _if(self, s: If) -> None:
        if self.vectors is not None and self.vectors.depends(s.condition):
            mask = self.vectors.narrowed(self.vectors.vector(s.condition))
            with self.vectors.masked(mask):
                self.statements(s.body)
            return
        condition = self.scalars.expression(s.condition)
        first, second = s.body, s.otherwise
        if not first:
            first, second, condition = (
                second,
                (),
                spelling.function("not", (condition,), dtypes.boolean, dtypes.boolean),
            )
        with self.block(f"if ({condition.text})"):
            self.statements(first)
        if second:
            self.lines.pop()
            with self.block("} else"):
                self.statements(second)

    def value(self, e: Expr, vector: bool) -> str:
        """An expression as a vector or a scalar."""
        if not vector:
            return self.scalars.expression(e).text
        if self.vectors is not None:
            return self.vectors.vector(e)
        width = 0 if e.dtype.kind == "bool" else e.dtype.bits
        return f"{vector_type(e.dtype, width)}_set1({self.scalars.expression(e).text})"

    def _let(self, s: Let) -> None:
        t = s.value.dtype
        v = self.vectors
        spread = v is not None and s.name in v.factors and v.spreads(s.value)
        vector = v is not None and (spread or v.depends(s.value))
        width = v.region.width if vector and v else 0
        value = v.factor(s.value) if spread and v else self.value(s.value, vector)
        if vector and not spread and v and s.name in v.shared and t.is_float:
            value = f"{vector_type(t, width)}_held({value})"
        name = self.scope.allocate(s.name)
        kind = vector_type(t, width) if vector else c_type(t)
        self.emit(f"const {kind} {name} = {value};")
        zero = v is not None and v.zero_outside(s.value)
        self.registers[s.name] = Register(name, t, vector, width, region=self.region(), zero=zero)

    def region(self) -> object:
        return self.vectors.region if self.vectors is not None else None

    def _local(self, s: Local) -> None:
        name = self.scope.allocate(s.buffer.name)
        self.buffers[s.buffer] = name
        t = s.buffer.dtype
        if not s.aligned:
            size = "" if is_variable(s.buffer) else f"[{self.scalars.size(s.buffer.size).text}]"
            self.emit(f"{c_type(t)} {name}{size};")
            return
        space = self.scope.allocate(f"{name}_space")
        self.emit(f"{c_type(t)} {space}[{self.scalars.size(s.buffer.size + LINE // t.bytes).text}];")
        self.emit(f"{c_type(t)} *const {name} = {t.name}_aligned({space});")

    def _address(self, buffer: Buffer, index: Size) -> str:
        name = self.buffer(buffer)
        return name if index == 0 else moved(name, index, self.scalars.size(index).text)

    def _prefetch(self, s: Prefetch) -> None:
        name = f"{s.buffer.dtype}_prefetch{'_now' * s.near}"
        self.emit(f"{name}({self.buffer(s.buffer)}, {self.scalars.size(s.index).text});")

    def _transpose(self, s: Transpose) -> None:
        size = self.scalars.size
        args = [self._address(s.target, s.to), size(s.to_stride).text]
        args += [
            self._address(s.source, s.start),
            size(s.stride).text,
            size(s.rows).text,
            size(s.columns).text,
        ]
        name = f"{s.target.dtype}_transpose{converting(s.source.dtype, s.target.dtype)}"
        self.emit(f"{name}({', '.join(args)});")

    # ------------------------------------------------------------ stores and checks

    def _store(self, s: Store) -> None:
        v = self.vectors
        if v is not None and (v.depends(s.value) or v.stride(s.index) != 0):
            self._store_vector(s, v)
        else:
            self._store_scalar(s, self.scalars)

    def _store_scalar(self, s: Store, scalars: Scalars) -> None:
        target = element(self.buffer(s.buffer), s.buffer, scalars.size(s.index).text)
        memory, t = s.buffer.dtype, s.value.dtype
        value = scalars.expression(_unrounded(s.value, memory))
        if t != memory:
            if s.add:
                value = spelling.function(
                    "add", (spelling.loaded(Text(target, ATOM), memory, t), value), t, t
                )
            value = spelling.stored(value, memory, t)
        if not s.add or t != memory:
            self.emit(f"{target} = {value.text};")
        elif t.is_float or t.name in ("u32", "u64"):
            self.emit(f"{target} += {value.text};")
        else:
            new = spelling.function("add", (Text(target, ATOM), value), t, t)
            self.emit(f"{target} = {new.text};")

    def _store_vector(self, s: Store, v: Vectors) -> None:
        stride, t = v.stride(s.index), s.value.dtype
        odd = stride is None or stride == 0 or t.kind == "bool" or t.bits != v.region.width
        if odd or (s.add and stride != 1):
            scalars = v.spilled(s.value, IndexValue(s.index, dtypes.i64))
            with v.lane_loop(scalars):
                self._store_scalar(s, scalars)
            return
        assert stride is not None
        value = v.vector(_unrounded(s.value, s.buffer.dtype))
        mask, where, name = v.mask(), v.pointer(s.buffer, s.index), v.type(t)
        tail = f", {mask}" if mask else ""
        kind = converting(s.buffer.dtype, t)
        if s.add:
            old = f"{name}_load{kind}{'_mask' if mask else ''}({where}{tail})"
            value = f"{name}_add({old}, {value})"
        step = "" if stride == 1 else f", {self.scalars.size(stride).text}"
        form = ("" if stride == 1 else "_strided") + ("_mask" if mask else "")
        self.emit(f"{name}_store{kind}{form}({where}{step}, {value}{tail});")

    def _check(self, s: Check) -> None:
        places = dict.fromkeys(located(x) for x in s.spans)
        where = " or ".join(places) or self.kernel.name
        macro = f"{self.prefix.upper()}_CHECK"
        v = self.vectors
        if v is not None and v.depends(s.condition):
            w, mask = v.region.width, v.mask()
            lanes = v.vector(s.condition)
            test = f"vm{w}_reduce_and({f'vm{w}_or(vm{w}_not({mask}), {lanes})' if mask else lanes})"
        else:
            test = at(self.scalars.expression(s.condition), CHOICE)
        self.emit(f"{macro}({test}, {quoted(s.what)}, {quoted(where)});")


def _unrounded(e: Expr, memory: DType) -> Expr:
    """A value for a store that rounds by itself."""
    return e.args[0] if isinstance(e, Apply) and e.fn == f"{memory}_round" else e


def _uncapped(count: Size, width: int) -> Size:
    """A number of lanes without its upper bound, which masks have by themselves."""
    atoms = list(dims.atoms(count))
    if len(atoms) == 1 and count == dims.atom(atoms[0]) and isinstance(atoms[0], dims.Func):
        lanes = dims.sym(f"VL{width}")
        if atoms[0].name == "min" and lanes in atoms[0].args:
            a, b = atoms[0].args
            other: Size = b if a == lanes else a
            return other
    return count


_WORD = re.compile(r"[A-Za-z_]\w*")
