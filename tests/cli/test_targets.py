"""An export that a target cannot hold is left out of it with a note, or refused where the target was named."""

from __future__ import annotations

import pytest

from charl.backends.capabilities import PORTABLE_C, WGSL
from charl.compile import Options, compile_source
from charl.dtypes import ALL
from charl.errors import CharlError
from charl.source import Source

SOURCE = Source("t.ch", "export fn f(x: f32[N]) -> f32[N] = x\nexport fn g(x: f64[N]) -> f64[N] = x + x\n")


def test_a_named_target_that_cannot_hold_an_export_is_an_error() -> None:
    with pytest.raises(CharlError) as caught:
        compile_source(SOURCE, Options(targets=("wgsl",)))
    (found,) = caught.value.diagnostics
    assert found.code == "E0901" and found.span is not None and found.span.text == "g"
    assert found.help is not None and "--f64 f32" in found.help


def test_an_export_of_one_target_is_noted() -> None:
    compiled = compile_source(SOURCE, Options())
    assert [w.code for w in compiled.warnings] == ["W0902"]
    assert b"t_g(" in compiled.files["t.h"]
    assert b'"g"' not in compiled.files["wgsl/manifest.json"]


def test_narrowed_it_is_held_by_both() -> None:
    compiled = compile_source(SOURCE, Options(floats={"f64": "f32"}))
    assert not compiled.warnings and b'"g"' in compiled.files["wgsl/manifest.json"]


def test_what_targets_hold() -> None:
    assert PORTABLE_C.dtypes == ALL.keys() and ALL.keys() - WGSL.dtypes == {"f64"}
