"""An export that no target can hold is refused; one that some target holds is left out of the others with a note."""

from __future__ import annotations

import pytest

from charl.compile import Options, compile_source
from charl.errors import CharlError
from charl.source import Source


def test_an_export_that_no_target_holds_is_an_error() -> None:
    text = "export fn f(x: f32[N]) -> f32[N] = x\nexport fn g(x: bf16[N]) -> bf16[N] = x + x\n"
    with pytest.raises(CharlError) as caught:
        compile_source(Source("t.ch", text), Options())
    (found,) = caught.value.diagnostics
    assert found.code == "E0901" and found.span is not None and found.span.text == "g"


def test_an_export_of_one_target_is_noted() -> None:
    text = "export fn f(x: f32[N]) -> f32[N] = x\nexport fn g(x: f64[N]) -> f64[N] = x + x\n"
    compiled = compile_source(Source("t.ch", text), Options())
    assert [w.code for w in compiled.warnings] == ["W0902"]
    assert b"t_g(" in compiled.files["t.h"]
