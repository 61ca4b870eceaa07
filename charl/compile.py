"""The whole pipeline, from a source file to the files of a package.

Enters: the path of a program and options. Leaves: a `Compiled` with every file's bytes. Nothing is written here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from charl.backends.capabilities import AVX2, AVX512, PORTABLE_C, SCALAR, WGSL, Capabilities
from charl.collecting import collecting_later
from charl.errors import Diagnostic, code, fail
from charl.output import E_WRITE
from charl.program import Export, Program
from charl.source import Source

if TYPE_CHECKING:
    from charl.plan.ir import Lowered

E_MISSING = code("E0701", "a file cannot be read")
E_ENCODING = code("E0702", "a source file is not UTF-8 text")
E_EMPTY = code("E0621", "a program exports nothing")
E_TARGET = code("E0901", "a target cannot hold an export")
W_TARGET = code("W0902", "an export was left out of a target that cannot hold it")

TARGETS = ("c", "wgsl")
SIMD: Mapping[str, Capabilities] = {"auto": PORTABLE_C, "scalar": SCALAR, "avx2": AVX2, "avx512": AVX512}

Progress = Callable[[str], None]
Dump = Callable[[str, str], None]


@dataclass(frozen=True)
class Options:
    """What the user asked for.

    `dims`: dimension variables of exports, fixed (an int) or bounded (low, high). `sets`: hyper-parameters by path, as text.
    `targets`: None for all that can hold the program. `simd`: a key of `SIMD`. `embed`: weights for the code. `prefix`: of C
    names, the module's name by default. `floats`: element types computed as another (`{"f64": "f32"}`). `dump`: a folder for
    every stage's text. `profile`: clocks around the kernels of the C code. `flush`: the C code takes subnormal numbers for zero.
    `threads`: the most that the workspace of C has room for, by default as many as `Capabilities` says.
    """

    dims: Mapping[str, int | tuple[int, int]] = field(default_factory=dict)
    sets: Mapping[str, str] = field(default_factory=dict)
    targets: tuple[str, ...] | None = None
    simd: str = "auto"
    embed: Path | None = None
    prefix: str | None = None
    floats: Mapping[str, str] = field(default_factory=dict)
    dump: Path | None = None
    profile: bool = False
    flush: bool = False
    threads: int | None = None

    def capabilities(self, target: str) -> Capabilities:
        """What a target can do, as the user asked for it."""
        if target == "wgsl":
            return WGSL
        caps = SIMD[self.simd]
        return replace(caps, threads=self.threads or caps.threads)


@dataclass
class Compiled:
    """The files of a package by relative path, what was noted on the way, and the report of `--report`."""

    name: str  # of the package: the prefix of its C names
    program: Program
    files: dict[str, bytes]
    warnings: list[Diagnostic]
    lowered: dict[str, Lowered]

    @property
    def report(self) -> str:
        """Kernels, source, machine code, workspace and operations of every export, as text."""
        from charl.report import report

        return report(self.lowered, self.files, self.name)


def read_source(path: Path | str) -> Source:
    """Read a program.

    Raises CharlError where the file is missing, unreadable or not UTF-8.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as e:
        raise fail(E_MISSING, f"cannot read {path}: {e.strerror}", help="check the path") from e
    return decode(data, str(path))


