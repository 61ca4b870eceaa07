"""Where the time of each row goes, kernel by kernel: `python -m benchmarks.kernels REQUEST`.

Enters: a request, as in worker.py. Leaves: a line of JSON for each row on standard output: the kernels of Charl's C, on the
arguments that the row is timed with, and the limits of the machine beside them. Compares nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import machine, measure
from benchmarks.case import Case
from benchmarks.worker import Request, request_of

SECONDS = 0.5  # of calls for one row
FEWEST = 2  # calls


def main() -> None:
    """Serve one request."""
    request = Request(**json.loads(sys.argv[1]))
    os.environ["OMP_NUM_THREADS"] = str(request.threads)
    measure.pin(request.threads)
    from benchmarks.models import all_cases

    for case in all_cases():
        if (request.only and case.name not in request.only) or case.name in request.done:
            continue
        if time.time() > request.until:
            return
        print(json.dumps({"doing": case.name, "at": "its kernels"}), flush=True)
        print(json.dumps(_kernels(case, request_of(case, request))), flush=True)


def _kernels(case: Case, request: Request) -> dict[str, Any]:
    from benchmarks.emitted import Emitted
    from charl.profile.measure import Clocks

    emitted = Emitted(
        case.source, Path(request.folder), request.simd, request.threads, dict(case.dims), dict(case.sets),
        case.flush, profile=True,
    )  # fmt: skip
    call = emitted.call(case.export, case.given())
    clocks = Clocks(emitted.compiled, emitted.library)
    limits = machine.Limits(request.simd, request.threads, Path(request.folder))
    limit = limits.multiply_add()
    measure.calibrate(limit, measure.LIMIT_SECONDS)
    call.many(max(case.before, 1))
    began = time.perf_counter()
    call.many(1)
    calls = max(FEWEST, round(SECONDS / (time.perf_counter() - began)))
    fma = _rate(limit, limits)
    clocks.clear()
    began = time.perf_counter()
    call.many(calls)
    seconds = (time.perf_counter() - began) / calls
    kernels = clocks.kernels(case.export, calls, {})
    return {
        "case": case.name,
        "threads": request.threads,
        "seconds": seconds,
        "fma_gflops": round(max(fma, _rate(limit, limits)), 1),
        "kernels": [
            {
                "name": k.name, "source": f"{Path(k.span.source.path).name}:{k.span.line}" if k.span else "",
                "calls": k.calls, "seconds": k.seconds, "flops": k.flops, "bytes": k.bytes,
            }
            for k in kernels
        ],
    }  # fmt: skip


def _rate(limit: measure.Contender, limits: machine.Limits) -> float:
    """GFLOP/s of independent multiply-adds, the best of a few samples."""
    best = float("inf")
    for _ in range(10):
        began = time.perf_counter()
        limit.run(limit.calls)
        best = min(best, (time.perf_counter() - began) / limit.calls)
    return limits.operations / best / 1e9


if __name__ == "__main__":
    main()
