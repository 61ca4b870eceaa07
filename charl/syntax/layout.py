"""Words to lines: where statements end, and which brackets belong together.

Enter the tokens of lexer.py, leave tokens with SEP between statements, every bracket closed and every depth known.
A bracket that was left open is reported where it was opened, and closed where the next statement or item begins, so
that the parser meets balanced text only. Nothing here knows the grammar.

The newline rule: a line end separates after a token that can end a statement, unless the innermost open bracket is
`(` or `[`, or the next line begins with `|>`, `.name` or `else`.
"""

from __future__ import annotations

from charl.errors import Diagnostic, Label
from charl.source import Span
from charl.syntax import codes
from charl.syntax.lexer import Lexed
from charl.syntax.tokens import CLOSERS, END, OPENERS, SEP, SOFT_KEYWORDS, SPELLING, Token

MAX_DEPTH = 100

_ENDERS = frozenset(
    {
        "NAME",
        "INT",
        "FLOAT",
        "STRING",
        "RPAR",
        "RSQB",
        "RBRACE",
        "MORETHAN",
        "RETURN",
        "TRUE",
        "FALSE",
        "NONE",
    }
    | {word.upper() for word in SOFT_KEYWORDS}
)
_BINARY = frozenset(
    {"PLUS", "STAR", "SLASH", "PERCENT", "POWER", "EQUAL", "DIFFERENT", "LESSTHAN", "AT_MOST", "MORETHAN"}
    | {"AT_LEAST", "AND", "OR", "AS"}
)
_STATEMENT_WORDS = frozenset({"LET", "RETURN", "YIELD", "ASSERT"})
_MEMBER_FOLLOWERS = {"FN": "NAME", "PARAM": "NAME", "STATE": "NAME", "LAYERS": "LBRACE"}
_ITEM_FOLLOWERS = {
    "FN": "NAME",
    "STRUCT": "NAME",
    "CONST": "NAME",
    "MODEL": "NAME",
    "TYPE": "NAME",
    "FROM": "NAME STRING",
    "EXPORT": "FN",
    "TEST": "STRING",
}


def begins_item(token: Token, following: Token) -> bool:
    """Whether two tokens look like the head of an item."""
    return following.type in _ITEM_FOLLOWERS.get(token.type, "").split()


def _begins_line(token: Token, following: Token) -> bool:
    """Whether two tokens begin a statement or a member, and nothing that could stand between `(` and `)`."""
    member = token.first and following.type == _MEMBER_FOLLOWERS.get(token.type)
    return member or token.type in _STATEMENT_WORDS


def arrange(lexed: Lexed) -> tuple[list[Token], list[Diagnostic]]:
    """The tokens for the parser, ending with END, and what is wrong with brackets and line beginnings."""
    layout = _Layout(lexed)
    layout.run()
    return layout.out, layout.diagnostics


