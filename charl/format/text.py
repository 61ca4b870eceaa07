"""A program's canonical text.

Enters a source, leaves its text. The result is read again: a formatter that changed a program or lost a comment would be
a defect of Charl, and never reaches a file.
"""

from __future__ import annotations

from charl.errors import CharlError, InternalError
from charl.format.comments import attach, comments
from charl.format.doc import render
from charl.format.layout import Layout
from charl.format.roles import roles
from charl.format.tree import Reader
from charl.source import Source
from charl.syntax import ast, parse
from charl.syntax.layout import arrange
from charl.syntax.lexer import lex
from charl.syntax.parser import tables
from charl.syntax.tokens import SEP, Token


def format_source(source: Source) -> str:
    """The canonical text of `source`. Raises CharlError with its syntax errors, if any."""
    module = _module(source)
    tokens = _tokens(source)
    words = [token for token in tokens if token.type != SEP]
    found = roles(module, words)
    around = attach(source.text, words)
    items = Reader(source.text, tokens, found, around).file()
    text = render(Layout(found, around).file(items, tokens[-1]))
    _verify(source, module, words, text)
    return text


def _module(source: Source) -> ast.Module:
    module, diagnostics = parse(source)
    if diagnostics:
        raise CharlError(diagnostics)
    return module


def _tokens(source: Source) -> list[Token]:
    return arrange(lex(source, tables().terminals))[0]


def _verify(source: Source, module: ast.Module, words: list[Token], text: str) -> None:
    again = Source(source.path, text)
    if text == source.text:
        return
    made, diagnostics = parse(again)
    if diagnostics or ast.dump(made) != ast.dump(module):
        raise InternalError("fmt", "the formatted program would not be the same program")
    remarks = comments(text, [token for token in _tokens(again) if token.type != SEP])
    if sorted(remarks) != sorted(comments(source.text, words)):
        raise InternalError("fmt", "a comment would be lost")
