"""The Python loader of a package: typed classes and functions over a C library, shaders, or any other backend.

Enters: the `Api` of a program. Leaves: the text of one module that needs NumPy and not Charl, as black formats it (every
statement either fits 88 columns or has a comma behind its last part). Never decides what exists: the `Api` does.
"""

from __future__ import annotations

import builtins
import json
import keyword
from dataclasses import dataclass
from typing import Any

from charl import templating
from charl.backends.c.api import Api, Function
from charl.backends.c.structs import Member, Struct
from charl.backends.names import Names
from charl.backends.wgsl.package import encode
from charl.dtypes import DType
from charl.errors import code
from charl.graph.ir import TensorType
from charl.program import Record, Tree, leaves

WIDTH = 88

# Codes of the loader's exceptions: see templates/py/_errors.py.j2.
for _number, _title in (
    ("E0820", "a package refuses something"),
    ("E0821", "an argument of the loader is no array, or not the record that is wanted"),
    ("E0822", "an array given to a loader has another element type"),
    ("E0823", "an array given to a loader has another byte order"),
    ("E0824", "a value given to a loader cannot be used"),
    ("E0825", "an array given to a loader has another shape"),
    ("E0826", "dimensions of arrays given to a loader disagree or break a rule"),
    ("E0827", "a `mut` argument given to a loader is read-only, or not contiguous"),
    ("E0828", "a check of a debug build failed"),
    ("E0829", "a file is not the weights of the record that should be read"),
    ("E0830", "a backend cannot run here"),
):
    code(_number, _title)

# What the fixed part of the loader defines or imports at the top level, or as members of a record.
_MODULE = """Array Backend Record CharlError CharlTypeError CharlDTypeError CharlByteOrderError CharlValueError CharlShapeError
CharlDimensionError CharlReadOnlyError CharlCheckError CharlFileError CharlBackendError GpuError GpuMissing GpuLimit Package load
ctypes hashlib json math operator os pathlib platform shutil subprocess tempfile threading weakref Iterator Mapping Sequence
dataclass Any ClassVar Generic Protocol TypeVar TYPE_CHECKING Self overload np NDArray self annotations backend"""
_MEMBERS = "leaves copy to_bytes from_bytes save load init"
_RESERVED = frozenset([*keyword.kwlist, *dir(builtins), *_MODULE.split()])


@dataclass(frozen=True)
class Call:
    """A call, tuple or list to be laid out: `head` is "f(", "(" or "["."""

    head: str
    parts: tuple[Any, ...]

    def flat(self) -> str:
        """On one line."""
        close = {"(": ")", "[": "]"}[self.head[-1]]
        inner = ", ".join(_flat(p) for p in self.parts)
        comma = "," if self.head == "(" and len(self.parts) == 1 else ""
        return f"{self.head}{inner}{comma}{close}"


def _flat(part: Any) -> str:
    if isinstance(part, tuple):
        return f"{part[0]}{_flat(part[1])}"
    return part.flat() if isinstance(part, Call) else str(part)


def lay_out(part: Any, indent: int, before: str = "", after: str = "") -> list[str]:
    """Lines of a statement or part: one where it fits, else one per part."""
    line = f"{' ' * indent}{before}{_flat(part)}{after}"
    if len(line) <= WIDTH or not isinstance(part, Call):
        return [line]
    out = [f"{' ' * indent}{before}{part.head}"]
    for p in part.parts:
        name, inner = p if isinstance(p, tuple) else ("", p)
        out += lay_out(inner, indent + 4, name, ",")
    return [*out, f"{' ' * indent}{ {'(': ')', '[': ']'}[part.head[-1]] }{after}"]


def docstring(text: str, indent: int) -> list[str]:
    """A docstring, closed on a line of its own where it has several."""
    clean = text.strip().replace("\\", "\\\\").replace('"""', "'''") or "Of the program."
    lines = [line.rstrip() for line in clean.splitlines()]
    pad = " " * indent
    if len(lines) == 1 and not lines[0].endswith('"'):
        return [f'{pad}"""{lines[0]}"""']
    return [f'{pad}"""{lines[0]}', *(f"{pad}{line}".rstrip() for line in lines[1:]), f'{pad}"""']


def string(text: str) -> str:
    """A Python string literal as black writes it."""
    return json.dumps(text, ensure_ascii=False)


