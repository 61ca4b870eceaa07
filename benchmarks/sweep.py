"""Random shapes: which share of the machine's limit Charl, JAX and ONNX Runtime reach: `python -m benchmarks.sweep REQUEST`.

Enters: a request, as in worker.py. Leaves: a line of JSON for each shape on standard output. Every run has the same shapes.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contractions, convolutions, machine, measure, report
from benchmarks.worker import Request

COUNTS = {"contractions": 200, "convolutions": 100}
MAKERS: dict[str, Any] = {"contractions": contractions.sweep, "convolutions": convolutions.sweep}
LARGEST = 13  # sizes of reads: up to 64 MiB, more than any shape touches
ROUNDS = 4
SECONDS = 0.4  # for one shape
LOW = 0.15  # a share below is explained: by what the same shape reaches once its sizes fill lanes and tiles


@dataclass
class Sweep:
    """What is the same for all shapes."""

    request: Request
    read_gbs: dict[int, float]  # reading so many bytes on each thread
    limits: machine.Limits
    limit: measure.Contender


def main() -> None:
    """Serve one request."""
    request = Request(**json.loads(sys.argv[1]))
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(request.threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    measure.pin(request.threads)
    limits = machine.Limits(request.simd, request.threads, Path(request.folder))
    read = {kib << 10: limits.bandwidth(kib) / 1e9 for kib in machine.SIZES[:LARGEST]}
    sweep = Sweep(request, read, limits, limits.multiply_add())
    shapes = [s for s in MAKERS[request.stem](COUNTS[request.stem], seed=0) if str(s) not in request.done]
    for start in range(0, len(shapes), contractions.EACH_LIBRARY):
        if time.time() > request.until:
            return
        part = shapes[start : start + contractions.EACH_LIBRARY]
        lines = list(_measured(sweep, part))
        low = [(s, x) for s, x in zip(part, lines) if x["share"].get("Charl", 1.0) < LOW]
        alone = replace(sweep, request=replace(request, peers=[]))
        for (_, line), filled in zip(low, _measured(alone, [s.filled() for s, _ in low])):
            line["filled"] = filled["share"].get("Charl")
        for line in lines:
            print(json.dumps(line), flush=True)


def _measured(sweep: Sweep, shapes: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """Lines of some shapes, compiled together; where that fails, of each half by itself."""
    request = sweep.request
    if not shapes:
        return
    try:
        with tempfile.TemporaryDirectory() as folder:  # one for each library: a process loads a path once
            functions = contractions.library(
                shapes, Path(folder), request.simd, machine.compiler(), threads=request.threads
            )
    except Exception as e:  # a shape that cannot be compiled is a result too
        if len(shapes) == 1:
            yield _line(sweep, shapes[0], {"failed": f"{type(e).__name__}: {e}"[:200]})
            return
        for half in (shapes[: len(shapes) // 2], shapes[len(shapes) // 2 :]):
            yield from _measured(sweep, half)
        return
    for shape, (function, workspace) in zip(shapes, functions):
        try:
            yield _shape(sweep, shape, function, workspace)
        except ValueError as e:
            yield _line(sweep, shape, {"failed": str(e)[:200]})


def _line(sweep: Sweep, shape: Any, more: dict[str, Any]) -> dict[str, Any]:
    same = {"kind": shape.family, "shape": str(shape), "unusual": shape.unusual}
    return {**same, "threads": sweep.request.threads, "bound": "", "share": {}, **more}


def _shape(sweep: Sweep, shape: Any, function: Any, workspace: int) -> dict[str, Any]:
    request, limit = sweep.request, sweep.limit
    contenders = [contractions.contender(shape, function, workspace, "f32")]
    contenders[0].name = "Charl"
    arrays = contenders[0].arrays[0]  # type: ignore[attr-defined]
    for name, make in (("JAX", _jax), ("ONNX Runtime", _onnx)):
        if name in request.peers:
            contenders.append(measure.Contender(name, make(shape, arrays, request)))
    measure.measure(contenders, limit, request.threads, ROUNDS, min(request.seconds, SECONDS))
    touched = sum(4 * int(np.prod(s)) for s in (*shape.operands(), shape.result))
    row = {"flops": shape.flops, "bytes": touched, "touched": touched, "threads": request.threads}
    sizes = [size for size in sweep.read_gbs if size * request.threads <= touched]
    row["memory_gbs"] = sweep.read_gbs[max(sizes, default=min(sweep.read_gbs))]
    row |= {"fma_operations": sweep.limits.operations, "fma_seconds": limit.seconds}
    least, bound = report.floor(row)
    limit.samples.clear()
    return _line(
        sweep, shape, {"bound": bound, "share": {c.name: round(least / c.seconds, 4) for c in contenders}}
    )


def _jax(shape: Any, arrays: list[Any], request: Request) -> Any:
    import jax

    f = jax.jit(shape.jax())
    a, b = jax.device_put(tuple(arrays))

    def run(calls: int) -> None:
        for _ in range(calls):
            f(a, b).block_until_ready()

    return run


def _onnx(shape: Any, arrays: list[Any], request: Request) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in zip("ab", arrays)]
    result = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    operator, attributes = shape.onnx()
    node = helper.make_node(operator, ["a", "b"], ["c"], **attributes)
    graph = helper.make_graph([node], shape.family, given, [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = request.threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    inputs = dict(zip("ab", arrays))

    def run(calls: int) -> None:
        for _ in range(calls):
            session.run(None, inputs)

    return run


if __name__ == "__main__":
    main()
