"""The `test` blocks of values.ch hold on every backend; what a target lacks an element type for is left out there."""

from __future__ import annotations

from pathlib import Path

import pytest

from charl.testing import run
from tests.language.backends import BACKENDS

SKIPPED = {"evaluator": set(), "c": {"half"}, "wgsl": {"half", "integers wrap", "large integers"}}


@pytest.mark.parametrize("name", BACKENDS)
def test_values(name: str) -> None:
    backend = "wgsl" if name == "wgpu" else name
    outcomes = list(run(Path(__file__).with_name("values.ch"), [backend], "", lambda _: None))
    assert [(o.test, *o.lines) for o in outcomes if o.status == "failed"] == []
    assert {o.test for o in outcomes if o.status == "skipped"} <= SKIPPED[backend]
