"""The WGSL package and the part of the loader that runs it: one package for every size, state that stays on the GPU."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from charl import dims
from charl.backends.capabilities import WGSL
from charl.backends.wgsl.package import E_LIMIT, E_MISSING, encode, files
from charl.dims import Func, Size, atom, ceildiv, exact_div, sym
from charl.dtypes import f32
from charl.graph.evaluate import evaluate
from charl.graph.scalar import Load, apply
from charl.loops.ir import Buffer, For, Kernel, Store
from charl.plan.build import plan_program
from charl.plan.ir import Call, Lowered, Place, Plan
from charl.program import Export, Program
from tests.package.programs import linear
from tests.wgsl import loader

N, M = sym("N"), sym("M")
Array = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def program() -> Program:
    return linear()


@pytest.fixture(scope="module")
def folder(program: Program, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return loader.write(tmp_path_factory.mktemp("linear"), files(plan_program(program, WGSL)))


@pytest.fixture(scope="module")
def parts() -> Any:
    return loader.module()


@pytest.fixture(scope="module")
def gpu(folder: Path, parts: Any) -> Iterator[Any]:
    yield parts._Wgpu(folder)


def export_of(program: Program, name: str) -> Export:
    return next(e for e in program.exports if e.name == name)


def arguments(export: Export, n: int, seed: int = 0) -> list[Array]:
    """Arrays for all parameters of an export."""
    r = np.random.default_rng(seed)
    out: list[Array] = []
    for p in export.graph.params:
        shape = tuple(dims.evaluate(s, {"N": n}) for s in p.shape)
        if p.dtype.kind == "bool":
            out.append(np.ones(shape, bool))
        elif p.dtype.is_float:
            out.append(r.uniform(-0.1, 0.1, shape).astype(np.float32))
        else:
            out.append(r.integers(0, 3, shape).astype(p.dtype.numpy))
    return out


# ---------------------------------------------------------------- the files


@pytest.mark.parametrize(
    "size",
    [
        0,
        7,
        N,
        64 * N + 3,
        N * M - 2 * N + 5,
        exact_div(N * M, 4),
        exact_div(N, M),
        exact_div(N * N + N, 2),
        ceildiv(N, 4) * M,
        atom(Func("mod", (N, 3))) + atom(Func("min", (N, M))) - atom(Func("max", (N, 2 * M))),
        N // 5,
    ],
    ids=str,
)
def test_sizes_evaluate_without_charl(size: Size, parts: Any) -> None:
    encoded = json.loads(json.dumps(encode(size)))
    for env in ({"N": 8, "M": 4}, {"N": 60, "M": 2}, {"N": 12, "M": 12}):
        assert parts._evaluate(encoded, env) == dims.evaluate(size, env)


def test_manifest_lists_what_a_loader_needs(folder: Path) -> None:
    manifest = json.loads((folder / "wgsl" / "manifest.json").read_text())
    assert (manifest["format"], manifest["version"], manifest["digest"]) == ("charl-wgsl", 1, "0123abcd")
    assert manifest["features"] == []
    for kernel in manifest["kernels"].values():
        text = (folder / "wgsl" / kernel["file"]).read_text()
        for number, binding in enumerate(kernel["bindings"]):
            assert f"@group(0) @binding({number}) var<storage, {binding['access']}>" in text
    train = manifest["exports"]["train"]
    assert [a["name"] for a in train["arguments"] if a["mut"]] == ["net", "default"]
    assert [leaf["path"] for leaf in train["arguments"][0]["leaves"]] == ["0.w", "0.b", "scale", "on"]
    assert train["arguments"][1]["leaves"] == [{"path": "", "dtype": "f32", "shape": ["N", 5]}]
    assert manifest["exports"]["linear_init"]["role"] == "init"


def test_no_dispatch_binds_a_buffer_twice(folder: Path) -> None:
    """WebGPU refuses it where one of the bindings writes."""
    for export in json.loads((folder / "wgsl" / "manifest.json").read_text())["exports"].values():
        for call in export["calls"]:
            assert len(set(call["buffers"])) == len(call["buffers"])


def test_the_same_program_gives_the_same_bytes() -> None:
    assert files(plan_program(linear(), WGSL)) == files(plan_program(linear(), WGSL))


def test_dead_temporaries_are_used_again() -> None:
    """A chain of kernels over equal sizes alternates between two buffers."""
    a, b = Buffer("a", f32, N, "input"), Buffer("b", f32, N, "output")
    at = sym("i.1")
    double = apply("add", Load(a, (at,), f32), Load(a, (at,), f32))
    kernel = Kernel("double", (a, b), ("N",), ((For("i.1", N, (Store(b, at, double),), "parallel"),),))
    places = [Place("arena", f"t{k}", f32, N) for k in range(6)]
    calls = tuple(Call(kernel, pair, (N,)) for pair in pairwise(places))
    export = linear().exports[1]
    manifest = files(Lowered(linear(), (kernel,), (Plan(export, calls, 0),)))["wgsl/manifest.json"]
    chain = json.loads(manifest)["exports"]["predict"]
    assert len(chain["buffers"]) == 2
    assert [c["buffers"] for c in chain["calls"]] == [[0, 1], [1, 0], [0, 1], [1, 0], [0, 1]]


# ---------------------------------------------------------------- running


@pytest.mark.needs_vulkan
def test_one_package_serves_every_size(program: Program, gpu: Any) -> None:
    """Neither recompiled nor padded: the pipelines of the first size run all others."""
    predict, train = export_of(program, "predict"), export_of(program, "train")
    compiled: set[int] = set()
    for n in (1, 7, 64, 1000, 0):
        for export in (predict, train):
            given = arguments(export, n)
            wanted = evaluate(export.graph, given, {"N": n})
            got = gpu.run(export.name, given, {"N": n})
            np.testing.assert_allclose(got[0], wanted[0], rtol=1e-4, atol=1e-5)
            if export is train:  # w, b, scale, on, and the counter were updated in place
                for new, array in zip(wanted[1:], [*given[:4], given[-1]], strict=True):
                    np.testing.assert_allclose(array, new, rtol=1e-4, atol=1e-5)
        compiled = compiled or set(map(id, (p[0] for p in gpu._pipelines.values())))
        assert set(map(id, (p[0] for p in gpu._pipelines.values()))) == compiled


@pytest.mark.needs_vulkan
def test_state_stays_on_the_gpu(program: Program, gpu: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Resident leaves are neither uploaded nor downloaded by a step, and equal what arrays give."""
    train = export_of(program, "train")
    arrays = arguments(train, 9)
    mine = [a.copy() for a in arrays]
    resident = [gpu.resident(a) for a in arrays[:4]]
    gpu.prepare("train", {"N": 9})
    written: list[int] = []
    original = gpu.write
    monkeypatch.setattr(
        gpu, "write", lambda buffer, array: (written.append(array.size), original(buffer, array))
    )
    for _ in range(3):
        gpu.run("train", [*resident, *arrays[4:]], {"N": 9})
    assert written == [45, 9, 1, 1] * 3  # x, y, lr and the counter only
    monkeypatch.undo()
    for _ in range(3):
        gpu.run("train", mine, {"N": 9})
    for leaf, array in zip(resident, mine[:4], strict=True):
        np.testing.assert_array_equal(leaf.array, array)


