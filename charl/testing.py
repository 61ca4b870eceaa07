"""`charl test`: the `test` blocks of files, run on backends.

Enters: paths, backends, a pattern. Leaves: an `Outcome` for every test on every backend: passed, failed with the values that an
assertion compared, or left out with the reason. All tests of a file are one package for each backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from charl.elaborate.testing import DIFFERENCES, TestCase, export_of
from charl.errors import CharlError, code, fail
from charl.source import Source

if TYPE_CHECKING:
    from charl.program import Export

BACKENDS = ("evaluator", "c", "wgsl")
NOT_HERE = code("E0830", "a backend cannot run here")
NONE = code("E0623", "there is no test to run")

Array = np.ndarray[Any, Any]
SHOWN = 8  # elements of a compared value


@dataclass(frozen=True)
class Outcome:
    """One test on one backend. `status` is "passed", "failed" or "skipped"; `lines` say why."""

    path: str
    test: str
    backend: str
    status: str
    lines: tuple[str, ...] = ()


def blocks_of(source: Source, pattern: str = "", floats: dict[str, str] | None = None) -> list[TestCase]:
    """The tests of a program whose names hold `pattern`. Raises CharlError where the program is wrong."""
    from charl import dtypes
    from charl.elaborate import check, modules, numbers
    from charl.elaborate.elaborator import Elaborator
    from charl.elaborate.program import prepare, stop
    from charl.elaborate.testing import elaborate_test
    from charl.syntax import declarations

    prepare()
    el = Elaborator()
    el.dtypes = {**dtypes.ALL, **{a: dtypes.ALL[b] for a, b in (floats or {}).items()}}
    token = numbers.REAL.set(el.dtypes["f32"])
    try:
        module = modules.load(el, source, [])
        check.check_module(el, module)
        stop(el)
        found = [i for i in module.ast.items if isinstance(i, declarations.Test) and pattern in i.name.value]
        out: list[TestCase] = []
        for item in found:
            with el.guarded():
                out.append(elaborate_test(el, module, item))
        stop(el)
        return out
    finally:
        numbers.REAL.reset(token)


def run(
    path: Path, backends: Sequence[str], pattern: str, tell: Callable[[str], None], optional: bool = False,
    f64: str | None = None,
) -> Iterator[Outcome]:  # fmt: skip
    """Every test of a file on every backend. Where `optional`, a backend that cannot run here leaves its tests out."""
    from charl.compile import read_source

    floats = {"f64": f64} if f64 else {}
    tell("checking")
    source = read_source(path)
    cases = blocks_of(source, pattern, floats)
    for backend in backends if cases else ():
        tell(f"running on {backend}")
        yield from _on(backend, str(path), source, pattern, cases, optional, floats)


def nothing(paths: Sequence[Path], pattern: str) -> CharlError:
    """What to say where there is no test."""
    what = f"whose name holds {pattern!r} " if pattern else ""
    shown = ", ".join(map(str, paths[:3])) + (", …" if len(paths) > 3 else "")
    return fail(
        NONE, f"there is no test {what}in {shown or 'this folder'}", help='write `test "name" { assert … }`'
    )


def _on(
    backend: str, path: str, source: Source, pattern: str, cases: list[TestCase], optional: bool,
    floats: dict[str, str] | None,
) -> Iterator[Outcome]:  # fmt: skip
    runners: list[Callable[[list[Array]], Sequence[Array]] | str]
    if backend == "evaluator":
        runners = [_evaluated(c) for c in cases]
        if any(c.difference for c in cases):  # differences want precision: f32 computed as f64
            cases = [
                exact if exact.difference else case
                for case, exact in zip(
                    cases, blocks_of(source, pattern, {**(floats or {}), "f32": "f64"}), strict=True
                )
            ]
            runners = [_evaluated(c) for c in cases]
    else:
        runners = _compiled(backend, Path(path).stem, cases, optional)
    for case, runner in zip(cases, runners, strict=True):
        if isinstance(runner, str):
            yield Outcome(path, case.name, backend, "skipped", (runner,))
            continue
        given = list(case.given)
        kind = "f64" if backend == "evaluator" else "f32"
        for value, what in zip(DIFFERENCES[kind], ("step", "tolerance"), strict=True):
            if what in case.difference:
                at = case.difference[what]
                given[at] = np.asarray(value, given[at].dtype)
        results = [np.asarray(r) for r in runner(given)]
        lines = failure(case, results)
        yield Outcome(path, case.name, backend, "failed" if lines else "passed", lines)


# ---------------------------------------------------------------- backends


def _evaluated(case: TestCase) -> Callable[[list[Array]], Sequence[Array]]:
    from charl.graph.evaluate import Evaluator

    return Evaluator(case.graph)


def _compiled(
    backend: str, stem: str, cases: list[TestCase], optional: bool
) -> list[Callable[[list[Array]], Sequence[Array]] | str]:
    """The tests on emitted code; why not, for those that the target cannot hold."""
    from charl.backends.capabilities import PORTABLE_C, WGSL
    from charl.backends.package import files
    from charl.compile import Options, plan_held
    from charl.graph.text import print_graph
    from charl.passes import optimise
    from charl.program import Program
    from charl.runtime.native import import_package

    exports = [export_of(c, f"test_{i}") for i, c in enumerate(cases)]
    for e in exports:
        e.graph = optimise(e.graph)
    digest = sha256("".join(print_graph(e.graph) for e in exports).encode()).hexdigest()
    program = Program(f"{stem}_tests", "", exports, [], digest=digest)
    refused: dict[str, str] = {}
    target = "c" if backend == "c" else "wgsl"

    lowered = plan_held(program, PORTABLE_C if target == "c" else WGSL, refused)
    package: Any = None
    if lowered.plans:
        module = import_package(files({target: lowered}, Options(targets=(target,))))
        try:
            package = module.load("c" if target == "c" else "wgpu")
        except RuntimeError as error:  # a loader's own: no compiler, no adapter
            if not optional:
                raise fail(NOT_HERE, f"{backend}: {error}") from None
            return [str(error).splitlines()[0] for _ in cases]
    return [
        refused[e.name].replace(f"`{e.name}`", "it") if e.name in refused else _call(package, e)
        for e in exports
    ]


def _call(package: Any, export: Export) -> Callable[[list[Array]], Sequence[Array]]:
    from charl.dtypes import loaded, stored

    function, graph = getattr(package, export.name), export.graph

    def call(arrays: list[Array]) -> Sequence[Array]:
        given = [stored(a, p.dtype).copy() for a, p in zip(arrays, graph.params, strict=True)]
        return [loaded(r, n.dtype) for r, n in zip(function(*given), graph.results, strict=True)]

    return call


# ---------------------------------------------------------------- reports


@dataclass
class Totals:
    """How many tests came out how, and the lines of a report."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, o: Outcome) -> list[str]:
        """The lines for one outcome."""
        setattr(self, o.status, getattr(self, o.status) + 1)
        word = {"passed": "passed", "failed": "FAILED", "skipped": "skipped"}[o.status]
        head = f"{word:<7} {o.backend:<9} {o.path}: {o.test}"
        if o.status == "skipped":
            return [f"{head} ({o.lines[0]})"]
        return [head, *(f"    {line}" for text in o.lines for line in text.splitlines())]

    @property
    def summary(self) -> str:
        """The last line."""
        parts = [(self.passed, "passed"), (self.failed, "failed"), (self.skipped, "skipped")]
        return ", ".join(f"{n} {what}" for n, what in parts if n)


