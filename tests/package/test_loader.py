"""The Python loader: typed, formatted, without Charl; wrong arguments are refused by exceptions that say what was wanted."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import charl
from charl.errors import CODES
from tests.support import needs_cc, needs_vulkan

from .conftest import emit, module

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The linear program for C and for GPUs."""
    return emit(tmp_path_factory.mktemp("both"), gpu=True)


# ---------------------------------------------------------------- form


@pytest.mark.parametrize("width", [88, 110])
@pytest.mark.parametrize("gpu", [False, True])
def test_black_has_nothing_to_do(package: Path, both: Path, width: int, gpu: bool) -> None:
    path = (both if gpu else package) / "linear.py"
    command = [sys.executable, "-m", "black", "--check", "-l", str(width), "--config", os.devnull, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr


def test_types_hold(both: Path) -> None:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull, str(both / "linear.py")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_linter_finds_nothing(both: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "E4,E7,E9,F,B",
        "--ignore",
        "B905",
    ]
    ran = subprocess.run([*command, str(both / "linear.py")], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout


def test_the_loader_needs_numpy_only(both: Path) -> None:
    tree = ast.parse((both / "linear.py").read_text())
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {a.name.split(".")[0] for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(str(node.module).split(".")[0])
    assert found - set(sys.stdlib_module_names) == {"numpy", "wgpu"}


def test_the_same_program_gives_the_same_bytes(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from tests.package.conftest import emit;"
        "emit(Path(sys.argv[1]), gpu=True)"
    )
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        subprocess.run([sys.executable, "-c", code, tmp_path / seed], cwd=ROOT, env=environment, check=True)
    one = {p.relative_to(tmp_path / "1"): p.read_bytes() for p in (tmp_path / "1").rglob("*") if p.is_file()}
    two = {p.relative_to(tmp_path / "2"): p.read_bytes() for p in (tmp_path / "2").rglob("*") if p.is_file()}
    assert one == two and len(one) > 15


def test_codes_are_registered(both: Path) -> None:
    loader = module(both)
    kinds = [k for k in vars(loader).values() if isinstance(k, type) and issubclass(k, loader.CharlError)]
    assert len({k.code for k in kinds}) >= 11
    assert {k.code for k in kinds} <= set(CODES)


# ---------------------------------------------------------------- values


def inputs(n: int = 7) -> tuple[Any, Any]:
    rng = np.random.default_rng(n)
    return rng.random((n, 5), np.float32), (np.arange(n) % 3).astype(np.int32)


def reference(net: Any, x: Any) -> Any:
    return (x @ net.layer0.w + net.layer0.b) * net.scale


@needs_cc
@pytest.mark.parametrize("n", [0, 1, 7, 64])
def test_one_library_serves_every_size(loader: Any, n: int) -> None:
    net = loader.Linear.init(1)
    x, _ = inputs(n)
    np.testing.assert_allclose(loader.predict(net, x), reference(net, x), rtol=1e-5, atol=1e-6)


@needs_cc
def test_mut_arguments_change_and_the_result_is_a_number(loader: Any) -> None:
    net, (x, y) = loader.Linear.init(1), inputs()
    wanted = float(((reference(net, x) - np.eye(3, dtype=np.float32)[y]) ** 2).sum())
    count = np.array(41, np.int32)
    loss = loader.train(net, x, y, 0.001, count)
    assert type(loss) is float and abs(loss - wanted) < 1e-4 * wanted
    assert count == 42
    assert loader.train(net, x, y, 0.001, count) < loss


@needs_cc
def test_records_are_views_of_one_memory(loader: Any) -> None:
    state = loader.State()
    state.taps = np.arange(6).reshape(3, 2)
    state.layers[1].b = [1, 2, 3]
    view = state.layers[1].b
    view[0] = 10
    total, biases = loader.touch(state)
    assert total.tolist() == [6, 9] and biases.tolist() == [10, 2, 3]
    assert list(state.leaves()) == [
        "taps.0", "taps.1", "taps.2", "layers.0.w", "layers.0.b", "layers.1.w", "layers.1.b", "t"
    ]  # fmt: skip
    other = state.copy()
    other.t = 3
    assert state.t == 0 and other.t == 3
    with pytest.raises(loader.CharlShapeError, match=r"b is float32\[3\], got int64\[2\]"):
        state.layers[0].b = [1, 2]
    with pytest.raises(loader.CharlDTypeError, match="t is int32, got float64"):
        state.t = 1.5


@needs_cc
def test_streams_draw_on_and_seeds_repeat(loader: Any) -> None:
    stream = loader.Rng.init(3)
    first, second = loader.Linear.init(stream), loader.Linear.init(stream)
    assert stream.counter == 2 and stream.key.tolist() == [3, 0]
    assert (first.layer0.w != second.layer0.w).any()
    assert (first.layer0.w == loader.Linear.init(3).layer0.w).all()
    assert loader.Rng.init(5 << 32 | 7).key.tolist() == [7, 5]


@needs_cc
def test_inputs_that_are_not_contiguous_are_copied(loader: Any) -> None:
    net, (x, _) = loader.Linear.init(1), inputs(8)
    assert (loader.predict(net, x[::2]) == loader.predict(net, x[::2].copy())).all()
    assert (loader.predict(net, np.asfortranarray(x)) == loader.predict(net, x)).all()
    x.flags.writeable = False
    loader.predict(net, x)  # an input may be read-only


@needs_vulkan
@needs_cc
def test_a_gpu_computes_the_same(both: Path) -> None:
    loader = module(both)
    gpu, c = loader.load("wgpu"), loader.load("c")
    x, y = inputs(9)
    nets, counts = (gpu.Linear.init(2), c.Linear.init(2)), (np.zeros((), np.int32), np.zeros((), np.int32))
    for _ in range(5):
        losses = [p.train(net, x, y, 0.01, t) for p, net, t in zip((gpu, c), nets, counts)]
        assert abs(losses[0] - losses[1]) < 1e-5 * losses[1]
    np.testing.assert_allclose(nets[0].layer0.w, nets[1].layer0.w, rtol=1e-5)
    assert counts[0] == counts[1] == 5
    # What lived on the GPU goes where it is needed: into files, into the other backend.
    assert np.allclose(c.predict(nets[0], x), gpu.predict(nets[0], x), rtol=1e-5)
    assert gpu.Linear.from_bytes(nets[0].to_bytes()).layer0.b.tolist() == nets[0].layer0.b.tolist()
    nets[0].layer0.w = 0
    assert np.allclose(gpu.predict(nets[0], x), nets[0].layer0.b * nets[0].scale)


# ---------------------------------------------------------------- wrong arguments

Wrong = Callable[[Any, Any, Any, Any], Any]
READ_ONLY = np.zeros((), np.int32)
READ_ONLY.flags.writeable = False

WRONG: dict[str, tuple[Wrong, str, str]] = {
    "dtype": (
        lambda p, net, x, y: p.predict(net, x.astype(np.float64)),
        "CharlDTypeError",
        r"predict: x must be float32\[N, 5\], got float64\[7, 5\]",
    ),
    "integer for float": (lambda p, net, x, y: p.predict(net, y), "CharlDTypeError", r"got int32\[7\]"),
    "byte order": (
        lambda p, net, x, y: p.predict(net, x.astype(">f4")),
        "CharlByteOrderError",
        "bytes in the other order",
    ),
    "shape": (
        lambda p, net, x, y: p.predict(net, x[:, :4]),
        "CharlShapeError",
        r"x must be float32\[N, 5\], got float32\[7, 4\]",
    ),
    "rank": (lambda p, net, x, y: p.predict(net, x[0]), "CharlShapeError", r"got float32\[5\]"),
    "list": (lambda p, net, x, y: p.predict(net, x.tolist()), "CharlTypeError", "got list"),
    "nothing": (lambda p, net, x, y: p.predict(net, None), "CharlTypeError", "got NoneType"),
    "record": (
        lambda p, net, x, y: p.predict(p.State(), x),
        "CharlTypeError",
        "predict: net must be Linear, got State",
    ),
    "array for a record": (lambda p, net, x, y: p.predict(x, x), "CharlTypeError", "net must be Linear"),
    "dimensions disagree": (
        lambda p, net, x, y: p.train(net, x, y[:3], 0.1, np.zeros((), np.int32)),
        "CharlDimensionError",
        "train: N is 7 by axis 0 of x, but 3 by axis 0 of y",
    ),
    "read-only": (
        lambda p, net, x, y: p.train(net, x, y, 0.1, READ_ONLY),
        "CharlReadOnlyError",
        "train: default is changed, but read-only",
    ),
    "number for mut": (
        lambda p, net, x, y: p.train(net, x, y, 0.1, 3),
        "CharlTypeError",
        r"default must be int32\[\], got int; it is changed in place: np.array\(…, np.int32\)",
    ),
    "text for a number": (
        lambda p, net, x, y: p.train(net, x, y, "1", READ_ONLY),
        "CharlTypeError",
        "got str",
    ),
    "complex for a number": (
        lambda p, net, x, y: p.train(net, x, y, np.complex64(1), READ_ONLY),
        "CharlDTypeError",
        "lr must be",
    ),
    "backend": (lambda p, net, x, y: p.load("cuda"), "CharlBackendError", "no backend is called 'cuda'"),
    "simd": (
        lambda p, net, x, y: p.load("c", simd="sse"),
        "CharlBackendError",
        "simd must be one of native, scalar",
    ),
}


@needs_cc
@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_refused(loader: Any, name: str) -> None:
    call, kind, said = WRONG[name]
    net, (x, y) = loader.Linear.init(1), inputs()
    before = net.to_bytes()
    with pytest.raises(getattr(loader, kind), match=said) as caught:
        call(loader, net, x, y)
    assert type(caught.value) is getattr(loader, kind)
    assert str(caught.value).endswith(f"[{caught.value.code}]")
    assert net.to_bytes() == before


@needs_cc
def test_fixed_sizes_are_part_of_the_type(fixed: Path) -> None:
    loader = module(fixed)
    net = loader.Linear.init(1)
    assert loader.predict(net, inputs(4)[0]).shape == (4, 3)
    with pytest.raises(loader.CharlShapeError, match=r"x must be float32\[4, 5\], got float32\[7, 5\]"):
        loader.predict(net, inputs(7)[0])


@needs_cc
def test_a_debug_build_raises(loader: Any) -> None:
    debug = loader.load("c", debug=True)
    net, (x, _) = loader.Linear.init(1), inputs()
    assert debug.predict(net, x).shape == (7, 3)
    x[2, 2] = np.nan
    with pytest.raises(
        loader.CharlCheckError, match=r"predict: linear.ch:\d+:\d+: the first NaN is in result"
    ):
        debug.predict(net, x)


# ---------------------------------------------------------------- surroundings


def start(folder: Path, code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python in another process, which knows nothing of Charl."""
    known = {**os.environ, **environment}
    program = f"import sys; sys.modules['charl'] = None; sys.path.insert(0, {str(folder)!r}); {code}"
    return subprocess.run(
        [sys.executable, "-c", program], env=known, capture_output=True, text=True, cwd=folder
    )


def test_without_a_compiler_it_says_so(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("lib"))
    ran = start(
        folder, "import linear; linear.load()", PATH=str(tmp_path), CC="", XDG_CACHE_HOME=str(tmp_path)
    )
    assert ran.returncode == 1
    assert "CharlBackendError: no C compiler: install gcc or clang" in ran.stderr


@needs_cc
def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("lib"))
    (folder / "linear.c").write_text("#error broken\n")
    ran = start(folder, "import linear; linear.load()")
    assert ran.returncode == 1 and "broken" in ran.stderr and "CharlBackendError" in ran.stderr
    assert not list((folder / "lib").iterdir())


@needs_cc
@pytest.mark.skipif(os.getuid() == 0 and not shutil.which("unshare"), reason="root writes everywhere")
def test_a_folder_that_cannot_be_written_is_no_obstacle(package: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(package, folder, ignore=shutil.ignore_patterns("lib"))
    (folder / "lib").write_text("a file where the folder would be")
    cache = tmp_path / "cache"
    code = "import linear; print(linear.load().backend.path)"
    ran = start(folder, code, XDG_CACHE_HOME=str(cache))
    assert ran.returncode == 0, ran.stderr
    path = Path(ran.stdout.strip())
    assert path.parent == cache / "charl" and path.is_file()
    stamp = path.stat().st_mtime_ns
    assert start(folder, code, XDG_CACHE_HOME=str(cache)).stdout == ran.stdout
    assert path.stat().st_mtime_ns == stamp  # compiled once


@needs_cc
def test_the_first_answer_needs_little_besides_numpy(package: Path, tmp_path: Path) -> None:
    code = "import sys, numpy; had = set(sys.modules); import linear; linear.load(); print(*(set(sys.modules) - had))"
    start(package, code, XDG_CACHE_HOME=str(tmp_path))  # compiles
    ran = start(package, code, XDG_CACHE_HOME=str(tmp_path))
    heavy = {"dataclasses", "hashlib", "json", "pathlib", "shutil", "subprocess", "tempfile"}
    assert "linear" in ran.stdout.split() and not heavy & set(ran.stdout.split())


# ---------------------------------------------------------------- charl.load

PROGRAM = """
struct Line { a: f32, b: f32 }

/// Points on a line.
export fn points(line: Line, x: f32[N]) -> f32[N] { line.a * x + line.b }

export fn bump(mut line: Line, by: f32) -> f32 {
    line.a = line.a + by
    line.a
}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("program") / "line.ch"
    path.write_text(PROGRAM)
    return path


@pytest.mark.parametrize(
    "backend",
    ["evaluator", pytest.param("c", marks=needs_cc), pytest.param("wgpu", marks=[needs_vulkan])],
)
def test_load_offers_what_the_emitted_loader_offers(program: Path, backend: str) -> None:
    line = charl.load(program, backend=backend)
    record = line.Line()
    record.a, record.b = 2.0, 1.0
    x = np.arange(5, dtype=np.float32)
    assert line.points(record, x).tolist() == [1, 3, 5, 7, 9]
    assert line.bump(record, 0.5) == 2.5 and record.a == 2.5
    with pytest.raises(TypeError, match=r"points: x must be float32\[N\], got float64\[5\]"):
        line.points(record, x.astype(np.float64))


def test_load_fixes_dimensions(program: Path) -> None:
    line = charl.load(program, backend="evaluator", N=3)
    with pytest.raises(ValueError, match=r"x must be float32\[3\], got float32\[4\]"):
        line.points(line.Line(), np.zeros(4, np.float32))
    bounded = charl.load(program, backend="evaluator", N=(1, 3))
    with pytest.raises(ValueError, match="N is 4 by axis 0 of x, allowed is 1 to 3"):
        bounded.points(bounded.Line(), np.zeros(4, np.float32))


@pytest.mark.parametrize(
    "option, code", [({"backend": "tpu"}, "E0712"), ({"f64": "f16"}, "E0714"), ({"f32": None}, "E0714")]
)
def test_load_refuses_what_it_does_not_know(program: Path, option: dict[str, Any], code: str) -> None:
    with pytest.raises(charl.errors.CharlError) as caught:
        charl.load(program, **option)
    assert [d.code for d in caught.value.diagnostics] == [code]
