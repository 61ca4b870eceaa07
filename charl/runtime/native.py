"""Emitted packages inside the process that made them: written to a folder of their own, imported from there.

Enters: a program's path and options, or the files of a package. Leaves: what the emitted loader offers. The loader is the
emitted one, so that nothing works here that would not work there.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from charl.errors import code, fail

if TYPE_CHECKING:
    from charl.compile import Options
    from charl.program import Program
    from charl.source import Source

BACKENDS = {"c": ("c",), "wgpu": ("wgsl",), "evaluator": ()}

E_BACKEND = code("E0712", "there is no such backend")
E_FLOAT = code("E0714", "floats cannot be computed as this type")
E_CACHE = code("E0713", "no folder can be written for compiled packages")


def load(
    path: str | os.PathLike[str],
    *,
    backend: str = "c",
    sets: Mapping[str, Any] | None = None,
    simd: str = "native",
    debug: bool = False,
    f32: str = "f32",
    f64: str = "f64",
    flush_subnormals: bool = False,
    **dims: int | tuple[int, int],
) -> Any:
    """Compile a program and give it as its emitted loader would: see `charl.load`."""
    from charl.compile import Options, read_source

    if backend not in BACKENDS:
        raise fail(E_BACKEND, f"no backend is called {backend!r}", help=f"there are {', '.join(BACKENDS)}")
    for name, wide in (("f32", f32), ("f64", f64)):
        if wide not in ("f32", "f64"):
            raise fail(E_FLOAT, f"{name} is computed as f32 or f64, not as {wide!r}")
    source = read_source(os.fspath(path))
    options = Options(
        dims=dims,
        sets={k: str(v) for k, v in (sets or {}).items()},
        targets=BACKENDS[backend] or ("c",),
        floats={a: b for a, b in (("f32", f32), ("f64", f64)) if a != b},
        flush=flush_subnormals,
    )
    return load_program(source, options, backend, simd, debug)[2]


def load_program(
    source: Source, options: Options, backend: str, simd: str = "native", debug: bool = False
) -> tuple[Program, ModuleType, Any]:
    """A source's checked program, the module of its emitted loader, and the package that this gives for a backend."""
    from charl.compile import compile_source

    if backend == "evaluator":
        return _evaluated(source, options)
    compiled = compile_source(source, options)
    module = import_package(compiled.files)
    package = module.load(backend, simd=simd, debug=debug) if backend == "c" else module.load(backend)
    return compiled.program, module, package


def _evaluated(source: Source, options: Options) -> tuple[Program, ModuleType, Any]:
    """The program on the evaluator; nothing is planned and nothing compiled."""
    from charl.backends import python
    from charl.backends.c import api, package
    from charl.compile import elaborated
    from charl.runtime.evaluator import EvaluatorBackend

    program = elaborated(source, options)
    prefix = package.prefix(program.name)
    text = python.module(api.build(program, (), prefix), package.VERSION, gpu=False)
    module = import_package({f"{prefix}.py": text.encode()})
    return program, module, module.load(EvaluatorBackend(program))


def import_package(files: Mapping[str, bytes], folder: Path | None = None) -> ModuleType:
    """Write a package to `folder` (one in the cache by default, named by the content) and import its loader."""
    key = sha256()
    for name, content in sorted(files.items()):
        key.update(f"{name}\0{len(content)}\0".encode() + content)
    loader = next(name for name in files if name.endswith(".py"))
    name = f"_charl_{loader[:-3]}_{key.hexdigest()[:16]}"
    if folder is None:
        if name in sys.modules:
            return sys.modules[name]
        folder = _cached(files, f"{loader[:-3]}-{key.hexdigest()[:24]}")
    else:
        write(files, folder)
    spec = importlib.util.spec_from_file_location(name, folder / loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _cached(files: Mapping[str, bytes], name: str) -> Path:
    """A folder with the files, complete or not there at all."""
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    for root in (Path(cache) / "charl", Path(tempfile.gettempdir()) / f"charl-{os.getuid()}"):
        if (root / name).is_dir():
            return root / name
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
            partial = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=root))
        except OSError:
            continue
        write(files, partial)
        try:
            partial.rename(root / name)
        except OSError:  # another process was faster
            if not (root / name).is_dir():
                raise
            import shutil

            shutil.rmtree(partial, ignore_errors=True)
        return root / name
    raise fail(E_CACHE, "no folder can be written for the compiled package", help="set XDG_CACHE_HOME")


def write(files: Mapping[str, bytes], folder: Path) -> None:
    """The files of a package, below `folder`."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
