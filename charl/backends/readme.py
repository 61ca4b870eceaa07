"""The README of an emitted package: what is in the folder, and how its own functions are called.

Enters: the `Api` and the names of the files. Leaves: Markdown. Never describes what the package does not have.
"""

from __future__ import annotations

from charl import templating
from charl.backends.c import text as c_text
from charl.backends.c.api import Api, Function
from charl.backends.python import Loader

# What a file is, by what follows the prefix or by its whole name, in the order in which they are listed.
_FILES = {
    ".h": "the C interface",
    ".c": "the C code",
    "_weights.c": "trained weights as constants",
    "simd": "vectors of the instruction sets, and exact scalar operations; only what the code calls",
    "float_mode.h": "switches subnormal numbers off and on",
    "_selftest.c": "calls every export with known inputs; exit status 0: this machine computes what Charl computed",
    "_tests.c": "the `test` blocks of the program, run by the self-test",
    "_tests.h": "their declarations",
    "build.ninja": "builds the libraries and the self-test with ninja",
    "CMakeLists.txt": "the same with CMake",
    ".py": "the Python loader: NumPy in, NumPy out",
    "wgsl": "shader modules, and `manifest.json`: their buffers, sizes and order",
}


_FLUSH = """

Subnormal numbers (f32 below 1.2e-38, f64 below 2.2e-308) count as zero while a function runs, on x86 and 64-bit ARM:
`float_mode.h` switches the mode of its threads, and back before it returns."""


def text(api: Api, c: bool, gpu: bool, names: list[str], flush: bool) -> str:
    """README.md. `flush`: the C code takes subnormal numbers for zero."""
    loader = Loader(api)
    records = ", ".join(f"`{loader.classes[s.name]}`" for s in api.structs)
    views = "Their members are NumPy views: `net.leaves()` names them all."
    about, from_c = api.doc.strip(), ""
    if c:
        notes = _FLUSH if flush else ""
        from_c = (
            "\n\n" + templating.fill("package/from_c.md.j2", p=api.prefix, u=api.upper, notes=notes).rstrip()
        )
    return templating.fill(
        "package/README.md.j2",
        name=api.name,
        prefix=api.prefix,
        about=f"{about}\n\n" if about else "",
        files="\n".join(f"| {files} | {what} |" for files, what in _files(api, names)),
        functions="\n\n".join("\n\n".join(_described(api, loader, f, c)) for f in api.functions),
        needs="NumPy" + " (and wgpu for the GPU)" * gpu + " and a C compiler, which is called once" * c,
        example="\n".join(_example(api, loader, c, gpu)),
        records=f"\n\nRecords: {records}. {views}" if records else "",
        from_c=from_c,
    )


def _files(api: Api, names: list[str]) -> list[tuple[str, str]]:
    """Files and what they are; those that are the same in a row."""
    found: dict[str, list[str]] = {kind: [] for kind in _FILES}
    for name in names:
        kind = "wgsl" if name.startswith("wgsl/") else name.removeprefix(api.prefix)
        if kind in found:
            found[kind].append("wgsl/" if kind == "wgsl" else name)
        elif name.endswith(".h"):
            found["simd"].append(name)
    rows = [(", ".join(f"`{n}`" for n in dict.fromkeys(found[k])), _FILES[k]) for k in _FILES if found[k]]
    return [*rows, ("`README.md`, `LICENSE`", "this page; MIT-0: use it as you like")]


def _described(api: Api, loader: Loader, f: Function, c: bool) -> list[str]:
    """The name of a function, what it does, and its signatures."""
    doc = f.export.doc.strip().splitlines()[:1]
    head, *_ = "\n".join(loader.function(f, False)).split('\n    """')
    out = [f"### {f.export.name}", *doc, f"```python\n{head.removeprefix('def ').rstrip(':')}\n```"]
    return [*out, f"```c\n{c_text.signature(api, f)};\n```"] if c else out


def _example(api: Api, loader: Loader, c: bool, gpu: bool) -> list[str]:
    """Lines that load the package, and draw, save and read a model where the program has one."""
    p = api.prefix
    drawn = {i.struct.name for i in api.initializers if i.function is not None}
    model = next((s for s in api.structs if s.record.kind == "model" and s.name in drawn), None)
    lines = []
    if model is not None:
        name = f"{p}.{loader.classes[model.name]}"
        lines += [f"net = {name}.init(seed=0)", 'net.save("weights.safetensors")']
        lines += [f'net = {name}.load("weights.safetensors")']
    backends = " or ".join(['"c"'] * c + ['"wgpu"'] * gpu)
    return [*lines, f"package = {p}.load()  # backend={backends}"]
