"""Records as C structs.

Enters: the records of a program. Leaves: one `Struct` per distinct record, inner ones first, with the C expression of every leaf.
Tensors are flat arrays inside their struct (`sizeof` is the caller's cost); leaves whose size is known only at run
time are pointers that the caller sets. Never prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from charl import dims
from charl.backends.c.names import Namer, snake
from charl.graph.ir import TensorType
from charl.program import Field, Program, Record, Tree, leaves

# What a safetensors file calls an element type.
FILE_TYPES = {
    "f16": "F16", "bf16": "BF16", "f32": "F32", "f64": "F64",
    "i8": "I8", "i16": "I16", "i32": "I32", "i64": "I64",
    "u8": "U8", "u16": "U16", "u32": "U32", "u64": "U64", "bool": "BOOL",
}  # fmt: skip


@dataclass(frozen=True)
class Member:
    """One member of a struct: a tensor, a struct, or with `count` an array of equal ones (a run)."""

    name: str
    source: str  # the field's name in the program
    doc: str
    tensor: TensorType | None = None
    struct: Struct | None = None
    count: int | None = None

    @property
    def elements(self) -> int | dims.Dim:
        """Elements of one tensor of this member."""
        assert self.tensor is not None
        return dims.product(self.tensor.shape)

    @property
    def dynamic(self) -> bool:
        """A tensor whose shape only a call knows, of no elements too: the struct holds a pointer to it."""
        return self.tensor is not None and not all(isinstance(n, int) for n in self.tensor.shape)


@dataclass(frozen=True)
class Leaf:
    """One tensor of a struct: its path in the program, and where it is in C."""

    path: str
    type: TensorType
    place: str  # "layer0.w", "blocks[2].w", "scales[64]"
    address: bool  # `place` is one element, so its address is taken

    def pointer(self, base: str) -> str:
        """A pointer to the first element, `base` ending in `->` or `.`."""
        return f"&{base}{self.place}" if self.address else f"{base}{self.place}"


@dataclass(frozen=True)
class Struct:
    """A record in C. `name` is its tag, prefix included."""

    name: str
    record: Record
    members: tuple[Member, ...]

    @property
    def dynamic(self) -> bool:
        """Some leaf is a pointer; such a struct has no `_init`, `_write` and `_read`."""
        return any(m.dynamic or (m.struct is not None and m.struct.dynamic) for m in self.members)

    def leaves(self) -> tuple[Leaf, ...]:
        """Every tensor, in the order of `charl.program.leaves`."""
        return tuple(_leaves(self, "", ""))


def _leaves(struct: Struct, path: str, place: str) -> Iterator[Leaf]:
    for m in struct.members:
        for i in range(1 if m.count is None else m.count):
            inner_path = f"{path}{m.source}" if m.count is None else f"{path}{m.source}.{i}"
            if m.struct is not None:
                at = f"{place}{m.name}" if m.count is None else f"{place}{m.name}[{i}]"
                yield from _leaves(m.struct, f"{inner_path}.", f"{at}.")
            elif m.tensor is not None:
                yield _tensor_leaf(m, i, inner_path, place)


def _tensor_leaf(m: Member, i: int, path: str, place: str) -> Leaf:
    assert m.tensor is not None
    if m.count is None:
        return Leaf(path, m.tensor, f"{place}{m.name}", m.tensor.rank == 0)
    if m.dynamic:
        return Leaf(path, m.tensor, f"{place}{m.name}[{i}]", False)
    return Leaf(path, m.tensor, f"{place}{m.name}[{i} * {m.elements}]", True)


class Structs:
    """All structs of one program, by record, in an order that C accepts."""

    def __init__(self, program: Program, names: Namer, prefix: str) -> None:
        self._names = names
        self._prefix = prefix
        self._by_record: dict[Record, Struct] = {}
        for record in program.records:
            self.of(record)
        for tree in _trees(program):
            self._visit(tree)

    def __iter__(self) -> Iterator[Struct]:
        return iter(self._by_record.values())

    def of(self, record: Record) -> Struct | None:
        """The struct of a model or struct; None for what holds no tensor, and for tuples and runs themselves."""
        known = self._by_record.get(record)
        if known is not None or not any(True for _ in leaves(record)):
            return known
        if record.kind == "run":
            self._visit(record)
            return None
        members = self._members(record)
        wanted = snake(record.name) if record.kind != "tuple" else "tuple"
        struct = Struct(self._names(f"{self._prefix}_{wanted}"), record, members)
        self._by_record[record] = struct
        return struct

    def _visit(self, tree: Tree) -> None:
        if isinstance(tree, TensorType):
            return
        if tree.kind in ("tuple", "run"):
            for f in tree.fields:
                self._visit(f.type)
        else:
            self.of(tree)

    def _members(self, record: Record) -> tuple[Member, ...]:
        names = Namer()
        out = (self._member(f, names(field_name(record, f))) for f in record.fields if _holds(f.type))
        return tuple(m for m in out)

    def _member(self, f: Field, name: str) -> Member:
        if isinstance(f.type, TensorType):
            return Member(name, f.name, f.doc, tensor=f.type)
        if f.type.kind == "run" and _uniform(f.type):
            inner, count = f.type.fields[0].type, len(f.type.fields)
            if isinstance(inner, TensorType):
                return Member(name, f.name, f.doc, tensor=inner, count=count)
            if inner.kind != "run":
                return Member(name, f.name, f.doc, struct=self.of(inner), count=count)
        record = f.type if f.type.kind != "run" else Record(f.type.name, "tuple", f.type.fields, f.type.doc)
        return Member(name, f.name, f.doc, struct=self.of(record))


def field_name(record: Record, f: Field) -> str:
    """What a member is called in C and Python: numbered ones get a word before their number."""
    if not f.name[:1].isdigit():
        return f.name
    return f"layer{f.name}" if record.kind == "model" else f"item{f.name}"


def _holds(tree: Tree) -> bool:
    return any(True for _ in leaves(tree))


def _uniform(run: Record) -> bool:
    return all(f.type == run.fields[0].type for f in run.fields)


def _trees(program: Program) -> Iterable[Tree]:
    for export in program.exports:
        yield from (a.type for a in export.arguments)
        if export.result is not None:
            yield export.result
