"""Renaming every name of the tour to reserved words of C, C++, WGSL, Python or JavaScript changes nothing but names."""

from __future__ import annotations

import ast as python
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from charl.compile import Compiled, Options, compile_source, read_source
from charl.runtime.native import import_package, write
from charl.syntax.tokens import HARD_KEYWORDS
from tests.c.build import WARNINGS
from tests.language.renaming import renamed, words
from tests.support import compiler, needs_cc, needs_vulkan

TOUR = sorted((Path(__file__).resolve().parents[2] / "examples" / "tour").glob("*.ch"))
# Sizes at which what is compiled is the same code, only smaller.
SMALL: dict[str, dict[str, str]] = {
    "gpt": {"vocab": "11", "context": "8", "d": "8", "heads": "2", "depth": "1"},
}


def compiled(path: Path, change: bool) -> tuple[Compiled, dict[str, str]]:
    source = read_source(path)
    table: dict[str, str] = {}
    if change:
        source, table = renamed(source)
    sets = {f"{table.get('net', 'net')}.{table.get(k, k)}": v for k, v in SMALL.get(path.stem, {}).items()}
    return compile_source(source, Options(floats={"f64": "f32"}, simd="scalar", sets=sets)), table


@pytest.fixture(scope="module", params=TOUR, ids=[p.stem for p in TOUR])
def both(request: pytest.FixtureRequest) -> tuple[Compiled, Compiled, dict[str, str]]:
    before, _ = compiled(request.param, False)
    after, table = compiled(request.param, True)
    return before, after, table


def numbers(files: dict[str, bytes]) -> list[str]:
    """The expected values of the self-test of the exports; initial values depend on the names of the parameters."""
    text = next(c for n, c in files.items() if n.endswith("_selftest.c")).decode()
    found = re.split(r"static void test_(\w+)\(void\)", text)
    tests = zip(found[1::2], found[2::2], strict=True)
    return [
        x
        for name, body in tests
        if not name.endswith("_init")
        for x in re.findall(r"\] = \{(.*?)\};", body, re.DOTALL)
    ]


def test_there_are_words_of_every_language() -> None:
    known = set(words())
    assert {"double", "auto", "namespace", "lambda", "function", "workgroup", "template"} <= known
    assert not known & set(HARD_KEYWORDS)


def test_the_same_is_computed(both: Any) -> None:
    before, after, table = both
    assert len(table) >= 8
    assert [len(x.kernels) for x in before.lowered.values()] == [
        len(x.kernels) for x in after.lowered.values()
    ]
    assert numbers(before.files) == numbers(after.files)


@needs_cc
def test_the_c_compiles_without_warnings_and_tests_itself(both: Any, tmp_path: Path) -> None:
    _, after, _ = both
    write(after.files, tmp_path)
    sources = sorted(tmp_path.glob("*.c"))
    program = tmp_path / "selftest"
    command = [str(compiler()), "-std=c99", "-O0", *WARNINGS, *map(str, sources), "-o", str(program), "-lm"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert subprocess.run([str(program)], capture_output=True).returncode == 0


def test_the_loader_is_python(both: Any) -> None:
    _, after, _ = both
    for name, content in after.files.items():
        if name.endswith(".py"):
            python.parse(content.decode())
    assert import_package(after.files).load is not None


@needs_vulkan
def test_the_shaders_are_valid(both: Any) -> None:
    from tests.wgsl.device import gpu

    _, after, _ = both
    shaders = {n: c.decode() for n, c in after.files.items() if n.endswith(".wgsl")}
    assert shaders
    for name, code in shaders.items():
        gpu().create_shader_module(label=name, code=code)
