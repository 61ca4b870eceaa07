"""Turns of a loop that need nothing of one another run on threads, each with arrays of its own."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL
from charl.compile import Options, compile_file, elaborated
from charl.dims import Dim
from charl.plan.build import plan_program
from charl.plan.ir import Plan, loops
from charl.plan.verify import verify
from charl.runtime.native import import_package
from charl.source import Source
from tests.support import needs_cc

ATTENTION = """
export fn attend(q: f32[1, H, 256, 16], k: f32[1, H, 256, 16], v: f32[1, H, 256, 16]) -> f32[1, H, 256, 16] {
    attention(q, k, v, causal: true)
}
export fn slopes(q: f32[1, H, 256, 16], k: f32[1, H, 256, 16], v: f32[1, H, 256, 16]) {
    grad(|(q, k, v)| sum(attention(q, k, v, causal: true) ** 2))((q, k, v))
}
"""
SCAN = """
export fn states(x: f32[8, 64], w: f32[64, 64]) -> f32[8, 64] {
    let mut h = x
    for _ in 0..100 { h = tanh(h @ w) }
    h
}
"""


def plan(text: str, export: str, sizes: Mapping[str, int], work: int = 0, grid: bool = False) -> Plan:
    program = elaborated(Source("turns.ch", text), Options(dims=sizes))
    caps = WGSL if grid else replace(PORTABLE_C, thread_work=work)
    found = next(p for p in plan_program(program, caps).plans if p.export.name == export)
    verify(found)
    return found


@pytest.mark.parametrize("export", ["attend", "slopes"])
def test_heads_run_on_threads(export: str) -> None:
    heads = plan(ATTENTION, export, {"H": 12})
    found = [r for r in loops(heads.steps) if r.threads is not None]
    assert found and all(r.extent == 12 and r.threads is not None for r in found)
    for threads in (r.threads for r in found if r.threads is not None):
        assert threads.most == PORTABLE_C.threads and threads.own and threads.pays == 0
        assert (
            threads.start + threads.most * threads.stride <= heads.arena_bytes
        )  # `verify` looks at the rest


def test_arrays_of_threads_take_room_only_while_their_loop_runs() -> None:
    text = """
export fn block(q: f32[1, 12, 256, 16], k: f32[1, 12, 256, 16], v: f32[1, 12, 256, 16], w: f32[192, 8192], u: f32[8192, 192]) {
    let heads = attention(q, k, v, causal: true)
    relu(heads.transpose(0, 2, 1, 3).reshape(256, 192) @ w) @ u
}
"""
    found = plan(text, "block", {})
    (loop,) = (r for r in loops(found.steps) if r.threads is not None)
    assert loop.threads is not None and loop.threads.most * loop.threads.stride > 4 * 256 * 1024
    products = 4 * 256 * 8192 + PORTABLE_C.packed  # what lies between them, and what they pack
    assert found.arena_bytes <= products + 4 * 12 * 256 * 16 + 4096


@needs_cc
def test_a_package_for_one_thread_has_no_room_for_others(tmp_path: Path) -> None:
    path = tmp_path / "turns.ch"
    path.write_text(ATTENTION)
    given = [np.random.default_rng(1).normal(size=(1, 12, 256, 16)).astype(np.float32) for _ in range(3)]
    results, room = [], []
    for threads in (1, 2, 8):
        compiled = compile_file(path, Options(targets=("c",), dims={"H": 12}, threads=threads))
        results.append(import_package(compiled.files, tmp_path).load("c").attend(*given))
        room.append(next(p.arena_bytes for p in compiled.lowered["c"].plans if p.export.name == "attend"))
    assert room[0] < room[1] < room[2], room
    assert all(np.array_equal(results[0], r) for r in results[1:])


def test_few_turns_and_little_work_stay_with_one_thread() -> None:
    for found in (
        plan(ATTENTION, "attend", {"H": 3}),
        plan(ATTENTION, "attend", {"H": 12}, work=1 << 30),
        plan(ATTENTION, "attend", {"H": 12}, grid=True),
        plan(SCAN, "states", {}),  # a turn takes what the one before it left
    ):
        assert all(r.threads is None for r in loops(found.steps))


def test_of_unknown_sizes_the_loop_decides_when_it_runs() -> None:
    text = ATTENTION.replace("256", "T")
    found = [r.threads for r in loops(plan(text, "attend", {"H": 6}, work=1 << 10).steps) if r.threads]
    assert found and all(t.pays != 0 and isinstance(t.stride, Dim) for t in found)


@needs_cc
@pytest.mark.parametrize("size", ["256", "T"])
def test_no_bit_depends_on_the_number_of_threads(tmp_path: Path, size: str) -> None:
    path = tmp_path / "turns.ch"
    path.write_text(ATTENTION.replace("256", size))
    compiled = compile_file(path, Options(targets=("c",), dims={"H": 6}, flush=True))
    rng = np.random.default_rng(0)
    given = [rng.normal(size=(1, 6, 256, 16)).astype(np.float32) for _ in range(3)]
    results = []
    for threads in (0, 1, 2, 3, 16):
        if threads:
            ctypes.CDLL("libgomp.so.1").omp_set_num_threads(threads)
        package = import_package(compiled.files, tmp_path).load("c", threads=bool(threads))
        results.append(package.slopes(*given))
    assert b"    PARALLEL_TURNS(6, 6, TURNS_AT_ONCE(" in compiled.files["turns.c"]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)
