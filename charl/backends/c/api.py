"""The C API of a program: every function's parameters, in order, with the C expression of every leaf.

Enters: a program and its plans. Leaves: an `Api` that the header, the code, the self-test and the Python loader are all made
from, so that none of them can disagree. Never prints, never plans.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Literal

from charl import dims
from charl.backends.c.names import Namer
from charl.backends.c.structs import Struct, Structs
from charl.backends.names import identifier
from charl.dtypes import DType
from charl.graph.ir import Node, Size, TensorType
from charl.ops.source import constant_array
from charl.plan.ir import Lowered, Plan
from charl.program import Export, Program, Record, Tree, leaves


@dataclass(frozen=True)
class Parameter:
    """One parameter of a C function.

    "value": a run-time scalar passed by value; "tensor": a pointer to elements; "struct": a pointer to a struct.
    `first` is the position of its first leaf among those of all arguments (or of the result).
    """

    name: str
    source: str  # "x", or "x.0" for a member of a tuple
    kind: Literal["value", "tensor", "struct"]
    first: int
    mut: bool = False
    result: bool = False
    doc: str = ""
    tensor: TensorType | None = None
    struct: Struct | None = None

    @property
    def written(self) -> bool:
        return self.mut or self.result

    def pointers(self) -> list[str]:
        """A pointer to the first element of each leaf, in order."""
        if self.struct is not None:
            return [leaf.pointer(f"{self.name}->") for leaf in self.struct.leaves()]
        return [f"&{self.name}" if self.kind == "value" else self.name]

    def types(self) -> list[TensorType]:
        """The type of each leaf, in order."""
        if self.struct is not None:
            return [leaf.type for leaf in self.struct.leaves()]
        assert self.tensor is not None
        return [self.tensor]


@dataclass(frozen=True)
class Dimension:
    """A dimension variable as a parameter `name` of the function."""

    name: str
    source: str
    low: int
    high: int | None
    multiple_of: int


@dataclass(frozen=True)
class Function:
    """An export as a C function. `workspace` is None where no constant bounds it."""

    name: str
    export: Export
    plan: Plan | None
    dimensions: tuple[Dimension, ...]
    arguments: tuple[Parameter, ...]
    results: tuple[Parameter, ...]
    workspace: int | None
    workspace_name: str
    macro: str

    @property
    def parameters(self) -> tuple[Parameter, ...]:
        return self.arguments + self.results

    @property
    def needs_workspace(self) -> bool:
        return self.workspace != 0

    def dim_names(self) -> dict[str, str]:
        """C names of the dimension variables by their names in the source."""
        return {d.source: d.name for d in self.dimensions}

    def ranges(self) -> dict[str, tuple[int, int | None]]:
        return {d.source: (d.low, d.high) for d in self.dimensions}


@dataclass(frozen=True)
class Initializer:
    """`_init` of a struct: `function` draws it from a stream; None sets every leaf to zero."""

    struct: Struct
    function: Function | None


@dataclass(frozen=True)
class Api:
    """Everything that a package offers. `upper` prefixes macros, `prefix` everything else."""

    name: str
    prefix: str
    upper: str
    doc: str
    digest: str
    structs: tuple[Struct, ...]
    functions: tuple[Function, ...]
    initializers: tuple[Initializer, ...]
    seedable: Struct | None  # the random stream
    path: str = ""  # of the source, for comments

    @property
    def stored(self) -> tuple[Struct, ...]:
        """Structs that a function takes or gives: these can be initialised, written and read."""
        exchanged = {p.struct.name for f in self.functions for p in f.parameters if p.struct is not None}
        exchanged |= {i.struct.name for i in self.initializers if i.function is not None}
        exchanged |= {
            p.struct.name for i in self.initializers if i.function for p in i.function.parameters if p.struct
        }
        return tuple(s for s in self.structs if s.name in exchanged and not s.dynamic)


def build(program: Program, plans: tuple[Plan, ...], prefix: str, planned: bool = False) -> Api:
    """The API of `program`, with `planned` of the exports that have a plan only."""
    taken = {f"{prefix}_status", f"{prefix}_status_string", f"{prefix}_abi", f"{prefix}_source_hash"}
    names = Namer(taken)
    structs = Structs(program, names, prefix)
    upper = prefix.upper()
    by_export = {id(p.export): p for p in plans}
    by_name = {p.export.name: p for p in plans}
    functions: list[Function] = []
    initializers: dict[str, Function] = {}
    for export in program.exports:
        plan = by_export.get(id(export)) or by_name.get(export.name)
        if plan is None and planned:
            continue
        if export.role == "init":
            struct = structs.of(export.result) if isinstance(export.result, Record) else None
            if struct is not None and not _all_zero(export):
                name = names(f"{struct.name}_init")
                initializers[struct.name] = _function(export, plan, structs, name, upper, prefix, "self")
            continue
        functions.append(_function(export, plan, structs, names(f"{prefix}_{export.name}"), upper, prefix))
    all_structs = tuple(structs)
    return Api(
        program.name, prefix, upper, program.doc, program.digest, all_structs, tuple(functions),
        tuple(Initializer(s, initializers.get(s.name)) for s in all_structs if not s.dynamic),
        next((s for s in all_structs if is_stream(s.record)), None),
    )  # fmt: skip


def of(lowered: Lowered, prefix: str) -> Api:
    """The API of a lowered program."""
    return build(lowered.program, lowered.plans, prefix, planned=True)


def _all_zero(export: Export) -> bool:
    """An initializer without arguments whose every leaf is zero: no kernel is needed for that."""
    return not export.arguments and all(_zero(node) for node in export.graph.results)


def _zero(node: Node) -> bool:
    while node.op in ("broadcast", "reshape"):
        node = node.inputs[0]
    return node.op == "constant" and not constant_array(node).any()


def is_stream(record: Record) -> bool:
    """The prelude's `Rng`: a Threefry key and a counter, the only record that a seed fills."""
    if record.name != "Rng" or record.kind != "struct":
        return False
    return [(p, str(t)) for p, t in leaves(record)] == [("key", "u32[2]"), ("counter", "u32[]")]


