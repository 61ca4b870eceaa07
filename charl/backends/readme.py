"""The README of an emitted package: what is in the folder, and how its own functions are called.

Enters: the `Api` and the names of the files. Leaves: Markdown. Never describes what the package does not have.
"""

from __future__ import annotations

from charl import templating
from charl.backends.c import text as c_text
from charl.backends.c.api import Api, Function
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


_FLUSH = """

Subnormal numbers (f32 below 1.2e-38, f64 below 2.2e-308) count as zero while a function runs, on x86 and 64-bit ARM:
`float_mode.h` switches the mode of its threads, and back before it returns."""


def text(api: Api, c: bool, gpu: bool, names: list[str], flush: bool) -> str:
    """README.md. `flush`: the C code takes subnormal numbers for zero."""
    loader = Loader(api)
    needs = "NumPy" + " (and wgpu for the GPU)" * gpu + " and a C compiler, which is called once" * c
    records = ", ".join(f"`{loader.classes[s.name]}`" for s in api.structs)
    views = "Their members are NumPy views: `net.leaves()` names them all."
    from_c = templating.fill("package/from_c.md.j2", p=api.prefix, u=api.upper, notes=_FLUSH if flush else "")
    return templating.load("package/README.md.j2").render(
        api=api,
        about=[api.doc.strip()] if api.doc.strip() else [],
        files=_files(api, gpu, names),
        functions=[{"name": f.export.name, "blocks": _blocks(api, loader, f, c)} for f in api.functions],
        needs=needs,
        example=_example(api, loader, c, gpu),
        records=[f"Records: {records}. {views}"] if records else [],
        sections=[from_c] if c else [],
    )


def _files(api: Api, gpu: bool, names: list[str]) -> list[tuple[str, str]]:
    """Files and what they are."""
    out = [(f"`{n}`", _describe(n, api.prefix)) for n in names if not n.startswith("wgsl/")]
    if gpu:
        out.append(("`wgsl/`", "shader modules, and `manifest.json`: their buffers, sizes and order"))
    return [*out, ("`README.md`, `LICENSE`", "this page; MIT-0: use it as you like")]


def _blocks(api: Api, loader: Loader, f: Function, c: bool) -> list[str]:
    """What a function does, and its signatures."""
    doc = f.export.doc.strip().splitlines()[:1]
    head, *_ = "\n".join(loader.function(f, False)).split('\n    """')
    out = [*doc, f"```python\n{head.removeprefix('def ').rstrip(':')}\n```"]
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
