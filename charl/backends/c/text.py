"""Text of the C API that templates frame: comments, declarations, tables.

Enters: the parts of an `Api`. Leaves: small dictionaries of lines for `header.h.j2`, `package.c.j2` and `files.c.j2`.
Never decides what exists, only how it reads.
"""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from charl import dims, dtypes, templating
from charl.backends.c import api as c_api
from charl.backends.c import entry as c_entry
from charl.backends.c.api import Api, Function, Parameter
from charl.backends.c.quoting import plain, quoted
from charl.backends.c.spelling import c_type, literal
from charl.backends.c.state import FileTable
from charl.backends.c.structs import Member, Struct
from charl.graph.ir import TensorType
from charl.plan.ir import Lowered

ABI = 1

_STATUSES = (
    ("OK", "success"),
    ("NULL_POINTER", "a pointer argument is NULL"),
    ("BAD_DIMENSION", "a dimension is negative, out of its bounds, or breaks a rule of the program"),
    ("BAD_WORKSPACE", "the workspace is NULL or not aligned to 8 bytes"),
    ("BUFFER_TOO_SMALL", "the buffer is too small for the file"),
    ("TRUNCATED", "the file ends before its data"),
    ("BAD_HEADER", "the header of the file is not that of a safetensors file"),
    ("HEADER_TOO_LONG", "the header of the file is longer than 100 MB"),
    ("DUPLICATE_NAME", "a name occurs twice in the file"),
    ("UNKNOWN_TENSOR", "the file holds a tensor that the struct does not have"),
    ("MISSING_TENSOR", "the file lacks a tensor of the struct"),
    ("WRONG_DTYPE", "a tensor of the file has another element type"),
    ("WRONG_SHAPE", "a tensor of the file has another shape"),
    ("WRONG_OFFSETS", "the tensors of the file do not fill its data, each with its size"),
    ("BAD_VALUE", "a bool of the file is neither 0 nor 1"),
    ("CHECK_FAILED", "a check of the debug build failed and was reported"),
)


def statuses() -> list[dict[str, Any]]:
    """Names, values (with the comma behind) and meanings of what functions return."""
    last = len(_STATUSES) - 1
    return [
        {"name": n, "value": f"{i}{' ' if i == last else ','}", "text": t}
        for i, (n, t) in enumerate(_STATUSES)
    ]


def taken(api: Api, lowered: Lowered) -> set[str]:
    """File-scope names that tables may not take."""
    names = {c_entry.kernel_name(api.prefix, k.name) for k in lowered.kernels}
    names |= {f.name for f in api.functions} | {f.workspace_name for f in api.functions}
    fixed = "status shapes tensor reader put put_number report reports message overlaps region nan skip take string equals number"
    fixed += " metadata entry header layout hex character shape write_tensors read_tensors nan_f32 nan_f64 nan_f16 nan_bf16"
    names |= {f"{api.prefix}_{word}" for word in fixed.split()}
    return names | {f"{s.name}{t}" for s in api.structs for t in ("", "_init", "_read", "_write", "_tensors")}


# ---------------------------------------------------------------- comments


def comment_lines(doc: str) -> list[str]:
    """Documentation of the source as lines for a comment."""
    return [plain(line.rstrip()) for line in doc.strip().splitlines()] if doc.strip() else []


def comment(paragraphs: list[str]) -> list[str]:
    """A block comment of lines."""
    lines = [line for p in paragraphs for line in p.splitlines() or [""]]
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) == 1:
        return [f"/* {lines[0]} */"]
    return ["/*", *(f" * {line}".rstrip() for line in lines), " */"]


def shape(t: TensorType) -> str:
    """`[N, 64]` as the user wrote it."""
    return f"[{', '.join(map(str, t.shape))}]"


def wrapped(head: str, arguments: tuple[str, ...]) -> str:
    """A function head, on several lines where it is long."""
    line = f"{head}({', '.join(arguments)})"
    if len(line) <= 110:
        return line
    return f"{head}(\n    " + ",\n    ".join(arguments) + ")"


# ---------------------------------------------------------------- header


def struct(s: Struct) -> dict[str, Any]:
    """A struct definition."""
    kind = {"tuple": "A tuple", "run": "A run"}.get(s.record.kind, f"`{s.record.name}`")
    doc = comment_lines(s.record.doc) or [f"{kind} of the program."]
    return {"name": s.name, "doc": comment(["\n".join(doc)]), "members": [_member(m) for m in s.members]}


