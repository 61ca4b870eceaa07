"""Every program of the benchmark compiles and computes what PyTorch does; nothing is timed."""

from __future__ import annotations

import ast
import functools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import machine
from benchmarks.case import MODELS, Case, Peer
from benchmarks.emitted import Emitted
from benchmarks.models import all_cases
from charl.compile import read_source
from charl.elaborate import elaborate
from tests.benchmarks.reference import FILE, outputs
from tests.benchmarks.small import cases
from tests.support import needs_cc

REFERENCES: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
CASES = {f"{c.stem}.{c.export}": c for c in cases()}


def test_every_case_has_a_reference() -> None:
    assert CASES.keys() == REFERENCES.keys()


@pytest.mark.parametrize("program", sorted({c.program for c in all_cases()}))
def test_elaborates(program: str) -> None:
    assert elaborate(read_source(MODELS / program)).exports


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("programs")


@functools.cache
def _emitted(source: Path, folder: Path, dims: str, sets: str) -> Emitted:
    """A compiled program; its exports share it."""
    sizes, parameters = ast.literal_eval(dims), ast.literal_eval(sets)
    return Emitted(source, folder, machine.simd(), 1, sizes, parameters, optimise="-O1")


@needs_cc
@pytest.mark.parametrize("name", CASES)
def test_agrees(name: str, folder: Path) -> None:
    case: Case = CASES[name]
    call = _emitted(case.source, folder, str(case.dims), str(case.sets)).call(case.export, case.arguments())
    peer = Peer(name, lambda: call.many(1), lambda _: call.result(), call.state, many=call.many)
    got, wanted = outputs(peer, case.calls), REFERENCES[name]
    shared = [k for k in wanted if k in got]
    assert "result 0" in shared or not any(k.startswith("result") for k in wanted)
    assert shared
    for key in shared:
        np.testing.assert_allclose(got[key], wanted[key], rtol=2e-4, atol=1e-4, err_msg=key)
