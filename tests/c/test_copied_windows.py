"""Windows that are copied: rows that several taps read are copied once, for any dilation and number of axes."""

from __future__ import annotations

import numpy as np
import pytest

from charl.backends.capabilities import AVX512, Capabilities
from charl.compile import Options, compile_source
from charl.loops import nests
from charl.loops.nests.contraction.choice import choose
from charl.loops.nests.contraction.form import Contraction
from charl.loops.nests.contraction.schedule import Schedule
from charl.loops.nests.contraction.windows import windowed
from charl.passes import optimise
from charl.runtime.native import import_package, load_program
from charl.source import Source
from tests.c import build
from tests.elaborate.programs import program

# name: weights, image, options, whether taps share rows
CASES = {
    "plane": ((40, 40, 3, 3), (1, 40, 28, 28), "padding: 1", True),
    "dilated": ((64, 40, 3, 3), (2, 40, 21, 21), "padding: 2, dilation: 2", True),
    "space": ((64, 24, 3, 3, 3), (1, 24, 5, 9, 9), "padding: 1", True),
    "strided": ((64, 40, 3, 3), (1, 40, 21, 21), "padding: 1, stride: 2", False),  # taps lie between its rows
    "blocks": (
        (120, 100, 3, 3),
        (1, 100, 14, 14),
        "padding: 1",
        True,
    ),  # of the sum, whose tiles threads divide
    "grouped": ((96, 20, 3, 3), (3, 40, 9, 9), "padding: 1, groups: 2", True),
}


def _function(name: str) -> str:
    w, x, options, _ = CASES[name]
    w_, x_ = (", ".join(map(str, s)) for s in (w, x))
    return f"export fn {name}(w: f32[{w_}], x: f32[{x_}]) = relu(convolve(x, w, {options}))\n"


@pytest.mark.parametrize("isa", build.ISA)
def test_results(isa: str) -> None:
    """They are those of the evaluator, on two threads too."""
    if reason := build.missing(isa):
        pytest.skip(reason)
    source = Source("copied.ch", "from conv import convolve\n" + "".join(map(_function, CASES)))
    module = import_package(compile_source(source, Options(targets=("c",), simd=isa)).files)
    _, _, wanted = load_program(source, Options(), "evaluator")
    got, shared = (module.load("c", simd=isa, threads=n) for n in (False, True))
    rng = np.random.default_rng(0)
    for name, (w, x, *_) in CASES.items():
        arrays = [rng.standard_normal(s).astype(np.float32) for s in (w, x)]
        first, second, third = (getattr(p, name)(*arrays) for p in (wanted, got, shared))
        np.testing.assert_allclose(second, first, rtol=1e-3, atol=1e-3, err_msg=name)
        np.testing.assert_array_equal(second, third, err_msg=name)


def test_threads_that_divide_the_tiles_of_a_block_have_copies_of_their_own() -> None:
    """One image in one piece: what one core copied would come to the other line by line."""
    source = Source("copied.ch", "from conv import convolve\n" + _function("blocks"))
    code = compile_source(source, Options(targets=("c",), simd="avx512")).files["copied.c"].decode()
    _, _, behind = code.partition("EACH_THREAD_FOR\n")
    copied, _, tiles = behind.partition("DIVIDED_FOR\n")
    assert "float packed_space[" in copied and "vf32_fma" in tiles and "PARALLEL_FOR" not in copied


@pytest.mark.parametrize("name", CASES)
def test_rows_are_copied_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where taps of the sum move a window by whole rows of what is copied."""
    chosen: list[Schedule] = []

    def scheduled(c: Contraction, caps: Capabilities) -> Schedule | None:
        found = choose(c, caps, [*windowed(c, caps)])
        chosen.extend([found] if found else [])
        return found

    monkeypatch.setattr(nests, "_scheduled", scheduled)
    graph = optimise(program(f"from conv import convolve\n{_function(name)}").exports[0].graph)
    build.plan_graph(graph, AVX512)
    (_, _, *taps), _, _, shared = CASES[name]
    (windows,) = [s.windows for s in chosen if s.windows]
    assert (windows.tap is not None) == shared
    if shared:
        assert windows.rows == windows.places + windows.hop * (taps[-2] - 1)