def _function(
    export: Export,
    plan: Plan | None,
    structs: Structs,
    name: str,
    upper: str,
    prefix: str,
    result: str = "result",
) -> Function:
    local = Namer(["workspace", "arena", "status"])
    dimensions = tuple(Dimension(local(d.name), d.name, d.low, d.high, d.multiple_of) for d in export.dims)
    arguments: list[Parameter] = []
    first = 0
    for a in export.arguments:
        made = _flatten(a.name, a.type, structs, local, first)
        arguments += [replace(p, mut=a.mut, doc=a.doc, kind=_kind(p, a.mut)) for p in made]
        first += sum(1 for _ in leaves(a.type))
    results: list[Parameter] = []
    if export.result is not None:
        results = [replace(p, result=True) for p in _flatten(result, export.result, structs, local, 0)]
    macro = f"{upper}_{name.removeprefix(prefix + '_').upper()}"
    ranges = {d.source: (d.low, d.high) for d in dimensions}
    workspace = upper_bound(plan.arena_bytes, ranges) if plan is not None else 0
    return Function(
        name,
        export,
        plan,
        dimensions,
        tuple(arguments),
        tuple(results),
        workspace,
        f"{name}_workspace",
        macro,
    )


def _kind(p: Parameter, mut: bool) -> Literal["value", "tensor", "struct"]:
    scalar = p.tensor is not None and p.tensor.rank == 0 and not mut
    return "value" if scalar else p.kind


def _flatten(source: str, tree: Tree, structs: Structs, local: Namer, first: int) -> list[Parameter]:
    """Tuples and runs become one parameter per member; what holds no tensor becomes none."""
    if isinstance(tree, TensorType):
        return [Parameter(local(identifier(source.replace(".", "_"))), source, "tensor", first, tensor=tree)]
    if tree.kind in ("tuple", "run"):
        out: list[Parameter] = []
        for f in tree.fields:
            out += _flatten(f"{source}.{f.name}", f.type, structs, local, first)
            first += sum(1 for _ in leaves(f.type))
        return out
    struct = structs.of(tree)
    if struct is None:
        return []
    return [Parameter(local(identifier(source.replace(".", "_"))), source, "struct", first, struct=struct)]


def upper_bound(size: Size, ranges: dict[str, tuple[int, int | None]]) -> int | None:
    """The largest value of `size` that interval arithmetic can exclude going above; None where unbounded."""
    return _interval(size, ranges)[1]


def _interval(size: Size, ranges: dict[str, tuple[int, int | None]]) -> tuple[int, int | None]:
    if isinstance(size, int):
        return size, size
    low = high = Fraction(0)
    bounded, negative = True, False
    for monomial, c in size.terms:
        least, most = 1, 1
        for atom, power in monomial:
            if power < 0:
                continue  # a divisor of at least 1 only makes it smaller; that it divides is checked on entry
            lo, hi = _atom_interval(atom, ranges)
            least *= max(lo, 0) ** power
            if hi is not None:
                most *= hi**power
            else:
                bounded = bounded and c < 0
        low += c * least if c > 0 else 0
        high += c * (most if c > 0 else least)
        negative = negative or c < 0
    return 0 if negative else floor(low), ceil(high) if bounded else None


def _atom_interval(atom: dims.Atom, ranges: dict[str, tuple[int, int | None]]) -> tuple[int, int | None]:
    if isinstance(atom, dims.Sym):
        return ranges.get(atom.name, (0, None))
    if isinstance(atom, dims.Value):
        return 0, None
    (a, b), (c, d) = (_interval(x, ranges) for x in atom.args)
    if atom.name == "mod":
        return 0, None if d is None else max(d - 1, 0)
    if atom.name in ("floordiv", "ceildiv"):
        divisor = max(c, 1)
        return 0, None if b is None else -(-b // divisor)
    if atom.name == "min":
        known = [x for x in (b, d) if x is not None]
        return min(a, c), min(known) if known else None
    return max(a, c), None if b is None or d is None else max(b, d)


def dtypes(api: Api) -> set[DType]:
    """Element types that the API mentions."""
    out = {t.dtype for f in api.functions for p in f.parameters for t in p.types()}
    return out | {leaf.type.dtype for s in api.structs for leaf in s.leaves()}
