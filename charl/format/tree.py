"""Tokens to a tree of brackets: phrases, which are sequences of words and brackets, and brackets, which hold phrases.

Enters the arranged tokens of a file without syntax errors and their roles. Type arguments and the parameters of a closure
are brackets here as well. Commas that may stand or not, and line ends, are not in the tree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from charl.format.comments import Around, Remark
from charl.format.roles import Roles
from charl.syntax.tokens import END, SEP, Token

_CLOSERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE", "LESSTHAN": "MORETHAN", "VBAR": "VBAR"}


@dataclass(slots=True, eq=False)
class Bracket:
    """`kind` is its opening character; `between` are the commas or semicolons that separate its items."""

    kind: str
    open: Token
    close: Token
    items: list[Phrase] = field(default_factory=list)
    between: list[Token] = field(default_factory=list)
    commas: bool = False  # items are separated by commas where they are on one line
    optional: bool = False  # a comma may stand behind the last item
    single: bool = False  # a comma stands behind the only item in any case
    lines: bool = False  # the text ends a line inside


Part: TypeAlias = "Token | Bracket"
Phrase: TypeAlias = "list[Part]"


def first(part: Part) -> Token:
    """The word that a part begins with."""
    return part.open if isinstance(part, Bracket) else part


def last(part: Part) -> Token:
    """The word that a part ends with."""
    return part.close if isinstance(part, Bracket) else part


class Reader:
    """Reads the tree; `around` is changed where a comma that has comments is left out."""

    def __init__(self, text: str, tokens: list[Token], roles: Roles, around: dict[int, Around]) -> None:
        self.text = text
        self.tokens = tokens
        self.roles = roles
        self.around = around
        self.at = 0

    def file(self) -> list[Phrase]:
        """The items of a file."""
        return self._lines(False, END)

    def _lines(self, commas: bool, closer: str) -> list[Phrase]:
        """The phrases of a brace, or of the file, before its end; `at` is then at the end."""
        out: list[Phrase] = []
        phrase: Phrase = []
        while (token := self.tokens[self.at]).type != closer:
            if token.type == SEP or (commas and token.type == "COMMA"):
                self._drop(token)
                self.at += 1
                out += [phrase] if phrase else []
                phrase = []
            else:
                phrase.append(self._part())
        return out + ([phrase] if phrase else [])

    def _part(self) -> Part:
        token = self.tokens[self.at]
        kind, roles = token.type, self.roles
        if kind in ("LPAR", "LSQB", "LBRACE"):
            return self._bracket()
        if kind == "LESSTHAN" and token.start not in roles.binary:
            return self._bracket()
        if kind == "VBAR" and token.start in roles.bars:
            return self._bracket()
        self.at += 1
        return token

    def _bracket(self) -> Bracket:
        opener = self.tokens[self.at]
        self.at += 1
        before = self.tokens[self.at - 2].type if self.at > 1 else ""
        out = Bracket(opener.text, opener, opener)
        if opener.type == "LBRACE":
            out.commas = opener.start in self.roles.lists
            out.items = self._lines(out.commas, "RBRACE")
        else:
            self._separated(out, _CLOSERS[opener.type])
            out.commas = all(token.type == "COMMA" for token in out.between)
            out.optional = out.commas and len(out.items) > 1 and before != "FN"
        out.close = self.tokens[self.at]
        out.lines = "\n" in self.text[opener.end : out.close.start]
        self.at += 1
        return out

    def _separated(self, out: Bracket, closer: str) -> None:
        phrase: Phrase = []
        while (token := self.tokens[self.at]).type != closer:
            if token.type in ("COMMA", "SEMICOLON"):
                self.at += 1
                out.items.append(phrase)
                phrase = []
                if self.tokens[self.at].type != closer:
                    self._behind(token)
                    out.between.append(token)
                else:
                    out.single = out.open.start in self.roles.ones
                    self._drop(token)
            elif token.type == SEP:
                self.at += 1
            else:
                phrase.append(self._part())
        if phrase:
            out.items.append(phrase)

    def _behind(self, comma: Token) -> None:
        """A comment between a value and its comma moves behind the comma."""
        before, here = self._previous(comma), self.around[comma.start]
        if before.behind and not here.before:
            self._forward(here.behind)
            here.behind, before.behind = before.behind, []

    def _drop(self, comma: Token) -> None:
        """What is said about a comma that is left out is said about its neighbours."""
        here = self.around.get(comma.start) if comma.text else None
        if here is None or not (here.before or here.behind):
            return
        previous = self._previous(comma)
        if here.before or previous.behind:
            self._forward(here.before + here.behind)
        else:
            previous.behind = here.behind

    def _forward(self, remarks: list[Remark]) -> None:
        """Comments that go on lines of their own before the next word."""
        following = self._following()
        for remark in remarks:
            remark.inline = False
        following.before[:0] = remarks

    def _previous(self, token: Token) -> Around:
        i = self.tokens.index(token, max(0, self.at - 3), self.at + 1) - 1
        while self.tokens[i].type == SEP:
            i -= 1
        return self.around[self.tokens[i].start]

    def _following(self) -> Around:
        i = self.at
        while self.tokens[i].type in (SEP, "COMMA"):
            i += 1
        return self.around[self.tokens[i].start]
