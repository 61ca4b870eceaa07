"""One model at one number of threads, in a process of its own: `python -m benchmarks.worker REQUEST`.

Enters: a request, JSON: which cases, against what, for how long. Leaves: a line of JSON for each row on standard output, as soon
as it is there. Nothing is timed before the outputs of all have been compared with Charl's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import measure

if TYPE_CHECKING:  # NumPy takes its number of threads, and its CPUs, from what it finds when it is imported
    from benchmarks.case import Case

GRACE = 30  # seconds in which a process that ran out of time may say so itself


@dataclass
class Request:
    """What a worker is asked for."""

    stem: str  # the model; "limits" for those of the machine; of a sweep, its kind
    threads: int
    folder: str
    simd: str
    peers: list[str]
    only: list[str]  # of the cases' names; all where empty
    done: list[str]  # shapes of a sweep that another run has measured
    rounds: int
    seconds: float  # for the measurement of one row, all samples together
    row_seconds: float  # for a row with all that comes before; twice as long for a heavy one
    prepare: bool  # only compile and export, as many at a time as there are cores: nothing is timed
    until: float  # time at which to begin no row any more, as `time.time` has it


@dataclass
class Row:
    """A measured case."""

    case: str
    key: str
    kind: str
    threads: int
    simd: str
    flops: float
    bytes: float
    touched: float
    share: float  # that is aimed at, as in `Case`
    lead: float
    seconds: dict[str, float] = field(default_factory=dict)  # of one call
    spread: dict[str, float] = field(default_factory=dict)  # (third - first quartile) / median
    limits: dict[str, float] = field(default_factory=dict)  # calls of the FMA limit that take as long
    difference: dict[str, float] = field(default_factory=dict)  # of the outputs from Charl's
    setup: dict[str, float] = field(default_factory=dict)  # seconds until the first result
    samples: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    disturbed: dict[str, int] = field(default_factory=dict)  # samples that stayed disturbed
    again: int = 0  # samples that were taken again
    fma_seconds: float = 0.0  # of one call of the limit
    fma_operations: int = 0  # of one call of the limit
    memory_gbs: float = 0.0  # moving as much as the row touches, measured beside it


def row_of(case: Case, request: Request) -> Row:
    """The row of a case before anything is measured."""
    same = {name: getattr(case, name) for name in ("key", "kind", "flops", "bytes", "share", "lead")}
    return Row(
        case=case.name,
        threads=request.threads,
        simd=request.simd,
        touched=case.touched or case.bytes,
        **same,
    )


def main() -> None:
    """Serve one request."""
    request = Request(**json.loads(sys.argv[1]))
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(request.threads)
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(request.folder) / "inductor"))
    cpus = [] if request.prepare else measure.pin(request.threads)
    if request.stem == "limits":
        _say(limits_of(request, cpus))
        return
    from benchmarks.models import all_cases

    for case in all_cases():
        if case.stem != request.stem or (request.only and case.name not in request.only):
            continue
        if time.time() > request.until:
            return
        own = request_of(case, request)
        if request.prepare:
            _prepare(case, own)
        else:
            _say(asdict(_row(case, own)))


def request_of(case: Case, request: Request) -> Request:
    """What is asked of one row: other instructions, and no libraries, where the case says so."""
    return replace(request, simd=case.simd, peers=[]) if case.simd else request


@contextmanager
def _within(until: float) -> Iterator[None]:
    """TimeoutError in what is still running at `until`, as soon as it is Python again."""

    def stop(signum: int, frame: Any) -> None:
        raise TimeoutError(f"not ready after {time.perf_counter() - began:.0f} s")

    began = time.perf_counter()
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, max(until - time.time(), 0.01))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _say(value: Any) -> None:
    print(json.dumps(value), flush=True)


def limits_of(request: Request, cpus: list[int]) -> dict[str, Any]:
    """The limits of the machine at a number of threads."""
    from benchmarks import machine

    sets = [s for s in ("avx512", "avx2", "scalar") if machine.LANES[s] <= machine.LANES[request.simd]]
    out: dict[str, Any] = {"threads": request.threads, "cpus": cpus, "fma_gflops": {}}
    for name in sets:
        limits = machine.Limits(name, request.threads, Path(request.folder))
        contender = limits.multiply_add()
        measure.calibrate(contender, 0.02)
        best = float("inf")
        for _ in range(20):
            began = time.perf_counter()
            contender.run(contender.calls)
            best = min(best, (time.perf_counter() - began) / contender.calls)
        out["fma_gflops"][name] = round(limits.operations / best / 1e9, 1)
        if name == request.simd:
            for name, update in (("read_gbs", False), ("update_gbs", True)):
                out[name] = {str(k): round(limits.bandwidth(k, update) / 1e9, 1) for k in machine.SIZES}
    return out


def _row(case: Any, request: Request) -> Row:
    from benchmarks import machine

    row = row_of(case, request)
    limits = machine.Limits(request.simd, request.threads, Path(request.folder))
    limit = limits.multiply_add()
    contenders = _contenders(case, request, row)
    if contenders:
        _say({"doing": case.name, "at": "the measurement"})
        kib = max([k for k in machine.SIZES if k << 10 <= row.touched / request.threads] or machine.SIZES[:1])
        ways = (False, True) if case.kind in ("training", "layer") else (False,)  # those write as well
        before = [limits.bandwidth(kib, update) for update in ways]
        row.again = measure.measure(contenders, limit, request.threads, request.rounds, request.seconds)
        moved = max(*before, *(limits.bandwidth(kib, update) for update in ways))
        row.memory_gbs = round(moved / 1e9, 2)
        row.fma_seconds, row.fma_operations = limit.seconds, limits.operations
    for c in contenders:
        row.seconds[c.name], row.limits[c.name] = c.seconds, c.limits_per_call
        ordered = sorted(c.samples)
        row.spread[c.name] = round(
            (ordered[3 * len(ordered) // 4] - ordered[len(ordered) // 4]) / c.seconds, 4
        )
        row.samples[c.name] = len(c.samples)
        if c.disturbed:
            row.disturbed[c.name] = c.disturbed
    return row


def _prepare(case: Any, request: Request) -> None:
    """Fill the folder with what is kept from run to run: programs, exported models, what torch.compile makes."""
    from benchmarks import peers

    for name in ("Charl", "ONNX Runtime", "llama.cpp", "torch.compile"):
        if name != "Charl" and name not in request.peers:
            continue
        _say({"doing": case.name, "at": name})
        with (
            suppress(Exception),
            _within(time.time() + request.row_seconds),
        ):  # the row will say what is wrong
            make = _charl if name == "Charl" else peers.peer
            peer = make(name, case, case.given(), request.threads, Path(request.folder), request.simd)
            if name == "torch.compile" and peer is not None and case.model != "fit":
                peer.step()


def _contenders(case: Any, request: Request, row: Row) -> list[measure.Contender]:
    """Charl and every library whose outputs agree with its, ready to be timed; `row` says what became of the others."""
    from benchmarks import peers

    until = time.time() + request.row_seconds * (2 if case.heavy else 1)
    contenders: list[measure.Contender] = []
    wanted: Any = None
    # What compiles longest comes last: the others keep their time.
    for name in ["Charl", *sorted(request.peers, key=lambda n: n == "torch.compile")]:
        _say({"doing": case.name, "at": name})
        began = time.perf_counter()
        try:
            with _within(until):
                make = _charl if name == "Charl" else peers.peer
                peer = make(name, case, case.given(), request.threads, Path(request.folder), request.simd)
                if peer is None:
                    continue
                got, last = _outputs(peer, case.calls, case.kind == "program")
                row.setup[name] = round(time.perf_counter() - began, 3)
                if case.before:
                    peer.run(case.before)
        except Exception as e:  # a library may fail in any way; the row says so and goes on
            row.failed[name] = f"{type(e).__name__}: {str(e).strip().splitlines()[0][:200] if str(e) else ''}"
            if name == "Charl":  # nothing to compare with
                break
            continue
        if name == "Charl":
            wanted = got
        else:
            row.difference[name] = _difference(got, wanted)
            if not row.difference[name] <= peer.tolerance:
                row.failed[name] = f"outputs differ by {row.difference[name]:.1e}"
                continue
        contenders.append(measure.Contender(name, peer.run, slow=last > 1))
    return contenders


def _charl(name: str, case: Any, arguments: dict[str, Any], threads: int, folder: Path, simd: str) -> Any:
    from benchmarks.case import Peer
    from benchmarks.emitted import Emitted

    emitted = Emitted(case.source, folder, simd, threads, dict(case.dims), dict(case.sets), case.flush)
    call = emitted.call(case.export, arguments)
    return Peer(name, lambda: call.many(1), lambda _: call.result(), call.state, many=call.many)


def _outputs(peer: Any, calls: int, state: bool = False) -> tuple[dict[str, Any], float]:
    """What so many calls gave, and the state after them, by name; and how long the last call took."""
    import numpy as np

    out: dict[str, Any] = {}
    for i in range(calls):
        began = time.perf_counter()
        value = peer.result(peer.step())
        took = time.perf_counter() - began
        if value is not None and np.size(value):
            out[f"result {i}"] = np.array(value, np.float64).ravel()
    if calls > 1 or not out or state:
        out |= {k: np.array(v, np.float64) for k, v in peer.state().items()}
    return out, took


def _difference(got: dict[str, Any], wanted: dict[str, Any]) -> float:
    """The largest difference of what both have, relative where values are above 1; NaN where they share nothing."""
    import numpy as np

    shared = [k for k in got if k in wanted]
    if not shared or any(got[k].shape != wanted[k].shape for k in shared):
        return float("nan")
    return max(float(np.max(np.abs(got[k] - wanted[k]) / np.maximum(1, np.abs(wanted[k])))) for k in shared)


if __name__ == "__main__":
    main()
