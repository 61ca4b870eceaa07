"""Source files and spans of text in them. Every later level keeps spans; none parses text again."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from charl.fixed import fixed


class Definition(NamedTuple):
    """What a source gives a name to: a `let`, a function, or the type that owns methods. `value` is where its value stands."""

    name: str
    kind: str  # "let", "function", "export", "rule" (of the gradient of the function `name`), "type"
    start: int
    end: int
    value: tuple[int, int] = (-1, -1)


@dataclass(frozen=True)
class Source:
    """One file as it was read. `path` is how the user called it and appears in diagnostics.

    `definitions` fill while it is parsed, inner ones first.
    """

    path: str
    text: str = field(repr=False)
    definitions: list[Definition] = field(default_factory=list, compare=False, repr=False)
    _around: dict[tuple[int, int], list[Definition]] = field(default_factory=dict, compare=False, repr=False)

    def around(self, start: int, end: int) -> list[Definition]:
        """The definitions that start..end is inside of, outer ones first, once the text has been parsed."""
        found = self._around.get((start, end))
        if found is None:
            found = [d for d in reversed(self.definitions) if d.start <= start and end <= d.end]
            self._around[start, end] = found
        return found

    @property
    def name(self) -> str:
        """The file without its folder: the same text wherever it lies."""
        return self.path.replace("\\", "/").rsplit("/", 1)[-1]

    @cached_property
    def _starts(self) -> list[int]:
        return [0] + [i + 1 for i, c in enumerate(self.text) if c == "\n"]

    def position(self, offset: int) -> tuple[int, int]:
        """(line, column) of an offset, both from 1, the column in characters."""
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of line `number` (from 1), without its newline."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


@fixed
class Span:
    """Characters start..end (exclusive) of a source.

    `user` is set where this is a place in the library: the place in the user's program that led there. `order`: how often
    what stands here was differentiated, where a value is (part of) a derivative of it.
    """

    source: Source
    start: int
    end: int
    user: Span | None = field(default=None, compare=False, repr=False)
    order: int = field(default=0, compare=False, repr=False)

    @property
    def shown(self) -> Span:
        """Where a user would look: their own line rather than the library's."""
        return self.user or self

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    @property
    def definitions(self) -> list[Definition]:
        """What this is inside of, outer ones first."""
        return self.source.around(self.start, self.end)

    def derived(self) -> Span:
        """The same place, of a derivative of what stands there."""
        return Span(self.source, self.start, self.end, self.user, self.order + 1)

    def __str__(self) -> str:
        return f"{self.source.path}:{self.line}:{self.column}"

    def to(self, other: Span) -> Span:
        """From the start of this span to the end of `other`."""
        return Span(self.source, self.start, max(self.end, other.end))
