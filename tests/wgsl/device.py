"""Runs printed kernels on the Vulkan adapter: many dispatches in one submission, results read back together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from charl import dims
from charl.backends.wgsl.printer import WORKGROUP, grid, print_kernel
from charl.loops.ir import Kernel

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=1)
def gpu() -> Any:
    import wgpu

    adapters = wgpu.gpu.enumerate_adapters_sync()
    vulkan = [a for a in adapters if a.info["backend_type"] == "Vulkan"]
    return vulkan[0].request_device_sync(label="tests")


@lru_cache(maxsize=4096)
def pipeline(code: str, kinds: tuple[str, ...]) -> tuple[Any, Any]:
    """Compiles a module for bindings of these kinds (wgpu raises where naga refuses it); its layout too."""
    entries = [
        {"binding": i, "visibility": "COMPUTE", "buffer": {"type": kind}} for i, kind in enumerate(kinds)
    ]
    layout = gpu().create_bind_group_layout(entries=entries)
    whole = gpu().create_pipeline_layout(bind_group_layouts=[layout])
    stage = {"module": gpu().create_shader_module(code=code), "entry_point": "main"}
    return gpu().create_compute_pipeline(layout=whole, compute=stage), layout


def stored(a: Array) -> Array:
    """An array as the shader sees it: bools are u32, and nothing is empty."""
    a = np.ascontiguousarray(a.astype(np.uint32) if a.dtype == bool else a).reshape(-1)
    return a if a.size else np.zeros(1, a.dtype)


@dataclass
class Pending:
    buffers: list[Any]
    arrays: list[Array]


class Batch:
    """Kernels to run; `results` gives for each the arrays of its buffers afterwards."""

    def __init__(self) -> None:
        self.encoder = gpu().create_command_encoder()
        self.pending: list[Pending] = []

    def add(self, kernel: Kernel, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> None:
        sizes = sizes or {}
        device = gpu()
        entries = []
        usage = "STORAGE|COPY_SRC|COPY_DST"
        buffers = [device.create_buffer_with_data(data=stored(a), usage=usage) for a in arrays]
        self.pending.append(Pending(buffers, list(arrays)))
        total = dims.evaluate(grid(kernel), sizes)
        kinds = ["read-only-storage" if b.role == "input" else "storage" for b in kernel.buffers]
        pipe, layout = pipeline(print_kernel(kernel), tuple(kinds + ["uniform"] * bool(kernel.dims)))
        if total == 0:
            return
        for i, b in enumerate(buffers):
            entries.append({"binding": i, "resource": {"buffer": b, "offset": 0, "size": b.size}})
        if kernel.dims:
            data = np.array([sizes[d] for d in kernel.dims], np.int32)
            uniform = device.create_buffer_with_data(data=data, usage="UNIFORM")
            resource = {"buffer": uniform, "offset": 0, "size": uniform.size}
            entries.append({"binding": len(buffers), "resource": resource})
        group = device.create_bind_group(layout=layout, entries=entries)
        compute = self.encoder.begin_compute_pass()
        compute.set_pipeline(pipe)
        compute.set_bind_group(0, group)
        workgroups = -(-total // WORKGROUP)
        rows = -(-workgroups // 65535)
        compute.dispatch_workgroups(-(-workgroups // rows), rows)
        compute.end()

    def results(self) -> list[list[Array]]:
        """Submits everything and reads all buffers through one staging buffer."""
        device = gpu()
        total = sum(b.size for p in self.pending for b in p.buffers)
        staging = device.create_buffer(size=max(total, 4), usage="COPY_DST|MAP_READ")
        offset = 0
        for p in self.pending:
            for b in p.buffers:
                self.encoder.copy_buffer_to_buffer(b, 0, staging, offset, b.size)
                offset += b.size
        device.queue.submit([self.encoder.finish()])
        staging.map_sync("READ")
        data = bytes(staging.read_mapped(copy=False))
        staging.unmap()
        out, offset = [], 0
        for p in self.pending:
            one = []
            for b, a in zip(p.buffers, p.arrays, strict=True):
                raw = np.frombuffer(data, np.uint32 if a.dtype == bool else a.dtype, a.size, offset)
                one.append(raw.astype(a.dtype).reshape(a.shape))
                offset += b.size
            out.append(one)
        self.encoder = device.create_command_encoder()
        self.pending = []
        return out


def run(kernel: Kernel, arrays: Sequence[Array], sizes: Mapping[str, int] | None = None) -> list[Array]:
    """One kernel, now."""
    batch = Batch()
    batch.add(kernel, arrays, sizes)
    return batch.results()[0]
