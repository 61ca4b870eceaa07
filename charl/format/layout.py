"""Phrases to documents: where a line of Charl may end, what is indented, where a space stands.

Enters the tree of brackets, leaves a document. A line ends only where the newline rule (syntax/layout.py) sees no end of a
statement: behind operators and commas, before `|>`, and anywhere between parentheses.
"""

from __future__ import annotations

from charl.format.comments import Around, Remark
from charl.format.doc import (
    BLANK,
    FILL,
    HARD,
    LINE,
    SKIP,
    SOFT,
    SPACE,
    Choice,
    Comment,
    Doc,
    Group,
    Indent,
    Nest,
)
from charl.format.roles import Roles
from charl.format.tree import Bracket, Part, Phrase, first, last
from charl.syntax.operators import LEVELS
from charl.syntax.tokens import SOFT_KEYWORDS, Token

_SOFT = frozenset(word.upper() for word in SOFT_KEYWORDS)
# Operators behind which a line may end, loosest first; not comparisons, since `>` can end a statement.
_BREAKING = tuple(frozenset(level) for level in LEVELS if level[0] in ("or", "and", "+", "*"))
_VALUE_ENDS = frozenset(
    {"NAME", "INT", "FLOAT", "STRING", "RPAR", "RSQB", "RBRACE", "FN", "TRUE", "FALSE", "NONE"}
)
_PREFIXES = frozenset({"MINUS", "STAR", "AT"})
_GLUED = frozenset({"COMMA", "SEMICOLON", "COLON", "RPAR", "RSQB"})
_JOINTS = frozenset({"DOT", "RANGE"})


