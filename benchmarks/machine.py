"""The machine that measures: processor, instruction set, compiler, and its limits.

Enters: nothing. Leaves: names for a report, and contenders that do nothing but multiply-adds or reads of memory.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.measure import Contender

HERE = Path(__file__).parent
CHAINS = 12  # as in limits.c
UNIT = 1000  # rounds of one call of the multiply-add limit

SIZES = [
    16 << n for n in range(16)
]  # KiB that a thread reads again and again, from the nearest cache to memory


def cpu_name() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def simd() -> str:
    """The widest instruction set of this CPU, as `--simd` names it."""
    flags: set[str] = set()
    if os.path.exists("/proc/cpuinfo"):
        flags = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        return "avx512"
    return "avx2" if {"avx2", "fma"} <= flags else "scalar"


FLAGS = {
    "avx512": ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"),
    "avx2": ("-mavx2", "-mfma"),
    "scalar": (),
}
LANES = {"avx512": 16, "avx2": 8, "scalar": 4}


def compiler() -> str:
    """$CC, gcc, cc or clang."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        if name and shutil.which(name):
            return name
    raise SystemExit("the benchmark compiles C: install gcc")


def aligned(count: int) -> np.ndarray:
    """`count` floats, zero, that begin at a multiple of 64 bytes."""
    raw = np.zeros(count + 16, np.float32)
    skip = (-raw.ctypes.data % 64) // 4
    return raw[skip : skip + count]


@dataclass
class Limits:
    """The limits of one instruction set at a number of threads."""

    simd: str
    threads: int
    folder: Path

    def __post_init__(self) -> None:
        library = self.folder / f"limits-{self.simd}-{self.threads}.so"
        options = ["-O2", "-ffp-contract=fast", "-fPIC", "-shared", f"-DLANES={LANES[self.simd]}"]
        options += [*FLAGS[self.simd], *(["-fopenmp"] if self.threads > 1 else [])]
        subprocess.run([compiler(), *options, str(HERE / "limits.c"), "-o", str(library)], check=True)
        self._library = ctypes.CDLL(str(library))
        self._rounds = self._library.fma_rounds
        self._rounds.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
        self._rounds.restype = ctypes.c_float
        for name in ("read_shared", "update_shared"):
            function = getattr(self._library, name)
            function.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_long]
            function.restype = ctypes.c_float

    @property
    def operations(self) -> int:
        """Floating-point operations of one call of `multiply_add`."""
        return 2 * LANES[self.simd] * CHAINS * UNIT * self.threads

    def multiply_add(self) -> Contender:
        """Multiply-adds in registers on every thread."""
        return Contender("FMA", lambda calls: self._rounds(calls * UNIT, 0.999, 0.001))

    def bandwidth(self, kib: int, update: bool = False, seconds: float = 0.15) -> float:
        """Bytes a second that all threads together read, or with `update` read and write in equal parts, each so much of its own
        again and again; the best of several tries."""
        move = self._library.update_shared if update else self._library.read_shared
        data = aligned((kib << 8) * self.threads)
        data.fill(1)  # pages that nobody wrote to are all the same one, and in the nearest cache
        times = max(1, (32 << 10) // kib)
        best = 0.0
        began = time.perf_counter()
        while time.perf_counter() - began < seconds or best == 0.0:
            start = time.perf_counter()
            move(data.ctypes.data, data.size, self.threads, times)
            best = max(best, (1 + update) * data.nbytes * times / (time.perf_counter() - start))
        return best


def caches() -> dict[str, int]:
    """Bytes of the data caches that the first CPU sees, by level; others may use a shared one too."""
    out: dict[str, int] = {}
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            kind, level, size = ((index / n).read_text().strip() for n in ("type", "level", "size"))
        except OSError:
            continue
        if kind != "Instruction" and size.endswith("K"):
            out[f"L{level}"] = int(size[:-1]) << 10
    return out
