"""Comments, and the token that each belongs to.

Enters the tokens of a file, leaves for each token what is said about it: `Around`. A comment behind a token on its line
belongs to that token, every other to the token that follows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from charl.syntax.tokens import Token

_COMMENT = re.compile(r"//[^\n]*|/\*|\n|[;,]")
_PART = re.compile(r"/\*|\*/")


@dataclass(slots=True)
class Remark:
    """One comment; `inline` where it stands between words of one line, `blank` where an empty line comes before."""

    text: str
    inline: bool = False
    blank: bool = False


@dataclass(slots=True)
class Around:
    """What surrounds a token: comments before it and behind it, and whether an empty line comes before it (and behind the
    last of the comments before it)."""

    before: list[Remark] = field(default_factory=list)
    behind: list[Remark] = field(default_factory=list)
    blank: bool = False

    @property
    def breaks(self) -> bool:
        """Whether a line must end here."""
        return bool(self.behind) or any(not r.inline for r in self.before)


def attach(text: str, tokens: list[Token]) -> dict[int, Around]:
    """For the start of every token (in order, the last one END) what surrounds it."""
    around = {token.start: Around() for token in tokens}
    previous: Token | None = None
    for token in tokens:
        before = around[token.start]
        start = previous.end if previous else (1 if text.startswith("\ufeff") else 0)
        gap = text[start : token.start] if token.text else text[start:]
        if gap.strip(" \n\t\r") or "\n" in gap:
            _read(gap, around[previous.start] if previous else None, before, not token.text)
        previous = token
    return around


def comments(text: str, tokens: list[Token]) -> list[str]:
    """Every comment of a file, in order."""
    around = attach(text, tokens)
    return [r.text for token in tokens for r in (*around[token.start].before, *around[token.start].behind)]


def _read(gap: str, previous: Around | None, following: Around, last: bool) -> None:
    lines = 0  # line ends since the last word or comment
    same_line: list[Remark] = []  # as the token before
    later: list[Remark] = []
    here: list[Remark] = []  # of the line that is being read
    ended = previous is None
    at = 0
    while (found := _COMMENT.search(gap, at)) is not None:
        at = found.end()
        word = found.group()
        if word == "\n":
            lines += 1
            ended = True
            later += here
            here = []
        elif word not in ";,":
            if word == "/*":
                at = _block_end(gap, at)
            remark = Remark(_trimmed(gap[found.start() : at]), blank=lines > 1)
            many = "\n" in remark.text
            lines = 0
            if many:
                ended = True
                later += [*here, remark]
                here = []
            elif ended:
                here.append(remark)
            else:
                same_line.append(remark)
    if last:
        later += here
        here = []
    if same_line and (ended or last) and previous is not None:
        previous.behind += same_line
        same_line = []
    for remark in (*same_line, *here):
        remark.inline = True
    following.before += [*same_line, *later, *here]
    following.blank = lines > 1


def _block_end(text: str, at: int) -> int:
    depth = 1
    while depth:
        found = _PART.search(text, at)
        assert found is not None, "the lexer reports a comment without an end"
        depth += 1 if found.group() == "/*" else -1
        at = found.end()
    return at


def _trimmed(comment: str) -> str:
    return "\n".join(line.rstrip() for line in comment.split("\n"))
