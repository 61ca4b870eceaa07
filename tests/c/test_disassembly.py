"""What the machine code of the digits package looks like: hot kernels run in whole AVX-512 registers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from charl.compile import Options, compile_file, compile_source
from charl.loops.ir import Kernel, Simd
from charl.loops.walk import statements
from charl.source import Source
from tests.c import build
from tests.c.test_dialects import instructions
from tests.support import needs_cpu, needs_tools

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "examples" / "digits" / "digits.ch"


def _vectors(kernel: Kernel) -> bool:
    return any(isinstance(s, Simd) for nest in kernel.nests for s in statements(nest))


def _multiplies(kernel: Kernel) -> bool:
    """Whether the kernel contains a matrix product over its batch."""
    return re.search(r"dense|dropout|update_net_\d_w", kernel.name) is not None


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Kernel]]:
    folder = tmp_path_factory.mktemp("digits")
    compiled = compile_file(PROGRAM, Options(targets=("c",)))
    for name, data in compiled.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    # Kernels that are called once would vanish into their caller; with outside linkage each keeps a body.
    code = folder / "digits.c"
    code.write_text(code.read_text().replace("static void digits_", "void digits_"))
    flags = ["-O2", "-fno-ipa-icf", "-fPIC", "-shared"]
    library = folder / "digits.so"
    build._run(["gcc", "-std=c99", *flags, *build.ISA["avx512"], str(code), "-o", str(library), "-lm"])
    return library, list(compiled.lowered["c"].kernels)


@needs_tools("gcc", "objdump")
@needs_cpu("avx512f", "avx512dq", "avx512vl", "avx512bw")
def test_hot_kernels_use_zmm(package: tuple[Path, list[Kernel]]) -> None:
    library, kernels = package
    hot = [k for k in kernels if _vectors(k) and k.name.startswith(("predict", "train_step"))]
    assert len(hot) >= 6
    for kernel in hot:
        code = "\n".join(instructions(library, f"digits_{kernel.name}"))
        assert code, f"{kernel.name} is not in the object file"
        assert "%zmm" in code, f"{kernel.name} uses no zmm register"
    products = [k for k in hot if _multiplies(k)]
    assert len(products) >= 4
    for kernel in products:
        code = "\n".join(instructions(library, f"digits_{kernel.name}"))
        fused = len(re.findall(r"vfmadd\d+ps .*%zmm", code))
        assert fused >= 4, f"{kernel.name} has {fused} fused multiply-adds on zmm registers"
        assert not re.search(r"call.*(expf|fmaf)", code), kernel.name


THIN = "export fn thin(a: f32[3, 64], b: f32[64, 64]) -> f32[3, 64] = a @ b\n"


@needs_tools("gcc", "objdump")
def test_what_few_rows_share_is_read_once(tmp_path: Path) -> None:
    """The vectors that three rows share come from memory once, not once for each multiply-add."""
    compiled = compile_source(Source("thin.ch", THIN), Options(targets=("c",), simd="avx512"))
    for name, data in compiled.files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    library = tmp_path / "thin.so"
    flags = ["-std=c99", "-O2", "-fPIC", "-shared", *build.ISA["avx512"]]
    build._run(["gcc", *flags, str(tmp_path / "thin.c"), "-o", str(library), "-lm"])
    fused = [line for line in instructions(library, "thin_thin") if re.search(r"vfmadd\d+ps .*%zmm", line)]
    assert len(fused) >= 6
    assert not [line for line in fused if "(%" in line and "{1to16}" not in line]
