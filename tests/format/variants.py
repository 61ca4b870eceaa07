"""Programs written differently: the same words with other white space, line ends where they are allowed, and comments."""

from __future__ import annotations

import random

from charl.source import Source
from charl.syntax.automaton import tables
from charl.syntax.layout import _ENDERS, arrange
from charl.syntax.lexer import lex
from charl.syntax.tokens import CLOSERS, OPENERS, SEP, Token


def variant(source: Source, rng: random.Random) -> str:
    """`source` with the same AST, written otherwise."""
    comments = rng.random() * 0.15 * (rng.random() < 0.8)
    breaks = rng.random() * 0.3 * (rng.random() < 0.8)
    tokens = arrange(lex(source, tables().terminals))[0][:-1]
    docs = _docs(source.text)
    out: list[str] = [line + "\n" for line in docs.get(-1, [])]
    stack: list[str] = []
    for i, token in enumerate(tokens):
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        for line in docs.get(token.start, []) if token.type != SEP else []:
            out.append(f"\n{line}\n")
        if token.type in CLOSERS:
            stack.pop()
        if token.type == SEP:
            decorator = any(t.type == "AT" and t.first for t in tokens[max(0, i - 8) : i])
            out.append(_separator(rng, comments, decorator or following.start in docs))
            continue
        out.append(token.text)
        if token.type in OPENERS:
            stack.append(token.type)
        if following is not None and following.type != SEP:
            out.append(_gap(source.text, token, following, stack, rng, comments, breaks))
    return "".join(out) + rng.choice(["", "\n", "\n\n\n", " // the end", "\n/* end */\n"])


def _docs(text: str) -> dict[int, list[str]]:
    """Documentation lines, under the start of the word that they stand above (-1: of the file)."""
    out: dict[int, list[str]] = {}
    waiting: list[str] = []
    at = 0
    for line in text.split("\n"):
        stripped = line.strip()
        if stripped.startswith("//!"):
            out.setdefault(-1, []).append(stripped)
        elif stripped.startswith("///"):
            waiting.append(stripped)
        elif stripped and waiting and not stripped.startswith("//"):
            out[at + len(line) - len(line.lstrip())] = waiting
            waiting = []
        at += len(line) + 1
    return out


def _separator(rng: random.Random, comments: float, line: bool) -> str:
    if not line and rng.random() < 0.2:
        return rng.choice(["; ", " ;", ";\n", "; // behind\n", "; /* before */ "])
    lines = "\n" * rng.choice([1, 1, 1, 2, 3])
    if rng.random() < comments:
        lines = rng.choice([" // behind", "  /* behind */ // twice", "\n// own\n\n// lines"]) + lines
    return lines + " " * rng.choice([0, 0, 2, 4, 7])


def _gap(
    text: str, left: Token, right: Token, stack: list[str], rng: random.Random, comments: float, breaks: float
) -> str:
    if left.type in ("MINUS", "AT") and left.first and right.start == left.end:
        return ""  # at the beginning of a line a sign stands at its value, and @ at its name
    apart = right.start > left.end
    if "DOT" in (left.type, right.type):
        member = right.type == "DOT" and text[right.end].isalpha()
        line = member and not right.first and rng.random() < breaks and left.type != "INT"
        return "\n  " if line or (right.first and right.type == "DOT") else ""
    closed = left.type in _ENDERS and (not stack or stack[-1] == "LBRACE")
    free = not closed or right.type in ("PIPE", "ELSE", "RBRACE")
    gap = " " * rng.choice([0, 1, 1, 2, 5]) if apart else " " * rng.choice([0, 0, 0, 1, 3])
    if apart and not gap:
        gap = " "
    if rng.random() < comments:
        gap = rng.choice([" /* inline */ ", "/**/", " /* a /* nested */ one */ "])
    if free and rng.random() < comments:
        choices = [
            " // behind\n",
            "\n  // own line\n",
            "\n\n// one\n\n// two\n",
            " /* two\n lines */ ",
            " /* b */\n",
        ]
        gap = rng.choice(choices)
    elif free and rng.random() < breaks:
        gap = "\n" * rng.choice([1, 1, 2, 3]) + " " * rng.choice([0, 2, 8])
    if gap.lstrip().startswith("/") and text[left.start : left.end].endswith("/"):
        gap = " " + gap
    return gap