class _Layout:
    def __init__(self, lexed: Lexed) -> None:
        self.source = lexed.source
        self.tokens = lexed.tokens
        self.out: list[Token] = []
        self.open: list[Token] = []
        self.diagnostics: list[Diagnostic] = []
        self.mended = False  # in the present item: closing brackets may be left over by that
        self.balanced = _balanced(lexed.tokens)

    def run(self) -> None:
        tokens, out, stack = self.tokens, self.out, self.open
        end = len(self.source.text.rstrip())
        sentinel = Token(END, "", end, end, True)
        for i, token in enumerate(tokens):
            following = tokens[i + 1] if i + 1 < len(tokens) else sentinel
            kind = token.type
            if not self.balanced:
                self._close_before(token, following)
            if token.first and out and out[-1].type in _ENDERS:
                self._line_end(token, following)
            if kind == "SEMICOLON" and (not stack or stack[-1].type == "LBRACE"):
                if out and out[-1].type not in (SEP, "LBRACE"):
                    self._separate(token.start, token.end)
                continue
            if kind in CLOSERS:
                self._closer(token)
                continue
            token.depth = len(stack)
            out.append(token)
            if kind in OPENERS:
                stack.append(token)
                if len(stack) > MAX_DEPTH:
                    self._too_deep(token, sentinel)
                    return
        if stack:
            self._unclosed(self._suspect(stack[-1]), sentinel, "the file ends here")
            self._close_down(0)
        if out and out[-1].type == SEP:
            out.pop()
        out.append(sentinel)

    # ---- lines

    def _line_end(self, token: Token, following: Token) -> None:
        """`token` begins a line after a token that can end a statement."""
        kind = token.type
        if self.open and self.open[-1].type != "LBRACE":
            return
        if kind in ("PIPE", "ELSE", "RBRACE"):
            return
        if kind == "DOT" and following.start == token.end and following.text[:1].isidentifier():
            return
        spaced = following.start > token.end
        if kind in _BINARY or (kind in ("MINUS", "AT") and spaced):
            self._operator_first(token)
            return
        self._separate(self.out[-1].end, self.out[-1].end)

    def _separate(self, start: int, end: int) -> None:
        separator = Token(SEP, "", start, end, False)
        separator.depth = len(self.open)
        self.out.append(separator)

    def _operator_first(self, token: Token) -> None:
        shown = "- " if token.type == "MINUS" else token.text
        self._report(
            codes.OPERATOR_AT_LINE_START,
            f"a line cannot begin with `{shown}`",
            token,
            (Label(self._after(self.out[-1]), "the statement ends here"),),
            "end the line before with the operator, or put the expression between parentheses"
            + ("; a negative value is written without the space" if token.type == "MINUS" else ""),
        )

    # ---- brackets

    def _closer(self, token: Token) -> None:
        stack, out = self.open, self.out
        wanted = CLOSERS[token.type]
        if stack and stack[-1].type != wanted:
            self._mismatch(token, wanted)
        if not stack or stack[-1].type != wanted:
            return
        if out[-1].type == SEP:
            out.pop()
        stack.pop()
        token.depth = len(stack)
        out.append(token)

    def _mismatch(self, token: Token, wanted: str) -> None:
        """A closing bracket that does not fit the innermost open one: which of the two is the mistake?"""
        stack = self.open
        line = Span(self.source, token.start, token.end).line
        for depth in range(len(stack) - 1, -1, -1):
            opener = stack[depth]
            if opener.type == wanted:
                self._unclosed(
                    stack[-1], token, f"`{SPELLING[OPENERS[stack[-1].type]]}` is missing before this"
                )
                self._close_down(depth + 1)
                return
            same_line = Span(self.source, opener.start, opener.end).line == line
            if wanted != "LBRACE" and opener.type == "LBRACE" and not same_line:
                break
        innermost = stack[-1]
        if innermost.type != "LBRACE" and wanted != "LBRACE":
            self._unclosed(innermost, token, f"closed by `{token.text}`")
            self._close_down(len(stack) - 1)
            return
        self._stray(token)

    def _stray(self, token: Token) -> None:
        if not self.mended:
            self._report(codes.STRAY_BRACKET, f"nothing is open that this `{token.text}` could close", token)

    def _close_before(self, token: Token, following: Token) -> None:
        """Close what an unbalanced file left open, where `token` cannot stand inside it."""
        stack = self.open
        item = token.column_one and begins_item(token, following)
        if not stack:
            self.mended = self.mended and not item
            if token.type in CLOSERS:
                self._stray(token)
            return
        if item:
            self._unclosed(self._suspect(stack[-1]), token, "an item begins here")
            self._close_down(0)
            self.mended = False
        elif stack[-1].type != "LBRACE" and _begins_line(token, following):
            self._unclosed(stack[-1], token, "this cannot stand inside it")
            depth = len(stack)
            while depth and stack[depth - 1].type != "LBRACE":
                depth -= 1
            self._close_down(depth)

    def _close_down(self, depth: int) -> None:
        """Insert the missing closing brackets until `depth` are open."""
        while len(self.open) > depth:
            opener = self.open.pop()
            closer = OPENERS[opener.type]
            if self.out[-1].type == SEP:
                self.out.pop()
            place = self.out[-1].end
            token = Token(closer, SPELLING[closer], place, place, False)
            token.inserted = True
            token.depth = len(self.open)
            self.out.append(token)

    def _suspect(self, opener: Token) -> Token:
        """The brace that was most likely left open, where `opener` is the one left over: by indentation."""
        if opener.type != "LBRACE":
            return opener
        stack: list[Token] = []
        after = len(self.out) - 1
        while self.out[after] is not opener:
            after -= 1
        for token in self.out[after + 1 :]:
            if token.type == "LBRACE":
                stack.append(token)
            elif token.type == "RBRACE" and stack:
                pair = stack.pop()
                if token.first and self._indent(token) < self._indent(pair):
                    return pair
        return opener

    def _indent(self, token: Token) -> int:
        line = self.source.line(Span(self.source, token.start, token.end).line)
        return len(line) - len(line.lstrip())

    # ---- reports

    def _unclosed(self, opener: Token, at: Token, why: str) -> None:
        self.mended = True
        labels = () if at.type == END else (Label(Span(self.source, at.start, at.end), why),)
        note = (why,) if at.type == END else ()
        self._report(codes.UNCLOSED, f"this `{opener.text}` is never closed", opener, labels, notes=note)

    def _too_deep(self, token: Token, sentinel: Token) -> None:
        self._report(codes.TOO_DEEP, f"more than {MAX_DEPTH} brackets are open here", token)
        self.out[:] = [sentinel]

    def _after(self, token: Token) -> Span:
        return Span(self.source, token.end, token.end)

    def _report(
        self,
        code: str,
        message: str,
        token: Token,
        labels: tuple[Label, ...] = (),
        help_: str | None = None,
        notes: tuple[str, ...] = (),
    ) -> None:
        span = Span(self.source, token.start, token.end)
        self.diagnostics.append(Diagnostic(code, message, span, labels, notes, help_))


def _balanced(tokens: list[Token]) -> bool:
    stack: list[str] = []
    for token in tokens:
        if token.type in OPENERS:
            stack.append(token.type)
        elif token.type in CLOSERS and (not stack or stack.pop() != CLOSERS[token.type]):
            return False
    return not stack
