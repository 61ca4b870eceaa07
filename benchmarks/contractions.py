"""Contractions of given or random shapes: share of the machine's FMA peak, measured in the same run.

    python -m benchmarks.contractions                        the shapes of SHAPES
    python -m benchmarks.contractions 512x512x512 abt:32x784x128 8*64x64x64
    python -m benchmarks.contractions --sweep 200 --seed 0   random shapes, all four transpositions, some batched

A shape is [kind:][batch*]MxNxK, kind one of ab (default), atb, abt, atbt: which operands are stored transposed. Enters:
shapes and a compiler. Leaves: a table, and with --out a JSON file. Results are compared with NumPy before anything is timed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import random
import re
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine, measure
from benchmarks.machine import FLAGS
from benchmarks.measure import Contender

KINDS = {"ab": ("mk", "kn"), "atb": ("km", "kn"), "abt": ("mk", "nk"), "atbt": ("km", "nk")}
SHAPES = [
    "64x64x64",
    "128x128x784",
    "512x512x512",
    "2048x2048x2048",
    "128x3072x768",
    "atb:784x128x32",
    "abt:32x784x128",
    "abt:32x128x10",
    "atb:128x10x32",
    "32x10x128",
    "1x3072x768",
    "1x128x784",
    "abt:12*64x64x64",
    "12*64x64x64",
    "atb:12*64x64x64",
    "abt:128x768x3072",
    "atb:768x3072x256",
]
FULL = 16  # a size below leaves lanes or tiles unfilled
EACH_LIBRARY = 20  # shapes to a translation unit
TOLERANCE = 1e-4
SAMPLE_SECONDS = 0.001


@dataclass(frozen=True)
class Shape:
    """batch × (M, N, K) of a kind in KINDS."""

    kind: str
    batch: int
    m: int
    n: int
    k: int

    header = ""
    family = "contraction"

    def __str__(self) -> str:
        return f"{self.kind}:{f'{self.batch}*' if self.batch > 1 else ''}{self.m}x{self.n}x{self.k}"

    @property
    def flops(self) -> int:
        return 2 * self.batch * self.m * self.n * self.k

    def operands(self) -> list[tuple[int, ...]]:
        """Shapes of the two operands."""
        size = {"m": self.m, "n": self.n, "k": self.k}
        lead = (self.batch,) if self.batch > 1 else ()
        return [(*lead, *(size[c] for c in axes)) for axes in KINDS[self.kind]]

    @property
    def result(self) -> tuple[int, ...]:
        """Shape of the result."""
        return (*((self.batch,) if self.batch > 1 else ()), self.m, self.n)

    @property
    def unusual(self) -> str:
        """What leaves lanes or tiles unfilled."""
        small = [f"{name} {size}" for name, size in zip("MNK", (self.m, self.n, self.k)) if size < FULL]
        return ", ".join([*small, *["both transposed"] * (self.kind == "atbt")])

    def filled(self) -> Shape:
        """The same with sizes that leave no lane or tile unfilled."""
        return replace(self, kind="ab", **{s: max(getattr(self, s), FULL) for s in "mnk"})

    def compute(self, a: Any, b: Any) -> Any:
        """By NumPy."""
        return np.einsum(self.subscripts, a, b, optimize=True)

    def jax(self) -> Any:
        """The function in JAX."""
        import jax.numpy as jnp

        return lambda a, b: jnp.einsum(self.subscripts, a, b)

    def onnx(self) -> tuple[str, dict[str, Any]]:
        """The operator of ONNX, and its attributes."""
        return "Einsum", {"equation": self.subscripts}

    @property
    def subscripts(self) -> str:
        lead = "b" if self.batch > 1 else ""
        a, b = KINDS[self.kind]
        return f"{lead}{a},{lead}{b}->{lead}mn"

    def source(self, name: str, dtype: str) -> str:
        """An exported function of Charl that computes it."""
        a, b = (", ".join(map(str, s)) for s in self.operands())
        return f'export fn {name}(a: {dtype}[{a}], b: {dtype}[{b}]) = einsum("{self.subscripts}", a, b)\n'


def parse(text: str) -> Shape:
    """A shape as the command line writes it; ends the program where it is none."""
    found = re.fullmatch(r"(?:(\w+):)?(?:(\d+)\*)?(\d+)x(\d+)x(\d+)", text)
    if not found or (found[1] or "ab") not in KINDS:
        raise SystemExit(f"{text} is not a shape: write [ab|atb|abt|atbt:][batch*]MxNxK")
    return Shape(found[1] or "ab", int(found[2] or 1), *(int(found[i]) for i in (3, 4, 5)))


def sweep(count: int, seed: int) -> list[Shape]:
    """Random shapes: M, N and K log-uniform in 1..1024, every kind, one in four batched (up to 16)."""
    rng = random.Random(seed)
    out = []
    for i in range(count):
        m, n, k = (round(2 ** rng.uniform(0, 10)) for _ in range(3))
        batch = round(2 ** rng.uniform(1, 4)) if rng.random() < 0.25 else 1
        out.append(Shape(list(KINDS)[i % 4], batch, m, n, k))
    return out


def library(
    shapes: Sequence[Any],
    folder: Path,
    simd: str,
    cc: str,
    dtype: str = "f32",
    auto: bool = False,
    threads: int = 1,
) -> list[Any]:
    """One function for each shape: f(calls, a, b, result, workspace)."""
    from charl.compile import Options, compile_source
    from charl.source import Source

    folder.mkdir(parents=True, exist_ok=True)
    text = shapes[0].header + "".join(s.source(f"f{i}", dtype) for i, s in enumerate(shapes))
    options = Options(targets=("c",), simd="auto" if auto else simd)
    for path, data in compile_source(Source("gemm.ch", text), options).files.items():
        (folder / path).write_bytes(data)
    driver = ['#include "gemm.h"']
    for i in range(len(shapes)):
        scalar = {"f32": "float", "f64": "double"}[dtype]
        args = f"const {scalar} *a, const {scalar} *b, {scalar} *r, void *w"
        driver += [f"void run_{i}(long n, {args});", f"void run_{i}(long n, {args})", "{"]
        driver += [f"    while (n-- > 0) (void)gemm_f{i}(a, b, r, w);", "}"]
        driver += [f"long bytes_{i}(void);", f"long bytes_{i}(void) {{ return GEMM_F{i}_WORKSPACE_BYTES; }}"]
    (folder / "driver.c").write_text("\n".join(driver) + "\n")
    library = folder / "gemm.so"
    openmp = ["-fopenmp"] if threads > 1 else []
    command = [cc, "-std=c99", "-O2", "-fPIC", "-shared", *FLAGS[simd], *openmp, "gemm.c", "driver.c", "-lm"]
    subprocess.run([*command, "-o", str(library)], cwd=folder, check=True)
    loaded = ctypes.CDLL(str(library))
    out = []
    for i in range(len(shapes)):
        run = getattr(loaded, f"run_{i}")
        run.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 4
        out.append((run, getattr(loaded, f"bytes_{i}")()))
    return out


def _aligned(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array that begins at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.empty(size + 64, np.uint8)
    skip = -raw.ctypes.data % 64
    return raw[skip : skip + size].view(dtype).reshape(shape)


def contender(shape: Any, run: Any, workspace: int, dtype: str) -> Contender:
    """The compiled function on arrays of its own, checked against NumPy."""
    real = {"f32": np.float32, "f64": np.float64}[dtype]
    rng = np.random.default_rng(0)
    arrays = []
    for s in shape.operands():
        arrays.append(_aligned(s, real))
        arrays[-1][...] = rng.standard_normal(s)
    wanted = shape.compute(*arrays)
    result, work = _aligned(wanted.shape, real), _aligned((workspace + 64,), np.uint8)
    pointers = [x.ctypes.data for x in (*arrays, result, work)]
    run(1, *pointers)
    off = float(np.max(np.abs(result - wanted))) / max(1.0, float(np.max(np.abs(wanted))))
    if not off <= TOLERANCE:
        raise ValueError(f"{shape}: differs from NumPy by {off:.2e}; nothing was timed")
    contender = Contender(str(shape), lambda calls: run(calls, *pointers))
    contender.arrays = (arrays, result, work)  # type: ignore[attr-defined]
    return contender


def fastest(timed: Contender, limit: Contender, rounds: int) -> tuple[float, float]:
    """Seconds of one call of each, the fastest of many short samples in turn: other load only ever adds time."""
    for c in (timed, limit):
        measure.calibrate(c, SAMPLE_SECONDS)
        c.samples = []
    for _ in range(rounds):
        for c in (limit, timed):
            began = time.perf_counter()
            c.run(c.calls)
            c.samples.append((time.perf_counter() - began) / c.calls)
    return min(timed.samples), min(limit.samples)


def run(shapes: list[Shape], args: argparse.Namespace) -> list[dict[str, Any]]:
    """Time every shape; one record each."""
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.keep or scratch)
        folder.mkdir(parents=True, exist_ok=True)
        limits = machine.Limits(args.simd, 1, folder)
        limit, operations = limits.multiply_add(), limits.operations
        if args.dtype == "f64":
            operations //= 2
        for start in range(0, len(shapes), EACH_LIBRARY):
            part = shapes[start : start + EACH_LIBRARY]
            runs = library(part, folder / str(start), args.simd, args.cc, args.dtype, args.auto)
            for shape, (function, workspace) in zip(part, runs, strict=True):
                timed = contender(shape, function, workspace, args.dtype)
                seconds, fma = fastest(timed, limit, args.rounds)
                share = shape.flops / seconds / (operations / fma)
                rows.append({**asdict(shape), "shape": str(shape), "share": round(share, 4)})
                rows[-1]["microseconds"] = round(seconds * 1e6, 3)
                print(
                    f"{shape!s:>24} {seconds * 1e6:10.2f} µs  {shape.flops / seconds / 1e9:7.1f} GFLOP/s  "
                    f"{share:6.1%} of {operations / fma / 1e9:.0f}",
                    flush=True,
                )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("shapes", nargs="*", default=SHAPES)
    parser.add_argument("--sweep", type=int, metavar="COUNT", help="that many random shapes instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--simd", choices=sorted(FLAGS), default=None, help="default: what this CPU has")
    parser.add_argument("--auto", action="store_true", help="transpile for any instruction set")
    parser.add_argument("--cc", default=machine.compiler(), help="C compiler")
    parser.add_argument("--dtype", choices=("f32", "f64"), default="f32")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--keep", help="folder for the emitted code")
    parser.add_argument("--out", type=Path, help="write the records here as JSON")
    args = parser.parse_args()
    args.simd = args.simd or machine.simd()
    if args.simd not in FLAGS:
        raise SystemExit("this benchmark needs AVX2 or AVX-512")
    measure.pin(1)
    shapes = sweep(args.sweep, args.seed) if args.sweep else [parse(s) for s in args.shapes]
    rows = run(shapes, args)
    shares = sorted(r["share"] for r in rows)
    print(
        f"median {statistics.median(shares):.1%}, lowest {shares[0]:.1%}, mean {statistics.mean(shares):.1%}"
    )
    if args.out:
        args.out.write_text(json.dumps({"simd": args.simd, "cc": args.cc, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
