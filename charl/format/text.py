"""A program's canonical text.

Enters a source, leaves its text. The result is read again: a formatter that changed a program or lost a comment would be
a defect of Charl, and never reaches a file.
"""

from __future__ import annotations

from collections.abc import Mapping

from charl.collecting import collecting_later
from charl.errors import CharlError, InternalError
from charl.format.comments import Around, attach
from charl.format.doc import render
from charl.format.layout import Layout
from charl.format.roles import Roles, roles
from charl.format.tree import Reader
from charl.source import Source
from charl.syntax.automaton import tables
from charl.syntax.layout import arrange
from charl.syntax.lexer import Lexed, lex
from charl.syntax.parser import parse_words
from charl.syntax.tokens import CLOSERS, OPENERS, SEP, Token


@collecting_later()
def format_source(source: Source) -> str:
    """The canonical text of `source`. Raises CharlError with its syntax errors, if any."""
    lexed = lex(source, tables().terminals)
    tokens, errors = arrange(lexed)
    module, diagnostics = parse_words(lexed, tokens, errors)
    if diagnostics:
        raise CharlError(diagnostics)
    words = [token for token in tokens if token.type != SEP]
    found = roles(module, words)
    around = attach(source.text, words)
    remarks = _remarks(around, words)
    items = Reader(source.text, tokens, found, around).file()
    text = render(Layout(found, around).file(items, tokens[-1]))
    if text != source.text:
        _verify(source, _essence(lexed, tokens, found), remarks, text)
    return text


def _remarks(around: Mapping[int, Around], words: list[Token]) -> list[str]:
    return sorted(
        r.text for token in words for r in (*around[token.start].before, *around[token.start].behind)
    )


def _essence(lexed: Lexed, tokens: list[Token], found: Roles | None) -> list[object]:
    """What the parser is told: words, ends of statements, documentation. Left out is what may be left out or written in two
    ways: a comma before a closing bracket, commas between the entries of a brace, a line end behind a decorator. Which
    commas before a `)` make a tuple, the roles say; in our own text those that are the only ones.
    """
    out: list[object] = []
    brackets: list[tuple[Token, list[int]]] = []  # with the commas directly inside
    head = ""  # the first word of this line, "" once it says what it declares
    for token in tokens:
        kind = token.type
        if kind in CLOSERS:
            opener, commas = brackets.pop()
            single = len(commas) == 1 if found is None else opener.start in found.ones
            if out and (out[-1] == SEP or (out[-1] == "COMMA" and not (kind == "RPAR" and single))):
                out.pop()
        if kind == "COMMA" and brackets:
            brackets[-1][1].append(token.start)
            kind = SEP if brackets[-1][0].type == "LBRACE" else kind
        if kind == SEP:
            if head != "AT" and out and out[-1] != SEP:
                out.append(SEP)
            head = ""
            continue
        if kind in OPENERS:
            brackets.append((token, []))
        begins = not out or out[-1] == SEP
        head = kind if begins and kind == "AT" else "" if kind == "FN" else head
        out.append(kind if kind == "COMMA" else (kind, token.text, lexed.docs.get(token.start, "")))
    return out


def _verify(source: Source, before: list[object], remarks: list[str], text: str) -> None:
    again = lex(Source(source.path, text), tables().terminals)
    tokens, errors = arrange(again)
    if errors or again.diagnostics or _essence(again, tokens, None) != before:
        raise InternalError("fmt", "the formatted program would not be the same program")
    words = [token for token in tokens if token.type != SEP]
    if _remarks(attach(text, words), words) != remarks:
        raise InternalError("fmt", "a comment would be lost")
