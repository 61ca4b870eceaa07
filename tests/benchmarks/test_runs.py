"""A run of the benchmark loses no row to a library that dies or hangs, and is one with what it had before it was stopped."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks import contractions, convolutions, machine, measure, record, report, runner, worker
from benchmarks.case import Case
from benchmarks.models import all_cases
from benchmarks.worker import Request
from tests.support import needs_cc

REQUEST = Request("stuck", 1, "", "avx2", [], [], [], 3, 0.1, 0.0, False, 0.0)


def _cases(*names: str) -> list[Case]:
    first = all_cases()[0]
    return [replace(first, name=name) for name in names]


@pytest.mark.parametrize("how, told", [("dies", "ended with -6"), ("hangs", "was stopped")])
def test_a_library_that_fails_costs_its_row(monkeypatch: pytest.MonkeyPatch, how: str, told: str) -> None:
    monkeypatch.setitem(runner.MODULES, "rows", "tests.benchmarks.stuck")
    monkeypatch.setattr(runner, "GRACE", 3)
    rows = list(runner.rows(_cases("first", how, "last"), REQUEST))
    assert [r["case"] for r in rows] == ["first", how, "last"]
    assert told in rows[1]["failed"]["JAX"]
    assert not rows[1]["seconds"]


def test_what_takes_too_long_is_left_out() -> None:
    with pytest.raises(TimeoutError), worker._within(0.0):
        while True:
            pass


def _run(**rows: dict[str, float]) -> dict[str, Any]:
    lines = [
        {
            **vars(worker.row_of(c, REQUEST)),
            "seconds": rows[c.name],
            "fma_seconds": 1e-6,
            "fma_operations": 100_000,
            "memory_gbs": 1e3,
        }
        for c in _cases(*rows)
    ]
    about = dict.fromkeys(record.SAME, "same") | {
        "versions": {},
        "date": "2026",
        "peers": ["JAX"],
        "not_measured": [],
    }
    limits = [{"threads": 1, "fma_gflops": {"avx2": 100.0}, "read_gbs": {"16": 100.0}}]
    empty: dict[str, Any] = {
        "minutes": 1.0,
        "quick": False,
        "kernels": [],
        "costs": [],
        "contractions": [],
        "convolutions": [],
    }
    return {**about, **empty, "limits": limits, "rows": lines}


def test_runs_of_a_machine_are_told_as_one(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    record.save(_run(a={"Charl": 1.0}, b={"Charl": 1.0}), path)
    both = record.merged([record.load(path), _run(b={"Charl": 2.0}, c={"Charl": 3.0})])
    assert [(r["case"], r["seconds"]["Charl"]) for r in both["rows"]] == [("a", 1.0), ("b", 2.0), ("c", 3.0)]
    assert both["minutes"] == 2.0
    assert record.done(both, "c", 1)
    assert not record.done(both, "c", 2)
    with pytest.raises(SystemExit, match="two machines"):
        record.merged([both, {**both, "cpu": "another"}])


def test_the_verdict_counts_what_is_ahead_and_what_is_reached() -> None:
    at_limit = all_cases()[0].flops / 1e11  # seconds, at 100 GFLOP/s
    run = _run(
        near={"Charl": at_limit / 0.95, "JAX": at_limit / 0.5},
        ahead={"Charl": at_limit / 0.6, "JAX": at_limit / 0.5},
        behind={"Charl": at_limit / 0.95, "JAX": at_limit / 0.99},
    )
    lines = list(report.verdict(run, 1))
    assert "faster in 2 of 3 rows; what was aimed at is reached in 1 of 3" in lines[0]
    assert [line.split("|")[6].strip() for line in lines[4:]] == ["95%", "60%", "95%"]
    assert [line.split("|")[8].strip() for line in lines[4:]] == ["yes", "no", "no"]


@needs_cc
def test_the_kernels_of_a_row_are_told_with_their_rates(tmp_path: Path) -> None:
    case = next(c for c in all_cases() if c.name == "layer norm, 64 × 768")
    request = replace(REQUEST, stem="kernels", folder=str(tmp_path), only=[case.name], until=9e9)
    lines = [x for x in runner.lines("kernels", request) if "doing" not in x]
    assert [record.where(x) for x in lines] == ["kernels"]
    run = _run(a={"Charl": 1.0}) | {"kernels": lines}
    assert record.names(run, "kernels", 1) == [case.name]
    table = report.markdown(run).split("### Kernels of layer norm")[1].splitlines()[6:]
    name, source, calls, _, share, flops, moved = (c.strip() for c in table[0].strip("|").split("|"))
    assert (name, calls, share) == ("`normalise_layernorm`", "1", "100%")
    assert source.startswith("kernels.ch:")
    assert float(flops) > 0 and float(moved) > 0


@needs_cc
@pytest.mark.parametrize("module", [contractions, convolutions], ids=["contractions", "convolutions"])
def test_random_shapes_are_what_numpy_computes(module: Any, tmp_path: Path) -> None:
    shapes = sorted(module.sweep(60, seed=1), key=lambda s: s.flops)[:12:3]
    functions = contractions.library(shapes, tmp_path, machine.simd(), machine.compiler())
    for shape, (function, workspace) in zip(shapes, functions):
        contractions.contender(shape, function, workspace, "f32")  # raises where they differ


def test_a_contender_waits_for_threads_that_spin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the process takes no CPU time while it sleeps; not for ever."""
    for spins, expected in ((3, 4), (10_000, 100)):
        naps: list[float] = []
        monkeypatch.setattr(measure.time, "sleep", naps.append)
        monkeypatch.setattr(measure.time, "process_time", lambda n=naps, most=spins: 0.01 * min(len(n), most))
        measure.settle()
        assert len(naps) == expected
