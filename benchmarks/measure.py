"""Timing that can be trusted on a shared machine: one pinned thread, contenders in turn, disturbed samples again.

Enters: functions to time. Leaves: the median seconds of one call of each. The limit of the machine is a contender
like the others (`fma_peak`), measured before and after every sample, so that it meets the same load and clock.
"""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ACCUMULATORS = 12  # as in peak.c
SAMPLE_SECONDS = 0.01
LIMIT_SECONDS = 0.002
ALLOWED_LOSS = 0.03  # a sample whose thread, or whose machine, was slower by more than this was disturbed
ATTEMPTS = 40
FLAGS = {
    "avx512": ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"],
    "avx2": ["-mavx2", "-mfma"],
    "scalar": [],
}
LANES = {"avx512": 16, "avx2": 8, "scalar": 4}  # floats to a vector; compilers vectorise plain C by four


@dataclass
class Contender:
    """`run(calls)` makes that many calls; `samples` are seconds of one call, `limits` those of the limit around each."""

    name: str
    run: Callable[[int], object]
    calls: int = 1
    samples: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)

    @property
    def limits_per_call(self) -> float:
        """How many calls of the limit take as long as one call of this, the median over the samples."""
        return statistics.median(own / limit for own, limit in zip(self.samples, self.limits))


def pin() -> int | None:
    """Bind this process to one CPU, the last it may use; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


def _timed(contender: Contender) -> tuple[float, bool]:
    """Seconds of one call, and whether the thread had its CPU to itself as far as the system knows."""
    cpu, wall = time.thread_time(), time.perf_counter()
    contender.run(contender.calls)
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    return wall / contender.calls, cpu >= (1 - ALLOWED_LOSS) * wall


def _calibrate(contender: Contender, seconds: float) -> None:
    contender.run(1)
    while True:
        began = time.perf_counter()
        contender.run(contender.calls)
        took = time.perf_counter() - began
        if took >= seconds / 2:
            contender.calls = max(1, round(contender.calls * seconds / took))
            return
        contender.calls *= 2


@dataclass
class Quality:
    """How the measurement went: samples that were taken again, and those that stayed disturbed to the end."""

    again: int = 0
    disturbed: int = 0


def measure(
    contenders: list[Contender], limit: Contender, rounds: int = 30, attempts: int = ATTEMPTS
) -> Quality:
    """Fill the samples, one of each contender a round, each between two short samples of the limit.

    A sample is disturbed where its thread lost the CPU, or where the machine was slower just before or after than it has
    been seen to be (a virtual machine does not learn that its host was busy). It is taken again, up to `attempts` times.
    """
    quality = Quality()
    _calibrate(limit, LIMIT_SECONDS)
    for contender in contenders:
        _calibrate(contender, SAMPLE_SECONDS)
    fastest = min(_timed(limit)[0] for _ in range(200))
    for _ in range(rounds):
        for contender in contenders:
            best: tuple[float, float, float] | None = None  # slowness of the machine, seconds, limit
            for _ in range(attempts):
                before, ok = _timed(limit)
                seconds, alone = _timed(contender)
                after, still = _timed(limit)
                fastest = min(fastest, before, after)
                slowness = max(before, after) / fastest + (0 if ok and alone and still else 1)
                if best is None or slowness < best[0]:
                    best = (slowness, seconds, (before + after) / 2)
                if slowness <= 1 + ALLOWED_LOSS:
                    break
                quality.again += 1
            assert best is not None
            quality.disturbed += best[0] > 1 + ALLOWED_LOSS
            contender.samples.append(best[1])
            contender.limits.append(best[2])
            limit.samples.append(best[2])
    return quality


def cpu_name() -> str:
    """Model name of the processor."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def instruction_set() -> tuple[str, list[str], int]:
    """(name for `--simd`, compiler flags, floats to a vector) of the widest set that this CPU has."""
    flags: set[str] = set()
    if os.path.exists("/proc/cpuinfo"):
        flags = set(Path("/proc/cpuinfo").read_text(errors="replace").split())
    if {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags:
        simd = "avx512"
    else:
        simd = "avx2" if {"avx2", "fma"} <= flags else "scalar"
    return simd, FLAGS[simd], LANES[simd]


def compiler() -> str:
    """$CC, gcc, cc or clang."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        if name and shutil.which(name):
            return name
    raise SystemExit("the benchmark compiles C: install gcc")


def fma_peak(folder: Path, simd: str | None = None) -> tuple[Contender, int]:
    """A contender that runs multiply-adds only, and the floating-point operations of one of its calls.

    `simd`: an instruction set of FLAGS; this CPU's widest by default.
    """
    simd = simd or instruction_set()[0]
    flags, lanes = FLAGS[simd], LANES[simd]
    library = folder / "peak.so"
    options = ["-O2", "-ffp-contract=fast", "-fPIC", "-shared", f"-DLANES={lanes}", *flags]
    subprocess.run([compiler(), *options, str(HERE / "peak.c"), "-o", str(library)], check=True)
    rounds = ctypes.CDLL(str(library)).fma_rounds
    rounds.argtypes = [ctypes.c_long, ctypes.c_float, ctypes.c_float]
    rounds.restype = ctypes.c_float
    unit = 1000
    return (
        Contender("FMA peak", lambda calls: rounds(calls * unit, 0.999, 0.001)),
        2 * lanes * ACCUMULATORS * unit,
    )