@dataclass
class Loader:
    """Names of one module and the text of its parts."""

    api: Api

    def __post_init__(self) -> None:
        self.names = Names(_RESERVED)
        self.classes: dict[str, str] = {}
        for s in self.api.structs:
            wanted = s.record.name.partition("<")[0] if s.record.kind != "tuple" else "Tuple"
            self.classes[s.name] = self.names.allocate(wanted, "Record")
        self.functions = {f.name: self.names.allocate(f.export.name, "function") for f in self.api.functions}

    def of(self, record: Record) -> str | None:
        """The class of a record; None where it holds nothing."""
        found = next((s for s in self.api.structs if s.record == record), None)
        return self.classes[found.name] if found else None

    # ------------------------------------------------------------ records

    def record(self, s: Struct) -> list[str]:
        """A record class."""
        name = self.classes[s.name]
        out = [
            f"class {name}(Record):",
            *docstring(s.record.doc or f"`{s.record.name}` of the program.", 4),
            "",
        ]
        out += [f"    _title = {string(s.record.name or name)}", "    __slots__ = ()"]
        members = Names([*_RESERVED, *_MEMBERS.split()])
        for m in s.members:
            out += lay_out(self._member(m), 4, f"{members.allocate(m.name, 'member')} = ")
        return [*out, *self._initializer(s)]

    def _member(self, m: Member) -> Call:
        parts: tuple[Any, ...]
        if m.struct is not None:
            parts = (string(m.source), self.classes[m.struct.name])
            return Call("_RecordField(", parts) if m.count is None else Call("_RunField(", (*parts, m.count))
        assert m.tensor is not None
        shape = Call("(", tuple(size(n) for n in m.tensor.shape))
        kind = "_PointerField(" if m.dynamic else "_TensorField("
        parts = (string(m.source), string(numpy_name(m.tensor.dtype)), shape)
        return Call(kind, parts if m.count is None else (*parts, f"count={m.count}"))

    def _initializer(self, s: Struct) -> list[str]:
        if s is self.api.seedable:
            key, counter = (m.name for m in s.members)
            return _SEED.format(key=key, counter=counter).splitlines()
        function = next((i.function for i in self.api.initializers if i.struct is s), None)
        if function is None or self.api.seedable is None:
            return _ZERO.splitlines()
        stream = self.classes[self.api.seedable.name]
        if [p.struct for p in function.arguments] != [self.api.seedable]:
            return []
        return _INIT.format(stream=stream, spec=self.spec_name(function)).splitlines()

    # ------------------------------------------------------------ functions

    def spec_name(self, f: Function) -> str:
        """The constant that describes an export."""
        return f"_{f.name.removeprefix(self.api.prefix + '_').upper()}_SPEC"

    def spec(self, f: Function) -> list[str]:
        """What a backend is told of an export."""
        e = f.export
        arguments = tuple(
            Call("_Argument(", (string(a.name), self._type(a.type), *(["True"] if a.mut else [])))
            for a in e.arguments
            if self._type(a.type) != "()"
        )
        parts: list[Any] = [string(e.name), string(f.name), Call("(", arguments), self._result(e.result)]
        dims = tuple(Call("_Dim(", (string(d.name), d.low, d.high, d.multiple_of)) for d in e.dims)
        rules = tuple(
            Call("(", (string(text), size(left), string(relation), size(right)))
            for text, left, relation, right, _ in e.constraints
        )
        if dims:
            parts.append(("dims=", Call("(", dims)))
        if rules:
            parts.append(("rules=", Call("(", rules)))
        if f.plan is not None and f.plan.arena_bytes != 0:
            parts.append(("workspace=", size(f.plan.arena_bytes)))
        return lay_out(Call("_Export(", tuple(parts)), 0, f"{self.spec_name(f)} = ")

    def _result(self, tree: Tree | None) -> Any:
        return "None" if tree is None else self._type(tree)

    def _type(self, tree: Tree) -> Any:
        if isinstance(tree, TensorType):
            shape = Call("(", tuple(size(n) for n in tree.shape))
            return Call("_Tensor(", (string(numpy_name(tree.dtype)), shape))
        if tree.kind in ("tuple", "run"):
            return Call("(", tuple(self._type(f.type) for f in tree.fields))
        return self.of(tree) or "()"

    def annotation(self, tree: Tree | None, mut: bool = False) -> str:
        """The Python type of an argument or result."""
        if tree is None:
            return "None"
        if isinstance(tree, TensorType):
            if not tree.shape and not mut:
                return {"float": "float", "bool": "bool"}.get(tree.dtype.kind, "int")
            scalar = numpy_name(tree.dtype)
            if scalar == "bfloat16":
                return "Array"
            return f"NDArray[np.{'bool_' if scalar == 'bool' else scalar}]"
        if tree.kind in ("tuple", "run"):
            return f"tuple[{', '.join(self.annotation(f.type) for f in tree.fields) or '()'}]"
        return self.of(tree) or "tuple[()]"

    def function(self, f: Function, method: bool) -> list[str]:
        """A typed function: of the module (on its default backend), or a method of Package."""
        indent = 4 if method else 0
        local = Names(_RESERVED | ({"self"} if method else set()))
        given = [a for a in f.export.arguments if any(True for _ in leaves(a.type))]
        names = {a.name: local.allocate(a.name, "argument") for a in given}
        last = max(
            (i for i, a in enumerate(given) if a.default is None), default=-1
        )  # none is left out before it
        parts = [
            f"{names[a.name]}: {self.annotation(a.type, a.mut)}" + (f" = {a.default!r}" if i > last else "")
            for i, a in enumerate(given)
        ]
        result = self.annotation(f.export.result)
        name = self.functions[f.name]
        head = Call(f"{name}(", ("self", *parts) if method else tuple(parts))
        out = lay_out(head, indent, "def ", f") -> {result}:"[1:])
        out += docstring(f.export.doc or f"`{f.export.name}` of the program.", indent + 4)
        values = tuple(names[a.name] for a in given)
        if method:
            call = Call("_call(", ("self.backend", self.spec_name(f), Call("(", values)))
            out += lay_out(call, indent + 4, f"out: {result} = " if result != "None" else "")
            return [*out, *([f"{' ' * indent}    return out"] if result != "None" else [])]
        before = "return " if result != "None" else ""
        return [*out, *lay_out(Call(f"_default().{name}(", values), indent + 4, before)]


