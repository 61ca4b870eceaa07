"""Diagnostics as text: the source line, carets below it, and what each of them means, as Rust's compiler shows it.

Enters a `Diagnostic`, leaves plain text, or the same text in colours (through rich, imported only for that).
The text of the two is the same to the character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from charl.source import Source, Span

if TYPE_CHECKING:
    from rich.text import Text

    from charl.errors import Diagnostic

TAB = 4
WIDEST = 160  # longer lines are shown around what is marked
MARGIN = 40

Piece = tuple[str, str]  # text and its style
Line = list[Piece]

_STYLES = {
    "error": "bold red",
    "warning": "bold yellow",
    "title": "bold",
    "gutter": "bold blue",
    "secondary": "bold blue",
    "help": "bold green",
    "plain": "",
}


@dataclass(frozen=True)
class _Mark:
    """What stands below one source line: display columns start..end, from 0, and a text."""

    start: int
    end: int
    text: str
    primary: bool


def plain(d: Diagnostic) -> str:
    """The diagnostic as text without colours."""
    return "\n".join("".join(text for text, _ in line).rstrip() for line in _lines(d))


def rich_text(d: Diagnostic) -> Text:
    """The diagnostic as a renderable of rich."""
    from rich.text import Text

    out = Text()
    for number, line in enumerate(_lines(d)):
        out.append("\n" if number else "")
        for text, style in line:
            out.append(text, _STYLES[style])
    return out


def coloured(d: Diagnostic) -> str:
    """The diagnostic as text with the escape sequences of a terminal."""
    from rich.console import Console

    console = Console(force_terminal=True, color_system="standard", width=10_000, no_color=False)
    with console.capture() as capture:
        console.print(rich_text(d), soft_wrap=True, highlight=False)
    return capture.get().rstrip("\n")


def _lines(d: Diagnostic) -> Iterator[Line]:
    yield [(f"{d.severity}[{d.code}]", d.severity), (f": {d.message}", "title")]
    blocks = _blocks(d)
    numbers = [number for _, lines in blocks for number in lines]
    width = len(str(max(numbers))) if numbers else 1
    for position, (source, marked) in enumerate(blocks):
        first = d.span if position == 0 else _first_span(d, source)
        yield [(" " * width + ("--> " if position == 0 else "::: "), "gutter"), (str(first), "plain")]
        yield [(" " * width + " |", "gutter")]
        yield from _excerpt(source, marked, width, d.severity)
    closing = [("", note) for note in d.notes] + ([("help: ", d.help)] if d.help else [])
    if closing and blocks:
        yield [(" " * width + " |", "gutter")]
    for kind, text in closing:
        head, *rest = text.split("\n")
        yield [(" " * width + " = ", "gutter"), (kind, "help"), (head, "plain")]
        for line in rest:
            yield [(" " * (width + 3 + len(kind)) + line, "plain")]


def _blocks(d: Diagnostic) -> list[tuple[Source, dict[int, list[tuple[Span, str, bool]]]]]:
    """Per file, the file of the primary span first, what is marked on which line."""
    if d.span is None:
        return []
    blocks: list[tuple[Source, dict[int, list[tuple[Span, str, bool]]]]] = []
    marks = [(d.span, d.primary, True)] + [(label.span, label.text, False) for label in d.labels]
    for span, text, primary in marks:
        lines = next((lines for source, lines in blocks if source is span.source), None)
        if lines is None:
            lines = {}
            blocks.append((span.source, lines))
        lines.setdefault(span.line, []).append((span, text, primary))
    return blocks


def _first_span(d: Diagnostic, source: Source) -> Span:
    return next(label.span for label in d.labels if label.span.source is source)


def _excerpt(
    source: Source, marked: dict[int, list[tuple[Span, str, bool]]], width: int, severity: str
) -> Iterator[Line]:
    previous = 0
    for number in sorted(marked):
        if previous and number == previous + 2:
            yield _numbered(number - 1, _display(source.line(number - 1))[0], width)
        elif previous and number > previous + 2:
            yield [("...", "gutter")]
        previous = number
        shown, columns = _display(source.line(number))
        marks = sorted((_mark(m, columns) for m in marked[number]), key=lambda m: (m.start, m.end, m.primary))
        shown, marks = _window(shown, marks)
        yield _numbered(number, shown, width)
        for line in _below(marks, severity):
            yield [(" " * width + " | ", "gutter"), *line]


def _numbered(number: int, text: str, width: int) -> Line:
    return [(f"{number:>{width}} |", "gutter"), (f" {text}".rstrip(), "plain")]


def _display(line: str) -> tuple[str, list[int]]:
    """A line as a terminal shows it, and the display column of each of its characters and of its end."""
    shown, columns, at = [], [], 0
    for char in line:
        columns.append(at)
        if char == "\t":
            size = TAB - at % TAB
            shown.append(" " * size)
        elif not char.isprintable():
            size = 1
            shown.append("\N{REPLACEMENT CHARACTER}")
        else:
            size = 0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF")
            shown.append(char)
        at += size
    columns.append(at)
    return "".join(shown), columns


def _mark(marked: tuple[Span, str, bool], columns: list[int]) -> _Mark:
    """A span of several lines is marked to the end of its first one."""
    span, text, primary = marked
    first = min(span.column - 1, len(columns) - 1)
    last = min(first + span.end - span.start, len(columns) - 1)
    start = columns[first]
    return _Mark(start, max(columns[last], start + 1), text, primary)


def _window(shown: str, marks: list[_Mark]) -> tuple[str, list[_Mark]]:
    """A very long line cut down to what is marked."""
    if len(shown) <= WIDEST:
        return shown, marks
    low = max(0, min(m.start for m in marks) - MARGIN)
    high = min(len(shown), max(max(m.start for m in marks) + WIDEST - MARGIN, low + 1))
    before, after = ("…" if low else ""), ("…" if high < len(shown) else "")
    shift = low - len(before)
    moved = [_Mark(m.start - shift, min(m.end, high) - shift, m.text, m.primary) for m in marks]
    return before + shown[low:high] + after, moved


def _below(marks: list[_Mark], severity: str) -> Iterator[Line]:
    """The lines below a source line: underlines with the text of the last mark, then the others' texts, hanging."""
    width = max(m.end for m in marks)
    underline = [(" ", "plain")] * width
    for mark in sorted(marks, key=lambda m: (m.primary, m.start - m.end)):
        piece = ("^", severity) if mark.primary else ("-", "secondary")
        underline[mark.start : mark.end] = [piece] * (mark.end - mark.start)
    last = marks[-1]
    inline = bool(last.text) and all(m.end <= last.start for m in marks[:-1])
    tail = [(f" {last.text}", _style(last, severity))] if inline else []
    yield _merge(underline) + tail
    hanging = [m for m in marks if m.text and not (inline and m is last)]
    if hanging:
        yield _bars(hanging, severity)
    while hanging:
        mark = hanging.pop()
        bars = _bars([m for m in hanging if m.start < mark.start], severity)
        used = sum(len(text) for text, _ in bars)
        yield [*bars, (" " * (mark.start - used), "plain"), (mark.text, _style(mark, severity))]


def _style(mark: _Mark, severity: str) -> str:
    return severity if mark.primary else "secondary"


def _bars(marks: list[_Mark], severity: str) -> Line:
    line: Line = []
    at = 0
    for mark in marks:
        if mark.start < at:
            continue
        line += [(" " * (mark.start - at), "plain"), ("|", _style(mark, severity))]
        at = mark.start + 1
    return line


def _merge(pieces: list[Piece]) -> Line:
    """Neighbours of one style as one piece."""
    out: Line = []
    for text, style in pieces:
        if out and out[-1][1] == style:
            out[-1] = (out[-1][0] + text, style)
        else:
            out.append((text, style))
    return out
