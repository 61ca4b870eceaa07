"""The C part of an emitted package: header, code, SIMD headers, self-test, weights.

Enters: a `Lowered` for C and the options of the package. Leaves: file names and their bytes, the same for the same input.
Plans nothing, computes nothing but the reference values of the self-test.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from charl import templating
from charl.backends.c import api as c_api
from charl.backends.c import entry as c_entry
from charl.backends.c import headers, text
from charl.backends.c.api import Api
from charl.backends.c.names import Namer
from charl.backends.c.printer import print_kernel
from charl.backends.c.spelling import C_TYPES
from charl.backends.c.state import FileTable
from charl.plan.ir import Lowered

VERSION = "0.1.0"


@dataclass(frozen=True)
class Options:
    """What a user chooses about a package. `weights`: leaves by path, for read-only memory (`--embed`)."""

    prefix: str = ""
    simd: tuple[str, ...] = headers.LEVELS
    weights: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    weights_file: str = ""
    version: str = VERSION


def files(lowered: Lowered, options: Options | None = None) -> dict[str, bytes]:
    """Every file of the C part, by name."""
    options = options or Options()
    api = c_api.of(lowered, prefix(lowered.program.name, options))
    code = _code(api, lowered, options)
    out = {f"{api.prefix}.h": _header(api, lowered, options), f"{api.prefix}.c": code}
    out |= headers.files(code, options.simd)
    return {name: content.encode() for name, content in sorted(out.items())}


def prefix(name: str, options: Options) -> str:
    """What every exported name begins with, and what the files are called."""
    return Namer()(options.prefix or name)


def _code(api: Api, lowered: Lowered, options: Options) -> str:
    tables = c_entry.Tables(api.prefix, Namer(text.taken(api, lowered)))
    functions = [i.function for i in api.initializers if i.function is not None] + list(api.functions)
    entries = [c_entry.entry(api, f, tables) for f in functions if f.plan is not None]
    kernels = [print_kernel(k, api.prefix).rstrip("\n") for k in lowered.kernels]
    nans = sorted({n.type for e in entries for c in e.calls for n in c.nans})
    stored = [FileTable(s) for s in api.stored]
    return templating.load("c/package.c.j2").render(
        api=api,
        version=options.version,
        statuses=text.statuses(),
        uses_check=any(f"{api.upper}_CHECK(" in k for k in kernels),
        uses_overlap=any(e.overlaps for e in entries),
        nan_types=[{"name": n, "c": C_TYPES[n]} for n in nans],
        tables=[text.table(*definition) for definition in tables.definitions],
        kernels=kernels,
        functions=[text.body(api, e) for e in entries],
        simple_inits=[text.simple_init(api, i.struct) for i in api.initializers if i.function is None],
        files=text.file_code(api, stored) if stored else "",
    )


def _header(api: Api, lowered: Lowered, options: Options) -> str:
    return templating.load("c/header.h.j2").render(
        api=api,
        version=options.version,
        abi=text.ABI,
        doc=text.comment_lines(api.doc),
        statuses=text.statuses(),
        structs=[text.struct(s) for s in api.structs],
        stored=[text.stored(api, s) for s in api.stored],
        embedded=None,
        functions=[text.declaration(api, f) for f in api.functions],
    )