@pytest.mark.needs_vulkan
def test_an_array_that_is_held_stays_equal_to_the_gpu(program: Program, gpu: Any) -> None:
    """Writes to a held view reach the next call; the next call's update reaches the view."""
    train = export_of(program, "train")
    arrays = arguments(train, 4)
    resident = [gpu.resident(a) for a in arrays[:4]]
    held = resident[0].array
    held[...] = 0.25
    expected = [np.full((5, 3), 0.25, np.float32), *arrays[1:]]
    wanted = evaluate(train.graph, expected, {"N": 4})
    gpu.run("train", [*resident, *arrays[4:]], {"N": 4})
    np.testing.assert_allclose(held, wanted[1], rtol=1e-5)
    assert resident[0].array is held
    del held
    resident[0].array[...] = 0.5  # nobody holds what was written: it travels all the same
    expected = [np.full((5, 3), 0.5, np.float32), wanted[2], *arrays[2:]]
    wanted = evaluate(train.graph, expected, {"N": 4})
    gpu.run("train", [*resident, *arrays[4:]], {"N": 4})
    assert resident[0].exposed is None
    np.testing.assert_allclose(resident[0].array, wanted[1], rtol=1e-5)


@pytest.mark.needs_vulkan
def test_structs_of_results_and_streams(program: Program, gpu: Any) -> None:
    """init returns a struct; its generator moves on in place."""
    init = export_of(program, "linear_init")
    stream = [np.array([1, 2], np.uint32), np.array(0, np.uint32)]
    wanted = evaluate(init.graph, [a.copy() for a in stream])
    got = gpu.run("linear_init", stream, {})
    for a, b in zip(got, wanted, strict=False):
        assert a.dtype == b.dtype and a.shape == b.shape
        np.testing.assert_array_equal(a, b)
    assert stream[1] == 1


