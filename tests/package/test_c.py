"""The emitted C: no warning of any compiler, no error of any sanitizer, nothing of the system, and the right answers."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from charl.backends.package import files
from charl.compile import Options
from tests.support import needs_cc, needs_tools

from .conftest import emit
from .programs import lowered

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
LANGUAGES = {
    "gcc": ("-std=c99", "-Wmissing-prototypes"),
    "clang": ("-std=c99", "-Wmissing-prototypes"),
    "g++": ("-x", "c++", "-std=c++17"),
    "clang++": ("-x", "c++", "-std=c++17"),
}
BUILDS = {"release": (), "debug": ("-DLINEAR_DEBUG",), "unchecked": ("-DLINEAR_NO_CHECKS", "-march=native")}


def run(*command: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*map(str, command)], cwd=cwd, capture_output=True, text=True)


def build(folder: Path, out: Path, *flags: str, main: Path | None = None) -> Path:
    """The self-test, or `main`, linked with the package."""
    source = main or folder / "linear_selftest.c"
    ran = run("gcc", "-g", *flags, f"-I{folder}", source, folder / "linear.c", "-lm", "-o", out)
    assert ran.returncode == 0, ran.stderr
    return out


@needs_tools("gcc", "g++", "clang", "clang++")
@pytest.mark.parametrize("kind", BUILDS)
@pytest.mark.parametrize("compiler", LANGUAGES)
def test_no_compiler_warns(package: Path, fixed: Path, tmp_path: Path, compiler: str, kind: str) -> None:
    for folder in (package, fixed):
        flags = [*LANGUAGES[compiler], "-O1", *WARNINGS, *BUILDS[kind]]
        for name in ("linear.c", "linear_selftest.c"):
            ran = run(compiler, *flags, "-c", folder / name, "-o", tmp_path / "out.o")
            assert ran.returncode == 0, ran.stderr


@needs_tools("gcc")
@pytest.mark.parametrize("simd", [(), ("-march=native",)], ids=["plain", "native"])
@pytest.mark.parametrize("debug", [(), ("-DLINEAR_DEBUG",)], ids=["release", "debug"])
def test_the_self_test_passes_under_sanitizers(
    package: Path, fixed: Path, tmp_path: Path, simd: tuple[str, ...], debug: tuple[str, ...]
) -> None:
    checks = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-O1")
    for folder in (package, fixed):
        ran = run(build(folder, tmp_path / f"test_{folder.name}", *checks, *simd, *debug))
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert "4 exports compute what Charl computed" in ran.stdout


@needs_tools("gcc")
def test_the_self_test_fails_where_the_code_is_wrong(package: Path, tmp_path: Path) -> None:
    for path in package.glob("*.[ch]"):
        shutil.copy(path, tmp_path)
    code = (tmp_path / "linear.c").read_text()
    assert code.count("0.0f") >= 1
    wrong = code.replace("* 5.9604645e-8f", "* 5.9604699e-8f").replace("5.9604645e-8f)", "5.98e-8f)")
    assert wrong != code
    (tmp_path / "linear.c").write_text(wrong)
    ran = run(build(tmp_path, tmp_path / "test"))
    assert ran.returncode == 1
    assert "FAILED linear_linear_init(): self.0.w, element 0" in ran.stdout


@needs_tools("gcc", "nm")
def test_a_release_object_asks_nothing_of_the_system(package: Path, tmp_path: Path) -> None:
    out = tmp_path / "linear.o"
    assert run("gcc", "-std=c99", "-O2", "-fno-pic", "-c", package / "linear.c", "-o", out).returncode == 0
    wanted = {line.split()[-1] for line in run("nm", "-u", out).stdout.splitlines()}
    allowed = {"memcpy", "memset"}
    assert wanted <= allowed, wanted - allowed
    data = [line for line in run("nm", out).stdout.splitlines() if line.split()[-2] in "bBdDC"]
    assert not data, data  # no variables of its own


@needs_tools("gcc")
def test_arguments_are_checked(package: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text("""
#include "linear.h"
#include <stdio.h>
#include <stdint.h>
int main(void) {
    static struct linear_linear net;
    static float x[10], y[6];
    static _Alignas(64) unsigned char work[4096];
    int32_t labels[2] = {0, 1}, t = 0;
    float loss;
    printf("%d ", linear_predict(-1, &net, x, y, NULL));
    printf("%d ", linear_predict(2, NULL, x, y, NULL));
    printf("%d ", linear_predict(PTRDIFF_MAX / 8, &net, x, y, NULL));
    printf("%d ", linear_train(2, &net, x, labels, 0.1f, &t, &loss, NULL));
    printf("%d ", linear_train(2, &net, x, labels, 0.1f, &t, &loss, work + 4));
    printf("%d ", linear_train(2, &net, x, labels, 0.1f, &t, &loss, work));
    printf("%d ", linear_train(0, &net, x, labels, 0.1f, &t, &loss, NULL));
    printf("%d ", linear_rng_init(NULL, 3));
    printf("%s", linear_status_string((enum linear_status)99));
    return linear_train_workspace(2) <= sizeof work ? 0 : 1;
}
""")
    ran = run(build(package, tmp_path / "main", "-fsanitize=address,undefined", "-std=c11", main=main))
    assert ran.stdout == "2 1 2 3 3 0 0 1 unknown status", ran.stdout + ran.stderr
    assert ran.returncode == 0


@needs_tools("gcc")
def test_a_debug_build_reports_overlap_and_the_first_nan(package: Path, tmp_path: Path) -> None:
    main = tmp_path / "main.c"
    main.write_text("""