def failure(case: TestCase, results: Sequence[Array]) -> tuple[str, ...]:
    """Why a test failed, line by line; nothing where it passed."""
    number = int(results[0])
    if number == 0:
        return ()
    site = case.sites[number - 1]
    shown = site.span.shown
    lines = [f"{shown}: {' '.join(site.span.text.split())}"]
    if site.message:
        lines.append(site.message)
    if site.inside:
        lines.append("in a loop, a branch or a lane, where it failed first")
    values = case.values(site, results)
    width = max((len(x) for x in site.labels), default=0)
    for label, value in zip(site.labels, values, strict=False):
        lines.append(f"{label:<{width}}  {_text(value)}")
    if len(values) == 2:
        lines += _difference(values[0], values[1])
    return tuple(lines)


def _text(value: Array) -> str:
    if value.ndim == 0:
        return f"{value.item():.9g}" if value.dtype.kind == "f" else str(value.item()).lower()
    return np.array2string(value, precision=6, threshold=4 * SHOWN, edgeitems=SHOWN // 2).replace(
        "\n", "\n  "
    )


def _difference(a: Array, b: Array) -> Iterator[str]:
    """How far two values are apart, and where most."""
    try:
        x, y = np.broadcast_arrays(a, b)
    except ValueError:
        return
    if x.dtype.kind not in "fiu" or y.dtype.kind not in "fiu" or not x.size:
        return
    with np.errstate(all="ignore"):
        far = np.abs(x.astype(np.float64) - y.astype(np.float64))
    far = np.where((x == y) | (np.isnan(far) & np.isnan(x) & np.isnan(y)), 0.0, far)
    at = np.unravel_index(np.argmax(np.where(np.isnan(far), np.inf, far)), far.shape)
    where = f" at [{', '.join(map(str, at))}]" if far.ndim else ""
    yield f"the largest difference is {far[at]:.6g}{where}"
