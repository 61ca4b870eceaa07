"""Bodies of the exported functions: checks on entry, constant tables, one kernel call after another.

Enters: an `Api` function with its plan. Leaves: lines of C for the template that frames them. Decides nothing about order or
memory: the plan has done that.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np

from charl import dims
from charl.backends.c.api import Api, Function, Parameter
from charl.backends.c.names import Namer
from charl.backends.c.printer import quoted
from charl.backends.c.scalars import Scalars
from charl.backends.c.spelling import PRODUCT, Text, at, c_type
from charl.backends.c.timing import Timers
from charl.backends.c.workspace import Workspace
from charl.backends.names import identifier
from charl.dtypes import stored
from charl.errors import InternalError
from charl.graph.ir import Size
from charl.plan.ir import Call, Choose, Place, Step, inside
from charl.source import Span


@dataclass(frozen=True)
class Check:
    """Return `status` where `condition` holds. `comment` says which rule of the program it is."""

    condition: str
    status: str
    comment: str = ""


@dataclass(frozen=True)
class KernelCall:
    """One kernel, and for debug builds the macro calls that look for the first NaN in what it wrote."""

    lines: tuple[str, ...]
    nans: tuple[str, ...]


@dataclass(frozen=True)
class Region:
    """Memory that one argument covers, for the overlap check of debug builds."""

    name: str
    pointer: str
    bytes: str
    written: bool


@dataclass(frozen=True)
class Entry:
    """What the template needs for one function."""

    function: Function
    checks: tuple[Check, ...]
    regions: tuple[Region, ...]
    locals: tuple[str, ...]  # declarations of the buffers in the arena
    calls: tuple[KernelCall, ...]
    unused: tuple[str, ...]
    workspace: str  # bytes, as an expression over the dimensions
    workspace_symbols: frozenset[str]  # the dimensions in it


@dataclass
class Tables:
    """`static const` arrays of a package, equal ones once."""

    prefix: str
    names: Namer
    _known: dict[tuple[str, bytes], str] = field(default_factory=dict)
    definitions: list[tuple[str, str, np.ndarray[Any, Any]]] = field(default_factory=list)

    def name(self, place: Place) -> str:
        """The table that holds the data of a constant place."""
        assert place.data is not None
        data = np.ascontiguousarray(stored(place.data, place.dtype))
        if place.dtype.is_half:
            data = data.view(np.uint16)
        key = (place.dtype.name, data.tobytes())
        if key not in self._known:
            name = self.names(f"{self.prefix}_{identifier(place.name)}")
            self._known[key] = name
            self.definitions.append((name, c_type(place.dtype), data.reshape(-1)))
        return self._known[key]


def c_size(size: Size, names: Mapping[str, str]) -> str:
    """A size as a C expression of type ptrdiff_t."""
    return _spell(size, names).text


def _spell(size: Size, names: Mapping[str, str]) -> Text:
    def never(_: object) -> Text:
        raise InternalError("backends.c", f"the size {size} depends on run-time values")

    return Scalars(never, lambda _: never(_).text, symbols=dict(names)).size(size)


def factor(size: Size, names: Mapping[str, str]) -> str:
    """A size as an operand of a product."""
    return at(_spell(size, names), PRODUCT)


def signature(f: Function) -> tuple[str, ...]:
    """The parameters of a C function, each as its declaration."""
    out = [f"ptrdiff_t {d.name}" for d in f.dimensions]
    for p in f.parameters:
        const = "" if p.written else "const "
        if p.struct is not None:
            out.append(f"{const}struct {p.struct.name} *{p.name}")
        else:
            assert p.tensor is not None
            star = "" if p.kind == "value" else "*"
            out.append(f"{'' if p.kind == 'value' else const}{c_type(p.tensor.dtype)} {star}{p.name}")
    return (*out, "void *workspace")


def entry(api: Api, f: Function, tables: Tables, timers: Timers | None = None) -> Entry:
    """Everything the body of `f` says."""
    assert f.plan is not None
    pointers = _Pointers(f, tables)
    calls = tuple(_steps(api, f.plan.steps, pointers, timers, 0))
    used = {
        word
        for line in (*(t for c in calls for t in c.lines), *pointers.locals)
        for word in _WORD.findall(line)
    }
    checks = (*_null_checks(api, f), *_dimension_checks(api, f), *_workspace_checks(api, f))
    names = f.dim_names()
    return Entry(
        f,
        checks,
        _regions(f),
        tuple(pointers.locals),
        calls,
        _unused(f, used),
        c_size(f.plan.arena_bytes, names),
        frozenset(names[n] for n in dims.symbols(f.plan.arena_bytes)),
    )


_WORD = re.compile(r"[A-Za-z_]\w*")


class _Pointers:
    """The C expression of every place of one function; places of the arena get variables."""

    def __init__(self, f: Function, tables: Tables) -> None:
        self.span = f.export.span
        self.names = f.dim_names()
        self.locals: list[str] = []
        self._tables = tables
        self._arguments = self._flat(f.arguments)
        self._results = self._flat(f.results)
        self._local = Namer([*self.names.values(), *(p.name for p in f.parameters), *_LOCALS])
        self._known: dict[int, tuple[Place, str]] = {}
        self._sizes: dict[Size, str] = {}
        assert f.plan is not None
        self._workspace = Workspace(_arena(f.plan.steps), self.size, self._local)
        self.locals += self._workspace.declarations

    def index(self, name: str) -> str:
        """The C name of the index of a loop."""
        if name not in self.names:
            self.names[name] = self._local(name)
        return self.names[name]

    def size(self, size: Size) -> str:
        """A size as a C expression of type ptrdiff_t."""
        found = self._sizes.get(size)
        if found is None:
            found = self._sizes[size] = c_size(size, self.names)
        return found

    @staticmethod
    def _flat(parameters: tuple[Parameter, ...]) -> dict[int, str]:
        return {p.first + i: text for p in parameters for i, text in enumerate(p.pointers())}

    def __call__(self, place: Place) -> str:
        if place.kind == "parameter":
            return self._arguments[place.position]
        if place.kind == "result":
            return self._results[place.position]
        if place.kind == "constant":
            return self._tables.name(place)
        known = self._known.get(id(place))
        if known is None:
            known = self._known[id(place)] = (place, self._declare(place))
        return known[1]

    def _declare(self, place: Place) -> str:
        name = self._local(place.name)
        at = self._workspace.at(place.offset)
        at = f"({at})" if " " in at else at
        ctype = c_type(place.dtype)
        self.locals.append(f"{ctype} *const {name} = ({ctype} *){at}; /* [{self.size(place.size)}] */")
        return name


def _arena(steps: Sequence[Step]) -> Iterator[Place]:
    """The places of the workspace that a function mentions."""
    for step in steps:
        places = step.places if isinstance(step, Call) else (step.condition,)
        yield from (p for p in places if p is not None and p.kind == "arena")
        for body in inside(step):
            yield from _arena(body)


_LOCALS = ("workspace", "arena", "regions", "reports", "nan_seen", "float_mode")


def _steps(
    api: Api, steps: Sequence[Step], pointers: _Pointers, timers: Timers | None, depth: int
) -> Iterator[KernelCall]:
    """Kernel calls in order, and loops and branches around them."""
    pad = "    " * depth
    for step in steps:
        if isinstance(step, Call):
            call = _call(api, step, pointers)
            lines = call.lines if timers is None else timers.around(step, call.lines)
            yield KernelCall(tuple(pad + line for line in lines), tuple(pad + n for n in call.nans))
            continue
        if isinstance(step, Choose):
            yield from _choice(api, step, pointers, timers, depth)
            continue
        index = pointers.index(step.index)
        bounds = [] if step.extent is None else [f"{index} < {pointers.size(step.extent)}"]
        bounds += [] if step.condition is None else [_value(pointers(step.condition))]
        yield KernelCall((f"{pad}for (ptrdiff_t {index} = 0; {' && '.join(bounds)}; ++{index}) {{",), ())
        yield from _steps(api, step.body, pointers, timers, depth + 1)
        yield KernelCall((pad + "}",), ())


def _value(pointer: str) -> str:
    """What a pointer points to."""
    return pointer[1:] if pointer.startswith("&") else f"*{pointer}"


def _choice(
    api: Api, step: Choose, pointers: _Pointers, timers: Timers | None, depth: int
) -> Iterator[KernelCall]:
    """A branch; sides that do nothing are left out."""
    pad, condition = "    " * depth, _value(pointers(step.condition))
    first, second = step.then, step.otherwise
    if not first:
        first, second, condition = second, first, f"!{condition}"
    if not first:
        return
    yield KernelCall((f"{pad}if ({condition}) {{",), ())
    yield from _steps(api, first, pointers, timers, depth + 1)
    if second:
        yield KernelCall((f"{pad}}} else {{",), ())
        yield from _steps(api, second, pointers, timers, depth + 1)
    yield KernelCall((pad + "}",), ())


def _call(api: Api, call: Call, pointers: _Pointers) -> KernelCall:
    kernel = call.kernel
    arguments = [pointers(p) for p in call.places]
    sizes = [pointers.size(d) for d in call.dims]
    nans = []
    for buffer, place, pointer in zip(kernel.buffers, call.places, arguments):
        if buffer.role in ("output", "inout") and place.dtype.is_float:
            count = pointers.size(place.size)
            macro = f"{api.upper}_NAN_{place.dtype.name.upper()}"
            nans.append(
                f"{macro}({pointer}, {count}, {quoted(place.name)}, {where(kernel.span or pointers.span)});"
            )
    lines = _wrapped(kernel_name(api.prefix, kernel.name), [*arguments, *sizes])
    return KernelCall(lines, tuple(nans))


def _wrapped(function: str, arguments: list[str]) -> tuple[str, ...]:
    """A call as a statement, with its arguments on lines of their own where it is long."""
    line = f"{function}({', '.join(arguments)});"
    if len(line) <= 106:
        return (line,)
    lines = textwrap.wrap(
        ", ".join(a.replace(" ", "\0") for a in arguments) + ");", 102, break_long_words=False
    )
    return (f"{function}(", *(f"    {part}".replace("\0", " ") for part in lines))


def kernel_name(prefix: str, name: str) -> str:
    """What the printer calls the function of a kernel."""
    return f"{prefix}_{name}"


def where(span: Span | None) -> str:
    """File (without its folder), line and column of a span as a C string, for reports of debug builds."""
    if span is None:
        return quoted("?")
    return quoted(f"{span.source.path.replace(chr(92), '/').rsplit('/', 1)[-1]}:{span.line}:{span.column}")


def _unused(f: Function, used: set[str]) -> tuple[str, ...]:
    """Parameters that no kernel call mentions."""
    names = [d.name for d in f.dimensions] + [p.name for p in f.parameters]
    names += [] if "arena" in used else ["workspace"]
    return tuple(n for n in names if n not in used)


def _null_checks(api: Api, f: Function) -> tuple[Check, ...]:
    pointers = [p.name for p in f.parameters if p.kind != "value"]
    pointers += [
        leaf.pointer(f"{p.name}->")
        for p in f.parameters
        if p.struct is not None and p.struct.dynamic
        for leaf in p.struct.leaves()
        if not isinstance(dims.product(leaf.type.shape), int)
    ]
    status = f"{api.upper}_NULL_POINTER"
    return (Check(" || ".join(f"{p} == NULL" for p in pointers), status),) if pointers else ()


def _dimension_checks(api: Api, f: Function) -> tuple[Check, ...]:
    status = f"{api.upper}_BAD_DIMENSION"
    names = f.dim_names()
    out: list[Check] = []
    for d in f.dimensions:
        high = f" || {d.name} > {d.high}" if d.high is not None else ""
        out.append(Check(f"{d.name} < {d.low}{high}", status))
        if d.multiple_of > 1:
            out.append(Check(f"{d.name} % {d.multiple_of} != 0", status))
    for text, left, relation, right, _ in f.export.constraints:
        a, b = c_size(left, names), c_size(right, names)
        zero = "" if isinstance(left, int) else f"({a}) == 0 || "
        broken = f"{zero}({b}) % ({a}) != 0" if relation == "divides" else f"!({a} {relation} {b})"
        out.append(Check(broken, status, text))
    if any(d.high is None for d in f.dimensions):
        out.append(Check(_too_large(f), status))
    return tuple(out)


def _too_large(f: Function) -> str:
    """Whether the memory that a call touches could exceed the address space, computed without overflow."""
    assert f.plan is not None
    total: Size = f.plan.arena_bytes
    for p in f.parameters:
        for t in p.types():
            total = total + dims.product(t.shape) * t.dtype.bytes
    terms = {m: ceil(c) for m, c in _majorant(total).items()}
    constant = terms.pop((), 0)
    names = f.dim_names()
    if len(terms) == 1 and [p for m in terms for _, p in m] == [1]:
        ((monomial, slope),) = terms.items()
        assert isinstance(monomial[0][0], dims.Sym)
        return f"{names[monomial[0][0].name]} > (PTRDIFF_MAX - {constant}) / {slope}"
    products = [
        " * ".join(
            [
                f"{c}.0",
                *(f"(double){names[a.name]}" for a, p in m if isinstance(a, dims.Sym) for _ in range(p)),
            ]
        )
        for m, c in terms.items()
    ]
    return f"{' + '.join([*products, f'{constant}.0'])} > (double)PTRDIFF_MAX"


def _majorant(size: Size) -> dict[dims.Monomial, Fraction]:
    """A polynomial over dimension variables, without functions and negative terms, that is nowhere less than `size`."""
    if isinstance(size, int):
        return {(): Fraction(max(size, 0))}
    total: dict[dims.Monomial, Fraction] = {}
    for monomial, c in size.terms:
        if c < 0:
            continue
        product: dict[dims.Monomial, Fraction] = {(): Fraction(c)}
        for atom, power in monomial:
            for _ in range(power):  # a divisor of at least 1 only makes it smaller
                product = _times(product, _atom_majorant(atom))
        for m, k in product.items():
            total[m] = total.get(m, Fraction(0)) + k
    return total


def _atom_majorant(atom: dims.Atom) -> dict[dims.Monomial, Fraction]:
    if isinstance(atom, dims.Sym):
        return {((atom, 1),): Fraction(1)}
    assert isinstance(atom, dims.Func), atom
    x, y = (_majorant(arg) for arg in atom.args)
    if atom.name in ("floordiv", "ceildiv"):
        divisor = atom.args[1] if isinstance(atom.args[1], int) else 1
        out = {m: c / max(divisor, 1) for m, c in x.items()}
        return {**out, (): out.get((), Fraction(0)) + (atom.name == "ceildiv")}
    if atom.name in ("min", "mod"):
        return x
    return {m: x.get(m, Fraction(0)) + y.get(m, Fraction(0)) for m in {**x, **y}}


def _times(
    x: dict[dims.Monomial, Fraction], y: dict[dims.Monomial, Fraction]
) -> dict[dims.Monomial, Fraction]:
    out: dict[dims.Monomial, Fraction] = {}
    for m, c in x.items():
        for n, d in y.items():
            powers = dict(m)
            for atom, p in n:
                powers[atom] = powers.get(atom, 0) + p
            key = tuple(sorted(powers.items(), key=lambda t: t[0].key))
            out[key] = out.get(key, Fraction(0)) + c * d
    return out


def _workspace_checks(api: Api, f: Function) -> tuple[Check, ...]:
    assert f.plan is not None
    if f.workspace == 0:
        return ()
    size = f.plan.arena_bytes
    empty = (
        ""
        if isinstance(size, int)
        else f"{f.workspace_name}({', '.join(d.name for d in f.dimensions)}) > 0 && "
    )
    status = f"{api.upper}_BAD_WORKSPACE"
    return (
        Check(f"{empty}workspace == NULL", status),
        Check("(uintptr_t)workspace % 8 != 0", status),
    )


def _regions(f: Function) -> tuple[Region, ...]:
    """The memory of every argument; nothing where none is written or only one is there."""
    names = f.dim_names()
    regions = []
    for p in f.parameters:
        if p.struct is not None:
            regions.append(Region(quoted(p.source), p.name, f"sizeof *{p.name}", p.written))
            regions += [
                Region(
                    quoted(f"{p.source}.{leaf.path}"),
                    pointer,
                    f"{_size_t(factor(dims.product(leaf.type.shape), names))} * sizeof *{pointer}",
                    p.written,
                )
                for leaf, pointer in zip(p.struct.leaves(), p.pointers())
                if not isinstance(dims.product(leaf.type.shape), int)
            ]
        elif p.kind == "tensor":
            assert p.tensor is not None
            count = factor(dims.product(p.tensor.shape), names)
            regions.append(
                Region(quoted(p.source), p.name, f"{_size_t(count)} * sizeof *{p.name}", p.written)
            )
    if f.needs_workspace:
        assert f.plan is not None
        size = factor(f.plan.arena_bytes, names)
        regions.append(Region(quoted("workspace"), "workspace", _size_t(size), True))
    return tuple(regions) if len(regions) > 1 else ()


def _size_t(text: str) -> str:
    return f"(size_t){text}" if re.fullmatch(r"\w+|\(.*\)", text) else f"(size_t)({text})"
