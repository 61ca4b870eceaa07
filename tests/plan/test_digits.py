"""The plan of examples/tour/digits.ch: what a reader of the emitted step will find fused."""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL, Capabilities
from charl.compile import Options, compile_file, elaborated, read_source
from charl.dims import evaluate
from charl.loops.ir import For
from charl.plan.build import plan_program
from charl.plan.ir import Plan
from charl.plan.verify import verify
from charl.program import Program
from tests.support import needs_cc, needs_tools

SOURCE = Path(__file__).parents[2] / "examples" / "tour" / "digits.ch"
TARGETS = pytest.mark.parametrize("caps", [PORTABLE_C, WGSL], ids=["c", "wgsl"])


@cache
def program(n: int | tuple[int, int] | None = 32) -> Program:
    return elaborated(read_source(SOURCE), Options(dims={} if n is None else {"N": n}))


def plan(caps: Capabilities, export: str, n: int | None = 32) -> Plan:
    return next(p for p in plan_program(program(n), caps).plans if p.export.name == export)


@TARGETS
@pytest.mark.parametrize("n", [32, None])
def test_a_training_step_is_at_most_ten_kernels(caps: Capabilities, n: int | None) -> None:
    step = plan(caps, "train_step", n)
    verify(step)
    assert len(step.calls) <= 10


@TARGETS
def test_bias_relu_and_dropout_are_inside_the_first_product(caps: Capabilities) -> None:
    first = plan(caps, "train_step").calls[0]
    read = {p.name for p, b in zip(first.places, first.kernel.buffers) if b.role == "input"}
    assert read == {"x", "net_0_w", "net_0_b", "rng_key", "rng_counter"}


@TARGETS
@pytest.mark.parametrize("layer", ["0", "2"])
def test_each_weight_is_updated_at_the_end_of_its_gradients_product(caps: Capabilities, layer: str) -> None:
    step = plan(caps, "train_step")
    weight = f"net_{layer}_w"
    (call,) = [
        c
        for c in step.calls
        if any(p.name == weight and b.role == "inout" for p, b in zip(c.places, c.kernel.buffers))
    ]
    changed = {p.name for p, b in zip(call.places, call.kernel.buffers) if b.role == "inout"}
    assert changed == {weight, f"adam_m_{layer}_w", f"adam_v_{layer}_w"}
    size = 64 * 64 if layer == "0" else 64 * 10
    arrays = [p for c in step.calls for p in c.places if p.kind == "arena" and p.size == size]
    assert not [p for p in arrays if p.size != 32 * 64], "no array holds a gradient of a weight"


@pytest.mark.parametrize("export", ["predict", "train_step"])
def test_memory_is_what_is_live_at_once(export: str) -> None:
    made = plan(PORTABLE_C, export)
    assert isinstance(made.arena_bytes, int) and isinstance(made.live_bytes, int)
    assert made.live_bytes <= made.arena_bytes <= 1.1 * made.live_bytes


@pytest.mark.parametrize("n", [32, 1000, 1])
def test_no_invocation_of_a_grid_makes_many_outputs(n: int) -> None:
    for made in plan_program(program(None), WGSL).plans:
        env = {d.name: n for d in made.export.dims}
        for call in made.calls:
            outputs = [b for b in call.kernel.buffers if b.role != "input"]
            points = [_points(nest[0], env) for nest in call.kernel.nests]
            largest = max(evaluate(b.size, env) for b in outputs)
            assert largest <= 1024 * max(points), call.kernel.name


def _points(stmt: object, env: dict[str, int]) -> int:
    points = 1
    while isinstance(stmt, For) and stmt.kind == "parallel":
        points *= evaluate(stmt.stop, env)
        stmt = stmt.body[0]
    return points


def test_equal_computations_are_one_function() -> None:
    lowered = plan_program(program(), PORTABLE_C)
    calls = [c.kernel.name for p in lowered.plans for c in p.calls]
    assert len(lowered.kernels) < len(calls)
    assert len({k.name for k in lowered.kernels}) == len(lowered.kernels)


@needs_cc
@needs_tools("objdump")
def test_hot_kernels_of_avx512_use_its_registers(tmp_path: Path, cc: str) -> None:
    compiled = compile_file(SOURCE, Options(dims={"N": 32}, simd="avx512", targets=("c",)))
    for name, data in compiled.files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    code = (tmp_path / "digits.c").read_text()
    apart = re.sub(r"^static void digits_", "__attribute__((noinline)) static void digits_", code, flags=re.M)
    (tmp_path / "digits.c").write_text(apart)  # a kernel is to be found under its name
    flags = ["-O2", "-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mfma"]
    subprocess.run([cc, *flags, "-c", "digits.c", "-o", "digits.o"], cwd=tmp_path, check=True)
    objdump = shutil.which("objdump")
    assert objdump is not None
    text = subprocess.run(
        [objdump, "-d", "digits.o"], cwd=tmp_path, capture_output=True, text=True, check=True
    ).stdout
    functions = dict(re.findall(r"^[0-9a-f]+ <(\w+)(?:\.\w+)*>:\n((?:.+\n)*)", text, re.M))
    hot = [k for k in compiled.lowered["c"].kernels if isinstance(k.flops, int) and k.flops >= 4096]
    assert len(hot) >= 5
    for kernel in hot:
        assert "%zmm" in functions[f"digits_{kernel.name}"], kernel.name
