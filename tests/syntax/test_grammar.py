"""The grammar itself: without a conflict, and cheap enough to be read in every process."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from charl.syntax.automaton import MADE, construct, made, tables
from charl.syntax.build_items import Builder
from charl.syntax.tokens import HARD_KEYWORDS, SOFT_KEYWORDS
from tests.work import calls

TOUR = Path(__file__).parent / "programs"


def test_no_conflicts(caplog: pytest.LogCaptureFixture) -> None:
    """Lark raises on reduce/reduce conflicts and logs the shift/reduce ones that it resolved."""
    import lark

    before = lark.logger.level
    lark.logger.setLevel(logging.DEBUG)
    try:
        lark.Lark('start: "i" start | "i" start "e" start | "x"', parser="lalr", debug=True)
        assert "Shift/Reduce conflict" in caplog.text  # the check can fail
        caplog.clear()
        construct(debug=True)
    finally:
        lark.logger.setLevel(before)
    assert "conflict" not in caplog.text


def test_the_automaton_is_that_of_the_grammar() -> None:
    assert MADE.read_text(encoding="utf-8") == made(), "run `python -m charl.syntax`"


def test_every_alternative_has_a_builder() -> None:
    aliases = tables().aliases
    assert aliases
    for alias in aliases:
        assert alias is not None and callable(getattr(Builder, alias)), alias


def test_every_keyword_is_in_the_grammar() -> None:
    words = {spelling for spelling in tables().terminals if spelling.isalpha()}
    assert words == HARD_KEYWORDS | SOFT_KEYWORDS


def test_a_long_file_is_linear() -> None:
    from tests.syntax.reading import module

    text = (TOUR / "gpt.ch").read_text(encoding="utf-8")
    many = "\n".join(text.split("\n", 5)[5] for _ in range(20))
    assert calls(lambda: module(many)) < 22 * calls(lambda: module(text))
