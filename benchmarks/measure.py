"""Timing that can be trusted on a shared machine: pinned threads, contenders in turn, disturbed samples again.

Enters: functions to time. Leaves: the median seconds of one call of each. The limit of the machine is a contender
like the others, measured before and after every sample, so that it meets the same load and clock.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field

SAMPLE_SECONDS = 0.01
LIMIT_SECONDS = 0.002
ALLOWED_LOSS = 0.04  # a sample whose threads, or whose machine, were slower by more than this was disturbed
ATTEMPTS = 12  # of one sample, at most
SETTLED = (
    0.01,
    0.001,
)  # seconds, and of CPU time in them, at most, where nothing of this process spins any more
FEWEST = 3  # samples of a contender that is not so slow that one of them takes all the time


@dataclass
class Contender:
    """`run(calls)` makes that many calls; `samples` are seconds of one call, `limits` those of the limit around each."""

    name: str
    run: Callable[[int], object]
    calls: int = 1  # of a sample
    slow: bool = False  # known to take longer than a sample should: no calls to find out
    samples: list[float] = field(default_factory=list)
    limits: list[float] = field(default_factory=list)
    disturbed: int = 0  # samples that stayed disturbed to the end

    @property
    def seconds(self) -> float:
        """The median sample."""
        return statistics.median(self.samples)

    @property
    def limits_per_call(self) -> float:
        """How many calls of the limit take as long as one call of this, the median over the samples."""
        return statistics.median(own / limit for own, limit in zip(self.samples, self.limits))


def pin(threads: int) -> list[int]:
    """Bind this process to so many CPUs, the last ones it may use, of different cores while there are enough."""
    if not hasattr(os, "sched_setaffinity"):
        return []
    cores: dict[str, int] = {}  # by what the system says of the CPUs that share one
    for cpu in sorted(os.sched_getaffinity(0)):
        cores.setdefault(_siblings(cpu), cpu)
    rest = sorted(os.sched_getaffinity(0) - set(cores.values()))
    cpus = sorted([*rest, *cores.values()][-threads:])
    os.sched_setaffinity(0, cpus)
    return cpus


def _siblings(cpu: int) -> str:
    try:
        with open(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") as f:
            return f.read().strip()
    except OSError:
        return str(cpu)


def busy() -> float:
    """Seconds that all CPUs together have spent on anything, of this process or others, as far as the system tells."""
    try:
        with open("/proc/stat") as f:
            ticks = [int(x) for x in f.readline().split()[1:]]
    except OSError:
        return 0.0
    return (sum(ticks[:3]) + sum(ticks[5:8])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Sample:
    """Seconds of one call, and by how much something else was busy meanwhile (0.05: a twentieth of a CPU)."""

    seconds: float
    foreign: float


def _timed(contender: Contender, threads: int) -> Sample:
    before, cpu, wall = busy(), time.process_time(), time.perf_counter()
    contender.run(contender.calls)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if threads == 1:  # this process is all that its CPU should do
        foreign = 1 - cpu / wall
    elif wall > 0.2:  # long enough for the ticks of the system
        foreign = (busy() - before - cpu) / wall
    else:
        foreign = 0.0  # the limit around the sample tells
    return Sample(wall / contender.calls, foreign)


def settle() -> None:
    """Wait until the threads of an earlier contender sleep: some spin for more work, OpenBLAS's for an eighth of a second, and
    would take a CPU from the threads of the next.
    """
    wait, allowed = SETTLED
    for _ in range(round(1 / wait)):
        cpu = time.process_time()
        time.sleep(wait)
        if time.process_time() - cpu < allowed:
            return


def calibrate(contender: Contender, seconds: float) -> None:
    """So many calls to a sample that it lasts about `seconds`."""
    while not contender.slow:
        began = time.perf_counter()
        contender.run(contender.calls)
        took = time.perf_counter() - began
        if took >= seconds / 2:
            contender.calls = max(1, round(contender.calls * seconds / took))
            return
        contender.calls *= 2


def measure(contenders: list[Contender], limit: Contender, threads: int, rounds: int, seconds: float) -> int:
    """Fill the samples: `rounds` of each contender in turn, each between two short samples of the limit.

    A sample is disturbed where the process lost a CPU, or where the machine was slower just before or after than it has
    been seen to be (a virtual machine does not learn that its host was busy). It is taken again while there is time: `seconds`
    for all of it, which stops the rounds too once every contender has FEWEST samples; one that took as long by itself rests with
    two. Returns how many were taken again.
    """
    calibrate(limit, LIMIT_SECONDS)
    for contender in contenders:
        calibrate(contender, SAMPLE_SECONDS)
    fastest = min(_timed(limit, threads).seconds for _ in range(50))
    end = time.perf_counter() + seconds
    again = 0
    for turn in range(rounds):
        for contender in contenders:
            if turn >= 2 and sum(contender.samples) * contender.calls > seconds:
                continue
            if threads > 1:
                settle()
            best: tuple[float, float, float] | None = None  # slowness of the machine, seconds, limit
            for _ in range(ATTEMPTS):
                before = _timed(limit, threads)
                own = _timed(contender, threads)
                after = _timed(limit, threads)
                fastest = min(fastest, before.seconds, after.seconds)
                slowness = max(before.seconds, after.seconds) / fastest - 1
                slowness = max(slowness, before.foreign, own.foreign, after.foreign)
                if best is None or slowness < best[0]:
                    best = (slowness, own.seconds, min(before.seconds, after.seconds))
                if slowness <= ALLOWED_LOSS or time.perf_counter() > end:
                    break
                again += 1
            assert best is not None
            contender.disturbed += best[0] > ALLOWED_LOSS
            contender.samples.append(best[1])
            contender.limits.append(best[2])
            limit.samples.append(best[2])
        if turn + 1 >= FEWEST and time.perf_counter() > end:
            break
    return again
