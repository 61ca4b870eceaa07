"""The library against PyTorch and JAX: every entry, values and gradients, in float64 and float32, on every backend.

Each program of `programs` holds functions for a subject; `reference/make.py` wrote what they are given and must return. A
program is compiled once for a backend. The files are the table: nothing here knows an entry by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pytest

import charl
from tests.support import needs_cc, needs_vulkan

Array: TypeAlias = "np.ndarray[Any, Any]"
Leaves: TypeAlias = "dict[str, Array]"  # of one argument or result by path; an array alone is the leaf ""
HERE = Path(__file__).resolve().parent
PROGRAMS = sorted(p.stem for p in (HERE / "programs").glob("*.ch"))
BACKENDS = [
    pytest.param("evaluator", "f64", 1e-9, id="evaluator-f64"),
    pytest.param("evaluator", "f32", 1e-5, id="evaluator-f32"),
    pytest.param("c", "f64", 1e-9, marks=needs_cc, id="c-f64"),
    pytest.param("c", "f32", 1e-5, marks=needs_cc, id="c-f32"),
    pytest.param("wgpu", "f32", 1e-5, marks=needs_vulkan, id="wgsl"),
]


def cases(program: str) -> Iterator[tuple[str, list[Leaves], list[Leaves]]]:
    """Function (behind @: which call of it), its arguments and its results."""
    found: dict[str, dict[str, list[Leaves]]] = {}
    with np.load(HERE / "reference" / f"{program}.npz") as file:
        for key, array in file.items():
            call, side, rest = key.split("/")
            position, _, leaf = rest.partition(".")
            trees = found.setdefault(call, {"in": [], "out": []})[side]
            trees += [{} for _ in range(int(position) + 1 - len(trees))]
            trees[int(position)][leaf] = array
    for call, sides in found.items():
        yield call, sides["in"], sides["out"]


def argument(package: Any, annotation: str, given: Leaves, floats: str) -> Any:
    """An array, a record or a run of records, as the function's signature says."""
    if annotation.startswith("tuple["):
        names = annotation.removeprefix("tuple[").removesuffix("]").split(", ")
        parts = [
            {k.partition(".")[2]: a for k, a in given.items() if k.startswith(f"{i}.")}
            for i in range(len(names))
        ]
        return tuple(argument(package, n, p, floats) for n, p in zip(names, parts, strict=True))
    if "" in given:
        array = given[""]
        return array.astype(floats) if array.dtype.kind == "f" else array
    record = getattr(package, annotation)()
    assert record.leaves().keys() == given.keys()
    for leaf, place in record.leaves().items():
        place[...] = given[leaf]
    return record


def flat(value: Any) -> Iterator[Leaves]:
    """Results one after the other, those of nested tuples too."""
    if isinstance(value, tuple):
        for x in value:
            yield from flat(x)
    elif hasattr(value, "leaves"):
        yield value.leaves()
    elif value is not None:
        yield {"": np.asarray(value)}


@pytest.mark.parametrize("backend, floats, tolerance", BACKENDS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_reference(program: str, backend: str, floats: str, tolerance: float) -> None:
    package = charl.load(HERE / "programs" / f"{program}.ch", backend=backend, f32=floats)
    called = set()
    for call, inputs, wanted in cases(program):
        function = getattr(package, call.partition("@")[0])
        called.add(call.partition("@")[0])
        parameters = inspect.signature(function).parameters.values()
        kind = "float64" if floats == "f64" else "float32"
        given = [
            argument(package, p.annotation.strip("'"), x, kind)
            for p, x in zip(parameters, inputs, strict=True)
        ]
        results = [*flat(function(*given)), *(x for g in given for x in flat(g) if hasattr(g, "leaves"))]
        assert len(results) >= len(wanted) > 0, call
        for k, (result, want) in enumerate(zip(results, wanted, strict=False)):
            assert result.keys() == want.keys(), (call, k)
            for leaf, array in want.items():
                assert result[leaf].shape == array.shape, (call, k, leaf)
                scale = max(1.0, float(np.abs(array).max()))
                np.testing.assert_allclose(
                    result[leaf], array, rtol=0, atol=tolerance * scale, err_msg=f"{call}, result {k} {leaf}"
                )
    text = (HERE / "programs" / f"{program}.ch").read_text()
    assert called == {
        line.split("(")[0].removeprefix("export fn ")
        for line in text.splitlines()
        if line.startswith("export fn")
    }