def decode(data: bytes, path: str) -> Source:
    """The program that `data` holds. Raises CharlError where it is not UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise fail(
            E_ENCODING, f"{path} is not UTF-8 text (line {line})", help="save the file as UTF-8"
        ) from e
    return Source(path, text)


def elaborated(source: Source, options: Options) -> Program:
    """Check a program and build its graphs, optimised. Raises CharlError with everything that is wrong."""
    from charl.elaborate import elaborate
    from charl.passes import optimise

    program = elaborate(source, dims=options.dims, sets=options.sets, floats=options.floats)
    for export in program.exports:
        export.graph = optimise(export.graph)
    for test in program.tests:
        test.export.graph = optimise(test.export.graph)
    return replace(program, digest=_digest(source, options))


def _digest(source: Source, options: Options) -> str:
    chosen = (
        sorted((k, v) for k, v in options.dims.items()),
        sorted(options.sets.items()),
        options.simd,
        options.prefix,
        sorted(options.floats.items()),
        *(["flush"] if options.flush else []),
        *([] if options.threads is None else [options.threads]),
    )
    return sha256((source.text + repr(chosen)).encode()).hexdigest()


def compile_file(
    path: Path | str, options: Options | None = None, progress: Progress | None = None
) -> Compiled:
    """Compile a file to a package. Raises CharlError for anything wrong with the program or the options."""
    return compile_source(read_source(path), options or Options(), progress)


@collecting_later()
def compile_source(source: Source, options: Options, progress: Progress | None = None) -> Compiled:
    """Compile a source text to a package."""
    tell = progress or (lambda stage: None)
    tell("checking")
    program = elaborated(source, options)
    if not program.exports:
        remedy = "write `export` before the functions that a package should offer"
        raise fail(E_EMPTY, f"{source.path} exports nothing, so there is nothing to make", help=remedy)
    dump = _dumper(options.dump)
    if dump is not None:
        from charl.graph.text import print_graph

        for export in program.exports:
            dump(f"{export.name}.graph", print_graph(export.graph))
    warnings: list[Diagnostic] = []
    lowered: dict[str, Lowered] = {}
    for target in options.targets or TARGETS:
        tell(f"planning for {target}")
        lowered[target] = _plan(program, target, options.capabilities(target), options, warnings)
        if dump is not None:
            _dump_kernels(dump, target, lowered[target])
    tell("printing")
    from charl.backends.package import files, name

    tests = _plan_tests(program, options.capabilities("c")) if "c" in lowered and program.tests else None
    made = files(lowered, options, tests)
    return Compiled(name(program, options), program, made, warnings, lowered)


def _plan_tests(program: Program, caps: Capabilities) -> Lowered | None:
    """The tests of a program that a target holds, for the self-test of its package; None where there are none."""
    exports = [t.export for t in program.tests]
    alone = replace(program, name=f"{program.name}_tests", exports=exports, records=[], doc="")
    lowered = plan_held(alone, caps, {})
    return lowered if lowered.plans else None


def plan_held(program: Program, caps: Capabilities, refused: dict[str, str]) -> Lowered:
    """The plan of those exports that a target can hold; why not, for the others, goes to `refused`."""
    from charl.plan.build import plan_program

    lowered = plan_program(program, caps, lambda export, reason: refused.update({export.name: reason}))
    held = [e for e in program.exports if e.name not in refused]
    return replace(lowered, program=replace(program, exports=held))


def _plan(
    program: Program, target: str, caps: Capabilities, options: Options, warnings: list[Diagnostic]
) -> Lowered:
    from charl.plan.build import plan_program

    def skip(export: Export, reason: str) -> None:
        message = f"{target} cannot hold `{export.name}`: {reason}"
        remedy = "convert with `as` to an element type that it has, or choose another target with `--target`"
        if "f64" in reason:
            remedy = "pass `--f64 f32`, or choose another target with `--target`"
        if options.targets is not None:
            raise fail(E_TARGET, message, export.span, help=remedy)
        warnings.append(Diagnostic(W_TARGET, message, export.span, help=remedy, severity="warning"))

    return plan_program(program, caps, skip)


def _dumper(folder: Path | None) -> Dump | None:
    if folder is None:
        return None

    def write(name: str, text: str) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
        except OSError as e:
            raise fail(
                E_WRITE, f"cannot write {folder / name}: {e.strerror}", help="choose another `--dump`"
            ) from e

    return write


def _dump_kernels(dump: Dump, target: str, lowered: Lowered) -> None:
    from charl.loops.text import print_kernel
    from charl.plan.text import print_plans

    for kernel in lowered.kernels:
        dump(f"{target}.{kernel.name}.loops", print_kernel(kernel))
    dump(f"{target}.plan", print_plans(lowered))
