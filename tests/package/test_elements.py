"""Every element type at the border of a package: loaders, files, embedded weights, self-test, `charl run` and `charl train`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from click.testing import CliRunner

import charl
from charl.cli import main
from charl.compile import Options, compile_file
from charl.errors import CharlError
from charl.runtime import safetensors
from tests.package.build import compiled_selftest
from tests.support import needs_cc, needs_vulkan

PROGRAM = Path(__file__).with_name("elements.ch")
BACKENDS = ["evaluator", pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=needs_vulkan)]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_package_computes_the_same_everywhere(backend: str) -> None:
    package, oracle = charl.load(PROGRAM, backend=backend), charl.load(PROGRAM, backend="evaluator")
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((33, 3)).astype(np.float16), rng.random((33, 8)).astype(np.float32)
    net = package.Net.init(5)
    assert [a.dtype.name for a in net.leaves().values()] == ["float16", "bfloat16", "int64", "uint8"]
    other = oracle.Net.from_bytes(net.to_bytes())
    losses = [(package.train_step(net, x, y), oracle.train_step(other, x, y)) for _ in range(20)]
    np.testing.assert_allclose(*zip(*losses, strict=True), rtol=1e-2)
    assert losses[-1][0] < losses[0][0]
    assert net.seen == 20 * 4294967297 and (net.flags == 7 * 3**20 % 256).all()
    found = package.predict(net, x, 1.5, 0.25)
    wanted = oracle.predict(oracle.Net.from_bytes(net.to_bytes()), x, 1.5, 0.25)
    assert found[0].dtype == ml_dtypes.bfloat16 and isinstance(found[1], float)
    np.testing.assert_allclose(
        found[0].astype(np.float32), wanted[0].astype(np.float32), rtol=1e-2, atol=1e-2
    )
    assert abs(found[1] - wanted[1]) < 2e-3


@pytest.mark.parametrize("backend", BACKENDS)
def test_integers_wrap_around(backend: str) -> None:
    package = charl.load(PROGRAM, backend=backend)
    rng = np.random.default_rng(1)
    kinds = (np.int8, np.int16, np.uint8, np.uint16, np.int64, np.uint64)
    a, b, c, d, e, f = (rng.integers(np.iinfo(k).min, np.iinfo(k).max, 33, k, endpoint=True) for k in kinds)
    found = (*package.signed(a, b), *package.unsigned(c, d), *package.long(e, f))
    with np.errstate(all="ignore"):
        wanted = (a + np.int8(100), b * b, c - np.uint8(201), d + np.uint16(65535))
        wanted = (*wanted, e * np.int64(4294967297) - np.int64(5), f * f)
    for have, want in zip(found, wanted, strict=True):
        assert have.dtype == want.dtype
        np.testing.assert_array_equal(have, want)
    assert package.numbers(-(2**62) - 1, 201) == ((-(2**62) - 1) // 3, 145)


@needs_cc
def test_the_self_test_passes(tmp_path: Path) -> None:
    status, said = compiled_selftest(tmp_path, compile_file(PROGRAM, Options(targets=("c",))).files)
    assert status == 0, said


@needs_cc
def test_weights_are_embedded_with_their_types(tmp_path: Path) -> None:
    package = charl.load(PROGRAM, backend="evaluator")
    net = package.Net.init(1)
    net.save(tmp_path / "net.safetensors")
    files = compile_file(PROGRAM, Options(targets=("c",), embed=tmp_path / "net.safetensors")).files
    text = files["elements_weights.c"].decode()
    for a in (net.w, net.b):
        assert f"0x{int(a.reshape(-1)[0].view(np.uint16)):04x}" in text
    kept = {n: a.astype(np.float32) if n == "b" else a for n, a in net.leaves().items()}
    (tmp_path / "wrong.safetensors").write_bytes(safetensors.dump(kept))
    with pytest.raises(CharlError) as caught:
        compile_file(PROGRAM, Options(targets=("c",), embed=tmp_path / "wrong.safetensors"))
    assert "b is float32[8], wanted bfloat16[8]" in str(caught.value)


@needs_cc
def test_the_loader_is_formatted_and_typed(tmp_path: Path) -> None:
    from charl.runtime.native import write

    write(compile_file(PROGRAM).files, tmp_path)
    loader = str(tmp_path / "elements.py")
    for tool in (
        ["black", "--check", "--config", os.devnull],
        ["mypy", "--strict", "--config-file", os.devnull],
    ):
        ran = subprocess.run([sys.executable, "-m", *tool, loader], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "import ml_dtypes" in (tmp_path / "elements.py").read_text()


def test_what_is_no_bfloat16_is_refused() -> None:
    package = charl.load(PROGRAM, backend="evaluator")
    with pytest.raises(TypeError, match=r"x must be float16\[N, 3\], got bfloat16\[2, 3\]"):
        package.predict(package.Net(), np.zeros((2, 3), ml_dtypes.bfloat16), 1.0, 1.0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_charl_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str) -> None:
    monkeypatch.chdir(tmp_path)
    ran = CliRunner().invoke(main, ["run", str(PROGRAM), "--backend", backend])
    assert ran.exit_code == 0, ran.output
    assert ran.output.splitlines()[-1] == "[9007199254740995] [inf] [1.] [7 7 7]"


@needs_cc
def test_charl_train(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    np.savez(tmp_path / "d.npz", x=rng.standard_normal((64, 3)), y=rng.random((64, 8)))
    command = ["train", str(PROGRAM), "--data", str(tmp_path / "d.npz"), "--epochs", "2", "--batch", "16"]
    ran = CliRunner().invoke(main, [*command, "--out", str(tmp_path / "run")])
    assert ran.exit_code == 0, ran.output
    kept = safetensors.read(tmp_path / "run" / "net.safetensors")
    assert {n: a.dtype.name for n, a in kept.items()} == {
        "w": "float16", "b": "bfloat16", "seen": "int64", "flags": "uint8"
    }  # fmt: skip
    assert kept["seen"] == 8 * 4294967297


@needs_cc
@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16], ids=["f16", "bf16"])
def test_a_debug_build_names_where_the_first_nan_arose(tmp_path: Path, kind: Any) -> None:
    name = {np.float16: "f16"}.get(kind, "bf16")
    program = tmp_path / "roots.ch"
    program.write_text(
        f"export fn f(x: {name}[N]) -> {name}[N] {{\n    let y = sqrt(x)\n    cumsum(y, axis: 0)\n}}\n"
    )
    package = charl.load(program, backend="c", debug=True)
    assert package.f(np.array([4, np.inf], kind)).astype(np.float32).tolist() == [2.0, np.inf]
    with pytest.raises(Exception, match=r"roots.ch:2:13: the first NaN is in y"):
        package.f(np.array([4, -4], kind))
