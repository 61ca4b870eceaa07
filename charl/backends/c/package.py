"""The C part of an emitted package: header, code, SIMD headers, weights.

Enters: the `Api`, a `Lowered` for C and the options. Leaves: file names and their bytes, the same for the same input. Plans and
computes nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from charl import __version__, templating
from charl.backends.c import bodies, embed, headers, text
from charl.backends.c import entry as c_entry
from charl.backends.c.api import Api
from charl.backends.c.names import Namer
from charl.backends.c.printer import print_kernel
from charl.backends.c.state import FileTable
from charl.backends.c.timing import Timers, timers
from charl.plan.ir import Lowered

if TYPE_CHECKING:
    from charl.compile import Options

VERSION = __version__


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
    debug_sections, release_macros = bodies.reports(api, entries, kernels)
    stored = [FileTable(s) for s in api.stored]
    return templating.load("c/package.c.j2").render(
        api=api,
        version=VERSION,
        defines=["#define _POSIX_C_SOURCE 199309L /* clock_gettime */"] if clocks else [],
        system_headers=["fenv.h", "string.h", "time.h"] if clocks else ["string.h"],
        headers=["float_mode.h", "simd.h"] if flush else ["simd.h"],
        statuses=text.statuses(),
        debug_sections=debug_sections,
        release_macros=release_macros,
        sections=[bodies.clocks(api, clocks)] if clocks else [],
        tables=[text.table(*definition) for definition in tables.definitions],
        kernels=kernels,
        functions=[bodies.function(api, e, flush) for e in entries],
        simple_inits=[
            text.simple_init(api, i.struct)
            for i in api.initializers
            if i.function is None and i.struct in api.stored
        ],
        file_sections=[text.file_code(api, stored)] if stored else [],
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
        embedded=[embedded] if embedded is not None else [],
        functions=[text.declaration(api, f) for f in api.functions],
    )