@pytest.mark.needs_vulkan
def test_tables_are_constants(tmp_path: Path, parts: Any) -> None:
    from charl import ops
    from charl.graph.ir import Graph, TensorType
    from charl.program import Argument

    table = np.random.default_rng(0).standard_normal((7, 5)).astype(np.float32)
    flags = np.arange(35).reshape(7, 5) % 3 == 0
    x = ops.parameter("x", TensorType(f32, (7, 5)))
    out = ops.select(ops.constant(flags), ops.mul(x, ops.constant(table)), x)
    export = Export("scale", "", (Argument("x", x.type),), out.type, Graph("scale", [x], [out]), ())
    written = files(plan_program(Program("tables", "", [export], []), WGSL))
    gpu = parts._Wgpu(loader.write(tmp_path, written))
    given = np.ones((7, 5), np.float32)
    np.testing.assert_array_equal(gpu.run("scale", [given], {})[0], np.where(flags, table, 1))


# ---------------------------------------------------------------- what goes wrong


def test_codes_are_registered(parts: Any) -> None:
    assert (parts.GpuMissing.code, parts.GpuLimit.code) == (E_MISSING, E_LIMIT)


def test_no_wgpu_is_a_clear_error(folder: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name == "wgpu":
            raise ImportError(name)
        return original(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(parts.GpuMissing, match="pip install wgpu"):
        parts._Wgpu(folder)


def test_no_adapter_names_the_package(folder: Path, parts: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import wgpu

    monkeypatch.setattr(type(wgpu.gpu), "enumerate_adapters_sync", lambda self: [])
    with pytest.raises(parts.GpuMissing, match="mesa-vulkan-drivers"):
        parts._Wgpu(folder)


@pytest.mark.needs_vulkan
def test_an_unknown_adapter_lists_those_there_are(
    folder: Path, parts: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHARL_ADAPTER", "Voodoo 2")
    with pytest.raises(parts.GpuMissing, match="there are: "):
        parts._Wgpu(folder)


@pytest.mark.needs_vulkan
def test_limits_that_are_too_small(folder: Path, parts: Any, gpu: Any, tmp_path: Path) -> None:
    with pytest.raises(parts.GpuLimit, match="binds at most"):
        gpu.buffer(gpu._largest + 4)
    manifest = json.loads((folder / "wgsl" / "manifest.json").read_text())
    manifest["limits"]["storage_buffers"] = 1 << 20
    loader.write(tmp_path, {"wgsl/manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(parts.GpuLimit, match="storage buffers"):
        parts._Wgpu(tmp_path)


@pytest.mark.needs_vulkan
def test_one_record_for_two_arguments_is_refused(parts: Any, gpu: Any) -> None:
    leaf = gpu.resident(np.zeros((5, 3), np.float32))
    with pytest.raises(parts.CharlValueError, match="same record"):
        gpu.run(
            "predict", [leaf, leaf, *[np.zeros((), np.float32)] * 2, np.zeros((1, 5), np.float32)], {"N": 1}
        )
