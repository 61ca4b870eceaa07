"""Charl's side: a program compiled to C as its users compile it, and called from C.

Enters: a .ch file, sizes, an instruction set. Leaves: calls of its exports on NumPy arrays. The emitted Python loader checks
and lays out the arguments; a loop in C around the emitted function makes the calls, so that no foreign-function call is timed.
"""

from __future__ import annotations

import ctypes
import pickle
import subprocess
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

import charl
from benchmarks import machine
from benchmarks.case import placed
from charl import templating
from charl.backends.c import api as c_api
from charl.backends.c.spelling import c_type
from charl.compile import Compiled, Options, compile_file
from charl.runtime.native import import_package

Array: TypeAlias = "np.ndarray[Any, Any]"
COMPILER = Path(charl.__file__).parent


@dataclass
class Emitted:
    """One program, compiled for fixed sizes; a backend of its own loader, which binds arguments to calls."""

    source: Path
    folder: Path
    simd: str
    threads: int = 1
    dims: dict[str, int] = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    flush: bool = False  # subnormal numbers are zero
    optimise: str = "-O2"
    profile: bool = False  # with clocks around its kernels

    def __post_init__(self) -> None:
        files = self._files()
        name = next(f for f in files if f.endswith(".py")).removesuffix(".py")
        key = sha256(repr((sorted(files.items()), self.flags())).encode()).hexdigest()[:20]
        where = self.folder / f"{name}-{key}"
        self.module = import_package(files, where)
        library = where / "calls.so"
        if not library.exists():
            sources = [str(where / "calls.c"), str(where / f"{name}.c")]
            call = [machine.compiler(), *self.flags(), f"-I{where}", *sources, "-lm", "-o", f"{library}.new"]
            subprocess.run(call, check=True)
            Path(f"{library}.new").rename(library)
        self.library = ctypes.CDLL(str(library))
        self.package = self.module.load(self)

    def _files(self) -> dict[str, bytes]:
        """The package and a driver; kept from run to run while neither the compiler nor the programs change."""
        key = sha256(repr((self.source.name, self.dims, self.sets, self.simd, self.flush)).encode())
        for folder in (COMPILER, templating.directory(), self.source.parent):
            for path in sorted(
                p for p in folder.rglob("*") if p.suffix in (".py", ".ch", ".lark", ".h", ".j2")
            ):
                key.update(path.read_bytes())
        kept = self.folder / f"files-{key.hexdigest()[:20]}.pickle"
        if kept.exists() and not self.profile:  # clocks are read by what the compiler knows of the kernels
            return dict(pickle.loads(kept.read_bytes()))
        options = Options(
            dims=self.dims, sets=self.sets, targets=("c",), simd=self.simd, flush=self.flush, profile=self.profile
        )  # fmt: skip
        self.compiled = compiled = compile_file(self.source, options)
        driver = _driver(compiled, c_api.of(compiled.lowered["c"], compiled.name))
        files = {**compiled.files, "calls.c": driver.encode()}
        if self.profile:
            return files
        kept.with_suffix(".new").write_bytes(pickle.dumps(files))
        kept.with_suffix(".new").rename(kept)
        return files

    def flags(self) -> tuple[str, ...]:
        """Options of the C compiler: those of the emitted build file, and threads."""
        threads = ("-fopenmp",) if self.threads > 1 else ()
        return ("-std=c99", self.optimise, "-fPIC", "-shared", *machine.FLAGS[self.simd], *threads)

    def call(self, name: str, arguments: dict[str, Any]) -> Call:
        """The export `name` bound to copies of these arguments; nothing has been called yet.

        A record is given by its leaves, a run of records by a list; what is missing is a record of zeros.
        """
        exports = (v for v in vars(self.module).values() if isinstance(v, self.module._Export))
        export = next(e for e in exports if e.name == name)
        values = [self._value(a.type, arguments.get(a.name)) for a in export.arguments]
        self._last: Call | None = None
        given = getattr(self.package, name)(*values)
        assert self._last is not None
        changed = [v for a, v in zip(export.arguments, values) if a.mut]
        self._last.holders = [*changed, *(given if isinstance(given, tuple) else [given])]
        return self._last

    def _value(self, type_: Any, given: Any) -> Any:
        if isinstance(type_, tuple):
            return tuple(self._value(t, g) for t, g in zip(type_, given, strict=True))
        if isinstance(type_, self.module._Tensor):
            return placed(given)
        made = type_()
        mine = made.leaves()
        for path, value in (given or {}).items():
            mine[path][...] = value
        return made

    def run(self, export: Any, arguments: list[Any], results: list[Any], dims: dict[str, int]) -> None:
        """What the loader calls with checked arguments (see its `Backend`)."""
        size = self.module._evaluate(export.workspace, dims)
        held = [np.array(dims[d.name], np.intp) for d in export.dims]
        workspace = machine.aligned(size // 4 + 16)
        kept = [*held, *arguments, *results, workspace]
        addresses = [self.module._address(x) for x in kept]
        function = getattr(self.library, f"{export.symbol}_many")
        self._last = Call(function, (ctypes.c_void_p * len(addresses))(*addresses), kept, results)


@dataclass
class Call:
    """An export bound to arguments."""

    function: Any
    addresses: Any
    kept: list[Any]  # what the addresses point to
    results: list[Any]
    holders: list[Any] = field(
        default_factory=list
    )  # the `mut` arguments, then the results, as the loader gives them

    def many(self, calls: int) -> None:
        """Call it so many times."""
        if self.function(ctypes.c_long(calls), self.addresses) != 0:
            raise SystemExit(f"{self.function.__name__} refused its arguments")

    def result(self) -> Array | None:
        """The first result of the last call; None where the export has none."""
        return self.results[0] if self.results else None

    def state(self) -> dict[str, Array]:
        """Leaves of the first record that a call changes or makes, by path."""
        record = next((h for h in self.holders if hasattr(h, "leaves")), None)
        return {} if record is None else dict(record.leaves())


def _driver(compiled: Compiled, api: c_api.Api) -> str:
    """C that calls every function of a package in a loop, its arguments in an array of pointers."""
    lines = [f'#include "{compiled.name}.h"', ""]
    for f in (*(i.function for i in api.initializers if i.function is not None), *api.functions):
        given = [f"*(const ptrdiff_t *)a[{i}]" for i, _ in enumerate(f.dimensions)]
        for p in f.parameters:
            at = f"a[{len(given)}]"
            if p.kind == "value":
                assert p.tensor is not None
                at = f"*(const {c_type(p.tensor.dtype)} *){at}"
            given.append(at)
        given.append(f"a[{len(given)}]")
        lines += [
            f"int {f.name}_many(long calls, void *const *a);",
            f"int {f.name}_many(long calls, void *const *a)",
            "{",
            "    int bad = 0;",
            "    for (long i = 0; i < calls; i++)",
            f"        bad |= (int){f.name}({', '.join(given)});",
            "    return bad;",
            "}",
            "",
        ]
    return "\n".join(lines)
