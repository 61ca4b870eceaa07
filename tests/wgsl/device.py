"""Runs printed kernels on the Vulkan adapter: many dispatches in one submission, results read back together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from charl import dims, ops
from charl.backends.wgsl.printer import WORKGROUP, grid, print_kernel
from charl.backends.wgsl.scalar import memory
from charl.dtypes import DType
from charl.graph.ir import Graph, Size
from charl.loops.ir import For, If, Kernel, Stmt, Store
from charl.plan.ir import Place, Plan
from charl.program import Argument, Export, Field, Record

Array = np.ndarray[Any, Any]
USAGE = "STORAGE|COPY_SRC|COPY_DST"


@lru_cache(maxsize=1)
def gpu() -> Any:
    import wgpu

    adapters = wgpu.gpu.enumerate_adapters_sync()
    vulkan = [a for a in adapters if a.info["backend_type"] == "Vulkan"]
    limits = {"max-storage-buffers-per-shader-stage": 8}  # no more than every implementation has
    return vulkan[0].request_device_sync(label="tests", required_limits=limits)


@lru_cache(maxsize=1024)
def pipeline(code: str, kinds: tuple[str, ...]) -> tuple[Any, Any]:
    """Compiles a module for bindings of these kinds (wgpu raises where naga refuses it); its layout too."""
    entries = [
        {"binding": i, "visibility": "COMPUTE", "buffer": {"type": kind}} for i, kind in enumerate(kinds)
    ]
    layout = gpu().create_bind_group_layout(entries=entries)
    whole = gpu().create_pipeline_layout(bind_group_layouts=[layout])
    stage = {"module": gpu().create_shader_module(code=code), "entry_point": "main"}
    return gpu().create_compute_pipeline(layout=whole, compute=stage), layout


def upload(a: Array, dtype: DType) -> Any:
    """An array as the shader sees it: what is smaller than a word is one, and nothing is empty."""
    a = np.ascontiguousarray(a.astype(memory(dtype).numpy)).reshape(-1)
    return gpu().create_buffer_with_data(data=a if a.size else np.zeros(1, a.dtype), usage=USAGE)


class Batch:
    """Kernels and plans to run. `results` gives for each the arrays of its buffers, or of its results."""

    def __init__(self) -> None:
        self.encoder = gpu().create_command_encoder()
        self.wanted: list[list[tuple[Any, Array]]] = []  # buffers to read, and arrays like those to return

    def add(self, kernel: Kernel, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> None:
        """One kernel over arrays for its buffers."""
        buffers = [upload(a, b.dtype) for a, b in zip(arrays, kernel.buffers, strict=True)]
        self.dispatch(kernel, buffers, sizes or {})
        self.wanted.append(list(zip(buffers, arrays, strict=True)))

    def add_plan(self, plan: Plan, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> None:
        """All kernels of an export over arrays for its parameters."""
        sizes = sizes or {}
        buffers: dict[Place, Any] = {}
        out: dict[int, tuple[Any, Array]] = {}

        def buffer(place: Place) -> Any:
            if place not in buffers:
                if place.kind == "parameter":
                    buffers[place] = upload(arrays[place.position], place.dtype)
                elif place.kind == "constant":
                    assert place.data is not None
                    buffers[place] = upload(place.data, place.dtype)
                else:
                    size = dims.evaluate(place.size, sizes)
                    room = max(memory(place.dtype).bytes * size, 8)
                    buffers[place] = gpu().create_buffer(size=room, usage=USAGE)
                    if place.kind == "result":
                        out[place.position] = (buffers[place], np.empty(size, place.dtype.numpy))
            return buffers[place]

        for call in plan.calls:
            given = {d: dims.evaluate(s, sizes) for d, s in zip(call.kernel.dims, call.dims, strict=True)}
            self.dispatch(call.kernel, [buffer(p) for p in call.places], given)
        self.wanted.append([out[k] for k in sorted(out)])

    def dispatch(self, kernel: Kernel, buffers: Sequence[Any], sizes: Mapping[str, int]) -> None:
        kinds = ["read-only-storage" if b.role == "input" else "storage" for b in kernel.buffers]
        pipe, layout = pipeline(print_kernel(kernel), tuple(kinds + ["uniform"] * bool(kernel.dims)))
        workgroups = -(-dims.evaluate(grid(kernel), sizes) // WORKGROUP)
        if workgroups == 0:
            return
        bound = list(buffers)
        if kernel.dims:
            data = np.array([sizes[d] for d in kernel.dims], np.int32)
            bound.append(gpu().create_buffer_with_data(data=data, usage="UNIFORM"))
        resources = [{"buffer": b, "offset": 0, "size": b.size} for b in bound]
        group = gpu().create_bind_group(
            layout=layout, entries=[{"binding": i, "resource": r} for i, r in enumerate(resources)]
        )
        compute = self.encoder.begin_compute_pass()
        compute.set_pipeline(pipe)
        compute.set_bind_group(0, group)
        rows = -(-workgroups // 65535)
        compute.dispatch_workgroups(-(-workgroups // rows), rows)
        compute.end()

    def results(self) -> list[list[Array]]:
        """Submits everything and reads what is wanted through one staging buffer."""
        pairs = [pair for group in self.wanted for pair in group]
        total = sum(buffer.size for buffer, _ in pairs)
        staging = gpu().create_buffer(size=max(total, 4), usage="COPY_DST|MAP_READ")
        offset = 0
        for buffer, _ in pairs:
            self.encoder.copy_buffer_to_buffer(buffer, 0, staging, offset, buffer.size)
            offset += buffer.size
        gpu().queue.submit([self.encoder.finish()])
        staging.map_sync("READ")
        data = bytes(staging.read_mapped(copy=False))
        staging.unmap()
        out, offset = [], 0
        for group in self.wanted:
            one = []
            for buffer, like in group:
                kind = memory(ops.dtype_of(like)).numpy
                words = np.frombuffer(data, kind, like.size, offset)
                one.append(words.astype(like.dtype).reshape(like.shape))
                offset += buffer.size
            out.append(one)
        self.encoder = gpu().create_command_encoder()
        self.wanted = []
        return out


def run(kernel: Kernel, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> list[Array]:
    """One kernel, now."""
    batch = Batch()
    batch.add(kernel, arrays, sizes)
    return batch.results()[0]


def export_of(graph: Graph) -> Export:
    """A graph as an export: one argument per parameter, the results as a tuple."""
    arguments = tuple(Argument(p.name or f"x{i}", p.type) for i, p in enumerate(graph.params))
    fields = tuple(Field(str(i), r.type) for i, r in enumerate(graph.results))
    return Export(graph.name, "", arguments, Record("", "tuple", fields), graph, ())


def written(body: tuple[Stmt, ...]) -> Size:
    """How many elements the statements write."""
    total: Size = 0
    for s in body:
        if isinstance(s, Store):
            total = total + 1
        elif isinstance(s, For):
            total = total + written(s.body) * (s.stop - s.start)
        elif isinstance(s, If):
            total = total + written(s.body)
    return total
