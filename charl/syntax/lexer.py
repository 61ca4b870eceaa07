"""Characters to words.

Enters a source, leave its tokens, its documentation comments, and diagnostics about characters, numbers, strings
and comments; a mistake is reported and the rest is still read. Lines and brackets are layout.py's business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from charl.errors import Diagnostic
from charl.source import Source, Span
from charl.syntax import codes
from charl.syntax.tokens import Token

# The longest first.
_LONG = (
    "**=",
    "...",
    "|>",
    "->",
    "=>",
    "..",
    "**",
    "==",
    "!=",
    "<=",
    ">=",
    "+=",
    "-=",
    "*=",
    "/=",
    "%=",
    "@=",
)
_OPERATORS = (*_LONG, *"+-*/%@<>=()[]{},:;.|")
_WORD = re.compile(
    r"""(?P<space>[ \t\r]+)
      | (?P<line>\n)
      | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<hex>0[xX][0-9a-fA-F_]+|0[bB][01_]+)
      | (?P<float>[0-9][0-9_]*(?:\.[0-9][0-9_]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+))
      | (?P<int>[0-9][0-9_]*)
      | (?P<string>"(?:[^"\\\n]|\\[^\n])*")
      | (?P<comment>//[^\n]*)
      | (?P<block>/\*)
      | (?P<op>""" + "|".join(re.escape(op) for op in _OPERATORS) + """)""",
    re.VERBOSE,
)
_EXPONENT = re.compile(r"[eE][+-]?[0-9]+")
_QUOTED = re.compile(r"'[^'\n]*'|`[^`\n]*`|“[^”\n]*”")
_DIGITS = re.compile(r"[0-9]+")
_NAME_TAIL = re.compile(r"[A-Za-z0-9_.]*")
_BLOCK_PART = re.compile(r"/\*|\*/")
_NAME_START = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
# The end of a value: a dot or a digit behind it cannot begin a number.
_VALUE_ENDS = frozenset({"NAME", "INT", "FLOAT", "STRING", "RPAR", "RSQB", "RBRACE"})

_HINTS = {
    "!": "write `not`",
    "&": "write `and`, of bits `bitand(a, b)`",
    "^": "a power is written `**`, exclusive or of bits `bitxor(a, b)`",
    "#": "a comment begins with `//`",
    "'": 'a string stands between double quotes, `"`',
    "−": "write `-`",
    "–": "write `-`",
    "×": "write `*`",
    "·": "write `*`, or `@` for a contraction",
    "÷": "write `/`",
    "≤": "write `<=`",
    "≥": "write `>=`",
    "≠": "write `!=`",
    "→": "write `->`",
    "?": "a choice is written `if c { a } else { b }`",
}


@dataclass
class Lexed:
    """The words of a source. `docs` maps the start of a token to the `///` lines above it."""

    source: Source
    tokens: list[Token] = field(default_factory=list)
    docs: dict[int, str] = field(default_factory=dict)
    module_docs: str = ""
    diagnostics: list[Diagnostic] = field(default_factory=list)


def lex(source: Source, terminals: Mapping[str, str]) -> Lexed:
    """Every token of `source`; `terminals` gives the grammar's name of each keyword and operator."""
    return _Lexer(source, terminals).run()


class _Lexer:
    def __init__(self, source: Source, terminals: Mapping[str, str]) -> None:
        self.source = source
        self.text = source.text
        self.terminals = terminals
        self.out = Lexed(source)
        self.docs: list[str] = []
        self.module_docs: list[str] = []
        self.first = True

    def run(self) -> Lexed:
        text, terminals = self.text, self.terminals
        match = _WORD.match
        position, end = (1 if text.startswith("\ufeff") else 0), len(text)
        while position < end:
            found = match(text, position)
            if found is None:
                position = self._stray(position)
                continue
            kind, stop = found.lastgroup, found.end()
            if kind == "space":
                pass
            elif kind == "line":
                self.first = True
            elif kind == "name":
                word = found.group()
                self._add(terminals.get(word, "NAME"), position, stop)
            elif kind == "op":
                self._add(terminals[found.group()], position, stop)
                if found.group() == "." and stop < end and text[stop].isdigit():
                    stop = self._after_dot(stop)
            elif kind == "comment":
                self._comment(found.group())
            elif kind == "block":
                stop = self._block_comment(position)
            elif kind == "string":
                self._add("STRING", position, stop)
            else:
                stop = self._number(kind, position, stop)
            position = stop
        self.out.module_docs = "\n".join(self.module_docs)
        return self.out

    def _add(self, type_: str, start: int, end: int) -> None:
        column_one = self.first and (start == 0 or self.text[start - 1] in "\n\ufeff")
        self.out.tokens.append(Token(type_, self.text[start:end], start, end, self.first, column_one))
        self.first = False
        if self.docs:
            self.out.docs[start] = "\n".join(self.docs)
            self.docs = []

    def _comment(self, text: str) -> None:
        if text.startswith("//!"):
            self.module_docs.append(_doc_line(text))
        elif text.startswith("///") and not text.startswith("////"):
            self.docs.append(_doc_line(text))

    def _block_comment(self, start: int) -> int:
        """The end of a comment that begins at `start`; comments nest. A line end inside counts as one outside."""
        depth, position = 1, start + 2
        while depth:
            found = _BLOCK_PART.search(self.text, position)
            if found is None:
                self._report(codes.UNTERMINATED_COMMENT, "this comment is never closed", start, start + 2)
                return len(self.text)
            depth += 1 if found.group() == "/*" else -1
            position = found.end()
        self.first = self.first or "\n" in self.text[start:position]
        return position

    def _number(self, kind: str | None, start: int, end: int) -> int:
        """A number; what sticks to it (`1.`, `3x`, `1e`, `0x`) makes it malformed."""
        follower = self.text[end : end + 1]
        beyond = self.text[end + 1 : end + 2]
        if kind == "int" and follower == "." and beyond != ".":
            exponent = _EXPONENT.match(self.text, end + 1)
            if exponent or beyond not in _NAME_START:
                stop = exponent.end() if exponent else end + 1
                self._bad_float(start, stop, self.text[start:end] + ".0" + self.text[end + 1 : stop])
                self._add("FLOAT", start, stop)
                return stop
        if follower in _NAME_START and follower:
            found = _NAME_TAIL.match(self.text, end)
            stop = found.end() if found else end
            note = "an element type is given by `as` or by what the number meets" if kind != "hex" else ""
            self._report(
                codes.BAD_NUMBER,
                f"`{self.text[start:stop]}` is neither a number nor a name",
                start,
                stop,
                note,
            )
            end = stop
        self._add("FLOAT" if kind == "float" else "INT", start, end)
        return end

    def _after_dot(self, start: int) -> int:
        """Digits behind a dot: a numbered member (`net.0.w`), unless nothing stands before the dot (`.5`)."""
        found = _DIGITS.match(self.text, start)
        end = found.end() if found else start
        tokens = self.out.tokens
        dot = tokens[-1]
        before = tokens[-2] if len(tokens) > 1 else None
        if before is not None and before.type in _VALUE_ENDS and not dot.first:
            self._add("INT", start, end)
            return end
        tokens.pop()
        self.first = dot.first
        self._bad_float(dot.start, end, "0" + self.text[dot.start : end])
        self._add("FLOAT", dot.start, end)
        return end

    def _bad_float(self, start: int, end: int, better: str) -> None:
        self._report(
            codes.BAD_NUMBER, "a float has a digit on both sides of its dot", start, end, f"write `{better}`"
        )

    def _stray(self, start: int) -> int:
        """A character that begins no word; neighbours of the same kind are reported with it."""
        char = self.text[start]
        if char == '"':
            line_end = self.text.find("\n", start)
            end = len(self.text) if line_end < 0 else line_end
            self._report(codes.UNTERMINATED_STRING, "this string does not end on its line", start, end)
            self._add("STRING", start, end)
            return end
        end = start + 1
        while end < len(self.text) and self.text[end] == char:
            end += 1
        quoted = _QUOTED.match(self.text, start)
        if quoted:
            message = f"a string stands between double quotes, not `{char}`"
            self._report(codes.BAD_CHARACTER, message, start, start + 1, f'write `"{quoted.group()[1:-1]}"`')
            self._add("STRING", start, quoted.end())
            return quoted.end()
        shown = char if char.isprintable() else f"\\u{ord(char):04x}"
        import unicodedata

        name = unicodedata.name(char, "")
        described = f"`{shown}`" + (f" ({name.lower()})" if name and ord(char) > 126 else "")
        message = f"{described} has no meaning in Charl"
        hint = _HINTS.get(char, "")
        if char.isalpha():
            hint = "names are made of the letters a to z and A to Z, digits and `_`"
            end = _letters(self.text, start)
        self._report(codes.BAD_CHARACTER, message, start, end, hint)
        if char.isalpha():
            self._add("NAME", start, end)
        return end

    def _report(self, code: str, message: str, start: int, end: int, hint: str = "") -> None:
        span = Span(self.source, start, end)
        self.out.diagnostics.append(Diagnostic(code, message, span, help=hint or None))


def _letters(text: str, start: int) -> int:
    end = start
    while end < len(text) and (text[end].isalnum() or text[end] == "_"):
        end += 1
    return end


def _doc_line(text: str) -> str:
    """`/// text` or `//! text` without the mark and one space."""
    return text[3:].removeprefix(" ").rstrip()
