"""Compiles many graphs and kernels into one shared library per instruction set, and calls them.

Enters: graphs (through plan, lowering and the printer) or kernels. Leaves: results as NumPy arrays. Each entry is a C
function of three tables of pointers, so that one `ctypes` signature calls them all.
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from charl import dims
from charl.backends.c import headers
from charl.backends.c.printer import print_kernel
from charl.backends.c.spelling import c_type
from charl.backends.capabilities import PORTABLE_C, Capabilities
from charl.dtypes import loaded, stored
from charl.graph.ir import Graph
from charl.loops.ir import Kernel
from charl.loops.verify import verify
from charl.plan.build import plan_program
from charl.plan.ir import Place, Plan
from charl.program import Argument, Export, Field, Program, Record
from tests import support

Array = np.ndarray[Any, Any]

ISA: dict[str, list[str]] = {
    "scalar": [],
    "avx2": ["-mavx2", "-mfma", "-mf16c"],
    "avx512": ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma", "-mf16c"],
}
CPU = {
    "scalar": (),
    "avx2": ("avx2", "fma", "f16c"),
    "avx512": ("avx512f", "avx512dq", "avx512vl", "avx512bw"),
}
# Buffers without elements may share an address here, hence -Wno-restrict.
WARNINGS = [
    "-Wall",
    "-Wextra",
    "-Wpedantic",
    "-Wconversion",
    "-Wdouble-promotion",
    "-Wvla",
    "-Wshadow",
    "-Werror",
]
WARNINGS += ["-Wmissing-prototypes", "-Wno-unknown-warning-option", "-Wno-restrict"]


def missing(isa: str) -> str | None:
    """Why code for an instruction set cannot be built and run here; None where it can."""
    return support.missing_cc() or support.missing_cpu(*CPU[isa])


def plan_graph(graph: Graph, caps: Capabilities = PORTABLE_C) -> Plan:
    """Plan an export whose arguments are the parameters of `graph`, one each."""
    arguments = tuple(Argument(p.name or f"x{i}", p.type) for i, p in enumerate(graph.params))
    fields = tuple(Field(str(i), r.type) for i, r in enumerate(graph.results))
    result = Record("", "tuple", fields)
    export = Export(graph.name, "", arguments, result, graph, ())
    return plan_program(_program(export), caps).plans[0]


def _program(export: Export) -> Program:
    from charl.source import Source

    return Program("case", Source("case.ch", ""), (export,), {})


@dataclass
class Library:
    """Text of one library, and after `build` the loaded functions."""

    name: str
    folder: Path
    chunks: int = 2
    guard: int = 64  # bytes behind every buffer that nothing may change
    plans: dict[str, Plan] = field(default_factory=dict)
    _pieces: list[str] = field(default_factory=list)
    _kernels: dict[str, Kernel] = field(default_factory=dict)
    _loaded: dict[str, ctypes.CDLL] = field(default_factory=dict)

    def add_plan(self, key: str, plan: Plan) -> None:
        """An entry that runs the calls of a plan whose sizes are all known."""
        number = len(self._pieces)
        self.plans[key] = plan
        constants = _constants(plan)
        text: list[str] = []
        printed: dict[int, str] = {}
        calls = []
        for call in plan.calls:
            if id(call.kernel) not in printed:
                verify(call.kernel)
                prefix = f"k{number}_{len(printed)}"
                printed[id(call.kernel)] = f"{prefix}_{call.kernel.name}"
                text.append(print_kernel(call.kernel, prefix))
            args = [_pointer(p, constants) for p in call.places]
            args += [str(dims.evaluate(d, {})) for d in call.dims]
            calls.append(f"    {printed[id(call.kernel)]}({', '.join(args)});")
        entry = f"entry_{number}"
        head = f"void {entry}(void *const *p, void *const *r, char *w, const void *const *c)"
        unused = "    (void)p, (void)r, (void)w, (void)c;"
        self._pieces.append("\n".join([*text, head + ";", head + " {", unused, *calls, "}", ""]))
        self._entries()[key] = (entry, list(constants.values()))

    def add_kernel(self, key: str, kernel: Kernel) -> None:
        """An entry that runs one kernel on flat arrays; dimensions come through the workspace as ptrdiff_t."""
        verify(kernel)
        number = len(self._pieces)
        prefix = f"k{number}"
        self._kernels[key] = kernel
        args = [
            f"({'const ' if b.role == 'input' else ''}{c_type(b.dtype)} *)p[{i}]"
            for i, b in enumerate(kernel.buffers)
        ]
        args += [f"((const ptrdiff_t *)(const void *)w)[{i}]" for i in range(len(kernel.dims))]
        entry = f"entry_{number}"
        head = f"void {entry}(void *const *p, void *const *r, char *w, const void *const *c)"
        call = f"    {prefix}_{kernel.name}({', '.join(args)});"
        unused = "    (void)p, (void)r, (void)w, (void)c;"
        self._pieces.append(
            "\n".join([print_kernel(kernel, prefix), head + ";", head + " {", unused, call, "}", ""])
        )
        self._entries()[key] = (entry, [])

    def _entries(self) -> dict[str, tuple[str, list[Array]]]:
        if not hasattr(self, "_table"):
            self._table: dict[str, tuple[str, list[Array]]] = {}
        return self._table

    def sources(self) -> list[Path]:
        """Write headers and code; the C files."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for name, text in headers.files("\n".join(self._pieces)).items():
            (self.folder / name).write_text(text)
        out = []
        size = -(-len(self._pieces) // self.chunks)
        for i in range(self.chunks):
            part = self._pieces[i * size : (i + 1) * size]
            path = self.folder / f"{self.name}_{i}.c"
            path.write_text('#include "simd.h"\n\n' + "\n".join(part))
            out.append(path)
        return out

    def build(self, isa: str, flags: Sequence[str] = ("-O1",), compiler: str | None = None) -> None:
        """Compile for an instruction set and load."""
        cc = compiler or support.compiler()
        assert cc is not None
        sources = self.sources()
        objects = [self.folder / f"{s.stem}_{isa}.o" for s in sources]
        common = [cc, "-std=c99", "-fPIC", *flags, *ISA[isa]]
        with ThreadPoolExecutor(2) as pool:
            list(
                pool.map(
                    lambda so: _run([*common, "-c", str(so[0]), "-o", str(so[1])]), zip(sources, objects)
                )
            )
        library = self.folder / f"{self.name}_{isa}.so"
        _run(
            [
                cc,
                "-shared",
                *map(str, objects),
                "-o",
                str(library),
                "-lm",
                *[f for f in flags if "sanitize" in f or f == "-fopenmp"],
            ]
        )
        self._loaded[isa] = ctypes.CDLL(str(library))

    def run_plan(self, isa: str, key: str, arrays: Sequence[Array]) -> list[Array]:
        """Results of a plan. Every buffer has guard words behind it that nothing may change."""
        entry, constants = self._entries()[key]
        plan = self.plans[key]
        graph = plan.export.graph
        given = [stored(a, p.dtype) for a, p in zip(arrays, graph.params, strict=True)]
        params = [_guarded(a, self.guard) for a in given]
        results = [
            _guarded(np.zeros(_shape(r.type.shape), r.type.dtype.memory), self.guard) for r in graph.results
        ]
        arena = np.zeros(dims.evaluate(plan.arena_bytes, {}) + 64, np.uint8)
        start = -arena.ctypes.data % 64
        self._call(
            isa,
            entry,
            [p.data for p in params],
            [r.data for r in results],
            arena.ctypes.data + start,
            constants,
        )
        for g in (*params, *results):
            g.check()
        return [loaded(r.array, n.dtype) for r, n in zip(results, graph.results)]

    def run_kernel(
        self, isa: str, key: str, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None
    ) -> None:
        """Run a kernel on flat arrays, in place."""
        entry, _ = self._entries()[key]
        kernel = self._kernels[key]
        guarded = [_guarded(a, self.guard) for a in arrays]
        values = np.array([(sizes or {})[d] for d in kernel.dims] or [0], np.int64)
        self._call(isa, entry, [g.data for g in guarded], [], values.ctypes.data, [])
        for a, g in zip(arrays, guarded):
            g.check()
            a[...] = g.array

    def _call(
        self, isa: str, entry: str, p: list[int], r: list[int], w: int, constants: Sequence[Array]
    ) -> None:
        tables = [(ctypes.c_void_p * max(1, len(t)))(*t) for t in (p, r, [c.ctypes.data for c in constants])]
        getattr(self._loaded[isa], entry)(tables[0], tables[1], ctypes.c_void_p(w), tables[2])


def _constants(plan: Plan) -> dict[int, Array]:
    """Tables of a plan, each once."""
    out: dict[int, Array] = {}
    for call in plan.calls:
        for p in call.places:
            if p.kind == "constant":
                assert p.data is not None
                out[id(p.data)] = stored(p.data, p.dtype)
    return out


def _pointer(place: Place, constants: Mapping[int, Array]) -> str:
    c = c_type(place.dtype)
    if place.kind == "parameter":
        return f"({c} *)p[{place.position}]"
    if place.kind == "result":
        return f"({c} *)r[{place.position}]"
    if place.kind in ("arena", "scratch"):
        return f"({c} *)(void *)(w + {dims.evaluate(place.offset, {})})"
    at = list(constants).index(id(place.data))
    return f"(const {c} *)c[{at}]"


@dataclass
class _Guarded:
    array: Array
    whole: Array

    @property
    def data(self) -> int:
        return self.array.ctypes.data

    def check(self) -> None:
        assert (self.whole[self.array.nbytes :] == 0xA5).all(), "written behind the end of a buffer"


def _guarded(a: Array, guard: int) -> _Guarded:
    whole = np.full(a.nbytes + guard, 0xA5, np.uint8)
    inside = whole[: a.nbytes].view(a.dtype).reshape(a.shape)
    inside[...] = a
    return _Guarded(inside, whole)


def _shape(shape: Sequence[Any]) -> tuple[int, ...]:
    return tuple(dims.evaluate(s, {}) for s in shape)


def _run(command: Sequence[str]) -> None:
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, f"{' '.join(command)}\n{ran.stderr[:6000]}"
