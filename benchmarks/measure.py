"""Timing that can be trusted on a shared machine: one pinned thread, contenders in turn, disturbed samples again.

Enters: functions to time. Leaves: the median seconds of one call of each. The limit of the machine is a contender
like the others (`fma_peak`), so that it is measured under the same load and at the same clock.
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
ALLOWED_LOSS = 0.02  # a sample whose thread ran less than 98 % of its time was disturbed


@dataclass
class Contender:
    """`run(calls)` makes that many calls; `samples` are seconds of one call."""

    name: str
    run: Callable[[int], object]
    calls: int = 1
    samples: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.samples)


def pin() -> int | None:
    """Bind this process to one CPU, the last it may use; None where the system cannot."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cpu = max(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cpu})
    return cpu


def _sample(contender: Contender) -> tuple[float, bool]:
    cpu, wall = time.thread_time(), time.perf_counter()
    contender.run(contender.calls)
    wall, cpu = time.perf_counter() - wall, time.thread_time() - cpu
    return wall / contender.calls, cpu >= (1 - ALLOWED_LOSS) * wall


def _calibrate(contender: Contender) -> None:
    contender.run(1)
    while True:
        began = time.perf_counter()
        contender.run(contender.calls)
        took = time.perf_counter() - began
        if took >= SAMPLE_SECONDS / 2:
            contender.calls = max(1, round(contender.calls * SAMPLE_SECONDS / took))
            return
        contender.calls *= 2


def measure(
    contenders: list[Contender], rounds: int = 30, progress: Callable[[], None] = lambda: None
) -> int:
    """Fill the samples, one of each contender a round; returns how many disturbed samples were taken again."""
    for contender in contenders:
        _calibrate(contender)
    again = 0
    for _ in range(rounds):
        for contender in contenders:
            seconds, clean = _sample(contender)
            for _ in range(5):
                if clean:
                    break
                again += 1
                seconds, clean = _sample(contender)
            contender.samples.append(seconds)
        progress()
    return again


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
        return "avx512", ["-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", "-mfma"], 16
    if {"avx2", "fma"} <= flags:
        return "avx2", ["-mavx2", "-mfma"], 8
    return "scalar", [], 4


def compiler() -> str:
    """$CC, gcc, cc or clang."""
    for name in (os.environ.get("CC", ""), "gcc", "cc", "clang"):
        if name and shutil.which(name):
            return name
    raise SystemExit("the benchmark compiles C: install gcc")


def fma_peak(folder: Path) -> tuple[Contender, int]:
    """A contender that runs multiply-adds only, and the floating-point operations of one of its calls."""
    _, flags, lanes = instruction_set()
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