_SEED = '''
    @classmethod
    def init(cls, seed: int = 0) -> Self:
        """The stream of a seed: equal seeds give equal numbers on every backend."""
        out = cls()
        out.{key} = np.array([seed & 0xFFFFFFFF, seed >> 32 & 0xFFFFFFFF], np.uint32)
        return out'''

_ZERO = '''
    @classmethod
    def init(cls) -> Self:
        """All zeros."""
        return cls()'''

_INIT = '''
    @classmethod
    def init(cls, seed: int | {stream} = 0) -> Self:
        """Every parameter by its initializer; a stream is drawn from, a seed makes one."""
        stream = seed if isinstance(seed, {stream}) else {stream}.init(seed)
        package = cls._package or _default()
        made = _call(package.backend, {spec}, (stream,))
        out = cls.__new__(cls)
        out._take_over(made)
        return out'''


def numpy_name(dtype: DType) -> str:
    """The name of an element type in NumPy."""
    return str(dtype.memory.name)


def size(s: Any) -> Any:
    """A size as the loader evaluates it: JSON, which is Python too."""
    return _json(encode(s))


def _json(value: Any) -> Any:
    return Call("[", tuple(map(_json, value))) if isinstance(value, list) else json.dumps(value)


def module(api: Api, version: str, gpu: bool, simd: str = "auto") -> str:
    """The text of `<name>.py`."""
    loader = Loader(api)
    functions = [i.function for i in api.initializers if i.function is not None] + list(api.functions)
    records = api.structs
    doc = f"{api.name}: Python API of the program {api.name}.ch, generated by Charl {version}."
    more = api.doc.strip() + "\n\n" if api.doc.strip() else ""
    described = ["\n".join(loader.record(s)) for s in records], ["\n".join(loader.spec(f)) for f in functions]
    bfloat16 = any('"bfloat16"' in text for texts in described for text in texts)
    needs = " and ml_dtypes" * bfloat16 + " (and wgpu for the GPU)" * gpu
    usage = f"NumPy in, NumPy out; needs numpy{needs}. Edit the program, not this file."
    return templating.load("py/loader.py.j2").render(
        doc="\n".join(docstring(f"{doc}\n\n{more}{usage}", 0)),
        gpu=gpu,
        simd=string("native" if simd == "auto" else simd),
        name=string(api.name),
        prefix=string(api.prefix),
        digest=string(api.digest),
        bfloat16=bfloat16,
        records=described[0],
        specs=described[1],
        classes=[loader.classes[s.name] for s in records],
        methods=["\n".join(loader.function(f, True)) for f in api.functions],
        functions=["\n".join(loader.function(f, False)) for f in api.functions],
    )
