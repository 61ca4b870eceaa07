"""Diagnostics as text, to the character."""

from __future__ import annotations

import re
import subprocess
import sys
from textwrap import dedent

import pytest

from charl.errors import CODES, CharlError, Diagnostic, Label, code, fail, render
from charl.source import Source, Span
from charl.syntax import codes

MLP = Source("mlp.ch", "\n" * 5 + "    w2: f32[hidden, 10]\n" + "\n" * 7 + "        h @ w2\n")


def at(source: Source, text: str, nth: int = 0) -> Span:
    start = -1
    for _ in range(nth + 1):
        start = source.text.index(text, start + 1)
    return Span(source, start, start + len(text))


def same(d: Diagnostic, expected: str) -> None:
    assert render(d) == dedent(expected).strip("\n")


def test_stacked_labels() -> None:
    """The example of the language's description."""
    d = Diagnostic(
        "E0201",
        "dimensions differ in `@`",
        at(MLP, "@"),
        (Label(at(MLP, "h", 1), "f32[N, 64]"), Label(at(MLP, "w2", 1), "f32[hidden, 10] with hidden = 128")),
        ("the last dimension of the left (64) must equal the second last of the right (128)",),
        "`w2` is declared at mlp.ch:6:5",
    )
    same(
        d,
        """
        error[E0201]: dimensions differ in `@`
          --> mlp.ch:14:11
           |
        14 |         h @ w2
           |         - ^ -- f32[hidden, 10] with hidden = 128
           |         |
           |         f32[N, 64]
           |
           = the last dimension of the left (64) must equal the second last of the right (128)
           = help: `w2` is declared at mlp.ch:6:5
        """,
    )


def test_labels_on_other_lines() -> None:
    d = Diagnostic(
        "E0201",
        "dimensions differ",
        at(MLP, "@"),
        (
            Label(at(MLP, "w2"), "declared here"),
            Label(at(MLP, "w2", 1), "right"),
            Label(at(MLP, "h ", 0), "left"),
        ),
        primary="this contraction",
    )
    same(
        d,
        """
        error[E0201]: dimensions differ
          --> mlp.ch:14:11
           |
         6 |     w2: f32[hidden, 10]
           |     -- declared here
        ...
        14 |         h @ w2
           |         --^ -- right
           |         | |
           |         | this contraction
           |         left
        """,
    )


def test_a_line_between_is_shown() -> None:
    source = Source("a.ch", "one\ntwo\nthree\n")
    same(
        Diagnostic("E0101", "m", at(source, "three"), (Label(at(source, "one"), "first"),)),
        """
        error[E0101]: m
         --> a.ch:3:1
          |
        1 | one
          | --- first
        2 | two
        3 | three
          | ^^^^^
        """,
    )


def test_a_label_in_another_file() -> None:
    other = Source("lib.ch", "fn g() = 1\n")
    same(
        Diagnostic(
            "E0301", "m", at(MLP, "@"), (Label(at(other, "g"), "declared here"),), primary="used here"
        ),
        """
        error[E0301]: m
          --> mlp.ch:14:11
           |
        14 |         h @ w2
           |           ^ used here
          ::: lib.ch:1:4
           |
         1 | fn g() = 1
           |    - declared here
        """,
    )


def test_without_a_place() -> None:
    same(
        Diagnostic("E0701", "no such file", notes=("one", "two")),
        "error[E0701]: no such file\n  = one\n  = two",
    )


def test_warning_and_notes_of_several_lines() -> None:
    same(
        Diagnostic("E0401", "m", at(MLP, "h @"), notes=("a\nb",), help="c\nd", severity="warning"),
        """
        warning[E0401]: m
          --> mlp.ch:14:9
           |
        14 |         h @ w2
           |         ^^^
           |
           = a
             b
           = help: c
                   d
        """,
    )


def test_tabs_and_wide_characters_keep_the_caret_in_place() -> None:
    source = Source("a.ch", "\tf(日本, x)\r\n")
    same(
        Diagnostic("E0301", "m", at(source, "x")),
        """
        error[E0301]: m
         --> a.ch:1:8
          |
        1 |     f(日本, x)
          |             ^
        """,
    )


def test_a_span_of_several_lines_is_marked_to_the_end_of_the_first() -> None:
    source = Source("a.ch", "f(a,\n  b)\n")
    same(
        Diagnostic("E0301", "m", Span(source, 2, 9)),
        """
        error[E0301]: m
         --> a.ch:1:3
          |
        1 | f(a,
          |   ^^
        """,
    )


@pytest.mark.parametrize("text", ["", "x", "x\n"])
def test_an_empty_span_at_the_end(text: str) -> None:
    source = Source("a.ch", text)
    shown = render(Diagnostic("E0101", "m", Span(source, len(text), len(text)))).splitlines()
    assert shown[-1].endswith("^") and shown[-1].count("^") == 1


def test_a_very_long_line_is_cut() -> None:
    source = Source("a.ch", "a" * 1000 + "!" + "b" * 1000)
    lines = render(Diagnostic("E0105", "m", at(source, "!"))).splitlines()
    assert max(map(len, lines)) < 200
    assert lines[3][lines[4].index("^")] == "!"


def test_labels_that_overlap() -> None:
    source = Source("a.ch", "f(a, b)\n")
    same(
        Diagnostic("E0301", "m", at(source, "f(a, b)"), (Label(at(source, "b"), "here"),), primary="all"),
        """
        error[E0301]: m
         --> a.ch:1:1
          |
        1 | f(a, b)
          | ^^^^^^^
          | |    |
          | |    here
          | all
        """,
    )


def test_colours_change_no_character() -> None:
    d = Diagnostic("E0201", "m `[x]`", at(MLP, "@"), (Label(at(MLP, "h", 1), "[left]"),), ("n",), "h")
    coloured = render(d, colour=True)
    assert "\x1b[" in coloured
    plain = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in plain.splitlines()] == render(d).splitlines()


def test_rich_is_not_imported_for_plain_text() -> None:
    program = (
        "import sys\nfrom charl.errors import *\nfrom charl.source import *\n"
        "s = Source('a', 'b')\nrender(Diagnostic('E0101', 'm', Span(s, 0, 1)))\nassert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_error_of_several_diagnostics() -> None:
    error = CharlError([Diagnostic("E0101", "a", at(MLP, "@")), Diagnostic("E0102", "b")])
    assert str(error).split("\n\n") == [render(d) for d in error.diagnostics]
    assert fail("E0101", "a", at(MLP, "@"), help="h").diagnostics[0].help == "h"


def test_a_code_has_one_meaning() -> None:
    assert code(codes.UNCLOSED, CODES[codes.UNCLOSED]) == "E0102"
    with pytest.raises(AssertionError):
        code("E0102", "something else")
