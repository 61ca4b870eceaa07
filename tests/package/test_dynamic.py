"""Structs whose tensors have the size of a call: pointers in C, arrays that the record holds in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charl import ops
from charl.backends.capabilities import PORTABLE_C
from charl.backends.package import files
from charl.compile import Options
from charl.dims import Dim, sym
from charl.dtypes import f32, i32
from charl.graph.ir import Graph, TensorType
from charl.plan.build import plan_program
from charl.program import Argument, DimVar, Export, Field, Program, Record, leaves
from charl.runtime.native import write
from tests.support import needs_cc, needs_tools

from .conftest import module
from .test_c import LANGUAGES, WARNINGS, run

B, T = sym("B"), sym("T")


def cache(b: int | Dim, t: int | Dim) -> Record:
    inner = Record("Inner", "struct", (Field("k", TensorType(f32, (b, t))), Field("n", TensorType(i32, ()))))
    return Record("Cache", "struct", (Field("inner", inner), Field("v", TensorType(f32, (t,)))))


def program() -> Program:
    record = cache(B, T)
    params = [ops.parameter(path, t) for path, t in leaves(record)]
    k, n, v = params
    x = ops.parameter("x", TensorType(f32, (B,)))
    new_k = ops.add(k, ops.broadcast(x, (B, T), (0,)))
    total = ops.reduce_sum(ops.add(new_k, ops.broadcast(v, (B, T), (1,))), (1,))
    results = [total, new_k, ops.add(n, ops.constant(1, i32)), v]
    arguments = (Argument("cache", record, mut=True), Argument("x", TensorType(f32, (B,))))
    dims = (DimVar("B", 1), DimVar("T", 2, 8, 2))
    rules = (("B * T <= 24", B * T, "<=", 24, None),)
    export = Export(
        "push", "Adds x.", arguments, TensorType(f32, (B,)), Graph("push", [*params, x], results), dims, rules
    )
    return Program("caches", "", [export], [record])


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("caches")
    write(files({"c": plan_program(program(), PORTABLE_C)}, Options()), folder)
    return folder


@pytest.fixture(scope="module")
def loader(package: Path) -> Any:
    return module(package, "caches")


def filled(loader: Any, b: int, t: int) -> Any:
    out = loader.Cache(v=np.ones(t, np.float32))
    out.inner.k = np.zeros((b, t), np.float32)
    return out


@needs_tools("gcc", "clang++")
@pytest.mark.parametrize("compiler", ["gcc", "clang++"])
def test_the_code_is_clean_and_tests_itself(package: Path, tmp_path: Path, compiler: str) -> None:
    ran = run(compiler, *LANGUAGES[compiler], *WARNINGS, "-c", package / "caches.c", "-o", tmp_path / "out.o")
    assert ran.returncode == 0, ran.stderr
    sources = [package / "caches.c", package / "caches_selftest.c"]
    checks = ["-fsanitize=address,undefined", "-DCACHES_DEBUG"]
    assert (
        ran := run("gcc", *checks, *WARNINGS, *sources, "-lm", "-o", tmp_path / "t")
    ).returncode == 0, ran.stderr
    assert (ran := run(tmp_path / "t")).returncode == 0, ran.stdout + ran.stderr


@needs_cc
def test_the_record_holds_the_arrays(loader: Any) -> None:
    state = filled(loader, 3, 4)
    x = np.array([1, 2, 3], np.float32)
    assert loader.push(state, x).tolist() == [8, 12, 16]
    assert loader.push(state, x).tolist() == [12, 20, 28]
    assert state.inner.n == 2 and (state.inner.k == 2 * x[:, None]).all()
    again = loader.Cache.from_bytes(state.to_bytes())
    assert loader.push(again, x).tolist() == [16, 28, 40]
    assert loader.push(state.copy(), x).tolist() == [16, 28, 40]
    assert state.inner.n == 2


@needs_cc
def test_its_dimensions_are_checked(loader: Any) -> None:
    x = np.zeros(3, np.float32)
    with pytest.raises(
        loader.CharlDimensionError, match=r"T is 4 by axis 1 of cache\.inner\.k, but 6 by axis 0 of cache\.v"
    ):
        state = filled(loader, 3, 4)
        state.v = np.ones(6, np.float32)
        loader.push(state, x)
    with pytest.raises(loader.CharlDimensionError, match="T is 3, which is no multiple of 2"):
        loader.push(filled(loader, 3, 3), x)
    with pytest.raises(
        loader.CharlDimensionError, match=r"T is 10 by axis 1 of cache.inner.k, allowed is 2 to 8"
    ):
        loader.push(filled(loader, 3, 10), x)
    with pytest.raises(loader.CharlDimensionError, match=r"B \* T <= 24 does not hold for B = 7, T = 4"):
        loader.push(filled(loader, 7, 4), np.zeros(7, np.float32))
    with pytest.raises(loader.CharlDimensionError, match="B is 0"):
        loader.push(filled(loader, 0, 4), np.zeros(0, np.float32))
    with pytest.raises(loader.CharlTypeError, match=r"cache.inner.k must be"):
        loader.push(loader.Cache(v=np.ones(4, np.float32)), x)
    with pytest.raises(loader.CharlTypeError, match="Cache has no member w"):
        loader.Cache(w=1)
    with pytest.raises(AttributeError):
        filled(loader, 3, 4).w = 1
    with pytest.raises(loader.CharlDTypeError, match=r"v is float32\[T\], got float64\[2\]"):
        loader.Cache(v=np.ones(2))


@needs_tools("gcc")
def test_c_checks_them_too(package: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text("""
#include "caches.h"
#include <stdio.h>
int main(void) {
    static float k[64], v[8], x[16], y[16];
    static double work[64];
    struct caches_cache c = {{k, 0}, v};
    printf("%d%d", caches_push(3, 4, &c, x, y, work), caches_push(0, 4, &c, x, y, work));
    printf("%d%d", caches_push(3, 3, &c, x, y, work), caches_push(3, 10, &c, x, y, work));
    printf("%d", caches_push(7, 4, &c, x, y, work));
    c.v = NULL;
    printf("%d", caches_push(3, 4, &c, x, y, work));
    return 0;
}
""")
    sources = [main, package / "caches.c"]
    assert (
        ran := run("gcc", f"-I{package}", *sources, "-lm", "-o", tmp_path / "main")
    ).returncode == 0, ran.stderr
    assert run(tmp_path / "main").stdout == "022221"
