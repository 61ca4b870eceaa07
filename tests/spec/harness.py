"""Documents as tests: Markdown whose ```charl blocks say, beside them, what they mean.

A block is followed by nothing but prose where its lines reveal types,

    let y = x @ w    // reveal: f32[N, 10]

(the type of the widest expression that lies on that line), by a block ```error with one line for each diagnostic
(`E0201 3:5-6 message`: code, line, columns from the first to behind the last caret), or by a block ```rendered with
the whole text of the diagnostics. The word `accepted` behind ```charl says that being accepted is what is tested; words
like `--dim N=4` and `--set net.depth=2` are options.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from charl.elaborate import elaborate
from charl.elaborate import values as v
from charl.errors import CharlError, Diagnostic, render
from charl.source import Source
from charl.syntax import ast

_FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REVEAL = re.compile(r"// reveal: (.+)$")
NAME = "spec.ch"


@dataclass
class Snippet:
    """One program of a document with what is expected of it."""

    title: str
    text: str
    options: dict[str, Any] = field(default_factory=dict)
    accepted: bool = False
    errors: list[str] | None = None
    rendered: str | None = None

    @property
    def reveals(self) -> dict[int, str]:
        """Expected types by line."""
        found = {n: _REVEAL.search(line) for n, line in enumerate(self.text.splitlines(), 1)}
        return {n: match.group(1).strip() for n, match in found.items() if match}


@dataclass
class Outcome:
    types: dict[int, str] = field(default_factory=dict)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        return [_line(d) for d in self.diagnostics]


def snippets(path: Path) -> list[Snippet]:
    """The programs of a document, in order, titled by the heading above them."""
    text = path.read_text(encoding="utf-8")
    out: list[Snippet] = []
    for match in _FENCE.finditer(text):
        kind, info, body = match.group(1), match.group(2).split(), match.group(3)
        if kind == "charl":
            headings = re.findall(r"^#+ (.+)$", text[: match.start()], re.MULTILINE)
            out.append(Snippet(headings[-1], body, _options(info), "accepted" in info))
        elif kind == "error":
            out[-1].errors = body.splitlines()
        elif kind == "rendered":
            out[-1].rendered = body.rstrip("\n")
    return out


def run(snippet: Snippet) -> Outcome:
    """What the front end says about a program."""
    outcome = Outcome()
    widest: dict[int, int] = {}

    def reveal(expression: ast.Expr, value: Any) -> None:
        span = expression.span
        if span.source.path != NAME or "\n" in span.text:
            return
        if span.end - span.start > widest.get(span.line, 0):
            widest[span.line] = span.end - span.start
            outcome.types[span.line] = v.describe_value(value)

    try:
        elaborate(Source(NAME, snippet.text), reveal=reveal, **snippet.options)
    except CharlError as e:
        outcome.diagnostics = e.diagnostics
    return outcome


def rendered(outcome: Outcome) -> str:
    return "\n\n".join(render(d) for d in outcome.diagnostics)


def _options(info: list[str]) -> dict[str, Any]:
    dims: dict[str, Any] = {}
    sets: dict[str, str] = {}
    for flag, value in pairwise(info):
        name, _, text = value.partition("=")
        if flag == "--dim":
            low, dots, high = text.partition("..")
            dims[name] = (int(low), int(high)) if dots else int(text)
        elif flag == "--set":
            sets[name] = text
    return {"dims": dims, "sets": sets}


def _line(d: Diagnostic) -> str:
    if d.span is None:
        return f"{d.code} - {d.message}"
    width = max(1, d.span.end - d.span.start)
    return f"{d.code} {d.span.line}:{d.span.column}-{d.span.column + width} {d.message}"
