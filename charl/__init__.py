"""Charl: a small language for differentiable programs that compiles to standalone C and WGSL."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

__version__ = "0.1.0"


def load(
    path: str | os.PathLike[str],
    *,
    backend: str = "c",
    sets: Mapping[str, Any] | None = None,
    simd: str = "native",
    debug: bool = False,
    f32: str = "f32",
    f64: str = "f64",
    flush_subnormals: bool = False,
    **dims: int | tuple[int, int],
) -> Any:
    """Compile a program and give, in this process, what its emitted Python loader offers.

    `charl.load("digits.ch", N=32)`: `backend` is "c", "wgpu" or "evaluator" (NumPy: no compiler, no GPU); keywords fix a
    dimension variable (`N=32`) or bound it (`N=(1, 64)`), `sets` overrides hyper-parameters (`{"net.hidden": 32}`). `simd`
    ("native", "scalar", "avx2", "avx512") and `debug` (checks of indices, overlaps and NaN) choose how the C is compiled;
    `f64="f32"` computes f64 as f32, `f32="f64"` the reverse. With `flush_subnormals` the C code takes subnormal numbers for zero.

    Raises charl.errors.CharlError for what is wrong with the program, and the loader's own
    exceptions where the backend cannot run here.
    """
    from charl.runtime.native import load as load_package

    return load_package(
        path,
        backend=backend,
        sets=sets,
        simd=simd,
        debug=debug,
        f32=f32,
        f64=f64,
        flush_subnormals=flush_subnormals,
        **dims,
    )