class Layout:
    """Made for one file: comments are taken out of `around` as they are placed."""

    def __init__(self, roles: Roles, around: dict[int, Around]) -> None:
        self.roles = roles
        self.around = around
        self.tight: set[int] = set()  # operators and colons of slices
        self.depth = 0  # open parentheses and square brackets since the innermost brace

    # ---- sequences

    def file(self, items: list[Phrase], end: Token) -> Doc:
        """The whole file."""
        out: list[Doc] = []
        previous: Phrase | None = None
        for item in _with_decorators(items):
            if previous is not None:
                apart = _is_long(previous) or _is_long(item) or self._blank(item)
                out.append(BLANK if apart and not _is_decorator(previous) else HARD)
            out.append(self.entry(item))
            previous = item
        remarks = self.around[end.start].before
        if remarks:
            if previous is not None:
                out.append(BLANK if remarks[0].blank else HARD)
            out.append(self._remarks(remarks))
        return out

    def _blank(self, phrase: Phrase) -> bool:
        """Whether an empty line comes before a phrase and its comments."""
        around = self.around[first(phrase[0]).start]
        return around.before[0].blank if around.before else around.blank

    def entry(self, parts: Phrase) -> Doc:
        """A phrase with the comments above and behind it."""
        doc, behind = self._entry(parts)
        return [doc, *behind]

    def _entry(self, parts: Phrase) -> tuple[Doc, list[Doc]]:
        above, below = self.around[first(parts[0]).start], self.around[last(parts[-1]).start]
        own = [r for r in above.before if not r.inline]
        out: list[Doc] = [self._remarks(own)]
        if own:
            above.before = [r for r in above.before if r.inline]
            out.append(SKIP if above.blank and not above.before else [])
        behind: list[Doc] = [Comment(r.text, False) for r in below.behind]
        below.behind = []
        return [*out, self.phrase(parts)], behind

    # ---- phrases

    def phrase(self, parts: Phrase) -> Doc:
        """A statement, an item, an argument: runs of words, and braces; those that `else` joins go on one line or none."""
        out: list[Doc] = []
        at = 0
        while at < len(parts):
            stop = _next_brace(parts, at)
            out += [self._space(parts, at), self._run(parts[at:stop])] if stop > at else []
            at = stop
            chain: list[Doc] = []
            force = False
            while at < len(parts):
                brace = parts[at]
                assert isinstance(brace, Bracket)
                chain += [self._space(parts, at), self.braces(brace)]
                force = force or brace.lines or self._breaks_inside(brace)
                at += 1
                if at == len(parts) or first(parts[at]).type != "ELSE":
                    break
                stop = _next_brace(parts, at)
                chain += [SPACE, self._run(parts[at:stop])]
                at = stop
            out.append(Group(chain, force, body=True))
        return out

    def _run(self, parts: Phrase) -> Doc:
        """Words without braces: split at commas, then at pipes, then at operators, loosest first."""
        commas = _positions(parts, "COMMA")
        if commas:
            return self._listed(parts, commas)
        head = parts[0]
        if isinstance(head, Token) and head.type in ("FN", "EXPORT") and head.start not in self.roles.names:
            equals = _positions(parts, "ASSIGN")
            if equals and equals[0] + 1 < len(parts):
                return self._short_body(parts, equals[0] + 1)
        pipes = _positions(parts, "PIPE")
        if any(pipes):
            force = (not self.depth and any(first(parts[i]).first for i in pipes)) or self._breaks(parts)
            return self._split(parts, [i for i in pipes if i], force)
        for level in _BREAKING:
            words = enumerate(parts[:-1])  # a piece ends with its operator
            found = [i + 1 for i, p in words if isinstance(p, Token) and p.text in level and self._binary(p)]
            if found:
                return self._split(parts, found, self._breaks(parts))
        return self._members(parts)

    def _binary(self, token: Token) -> bool:
        return token.start in self.roles.binary and token.start not in self.tight

    def _listed(self, parts: Phrase, commas: list[int]) -> Doc:
        """Imported names, bounds, the message of an assertion: as many on a line as fit."""
        rest: list[Doc] = []
        for at, stop in zip(commas, [*commas[1:], len(parts)]):
            rest += [self.word(parts[at]), FILL, self._run(parts[at + 1 : stop])]
        return [self._run(parts[: commas[0]]), Nest(rest)]

    def _short_body(self, parts: Phrase, at: int) -> Doc:
        """`fn f(…) = value`; the value may have a line of its own."""
        force = self._breaks(parts[at - 1 : at]) or self.around[first(parts[at]).start].breaks
        return [self._words(parts[:at]), Group(Indent([LINE, self._run(parts[at:])]), force, body=True)]

    def _split(self, parts: Phrase, at: list[int], force: bool) -> Doc:
        pieces = [self._run(parts[i:j]) for i, j in zip([0, *at], [*at, len(parts)])]
        return Group([pieces[0], Indent([doc for piece in pieces[1:] for doc in (LINE, piece)])], force)

    def _members(self, parts: Phrase) -> Doc:
        """Words that stay together, but for members that the text puts on lines of their own."""
        dots = [] if self.depth else [i for i in _positions(parts, "DOT") if i and first(parts[i]).first]
        if not dots:
            return self._words(parts)
        pieces = [self._words(parts[i:j]) for i, j in zip([0, *dots], [*dots, len(parts)])]
        return [pieces[0], Nest([doc for piece in pieces[1:] for doc in (HARD, piece)])]

    def _words(self, parts: Phrase) -> Doc:
        out: list[Doc] = []
        broken: list[Doc] = []  # what follows a comment that ends a line
        for i, part in enumerate(parts):
            to = broken if broken or (i and self._begins_line(parts[i - 1], part)) else out
            space, word = self._space(parts, i), self.word(part)
            if to and isinstance(word, str) and isinstance(to[-1], str):
                to[-1] += " " + word if space else word  # no line ends between them
            else:
                to += [space, word] if space else [word]
        return [*out, Nest(broken)] if broken else out

    def _begins_line(self, left: Part, right: Part) -> bool:
        return bool(self.around[last(left).start].behind) or _own(self.around[first(right).start])

    # ---- words and brackets

    def word(self, part: Part) -> Doc:
        """A word with its comments, or a bracket."""
        if isinstance(part, Token):
            return self._token(part)
        if part.kind == "{":
            return Group(self.braces(part), part.lines or self._breaks_inside(part), body=True)
        return self._list(part) if part.kind in "([" else self._plain(part)

    def braces(self, part: Bracket) -> Doc:
        """What stands in braces; the group that it is in says whether on one line."""
        depth, self.depth = self.depth, 0
        closing = self._closing(part)
        inner: list[Doc] = [LINE] if part.items or closing else []
        previous: Phrase | None = None
        for item in _with_decorators(part.items):
            if previous is not None and _is_decorator(previous):
                inner.append(LINE)
            elif previous is not None:
                inner.append(Choice(BLANK if self._blank(item) else HARD, ", " if part.commas else "; "))
            inner.append(self.entry(item))
            previous = item
        if closing and _own(self.around[part.close.start]):
            inner += [
                BLANK if self.around[part.close.start].before[0].blank and part.items else HARD,
                closing,
            ]
        elif closing:
            inner.append(closing)
        self.depth = depth
        return [self._token(part.open), Nest(inner), LINE if inner else [], self._token(part.close, True)]

    def _plain(self, part: Bracket) -> Doc:
        """Type arguments and the parameters of a closure, on one line."""
        out: list[Doc] = [self._token(part.open)]
        for i, item in enumerate(part.items):
            out.append(self.phrase(item))
            if i < len(part.between):
                out += [self._token(part.between[i]), SPACE]
        return [*out, self._token(part.close)]

    def _list(self, part: Bracket) -> Doc:
        """`(…)` and `[…]`: on one line, or the items on one line below, or a line for each."""
        closing = self._closing(part)
        force = self._breaks_inside(part)
        each = self._breaks_between(part)
        self._mark_slices(part)
        self.depth += 1
        inner: list[Doc] = []
        for i, item in enumerate(part.items):
            doc, behind = self._entry(item)
            inner.append(doc)
            if i < len(part.between):
                inner += [*behind, self._token(part.between[i]), LINE]
            else:
                inner += ["," if part.single else Choice(",", "") if part.optional else [], *behind]
        self.depth -= 1
        body: list[Doc] = [SOFT, Group(inner, each)] if inner else [SOFT]
        if closing:
            body += [HARD if inner else [], closing]
        if not inner and not closing:
            body = []
        return Group(
            [self._token(part.open), Indent(body), SOFT if body else [], self._token(part.close, True)], force
        )

    def _breaks_between(self, part: Bracket) -> bool:
        """Whether a comment ends a line of what stands in a bracket, other than the last one."""
        end = self.around[last(part.items[-1][-1]).start] if part.items else Around()
        behind, end.behind = end.behind, []
        found = any(self._breaks(item) for item in part.items) or self._commented(part.between)
        end.behind = behind
        return found

    def _mark_slices(self, part: Bracket) -> None:
        """Nothing in a slice is spaced: `t:t+1`."""
        for item in part.items:
            if part.kind == "[" and first(item[0]).start in self.roles.slices:
                self.tight |= {
                    p.start for p in item if isinstance(p, Token) and (p.type == "COLON" or self._binary(p))
                }

    # ---- comments

    def _closing(self, part: Bracket) -> Doc:
        """Comments before a closing bracket, which belong inside."""
        around = self.around[part.close.start]
        return self._remarks(around.before) if _own(around) else []

    def _remarks(self, remarks: list[Remark]) -> Doc:
        out: list[Doc] = []
        for i, remark in enumerate(remarks):
            out += [SKIP] if i and remark.blank else []
            out.append(Comment(remark.text, True))
        return out

    def _token(self, token: Part, closing: bool = False) -> Doc:
        """A word with the comments around it; of a closing bracket, those before it stand elsewhere."""
        assert isinstance(token, Token)
        around = self.around[token.start]
        if not (around.before or around.behind):
            return token.text
        out: list[Doc] = []
        for remark in () if closing and _own(around) else around.before:
            if remark.inline:
                out += [SPACE, remark.text, [] if token.type in _GLUED else SPACE]
            else:
                out.append(Comment(remark.text, True))
        return [*out, token.text, *(Comment(r.text, False) for r in around.behind)]

    def _commented(self, tokens: list[Token]) -> bool:
        return any(self.around[t.start].breaks for t in tokens)

    def _breaks(self, parts: Phrase) -> bool:
        """Whether a comment ends a line among these words; what stands in braces has its own lines."""
        for part in parts:
            if isinstance(part, Token):
                if self.around[part.start].breaks:
                    return True
                continue
            outside = self.around[part.close.start].behind or _own(self.around[part.open.start])
            if outside or (part.kind != "{" and self._breaks_inside(part)):
                return True
        return False

    def _breaks_inside(self, part: Bracket) -> bool:
        around = self.around
        if around[part.open.start].behind or _own(around[part.close.start]) or self._commented(part.between):
            return True
        return any(map(self._breaks, part.items))

    # ---- spaces

    def _space(self, parts: Phrase, at: int) -> Doc:
        """What stands before parts[at]."""
        return SPACE if at and self._spaced(last(parts[at - 1]), first(parts[at])) else []

    def _spaced(self, left: Token, right: Token) -> bool:
        before, after, roles = left.type, right.type, self.roles
        if after in _GLUED or before in _JOINTS or after in _JOINTS:
            return False
        if left.start in self.tight or right.start in self.tight:
            return False
        if before in _PREFIXES and left.start not in roles.binary:
            return False
        if after == "LESSTHAN" and right.start not in roles.binary:
            return False
        if after in ("LPAR", "LSQB"):
            named = before in _SOFT and left.start in roles.names
            generic = before == "MORETHAN" and left.start not in roles.binary
            return not (generic or named or before in _VALUE_ENDS)
        return True


def _own(around: Around) -> bool:
    """Whether a comment on a line of its own comes before."""
    return any(not r.inline for r in around.before)


def _positions(parts: Phrase, kind: str) -> list[int]:
    return [i for i, p in enumerate(parts) if isinstance(p, Token) and p.type == kind]


def _next_brace(parts: Phrase, at: int) -> int:
    while at < len(parts):
        part = parts[at]
        if isinstance(part, Bracket) and part.kind == "{":
            break
        at += 1
    return at


def _with_decorators(items: list[Phrase]) -> list[Phrase]:
    """Decorators as lines of their own."""
    out: list[Phrase] = []
    for item in items:
        while _is_decorator(item):
            size = 3 if len(item) > 2 and isinstance(item[2], Bracket) else 2
            if len(item) == size:
                break
            out.append(item[:size])
            item = item[size:]
        out.append(item)
    return out


def _is_decorator(item: Phrase) -> bool:
    return isinstance(item[0], Token) and item[0].type == "AT"


def _is_long(item: Phrase) -> bool:
    """An item with a body, which stands between empty lines."""
    end = item[-1]
    return isinstance(end, Bracket) and end.kind == "{"
