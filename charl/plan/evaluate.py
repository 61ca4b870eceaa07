"""Runs a plan on NumPy arrays with the evaluator of loops: what emitted code does, without a compiler."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from charl import dims
from charl.dtypes import loaded, stored
from charl.loops.evaluate import evaluate
from charl.plan.ir import Call, Choose, Place, Plan, Step
from charl.program import leaves

Array = np.ndarray[Any, Any]


def run_plan(plan: Plan, arguments: Sequence[Array], sizes: Mapping[str, int], lanes: int = 4) -> list[Array]:
    """Results of an export for the leaves of its arguments, in the order of the graph's results.

    `mut` leaves are not changed; their new values are results. The workspace is one block of bytes, as in C.
    """
    graph = plan.export.graph
    params = [np.array(stored(a, p.dtype)).reshape(-1) for a, p in zip(arguments, graph.params, strict=True)]
    workspace = np.zeros(dims.evaluate(plan.arena_bytes, sizes), np.uint8)
    count = len(list(leaves(plan.export.result))) if plan.export.result is not None else 0
    results: list[Array | None] = [None] * count

    def call(step: Call, env: Mapping[str, int]) -> None:
        for place in step.places:
            if place.kind == "result" and results[place.position] is None:
                results[place.position] = np.zeros(dims.evaluate(place.size, sizes), place.dtype.memory)
        buffers = [_view(p, params, results, workspace, sizes) for p in step.places]
        given = {name: dims.evaluate(size, env) for name, size in zip(step.kernel.dims, step.dims)}
        evaluate(step.kernel, buffers, given, lanes)

    def holds(place: Place | None) -> bool:
        return place is None or bool(_view(place, params, results, workspace, sizes)[0])

    def run(steps: Sequence[Step], env: Mapping[str, int]) -> None:
        for step in steps:
            if isinstance(step, Call):
                call(step, env)
                continue
            if isinstance(step, Choose):
                run(step.then if holds(step.condition) else step.otherwise, env)
                continue
            extent = None if step.extent is None else dims.evaluate(step.extent, env)
            t = 0
            while (extent is None or t < extent) and holds(step.condition):
                run(step.body, {**env, step.index: t})
                t += 1

    run(plan.steps, sizes)
    at = 0
    changed: list[Array] = []
    for argument in plan.export.arguments:
        n = len(list(leaves(argument.type)))
        changed += params[at : at + n] if argument.mut else []
        at += n
    flat = [r for r in results if r is not None] + changed
    shaped = [a.reshape([dims.evaluate(s, sizes) for s in n.shape]) for a, n in zip(flat, graph.results)]
    return [loaded(a, n.dtype) for a, n in zip(shaped, graph.results)]


def _view(
    place: Place, params: list[Array], results: list[Array | None], workspace: Array, sizes: Mapping[str, int]
) -> Array:
    if place.kind == "parameter":
        return params[place.position]
    if place.kind == "result":
        found = results[place.position]
        assert found is not None
        return found
    if place.kind == "constant":
        return np.asarray(stored(place.data, place.dtype), place.dtype.memory).reshape(-1)
    start = dims.evaluate(place.offset, sizes)
    size = dims.evaluate(place.size, sizes) * place.dtype.bytes
    return workspace[start : start + size].view(place.dtype.memory)
