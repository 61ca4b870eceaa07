"""All files of an emitted package.

Enters: what planning left for each target, and the options. Leaves: file names and their bytes, the same for the same input.
Never plans; each target's own package module says what is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from charl import templating
from charl.backends import python
from charl.backends.c import api as c_api
from charl.backends.c import package as c_package
from charl.backends.c import selftest
from charl.backends.wgsl import package as wgsl_package

if TYPE_CHECKING:
    from charl.compile import Options
    from charl.plan.ir import Lowered
    from charl.program import Program

VERSION = c_package.VERSION


def files(lowered: Mapping[str, Lowered], options: Options, tests: Lowered | None = None) -> dict[str, bytes]:
    """Every file, by its path in the package. Raises CharlError where the weights to embed do not fit.

    `tests` are the `test` blocks of the program, which the self-test runs.
    """
    from charl.backends import readme

    c, gpu = lowered.get("c"), lowered.get("wgsl")
    program = next(iter(lowered.values())).program
    prefix = name(program, options)
    out: dict[str, bytes] = {}
    api = c_api.build(program, c.plans if c is not None else (), prefix)
    if c is not None:
        planned = c_api.of(c, prefix)
        tested = c_api.of(tests, f"{prefix}_tests") if tests is not None else None
        beside = (tested, tests) if tested is not None and tests is not None else None
        out |= c_package.files(planned, c, options, beside)
        out |= _texts(selftest.files(planned, tested, program.tests))
        out |= _texts(
            _build_files(
                planned,
                sorted(
                    n[:-2] for n in out if n.endswith(".c") and not n.endswith(("_selftest.c", "_tests.c"))
                ),
                options.simd,
                [f"{prefix}_selftest", *([f"{prefix}_tests"] if tested is not None else [])],
            )
        )
    if gpu is not None:
        out |= wgsl_package.files(gpu)
    shaders = any(name.startswith("wgsl/") for name in out)
    out |= _texts({f"{prefix}.py": python.module(api, VERSION, gpu=shaders, simd=options.simd)})
    out |= _texts(
        {
            "README.md": readme.text(api, c is not None, shaders, sorted(out), options.flush),
            "LICENSE": templating.text("package/LICENSE"),
        }
    )
    return dict(sorted(out.items()))


def name(program: Program, options: Options) -> str:
    """What a package is called: its folder, its files and the beginning of its C names."""
    return c_package.prefix(options.prefix or program.name)


def _texts(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {name: text.encode() for name, text in texts.items()}


# Flags of GCC and Clang for the instruction sets of `--simd`.
_FLAGS = {
    "auto": "-march=native",
    "scalar": "",
    "avx2": "-mavx2 -mfma -mf16c",
    "avx512": "-mfma -mf16c -mavx512f -mavx512dq -mavx512vl -mavx512bw",
}


def _build_files(api: c_api.Api, sources: list[str], simd: str, selftest: list[str]) -> dict[str, str]:
    context = {"api": api, "sources": sources, "flags": _FLAGS[simd], "selftest": selftest}
    return {
        "build.ninja": templating.load("package/build.ninja.j2").render(context),
        "CMakeLists.txt": templating.load("package/CMakeLists.txt.j2").render(context),
    }
