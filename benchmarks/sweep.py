"""Random shapes: which share of the machine's limit Charl, JAX and ONNX Runtime reach: `python -m benchmarks.sweep REQUEST`.

Enters: a request, as in worker.py. Leaves: a line of JSON for each shape on standard output. Every run has the same shapes.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import contractions, machine, measure, report
from benchmarks.contractions import Shape
from benchmarks.worker import Request, limits_of

COUNTS = {"contractions": 200, "convolutions": 100}
ROUNDS = 4


def main() -> None:
    """Serve one request."""
    request = Request(**json.loads(sys.argv[1]))
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ[f"{library}_NUM_THREADS"] = str(request.threads)
    cpus = measure.pin(request.threads)
    known = {"caches": machine.caches(), "limits": [limits_of(request, cpus)]}
    limits = machine.Limits(request.simd, request.threads, Path(request.folder))
    limit = limits.multiply_add()
    shapes = [s for s in contractions.sweep(COUNTS["contractions"], seed=0) if str(s) not in request.done]
    for start in range(0, len(shapes), contractions.EACH_LIBRARY):
        part = shapes[start : start + contractions.EACH_LIBRARY]
        if time.time() > request.until:
            return
        folder = Path(request.folder) / f"sweep-{request.threads}-{start}"
        functions = contractions.library(
            part, folder, request.simd, machine.compiler(), threads=request.threads
        )
        for shape, (function, workspace) in zip(part, functions):
            line = _shape(shape, function, workspace, request, known, limit, limits.operations)
            print(json.dumps(line), flush=True)


def _shape(
    shape: Shape, function: Any, workspace: int, request: Request, known: Any, limit: Any, operations: int
) -> dict[str, Any]:
    contenders = [contractions.contender(shape, function, workspace, "f32")]
    contenders[0].name = "Charl"
    arrays = contenders[0].arrays[0]  # type: ignore[attr-defined]
    for name, make in (("JAX", _jax), ("ONNX Runtime", _onnx)):
        if name in request.peers:
            contenders.append(measure.Contender(name, make(shape, arrays, request)))
    measure.measure(contenders, limit, request.threads, ROUNDS, min(request.seconds, 0.5))
    touched = sum(4 * int(np.prod(s)) for s in shape.operands()) + 4 * shape.batch * shape.m * shape.n
    row = {"flops": shape.flops, "bytes": touched, "touched": touched, "threads": request.threads}
    row |= {"fma_operations": operations, "fma_seconds": limit.seconds}
    least, bound = report.floor(known, row)
    share = {c.name: round(least / c.seconds, 4) for c in contenders}
    limit.samples.clear()
    return {"kind": "contraction", "shape": str(shape), "bound": bound, "threads": request.threads, "share": share}


def _jax(shape: Shape, arrays: list[Any], request: Request) -> Any:
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    import jax
    import jax.numpy as jnp

    f = jax.jit(lambda a, b: jnp.einsum(shape.subscripts, a, b))
    a, b = jax.device_put(tuple(arrays))

    def run(calls: int) -> None:
        for _ in range(calls):
            f(a, b).block_until_ready()

    return run


def _onnx(shape: Shape, arrays: list[Any], request: Request) -> Any:
    import onnxruntime
    from onnx import TensorProto, helper

    given = [helper.make_tensor_value_info(n, TensorProto.FLOAT, x.shape) for n, x in zip("ab", arrays)]
    result = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    node = helper.make_node("Einsum", ["a", "b"], ["c"], equation=shape.subscripts)
    graph = helper.make_graph([node], "contraction", given, [result])
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
