"""Bodies of the exported functions: constant tables, and one kernel call after another.

Enters: an `Api` function with its plan. Leaves: lines of C for the template that frames them. Decides nothing about order or
memory: the plan has done that.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from charl import dims
from charl.backends.c import checks
from charl.backends.c.api import Api, Function, Parameter
from charl.backends.c.checks import Check, Memory
from charl.backends.c.names import Namer
from charl.backends.c.quoting import located, quoted
from charl.backends.c.scalars import c_size, factor
from charl.backends.c.spelling import c_type
from charl.backends.c.timing import Timers
from charl.backends.c.workspace import Workspace
from charl.backends.names import identifier
from charl.dtypes import stored
from charl.graph.ir import Size
from charl.loops.ir import Buffer, Store, Transpose
from charl.loops.walk import statements
from charl.plan.ir import Call, Choose, Place, Repeat, Step, Threads, inside


@dataclass(frozen=True)
class KernelCall:
    """One kernel, and for debug builds the macro calls that look for the first NaN in what it wrote."""

    lines: tuple[str, ...]
    nans: tuple[str, ...]
    rows: tuple[
        tuple[frozenset[str], str], ...
    ] = ()  # of what a turn of these loops writes a part: when all are done


@dataclass(frozen=True)
class Entry:
    """What the template needs for one function."""

    function: Function
    checks: tuple[Check, ...]
    regions: tuple[Memory, ...]
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
    conditions = (
        *checks.null_checks(api, f),
        *checks.dimension_checks(api, f),
        *checks.workspace_checks(api, f),
    )
    names = f.dim_names()
    return Entry(
        f,
        conditions,
        checks.regions(f),
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
        self._workspace = Workspace(_offsets(f.plan.steps), self.size, self._local)
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
        name, line = self._declared(place, self._workspace.at(place.offset))
        self.locals.append(line)
        return name

    def _declared(self, place: Place, at: str) -> tuple[str, str]:
        """The name of a place, and its declaration."""
        name = self._local(place.name)
        at = f"({at})" if " " in at else at
        ctype = c_type(place.dtype)
        return name, f"{ctype} *const {name} = ({ctype} *){at}; /* [{self.size(place.size)}] */"

    def own(self, threads: Threads) -> Iterator[str]:
        """Declarations of what each thread has for itself."""
        if not threads.own:
            return
        own, stride = self._local("own"), factor(threads.stride, self.names)
        start = self._workspace.at(threads.start)
        yield f"unsigned char *const {own} = {start} + {stride} * thread_number();"
        for place, offset in threads.own:
            name, line = self._declared(place, own if offset == 0 else f"{own} + {self.size(offset)}")
            self._known[id(place)] = (place, name)
            yield line


def _offsets(steps: Sequence[Step]) -> Iterator[Size]:
    """Where places of the workspace that a function mentions begin, and those that the threads of a loop have for themselves."""
    for step in steps:
        threads = step.threads if isinstance(step, Repeat) else None
        own = {p.offset for p, _ in threads.own} if threads is not None else set()
        places = step.places if isinstance(step, Call) else (step.condition,)
        yield from (p.offset for p in places if p is not None and p.kind in ("arena", "scratch"))
        yield from () if threads is None or not threads.own else (threads.start,)
        for body in inside(step):
            yield from (offset for offset in _offsets(body) if offset not in own)


_LOCALS = ("workspace", "arena", "regions", "reports", "nan_seen", "float_mode")


def _steps(
    api: Api,
    steps: Sequence[Step],
    pointers: _Pointers,
    timers: Timers | None,
    depth: int,
    loops: frozenset[str] = frozenset(),
) -> Iterator[KernelCall]:
    """Kernel calls in order, and loops and branches around them; `loops` are the indices of those around all."""
    pad = "    " * depth
    for step in steps:
        if isinstance(step, Call):
            call = _call(api, step, pointers, loops)
            lines = call.lines if timers is None else timers.around(step, call.lines)
            yield KernelCall(
                tuple(pad + line for line in lines), tuple(pad + n for n in call.nans), call.rows
            )
            continue
        if isinstance(step, Choose):
            yield from _choice(api, step, pointers, timers, depth, loops)
            continue
        index = pointers.index(step.index)
        bounds = [] if step.extent is None else [f"{index} < {pointers.size(step.extent)}"]
        bounds += [] if step.condition is None else [_value(pointers(step.condition))]
        head = [f"for (ptrdiff_t {index} = 0; {' && '.join(bounds)}; ++{index}) {{"]
        if step.threads is not None and timers is None:  # clocks take turns
            pays = step.threads.pays
            test = "true" if pays == 0 else f"{pointers.size(pays)} >= 0"
            turns = f"{pointers.size(step.extent or 0)}, {step.threads.most}"
            on = f"PARALLEL_TURNS({turns}, {api.upper}_AT_ONCE({test}))"
            head = [on, *head, *(f"    {line}" for line in pointers.own(step.threads))]
        yield KernelCall(tuple(pad + line for line in head), ())
        body = list(_steps(api, step.body, pointers, timers, depth + 1, loops | {step.index}))
        yield from (replace(c, rows=()) for c in body)
        every = step.condition is None  # a loop that ends early leaves rows that nobody has written
        rows = dict.fromkeys((w - {step.index}, n) for c in body for w, n in c.rows if every)
        done = tuple(pad + n for w, n in rows if not w)
        yield KernelCall((pad + "}",), done, tuple((w, n) for w, n in rows if w))


def _value(pointer: str) -> str:
    """What a pointer points to."""
    return pointer[1:] if pointer.startswith("&") else f"*{pointer}"


def _choice(
    api: Api, step: Choose, pointers: _Pointers, timers: Timers | None, depth: int, loops: frozenset[str]
) -> Iterator[KernelCall]:
    """A branch; sides that do nothing are left out."""
    pad, condition = "    " * depth, _value(pointers(step.condition))
    first, second = step.then, step.otherwise
    if not first:
        first, second, condition = second, first, f"!{condition}"
    if not first:
        return
    yield KernelCall((f"{pad}if ({condition}) {{",), ())
    yield from (replace(c, rows=()) for c in _steps(api, first, pointers, timers, depth + 1, loops))
    if second:
        yield KernelCall((f"{pad}}} else {{",), ())
        yield from (replace(c, rows=()) for c in _steps(api, second, pointers, timers, depth + 1, loops))
    yield KernelCall((pad + "}",), ())


def _call(api: Api, call: Call, pointers: _Pointers, loops: frozenset[str]) -> KernelCall:
    kernel = call.kernel
    arguments = [pointers(p) for p in call.places]
    sizes = [pointers.size(d) for d in call.dims]
    nans: list[str] = []
    rows: list[tuple[frozenset[str], str]] = []
    for buffer, place, pointer in zip(kernel.buffers, call.places, arguments):
        if buffer.role in ("output", "inout") and place.dtype.is_float and place.kind != "scratch":
            count = pointers.size(place.size)
            macro = f"{api.upper}_NAN_{place.dtype.name.upper()}"
            where = quoted(located(kernel.span or pointers.span))
            line = f"{macro}({pointer}, {count}, {quoted(place.name)}, {where});"
            turns = _turns(call, buffer, loops)
            if turns:
                rows.append((turns, line))
            else:
                nans.append(line)
    lines = _wrapped(kernel_name(api.prefix, kernel.name), [*arguments, *sizes])
    return KernelCall(lines, tuple(nans), tuple(rows))


def _turns(call: Call, buffer: Buffer, loops: frozenset[str]) -> frozenset[str]:
    """The loops around a call of which a turn writes a row of a buffer, not all of it."""
    outside = {name: dims.symbols(size) & loops for name, size in zip(call.kernel.dims, call.dims)}
    every = [s for nest in call.kernel.nests for s in statements(nest)]
    indices = [s.index for s in every if isinstance(s, Store) and s.buffer == buffer]
    indices += [s.to for s in every if isinstance(s, Transpose) and s.target == buffer]
    return frozenset().union(*(outside.get(n, ()) for i in indices for n in dims.symbols(i)))


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


def _unused(f: Function, used: set[str]) -> tuple[str, ...]:
    """Parameters that no kernel call mentions."""
    names = [d.name for d in f.dimensions] + [p.name for p in f.parameters]
    names += [] if "arena" in used else ["workspace"]
    return tuple(n for n in names if n not in used)