def _member(m: Member) -> str:
    if m.struct is not None:
        declared = f"struct {m.struct.name} {m.name}" + (f"[{m.count}];" if m.count is not None else ";")
        said = [plain(m.doc.strip().splitlines()[0])] if m.doc.strip() else []
        return declared + (f" /* {said[0]} */" if said else "")
    assert m.tensor is not None
    return _tensor_member(m, m.tensor)


def _tensor_member(m: Member, t: TensorType) -> str:
    said = [plain(line.strip()) for line in m.doc.strip().splitlines()[:1]]
    kind = t.dtype.name if t.dtype.is_half else ""  # the C type is that of its bits
    if m.dynamic:
        array = f"[{m.count}]" if m.count is not None else ""
        return f"{c_type(t.dtype)} *{m.name}{array}; /* {': '.join([kind + shape(t), *said])} */"
    extents = ([m.count] if m.count is not None else []) + list(t.shape)
    elements = dims.product(extents)
    if not extents:
        words = ": ".join([kind] * bool(kind) + said)
        return f"{c_type(t.dtype)} {m.name};" + (f" /* {words} */" if words else "")
    size = " * ".join(map(str, extents)) if elements else "1"  # C has no empty arrays
    where = f"{kind}[{', '.join(map(str, extents))}]"
    return f"{c_type(t.dtype)} {m.name}[{size}]; /* {': '.join([where, *said])} */"


def stored(api: Api, s: Struct) -> dict[str, Any]:
    """`_init`, `_write` and `_read` of a struct."""
    table = FileTable(s)
    initializer = next(i for i in api.initializers if i.struct is s)
    if initializer.function is not None:
        f = initializer.function
        head = signature(api, f)
        doc = _function_doc(api, f)
        lines = [*_workspace_macro(f), *_workspace_function(f), *comment(doc)]
    else:
        head, said = _simple_signature(api, s)
        lines = comment([said])
    return {
        "name": s.name,
        "init_doc": lines,
        "init_signature": head,
        "file_macro": f"{s.name.upper()}_FILE_BYTES",
        "file_bytes": table.bytes,
    }


def _simple_signature(api: Api, s: Struct) -> tuple[str, str]:
    status = f"enum {api.prefix}_status"
    if s is api.seedable:
        said = "A stream of random numbers from a seed: equal seeds give equal numbers on every backend."
        return f"{status} {s.name}_init(struct {s.name} *self, uint64_t seed)", said
    return (
        f"{status} {s.name}_init(struct {s.name} *self)",
        f"Set every element of *self to zero ({_bytes(s)} bytes).",
    )


def simple_init(api: Api, s: Struct) -> dict[str, Any]:
    """An `_init` that needs no kernel."""
    head, _ = _simple_signature(api, s)
    lines = ["memset(self, 0, sizeof *self);"]
    if s is api.seedable:
        key, counter = (leaf.place for leaf in s.leaves())
        lines = [
            f"self->{key}[0] = (uint32_t)(seed & 0xffffffffu);",
            f"self->{key}[1] = (uint32_t)(seed >> 32);",
            f"self->{counter} = 0;",
        ]
    return {"signature": head, "lines": [*lines, f"return {api.upper}_OK;"]}


def _bytes(s: Struct) -> int:
    """Bytes of all leaves; padding comes on top."""
    total = dims.product([1]) * 0
    for leaf in s.leaves():
        total = total + dims.product(leaf.type.shape) * leaf.type.dtype.bytes
    return total if isinstance(total, int) else 0


def declaration(api: Api, f: Function) -> dict[str, Any]:
    """An exported function in the header."""
    lines = [*_workspace_macro(f), *_workspace_function(f), *comment(_function_doc(api, f))]
    return {"lines": lines, "signature": signature(api, f)}


def signature(api: Api, f: Function) -> str:
    """The head of an exported function."""
    return wrapped(f"enum {api.prefix}_status {f.name}", c_entry.signature(f))


def _workspace_macro(f: Function) -> list[str]:
    if f.workspace is None:
        return []
    every = "" if not f.dimensions else ", for every size that the program allows"
    return [
        f"/* Bytes of workspace of {f.name}{every}. */",
        f"#define {f.macro}_WORKSPACE_BYTES {f.workspace}",
    ]


def _workspace_function(f: Function) -> list[str]:
    if not f.dimensions:
        return []
    lines = comment([f"Bytes of workspace that {f.name} needs at these sizes."])
    return [*lines, f"{workspace_head(f)};"]


def workspace_head(f: Function) -> str:
    return f"size_t {f.workspace_name}({', '.join(f'ptrdiff_t {d.name}' for d in f.dimensions)})"