#include "linear.h"
#include <math.h>
#include <stdio.h>
int main(void) {
    static struct linear_linear net;
    static float x[10], y[6];
    printf("%d ", linear_predict(2, &net, x, x, NULL));
    printf("%s|", linear_debug_message());
    x[3] = NAN;
    printf("%d ", linear_predict(2, &net, x, y, NULL));
    printf("%s|", linear_debug_message());
    printf("%s", linear_debug_message());
    return 0;
}
""")
    report = '-DLINEAR_REPORT(where,message)=(void)printf("<%s %s>",where,message)'
    ran = run(build(package, tmp_path / "main", "-DLINEAR_DEBUG", "-include", "stdio.h", report, main=main))
    where = "linear.ch:1:1"
    overlap, nan = "x overlaps result", "the first NaN is in result"
    said = f"<{where} {overlap}>15 {where}: {overlap}|<{where} {nan}>15 {where}: {nan}|"
    assert ran.stdout == said


@needs_tools("gcc")
def test_the_workspace_that_is_asked_for_is_enough(package: Path, fixed: Path, tmp_path: Path) -> None:
    """Under ASan with exactly that many bytes from malloc."""
    main = tmp_path / "main.c"
    main.write_text("""
#include "linear.h"
#include <stdlib.h>
int main(void) {
    ptrdiff_t n;
    for (n = 0; n < 40; ++n) {
        static struct linear_linear net;
        float *x = (float *)calloc((size_t)(5 * n + 1), 4), loss;
        int32_t *y = (int32_t *)calloc((size_t)(n + 1), 4), t = 0;
        void *work = malloc(linear_train_workspace(n));
        if (linear_train(n, &net, x, y, 0.1f, &t, &loss, work) != LINEAR_OK)
            return 1;
        free(x), free(y), free(work);
    }
    return 0;
}
""")
    ran = run(build(package, tmp_path / "main", "-fsanitize=address,undefined", "-march=native", main=main))
    assert ran.returncode == 0, ran.stderr
    header = (fixed / "linear.h").read_text()
    assert "#define LINEAR_TRAIN_WORKSPACE_BYTES" in header
    assert "linear_train_workspace(" not in header


@needs_cc
@needs_tools("ninja")
def test_ninja_builds_the_package(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(package, folder)
    ran = run("ninja", "all", "check", cwd=folder)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert (folder / "liblinear.so").is_file() and (folder / "liblinear.a").is_file()


def test_one_instruction_set_carries_its_headers_only(tmp_path: Path) -> None:
    names = set(files({"c": lowered()}, Options(simd="scalar")))
    assert {"simd.h", "simd_scalar.h"} <= names and not {"simd_avx2.h", "simd_avx512.h"} & names


@needs_tools("gcc", "clang")
def test_names_that_c_reserves(tmp_path: Path) -> None:
    """`default` is an argument of the program; a prefix may be any word."""
    folder = emit(tmp_path, prefix="double")
    assert (folder / "double_.h").is_file()
    ran = run("gcc", "-std=c99", *WARNINGS, "-c", folder / "double_.c", "-o", tmp_path / "out.o")
    assert ran.returncode == 0, ran.stderr
    assert "int32_t *default_" in (folder / "double_.h").read_text()


@needs_tools("gcc", "cmake", "ninja")
@pytest.mark.parametrize("simd", ["auto", "scalar"])
def test_cmake_builds_the_package(tmp_path: Path, simd: str) -> None:
    folder = emit(tmp_path / "package", simd=simd)
    build_folder = tmp_path / "build"
    assert (ran := run("cmake", "-G", "Ninja", "-S", folder, "-B", build_folder)).returncode == 0, ran.stderr
    assert (ran := run("cmake", "--build", build_folder)).returncode == 0, ran.stdout
    assert run(build_folder / "linear_selftest").returncode == 0
    assert {"liblinear.a", "liblinear.so"} <= {p.name for p in build_folder.iterdir()}
    assert ("-march=native" in (folder / "build.ninja").read_text().split("cflags = ")[1]) == (simd == "auto")
