"""The digits classifier on the GPU: one package for every batch, and the loss curve of the evaluator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charl.backends.capabilities import WGSL
from charl.backends.wgsl.package import files
from charl.backends.wgsl.printer import peel
from charl.compile import Options, elaborated, read_source
from charl.graph.evaluate import Evaluator
from charl.plan.build import plan_program
from charl.plan.ir import Lowered
from charl.program import Program
from tests.wgsl import loader
from tests.wgsl.device import written

DIGITS = Path(__file__).parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def program() -> Program:
    return elaborated(read_source(DIGITS / "digits.ch"), Options())


@pytest.fixture(scope="module")
def lowered(program: Program) -> Lowered:
    return plan_program(program, WGSL)


@pytest.fixture(scope="module")
def gpu(lowered: Lowered, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = loader.write(tmp_path_factory.mktemp("digits"), files(lowered))
    return loader.module()._Wgpu(folder)


@pytest.fixture(scope="module")
def images() -> tuple[Any, Any]:
    with np.load(DIGITS / "data" / "digits.npz") as file:
        return file["images"].reshape(-1, 64).astype(np.float32) / 16, file["labels"].astype(np.int32)


def picks(count: int) -> Iterator[Any]:
    shuffle = np.random.default_rng(0)
    while True:
        order = shuffle.permutation(count)
        yield from (order[k : k + 32] for k in range(0, count - 31, 32))


def test_kernels_bind_what_every_adapter_has(lowered: Lowered) -> None:
    assert max(len(k.buffers) for k in lowered.kernels) <= 8


def test_no_invocation_computes_much(lowered: Lowered) -> None:
    """A kernel of more than 1024 outputs is spread over invocations."""
    for kernel in lowered.kernels:
        for nest in kernel.nests:
            count = written(peel(nest)[1])
            assert isinstance(count, int) and count <= 1024, (kernel.name, str(count))


@pytest.mark.needs_vulkan
def test_training_follows_the_evaluator(program: Program, gpu: Any, images: Any) -> None:
    """200 steps from one seed: losses within 1e-3, the state within rounding, and it learns."""
    x, y = images
    graphs = {e.name: Evaluator(e.graph) for e in program.exports}
    stream = [np.array([3, 0], np.uint32), np.array(0, np.uint32)]
    net = gpu.run("Digits_init", stream, {})
    start = [*net, *gpu.run("Adam_init", [], {}), *stream]
    here = [a.copy() for a in start]
    there = [gpu.resident(a) for a in start]
    losses = []
    for _, pick in zip(range(200), picks(1437), strict=False):
        (loss,) = gpu.run("train_step", [*there, x[pick], y[pick]], {"N": 32})
        want, *after = graphs["train_step"]([*here, x[pick], y[pick]])
        here = after[: len(here)]
        losses.append((float(loss), float(want)))
    have, want = np.array(losses).T
    np.testing.assert_allclose(have, want, rtol=1e-3)
    for a, b in zip(there, here, strict=True):
        np.testing.assert_allclose(a.array, b, rtol=1e-2, atol=1e-4)
    assert want[-20:].mean() < 0.4 * want[:5].mean()
    trained = [leaf.array.copy() for leaf in there[:4]]
    for n in (1, 7, 64, 1000):
        (got,) = gpu.run("predict", [*there[:4], x[:n]], {"N": n})
        np.testing.assert_allclose(got, graphs["predict"]([*trained, x[:n]])[0], atol=1e-5)
        np.testing.assert_allclose(got.sum(1), 1, rtol=1e-5)
