"""Subnormal numbers as zero: where it was asked for, on every thread, and only while a function runs."""

from pathlib import Path

import numpy as np
import pytest

import charl
from charl.compile import Options, compile_file
from charl.runtime.native import import_package
from tests.support import needs_cc

pytestmark = needs_cc
PROGRAM = "export fn half(x: f32[N]) -> f32[N] = x * 0.5\n"
MANY = 1 << 21  # enough for threads


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "half.ch"
    path.write_text(PROGRAM)
    return path


def _tiny(n: int) -> np.ndarray:
    return np.full(n, 1.2e-38, np.float32)  # half of it has no full mantissa


def test_as_ieee_754_says_without_the_option(program: Path) -> None:
    assert (charl.load(program).half(_tiny(33)) == np.float32(1.2e-38) / np.float32(2)).all()


@pytest.mark.parametrize("simd", ["scalar", "native"])
def test_flushed_while_a_function_runs_and_not_after(program: Path, simd: str) -> None:
    package = charl.load(program, flush_subnormals=True, simd=simd)
    assert (package.half(_tiny(33)) == 0).all()
    assert (package.half(np.full(5, 6e-39, np.float32)) == 0).all()  # read as zero, too
    assert (_tiny(3) * np.float32(0.5) > 0).all()


def test_on_every_thread(program: Path, tmp_path: Path) -> None:
    compiled = compile_file(program, Options(targets=("c",), dims={"N": MANY}, flush=True))
    package = import_package(compiled.files, tmp_path).load("c", threads=True)
    assert not package.half(_tiny(MANY)).any()


def test_the_package_says_so(program: Path) -> None:
    files = compile_file(program, Options(targets=("c",), flush=True)).files
    assert b"count as zero" in files["README.md"] and b"`float_mode.h`" in files["README.md"]
    plain = compile_file(program, Options(targets=("c",))).files
    assert "float_mode.h" not in plain and b"float_mode" not in plain["half.c"]
    assert files["half.h"] != plain["half.h"]  # the hash of source and options
