"""The README of an emitted package: what is in the folder, and how its own functions are called.

Enters: the `Api` and the names of the files. Leaves: Markdown. Never describes what the package does not have.
"""

from __future__ import annotations

from charl import templating
from charl.backends.c import entry as c_entry
from charl.backends.c import text as c_text
from charl.backends.c.api import Api
from charl.backends.python import Loader

_FILES = {
    ".h": "the C interface",
    ".c": "the C code",
    "_tests.c": "the `test` blocks of the program, run by the self-test",
    "_tests.h": "their declarations",
    "_selftest.c": "calls every export with known inputs; exit status 0: this machine computes what Charl computed",
    "_weights.c": "trained weights as constants",
    ".py": "the Python loader: NumPy in, NumPy out",
}


def text(api: Api, c: bool, gpu: bool, names: list[str], flush: bool) -> str:
    """README.md. `flush`: the C code takes subnormal numbers for zero."""
    loader = Loader(api)
    functions = [
        {
            "name": f.export.name,
            "doc": f.export.doc.strip().splitlines()[0] if f.export.doc.strip() else "",
            "python": "\n".join(loader.function(f, False))
            .split('\n    """')[0]
            .removeprefix("def ")
            .rstrip(":"),
            "c": c_text.wrapped(f"enum {api.prefix}_status {f.name}", c_entry.signature(f)) + ";",
        }
        for f in api.functions
    ]
    model = next((s for s in api.structs if s.record.kind == "model" and s.name in _drawn(api)), None)
    return templating.load("package/README.md.j2").render(
        api=api,
        c=c,
        gpu=gpu,
        flush=flush,
        files=[(n, _describe(n, api.prefix)) for n in names if not n.startswith("wgsl/")],
        functions=functions,
        records=[(loader.classes[s.name], s.name) for s in api.structs],
        model=(loader.classes[model.name], model.name) if model is not None else None,
    )


def _drawn(api: Api) -> set[str]:
    return {i.struct.name for i in api.initializers if i.function is not None}


def _describe(name: str, prefix: str) -> str:
    if name.startswith(prefix) and name[len(prefix) :] in _FILES:
        return _FILES[name[len(prefix) :]]
    if name == "float_mode.h":
        return "switches subnormal numbers off and on"
    if name.endswith(".h"):
        return "vectors of the instruction sets, and exact scalar operations; only what the code calls"
    return {
        "build.ninja": "builds the libraries and the self-test with ninja",
        "CMakeLists.txt": "the same with CMake",
        "LICENSE": "MIT-0: use it as you like, without attribution",
        "README.md": "this page",
    }.get(name, "")
