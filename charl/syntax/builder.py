"""What every builder of nodes needs: places in the text, reports, sequences.

The grammar names, for each of its alternatives, a method that turns the recognised parts (tokens, nodes, lists)
into a node or a list. They stand in build_values.py (expressions, statements) and build_items.py (types, items).
"""

from __future__ import annotations

from typing import Any

from charl.errors import Diagnostic, Label
from charl.source import Definition, Source, Span
from charl.syntax import ast, codes
from charl.syntax.lexer import Lexed
from charl.syntax.tokens import Token

Parts = list[Any]  # what the stack of an LALR parser holds


class Trailing(list[Any]):
    """A sequence that ended with a comma."""


class Base:
    def __init__(self, lexed: Lexed) -> None:
        self.source: Source = lexed.source
        self.docs = lexed.docs
        self.module_docs = lexed.module_docs
        self.diagnostics: list[Diagnostic] = []

    # ---- places

    def start(self, part: Any) -> int:
        if isinstance(part, Token):
            return part.start
        start: int = part.span.start
        return start

    def span(self, first: Any, last: Any) -> Span:
        end = last.end if isinstance(last, Token) else last.span.end
        return Span(self.source, self.start(first), end)

    def place(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def over(self, parts: Parts) -> Span:
        """From the first part that stands in the text to the last one."""
        solid = (Token, ast.Node)
        first = next(p for p in parts if isinstance(p, solid))
        return self.span(first, next(p for p in reversed(parts) if isinstance(p, solid)))

    def define(self, name: ast.Name, kind: str, span: Span, value: Span | None = None) -> None:
        """Note for what comes later which part of the text this names."""
        where = (value.start, value.end) if value is not None else (-1, -1)
        self.source.definitions.append(Definition(name.name, kind, span.start, span.end, where))

    def report(
        self, code: str, message: str, span: Span, labels: tuple[Label, ...] = (), help_: str | None = None
    ) -> None:
        self.diagnostics.append(Diagnostic(code, message, span, labels, help=help_))

    def too_deep(self, message: str, span: Span, help_: str) -> None:
        """Reported once: what is cut off at its limit grows again."""
        if not any(d.code == codes.TOO_DEEP for d in self.diagnostics):
            self.report(codes.TOO_DEEP, message, span, help_=help_)

    def doc(self, part: Any) -> str:
        return self.docs.get(self.start(part), "")

    # ---- sequences

    def first(self, c: Parts) -> Parts:
        return [] if c[0] is None else c

    def more1(self, c: Parts) -> Parts:
        c[0].append(c[1])
        return c[0]  # type: ignore[no-any-return]

    def more2(self, c: Parts) -> Parts:
        if c[2] is not None:
            c[0].append(c[2])
        return c[0]  # type: ignore[no-any-return]

    more = more2

    def same(self, c: Parts) -> Any:
        return c[0]

    def same_all(self, c: Parts) -> Parts:
        return c

    def second(self, c: Parts) -> Any:
        return c[1]

    def nothing(self, c: Parts) -> None:
        return None

    def empty(self, c: Parts) -> Parts:
        return []

    def trailing(self, c: Parts) -> Parts:
        return Trailing(c[0])