def _function_doc(api: Api, f: Function) -> list[str]:
    doc = comment_lines(f.export.doc) or [f"`{f.export.name}` of the program."]
    rows = [(d.name, _dimension_words(d)) for d in f.dimensions]
    rows += [(p.name, _parameter_words(p)) for p in f.parameters]
    rows.append(("workspace", _workspace_words(f)))
    width = max(len(n) for n, _ in rows)
    table = [f"  {n.ljust(width)}  {w}" for n, w in rows]
    rules = [f"  {'where'.ljust(width)}  {plain(text)}" for text, *_ in f.export.constraints]
    return ["\n".join(doc), "", *table, *rules, "", *_costs(f)]


def _dimension_words(d: c_api.Dimension) -> str:
    bounds = f"{d.low} or more" if d.high is None else f"{d.low} to {d.high}"
    return f"dimension: {bounds}" + (f", a multiple of {d.multiple_of}" if d.multiple_of > 1 else "")


def _parameter_words(p: Parameter) -> str:
    role = "result" if p.result else "in and out" if p.mut else "input"
    what = p.struct.record.name if p.struct is not None else ""
    if p.tensor is not None:
        what = f"{p.tensor.dtype}{shape(p.tensor)}" if p.tensor.rank else str(p.tensor.dtype)
    doc = f": {plain(p.doc.strip().splitlines()[0])}" if p.doc.strip() else ""
    return f"{role}, {what}{doc}"


def _workspace_words(f: Function) -> str:
    if not f.needs_workspace:
        return "not used, may be NULL"
    size = f"{f.macro}_WORKSPACE_BYTES" if f.workspace is not None else f"{f.workspace_name}(...)"
    return f"{size} bytes, aligned to 8 (64 is faster), of any content"


def _costs(f: Function) -> list[str]:
    assert f.plan is not None
    state = sum(_bytes(p.struct) for p in f.parameters if p.struct is not None)
    tables: dict[bytes, int] = {}
    for call in f.plan.calls:
        for place in call.places:
            if place.kind == "constant" and place.data is not None:
                tables[place.data.tobytes()] = place.data.nbytes
    said = [
        f"workspace {_size_words(f.plan.arena_bytes)} bytes",
        f"structs {state} bytes",
        f"tables in ROM {sum(tables.values())} bytes",
        f"{_size_words(f.plan.flops)} floating-point operations",
    ]
    return textwrap.wrap("Costs: " + ", ".join(said) + ".", 100)


def _size_words(size: Any) -> str:
    return f"{size}" if isinstance(size, int) else plain(f"{size}")


# ---------------------------------------------------------------- code


def table(name: str, ctype: str, data: np.ndarray[Any, Any]) -> dict[str, Any]:
    """A `static const` array."""
    return {"name": name, "type": ctype, "count": max(data.size, 1), "lines": values(data)}


def values(data: np.ndarray[Any, Any]) -> list[str]:
    """Numbers of an array as lines of C literals that give back exactly the same values."""
    t = next(d for d in dtypes.ALL.values() if d.numpy == data.dtype and not d.is_half)  # those come as bits
    words = [literal(x.item(), t).text for x in data.reshape(-1)] or ["0"]
    return textwrap.wrap(", ".join(words), 104, break_long_words=False, break_on_hyphens=False)


def file_code(api: Api, tables: list[FileTable]) -> str:
    """The part of the code that reads and writes safetensors."""
    pool: list[tuple[int, ...]] = []
    starts: dict[tuple[int, ...], int] = {}
    at = 0
    for t in tables:
        for row in t.rows:
            if row.shape and row.shape not in starts:
                starts[row.shape] = at
                pool.append(row.shape)
                at += len(row.shape)
    contexts = []
    for t in tables:
        rows = [
            f"{{{quoted(r.name)}, {quoted(r.dtype)}, {api.prefix}_shapes + {starts.get(r.shape, 0)}, {len(r.shape)}, "
            f"offsetof(struct {t.struct.name}, {r.place}), {r.bytes}}},"
            for r in t.rows
        ]
        contexts.append({"struct": t.struct.name, "rows": rows, "header": len(t.header), "bytes": t.bytes})
    numbers = ", ".join(str(n) for s in pool for n in s) or "0"
    tables_text = templating.load("c/tables.c.j2").render(
        p=api.prefix, shapes=textwrap.wrap(numbers, 104), tables=contexts
    )
    return templating.fill("c/files.c.j2", p=api.prefix, u=api.upper) + "\n" + tables_text
