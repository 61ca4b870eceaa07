"""Documents and how they become lines: the pretty printer of Wadler ("A prettier printer", 2003), with comments.

Enters a document (strings, lists of documents and the classes below), leaves text. A `Group` is set on one line where
that fits, else its `LINE`s are line ends. The body of a group that fits may still be broken, and a forced group does not
break its surroundings: what fits is measured to the first line end. Knows nothing of Charl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

WIDTH = 110
STEP = 4

Doc: TypeAlias = "str | list[Doc] | Group | Indent | Nest | Choice | Comment | Mark"


@dataclass(slots=True, eq=False)
class Mark:
    """A place where a line may end, or must."""

    flat: str


LINE = Mark(" ")
SOFT = Mark("")
FILL = Mark(" ")  # ends the line only where what follows, up to the next one, does not fit
HARD = Mark("")
BLANK = Mark("")  # a line end and an empty line
SKIP = Mark("")  # the next line end is followed by an empty line
SPACE = Mark(" ")  # vanishes at either end of a line


@dataclass(slots=True, eq=False)
class Group:
    doc: Doc
    force: bool = False  # its lines end in any case
    body: bool = False  # its lines end rather than those of what stands around it
    width: int | None = -1  # on one line; None where there must or may be several; -1 before it is measured


@dataclass(slots=True, eq=False)
class Indent:
    """Deeper, where the innermost group around it is broken."""

    doc: Doc


@dataclass(slots=True, eq=False)
class Nest:
    """Deeper in any case."""

    doc: Doc


@dataclass(slots=True, eq=False)
class Choice:
    """One document in a broken group, another in a flat one."""

    broken: Doc
    flat: Doc


@dataclass(slots=True, eq=False)
class Comment:
    """A comment that ends its line; `own` if it also begins it."""

    text: str
    own: bool


# How the innermost group is set: on one line with all that is in it; on one line, bodies in it aside; on several lines.
TIGHT, FLAT, BROKEN = range(3)
Command = tuple[int, int, Doc]  # indentation, how the innermost group is set, what


class Printer:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line = ""
        self.column = 0
        self.indent = 0  # of the present line
        self.pending = False  # a comment ended the line
        self.skip = False
        self.comments: list[tuple[int, int]] = []  # (line, column) of comments behind code

    def run(self, doc: Doc) -> str:
        stack: list[Command] = [(0, BROKEN, doc)]
        while stack:
            indent, mode, top = stack.pop()
            if isinstance(top, str):
                self._text(top, indent)
            elif isinstance(top, list):
                stack.extend((indent, mode, part) for part in reversed(top))
            elif isinstance(top, Mark):
                self._mark(top, indent, mode == BROKEN, stack)
            elif isinstance(top, Group):
                stack.append((indent, self._mode(top, mode, indent, stack), top.doc))
            elif isinstance(top, Indent):
                stack.append((indent + STEP if mode == BROKEN else indent, mode, top.doc))
            elif isinstance(top, Nest):
                stack.append((indent + STEP, mode, top.doc))
            elif isinstance(top, Choice):
                stack.append((indent, mode, top.broken if mode == BROKEN else top.flat))
            else:
                self._comment(top, indent)
        self._end()
        self._align()
        while self.lines and not self.lines[-1]:
            self.lines.pop()
        return "\n".join(self.lines) + "\n" if self.lines else ""

    def _mode(self, group: Group, around: int, indent: int, rest: list[Command]) -> int:
        if group.force:
            return BROKEN
        if around == TIGHT or (around == FLAT and not group.body):
            return around
        one_line = TIGHT if group.body else FLAT
        width = group.width if group.width != -1 else _measure(group)
        doc = group.doc if width is None else " " * width
        return one_line if self._fits(one_line, doc, indent, rest) else BROKEN

    # ---- lines

    def _text(self, text: str, indent: int) -> None:
        if self.pending:
            self._end()
        if not self.line:
            self.line = " " * indent
        self.line += text
        self.column = len(self.line)

    def _end(self) -> None:
        self.lines.append(self.line.rstrip(" "))
        if self.skip:
            self.lines.append("")
        self.line, self.column, self.pending, self.skip = "", 0, False, False

    def _mark(self, mark: Mark, indent: int, broken: bool, stack: list[Command]) -> None:
        if mark is SKIP:
            self.skip = True
        elif mark is HARD or mark is BLANK or (broken and mark in (LINE, SOFT)):
            self.skip = self.skip or mark is BLANK
            if self.line or self.pending:
                self._end()
            self.column = indent
        elif mark is FILL and broken and not self._fits(TIGHT, " ", indent, stack):
            self._end()
            self.column = indent
        elif mark.flat and self.line and not self.pending and not self.line.endswith(" "):
            self.line += " "
            self.column += 1

    def _comment(self, comment: Comment, indent: int) -> None:
        if comment.own:
            if self.line or self.pending:
                self._end()
            self.line = " " * indent + comment.text
        else:
            code = self.line.rstrip(" ")
            if not self.pending:
                self.comments.append((len(self.lines), len(code)))
                self.line = code + "  " + comment.text
            else:
                self.line = code + " " + comment.text
        self.pending = True

    def _align(self) -> None:
        """Comments behind code on neighbouring lines of one depth begin in one column, where the width allows that."""
        at = 0
        while at < len(self.comments):
            stop = at + 1
            while stop < len(self.comments) and self._neighbours(
                self.comments[stop - 1][0], self.comments[stop][0]
            ):
                stop += 1
            run = self.comments[at:stop]
            column = max(code for _, code in run)
            lengths = [len(self.lines[i].split("\n")[0]) - code for i, code in run]
            if column + max(lengths) <= WIDTH:
                for i, code in run:
                    line = self.lines[i]
                    self.lines[i] = line[:code] + " " * (column - code) + line[code:]
            at = stop

    def _neighbours(self, above: int, below: int) -> bool:
        one, other = self.lines[above], self.lines[below]
        return below == above + 1 and len(one) - len(one.lstrip()) == len(other) - len(other.lstrip())

    # ---- what fits

    def _fits(self, mode: int, doc: Doc, indent: int, rest: list[Command]) -> bool:
        """Whether `doc`, on one line, and what follows it up to the first line end fit into what is left of the line."""
        room = WIDTH - (indent if self.pending else max(self.column, indent if not self.line else 0))
        stack: list[tuple[int, Doc]] = [(mode, doc)]
        below = len(rest)
        while room >= 0:
            if not stack:
                if not below:
                    return True
                below -= 1
                _, mode, top = rest[below]
            else:
                mode, top = stack.pop()
            if isinstance(top, str):
                room -= len(top)
            elif isinstance(top, list):
                for part in reversed(top):
                    stack.append((mode, part))
            elif isinstance(top, Mark):
                if top is HARD or top is BLANK or (mode == BROKEN and top in (LINE, SOFT, FILL)):
                    return True
                room -= len(top.flat)
            elif isinstance(top, Group):
                width = top.width if top.width != -1 else _measure(top)
                if width is not None:
                    room -= width
                    continue
                breaks = top.force or (top.body and mode != TIGHT)
                stack.append((BROKEN if breaks else min(mode, FLAT), top.doc))
            elif isinstance(top, Choice):
                stack.append((mode, top.broken if mode == BROKEN else top.flat))
            elif isinstance(top, Comment):
                return True
            else:
                stack.append((mode, top.doc))
        return False


def _measure(doc: Doc) -> int | None:
    """The width of a document without line ends and bodies; None of another."""
    if isinstance(doc, str):
        return len(doc)
    if isinstance(doc, Mark):
        return None if doc is HARD or doc is BLANK or doc is FILL else len(doc.flat)
    if isinstance(doc, list):
        total = 0
        for part in doc:
            width = _measure(part)
            if width is None:
                return None
            total += width
        return total
    if isinstance(doc, Group):
        if doc.width == -1:
            doc.width = None if doc.force or doc.body else _measure(doc.doc)
        return doc.width
    if isinstance(doc, Comment):
        return None
    return _measure(doc.flat if isinstance(doc, Choice) else doc.doc)


def render(doc: Doc) -> str:
    """The text of a document, with a line end at its end."""
    return Printer().run(doc)
