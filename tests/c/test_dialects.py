"""The emitted C under other compilers, as C++, under sanitizers, and what its machine code looks like."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from charl.backends.c import headers
from tests import support
from tests.c import build, kernels
from tests.support import needs_cpu, needs_tools

ROOT = Path(__file__).resolve().parents[2]
COMMON = [w for w in build.WARNINGS if w != "-Wmissing-prototypes"]
CXX = ["-x", "c++", "-std=c++17", *COMMON]
DIALECTS = {
    # clang says everything while it parses; gcc's analysis of uninitialized values needs the optimiser
    "clang-c99": ("clang", ["-std=c99", *build.WARNINGS, "-fsyntax-only"]),
    "clang-c++17": ("clang++", [*CXX, "-fsyntax-only"]),
    "g++-c++17": ("g++", [*CXX, "-O1", "-c", "-o", "/dev/null"]),
}


@pytest.mark.parametrize("isa", list(build.ISA))
@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_no_warning(suites: Any, dialect: str, isa: str) -> None:
    """All conformance kernels as another language and with another compiler."""
    compiler, flags = DIALECTS[dialect]
    if reason := support.missing_tools(compiler):
        pytest.skip(reason)
    for precision in ("single", "double") if "clang" in compiler else ("single",):
        for source in suites(precision).library.sources():
            build._run([compiler, *flags, *build.ISA[isa], str(source)])


@needs_tools("gcc", "clang", "g++", "clang++")
@pytest.mark.parametrize("isa", list(build.ISA))
def test_whole_headers(tmp_path: Path, isa: str) -> None:
    """The headers with every function in them: nothing in a function that no kernel happens to call."""
    names = {
        p.name for level in headers.LEVELS for part in headers._PARTS[level] for p in headers.pieces(part)
    }
    for name, text in headers.files(" ".join(sorted(names))).items():
        (tmp_path / name).write_text(text)
    source = tmp_path / "all.c"
    source.write_text('#include "simd.h"\n\nextern int declared;\n')
    for compiler, flags in DIALECTS.values():
        build._run([compiler, *flags, *build.ISA[isa], str(source)])


_EVERY_OTHER = """
#include "simd.h"
static const float table[14] = {1.0f};
static float halved[14];
extern void every_other(void);
void every_other(void) {
    const vm32 active = vm32_range(0, 7);
    vf32_store_strided_mask(halved, 2, vf32_load_strided_mask(table, 2, active), active);
}
"""


@needs_tools("gcc")
@pytest.mark.parametrize("isa", list(build.ISA))
def test_every_other_element_of_a_short_array(tmp_path: Path, isa: str) -> None:
    """No address behind the end of an array, not even one that a mask leaves alone: gcc warns of it."""
    for name, text in headers.files(_EVERY_OTHER).items():
        (tmp_path / name).write_text(text)
    source = tmp_path / "every_other.c"
    source.write_text(_EVERY_OTHER)
    build._run(
        ["gcc", "-O2", "-std=c99", *build.WARNINGS, *build.ISA[isa], "-c", str(source), "-o", "/dev/null"]
    )


def test_headers_carry_only_what_is_called() -> None:
    found = headers.files("y = i32_div(a, b); v = vf32_tanh(x);")
    assert set(found) == {
        "simd.h",
        "scalar.h",
        "simd_scalar.h",
        "simd_avx2.h",
        "simd_avx512.h",
        "simd_math.h",
    }
    assert re.findall(r"static inline [^(]*?(\w+)\(", found["scalar.h"])[:2] == ["i32_neg", "i32_div"]
    assert "vf32_exp_normal(" in found["simd_math.h"] and "vf32_log(" not in found["simd_math.h"]
    assert "tanhf" in found["simd_scalar.h"]
    one = headers.files("v = vf32_add(a, b);", ("avx2",))
    assert set(one) == {"simd.h", "scalar.h", "simd_avx2.h"}
    assert "#error" in one["simd.h"] and "simd_math.h" not in one["simd_avx2.h"]
    halves = headers.files("v = vf32_atan(x);", ("avx2",))
    assert set(halves) == {"simd.h", "scalar.h", "simd_avx2.h", "simd_double.h", "simd_math.h"}
    assert set(headers.files("x = 1;", ("scalar",))) == {"simd.h", "scalar.h", "simd_scalar.h"}


_SANITIZED = """
import sys
from pathlib import Path
import numpy as np
from charl.dtypes import f32, f64, i32
from tests.c import build, graphs, kernels
isa, folder = sys.argv[1], Path(sys.argv[2])
library = build.Library("sanitized", folder, guard=0)
cases = list(graphs.merged(orders=(0, 1)))
for case in cases:
    library.add_plan(case.id, build.plan_graph(case.graph))
for t in (f32, f64, i32):
    library.add_kernel(f"joined {t}", kernels.joined(t))
library.build(isa, ["-O0", "-g1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"], "gcc")
for case in cases:
    print(case.id, flush=True)
    library.run_plan(isa, case.id, case.arrays)
for t in (f32, f64, i32):
    print(f"joined {t}", flush=True)
    for n in (5, 16, 37):
        library.run_kernel(isa, f"joined {t}", [np.ones(s, t.numpy) for s in (3, n - 3, 1, 2 * n, 2 * n)], {"N": n})
print("done")
"""


@needs_tools("gcc")
@pytest.mark.parametrize("isa", list(build.ISA))
def test_sanitizers_find_nothing(tmp_path: Path, isa: str) -> None:
    """Every operation and its gradient in a process with AddressSanitizer and UBSan, buffers of exact size."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    libraries = [
        subprocess.run(["gcc", f"-print-file-name={n}.so"], capture_output=True, text=True).stdout.strip()
        for n in ("libasan", "libubsan")
    ]
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": "detect_leaks=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(ROOT),
    }
    command = [sys.executable, "-c", _SANITIZED, isa, str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=ROOT, timeout=300)
    assert ran.returncode == 0 and ran.stdout.endswith("done\n"), ran.stdout[-200:] + ran.stderr[-4000:]


def instructions(library: Path, function: str) -> list[str]:
    """The instructions of a function."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", f"--disassemble={function}", str(library)],
        capture_output=True,
        text=True,
    ).stdout
    return re.findall(r"^\s+[0-9a-f]+:\t(.*)$", text, re.M)


@needs_tools("objdump", "gcc", "clang")
@needs_cpu("avx512f", "avx512dq", "avx512vl", "avx512bw")
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_hot_loops_use_whole_registers(tmp_path: Path, compiler: str) -> None:
    """Sums, register tiles, softmax and float functions run in zmm registers; no product is rounded on its own."""
    library = build.Library("hot", tmp_path, chunks=1)
    hot = {
        "matmul": kernels.matmul(8, 64, 32, 4),
        "sum": kernels.sum_of_products(),
        "softmax": kernels.softmax(4, 64),
    }
    for key, kernel in hot.items():
        library.add_kernel(key, kernel)
    library.build("avx512", ["-O2"], compiler)
    for n, key in enumerate(hot):
        text = "\n".join(instructions(tmp_path / "hot_avx512.so", f"entry_{n}"))
        assert "%zmm" in text, key
        if key != "softmax":
            assert re.search(r"vfmadd\d+ps .*%zmm", text), key
            assert not re.search(r"vmulps .*%zmm", text), key
