"""What was typed, as syntax: items, or the statements of a body.

Enters text. Leaves an AST whose places are in that very text, or CharlError with its mistakes.
"""

from __future__ import annotations

from dataclasses import fields, replace

from charl.errors import CharlError, Diagnostic
from charl.source import Source, Span
from charl.syntax import ast, declarations, parse
from charl.syntax.automaton import tables
from charl.syntax.layout import begins_item
from charl.syntax.lexer import lex
from charl.syntax.tokens import CLOSERS, OPENERS

_HEAD, _TAIL = "fn main() {\n", "\n}\n"
_OPEN_ENDS = frozenset(
    {
        "PLUS",
        "MINUS",
        "STAR",
        "SLASH",
        "PERCENT",
        "POWER",
        "AT",
        "AND",
        "OR",
        "NOT",
        "ASSIGN",
        "COMMA",
        "PIPE",
        "ARROW",
    }
    | {"EQUAL", "DIFFERENT", "AT_MOST", "AT_LEAST", "FAT_ARROW", "COLON", "DOT", "LET", "MUT", "IN"}
)


def incomplete(text: str) -> bool:
    """Whether more lines must follow: an open bracket or comment, or an operator at the end."""
    lexed = lex(Source("<repl>", text), tables().terminals)
    if any("never closed" in d.message for d in lexed.diagnostics):
        return True
    depth = sum((t.type in OPENERS) - (t.type in CLOSERS) for t in lexed.tokens)
    return depth > 0 or (bool(lexed.tokens) and lexed.tokens[-1].type in _OPEN_ENDS)


def read(source: Source) -> declarations.Module | ast.Block:
    """Items where the text begins with one, else statements. Raises CharlError."""
    tokens = lex(source, tables().terminals).tokens
    documented = source.text.lstrip().startswith(("///", "//!"))
    item = len(tokens) > 1 and (begins_item(tokens[0], tokens[1]) or tokens[0].type == "AT")
    if item or (documented and not tokens):
        module, diagnostics = parse(source)
        if diagnostics:
            raise CharlError(diagnostics)
        return module
    wrapped = Source(source.path, _HEAD + source.text + _TAIL)
    module, diagnostics = parse(wrapped)
    if diagnostics:
        raise CharlError([_moved(d, source) for d in diagnostics])
    function = module.items[0]
    assert isinstance(function, declarations.Function)
    for node in ast.walk(function.body):
        for f in fields(node):
            value = getattr(node, f.name)
            if isinstance(value, Span) and value.source is wrapped:
                setattr(node, f.name, _shifted(value, source))
    return function.body


def _moved(d: Diagnostic, source: Source) -> Diagnostic:
    labels = tuple(replace(x, span=_shifted(x.span, source)) for x in d.labels)
    return replace(d, span=_shifted(d.span, source) if d.span is not None else None, labels=labels)


def _shifted(span: Span, source: Source) -> Span:
    size = len(source.text)
    start = min(max(span.start - len(_HEAD), 0), size)
    return Span(source, start, min(max(span.end - len(_HEAD), start), size))
