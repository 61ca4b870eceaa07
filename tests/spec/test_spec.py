"""Every program of the documents in this folder does what the document says."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.harness import Snippet, rendered, run, snippets

DOCUMENTS = sorted(Path(__file__).parent.glob("*.md"))
SNIPPETS = [(f"{path.stem}: {s.title}", s) for path in DOCUMENTS for s in snippets(path)]
BAD = [s for _, s in SNIPPETS if s.errors is not None]


@pytest.mark.parametrize("snippet", [s for _, s in SNIPPETS], ids=[title for title, _ in SNIPPETS])
def test_snippet(snippet: Snippet) -> None:
    outcome = run(snippet)
    assert outcome.errors == (snippet.errors or []) or snippet.rendered is not None, rendered(outcome)
    if snippet.rendered is not None:
        assert rendered(outcome) == snippet.rendered
    for line, expected in snippet.reveals.items():
        assert outcome.types.get(line) == expected, f"line {line}: {snippet.text.splitlines()[line - 1]}"


@pytest.mark.parametrize("snippet", [s for _, s in SNIPPETS], ids=[title for title, _ in SNIPPETS])
def test_something_is_expected(snippet: Snippet) -> None:
    assert snippet.reveals or snippet.errors or snippet.rendered or snippet.accepted


def test_titles_are_distinct() -> None:
    titles = [title for title, _ in SNIPPETS]
    assert len(set(titles)) == len(titles)


def test_breadth() -> None:
    """The documents hold what the project asks for: many programs, many mistakes, many kinds of mistakes."""
    codes = {line.split()[0] for s in BAD for line in s.errors or []}
    assert len(SNIPPETS) >= 250
    assert len(BAD) >= 130
    assert len(codes) >= 65
