"""The C part of an emitted package: header, code, SIMD headers, weights.

Enters: the `Api`, a `Lowered` for C and the options. Leaves: file names and their bytes, the same for the same input. Plans and
computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charl import __version__, templating
from charl.backends.c import embed, headers, text
from charl.backends.c import entry as c_entry
from charl.backends.c.api import Api
from charl.backends.c.names import Namer
from charl.backends.c.printer import print_kernel
from charl.backends.c.spelling import C_TYPES
from charl.backends.c.state import FileTable
from charl.backends.c.timing import Timers, timers
from charl.plan.ir import Lowered

if TYPE_CHECKING:
    from charl.compile import Options

VERSION = __version__
# What holds for an element that is NaN; half floats are their bits.
_NAN = {
    **dict.fromkeys(("f32", "f64"), "x[i] != x[i]"),
    "f16": "(x[i] & 0x7fff) > 0x7c00",
    "bf16": "(x[i] & 0x7fff) > 0x7f80",
}


def files(
    api: Api, lowered: Lowered, options: Options, tests: tuple[Api, Lowered] | None = None
) -> dict[str, bytes]:
    """Header, code, weights and SIMD headers, by name; `tests` are a second header and code beside them."""
    embedded = embed.weights(api, options.embed) if options.embed is not None else None
    code = _code(api, lowered, options.flush, timers(lowered, api.prefix) if options.profile else None)
    out = {f"{api.prefix}.h": _header(api, embedded), f"{api.prefix}.c": code}
    if embedded is not None:
        out[f"{api.prefix}_weights.c"] = embedded.text
    if tests is not None:
        tested = _code(*tests, options.flush)
        out |= {f"{tests[0].prefix}.h": _header(tests[0], None), f"{tests[0].prefix}.c": tested}
        code += tested
    code += " ".join(f"\n{t}_value {t}_bits" for t in _halves(api))  # what the self-test needs beside
    levels = headers.LEVELS if options.simd == "auto" else (options.simd,)
    out |= headers.files(code, levels)
    if options.flush:
        out["float_mode.h"] = templating.text("c/float_mode.h")
    return {name: content.encode() for name, content in out.items()}


def _halves(api: Api) -> list[str]:
    """The half floats among arguments and results."""
    functions = [*api.functions, *(i.function for i in api.initializers if i.function is not None)]
    graphs = [f.export.graph for f in functions]
    return sorted({n.dtype.name for g in graphs for n in (*g.params, *g.results) if n.dtype.is_half})


def prefix(name: str) -> str:
    """What every exported name begins with, and what the files are called."""
    return Namer()(name)


def _code(api: Api, lowered: Lowered, flush: bool, clocks: Timers | None = None) -> str:
    tables = c_entry.Tables(api.prefix, Namer(text.taken(api, lowered)))
    functions = [i.function for i in api.initializers if i.function is not None] + list(api.functions)
    entries = [c_entry.entry(api, f, tables, clocks) for f in functions if f.plan is not None]
    called = {id(c.kernel) for f in functions if f.plan is not None for c in f.plan.calls}
    kernels = [print_kernel(k, api.prefix).rstrip("\n") for k in lowered.kernels if id(k) in called]
    nans = sorted(
        {t for e in entries for c in e.calls for n in c.nans for t in _NAN if f"_{t.upper()}(" in n}
    )
    stored = [FileTable(s) for s in api.stored]
    return templating.load("c/package.c.j2").render(
        api=api,
        version=VERSION,
        timers=clocks,
        flush=flush,
        statuses=text.statuses(),
        uses_check=any(f"{api.upper}_CHECK(" in k for k in kernels),
        uses_regions=any(e.regions for e in entries),
        nan_types=[{"name": n, "upper": n.upper(), "c": C_TYPES[n], "test": _NAN[n]} for n in nans],
        tables=[text.table(*definition) for definition in tables.definitions],
        kernels=kernels,
        functions=[text.body(api, e) for e in entries],
        simple_inits=[
            text.simple_init(api, i.struct)
            for i in api.initializers
            if i.function is None and i.struct in api.stored
        ],
        files=text.file_code(api, stored) if stored else "",
    )


def _header(api: Api, embedded: embed.Embedded | None) -> str:
    return templating.load("c/header.h.j2").render(
        api=api,
        version=VERSION,
        abi=text.ABI,
        doc=text.comment_lines(api.doc),
        statuses=text.statuses(),
        structs=[text.struct(s) for s in api.structs],
        stored=[text.stored(api, s) for s in api.stored],
        embedded=embedded,
        functions=[text.declaration(api, f) for f in api.functions],
    )
