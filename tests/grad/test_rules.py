"""Gradient rules of the user across files and for `mut` parameters: on every backend, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from charl.elaborate import elaborate
from charl.errors import CharlError
from charl.source import Source
from charl.testing import run
from tests.language.backends import BACKENDS

RULES = Path(__file__).with_name("rules")


@pytest.mark.parametrize("backend", BACKENDS)
def test_rules_of_other_files(backend: str) -> None:
    name = "wgsl" if backend == "wgpu" else backend
    found = run(RULES / "main.ch", [name], "", lambda _: None)
    assert [(o.status, *o.lines) for o in found] == [("passed",)] * 2


def test_one_rule_in_all_files(tmp_path: Path) -> None:
    (tmp_path / "f.ch").write_text("fn f(x: f32) -> f32 = x\n")
    rule = 'from "f.ch" import f\n@gradient(of: f)\nfn {}(x, result, ct) = ct\n'
    (tmp_path / "a.ch").write_text(rule.format("a"))
    (tmp_path / "b.ch").write_text(rule.format("b"))
    main = tmp_path / "main.ch"
    text = (
        'from "a.ch" import a\nfrom "b.ch" import b\nexport fn g(x: f32) -> f32 = a(x, x, x) + b(x, x, x)\n'
    )
    main.write_text(text)
    with pytest.raises(CharlError) as error:
        elaborate(Source(str(main), text))
    (d,) = error.value.diagnostics
    assert d.span is not None and (d.code, d.message) == ("E0515", "`f` has two rules")
    assert Path(d.span.source.path).name == "b.ch"
    assert [Path(label.span.source.path).name for label in d.labels] == ["a.ch"]
