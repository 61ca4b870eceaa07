"""One report for one mistake, and what is left of a module that has some.

Enter the diagnostics of every stage of reading, leave those that are not consequences of others, in the order of the
text; and a module without the items that they are in.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import pairwise

from charl.errors import Diagnostic
from charl.source import Span
from charl.syntax import codes, declarations
from charl.syntax.layout import begins_item
from charl.syntax.tokens import CLOSERS, OPENERS, Token

MOST = 100


def independent(
    certain: list[Diagnostic], possible: list[Diagnostic], structural: list[Diagnostic], tokens: list[Token]
) -> list[Diagnostic]:
    """All of `certain` (characters, brackets) and what of `possible` (the parser's) does not follow from an earlier one:

    nothing on a line with an unreadable word, nothing inside a bracket that was never closed; behind another mistake
    in the same item, no complaint that another kind of thing was expected (`structural`), and no closing brace too
    many where an opening one was missing.
    """
    lines = {_span(d).line for d in certain}
    inside = _unclosed(certain, tokens)
    heads = [a.start for a, b in pairwise(tokens) if a.column_one and begins_item(a, b)]
    sure, kinds = {id(d) for d in certain}, {id(d) for d in structural}
    found: list[Diagnostic] = []
    items: set[int] = set()  # those with a mistake, by the number of their head
    unopened: set[int] = set()  # those with a missing brace
    for d in sorted([*certain, *possible], key=lambda d: (_span(d).start, _span(d).end)):
        span = _span(d)
        head = bisect_right(heads, span.start)
        if id(d) in sure:
            if d.code == codes.STRAY_BRACKET and head in unopened:
                continue
        elif (
            span.line in lines
            or any(start < span.start <= end for start, end in inside)
            or (id(d) in kinds and head in items)
        ):
            continue
        found.append(d)
        items.add(head)
        if "`{`" in d.message:
            unopened.add(head)
    return found


def bounded(found: list[Diagnostic]) -> list[Diagnostic]:
    """The first MOST of them, for what is no Charl program at all; the last one says how many are left out."""
    if len(found) <= MOST:
        return found
    last = found[MOST - 1]
    more = (*last.notes, f"{len(found) - MOST} more mistakes are left out")
    return [*found[: MOST - 1], replace(last, notes=more)]


def _unclosed(certain: list[Diagnostic], tokens: list[Token]) -> list[tuple[int, int]]:
    """Where the parentheses and square brackets that were never closed begin, and where they were given up."""
    starts = {_span(d).start for d in certain if d.code == codes.UNCLOSED and _span(d).text in ("(", "[")}
    out, stack = [], []
    for token in tokens if starts else []:
        if token.type in OPENERS:
            stack.append(token)
        elif token.type in CLOSERS:
            opener = stack.pop()
            if opener.start in starts:
                out.append((opener.start, token.start))
    return out


def _span(d: Diagnostic) -> Span:
    assert d.span is not None
    return d.span


def without_broken(
    module: declarations.Module, tokens: list[Token], found: list[Diagnostic]
) -> declarations.Module:
    """`module` without the items in which something was found, and the names that are missing by that."""
    places = [d.span.start for d in found if d.span is not None]
    whole, broken = [], set()
    for item in module.items:
        if any(item.span.start <= place <= item.span.end for place in places):
            broken.update(_bound(item))
        else:
            whole.append(item)
    kept = [item.span for item in module.items]
    heads = [t for t in tokens if t.depth == 0]
    for token, following in pairwise(heads):
        if any(span.start <= token.start < span.end for span in kept):
            continue
        if begins_item(token, following):
            named = following.type == "NAME" and token.type != "FROM"
            broken.add(following.text if named else "*")
    return declarations.Module(module.span, module.docs, tuple(whole), frozenset(broken) or frozenset({"*"}))


def _bound(item: declarations.Item) -> list[str]:
    if isinstance(item, declarations.Import):
        return [(n.alias or n.name).name for n in item.names]
    if isinstance(
        item,
        declarations.Const
        | declarations.TypeAlias
        | declarations.Function
        | declarations.Struct
        | declarations.Model,
    ):
        return [item.name.name]
    return []
