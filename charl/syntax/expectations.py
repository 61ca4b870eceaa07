"""What to say about a token that cannot follow: what was expected, in words, and the likely mistake behind it.

Enters the token, its neighbours and the terminals that could have followed; leaves a diagnostic. Nothing here
changes what is parsed.
"""

from __future__ import annotations

from charl.errors import Diagnostic
from charl.source import Source, Span
from charl.syntax import codes
from charl.syntax.tokens import END, HARD_KEYWORDS, SEP, SOFT_KEYWORDS, Token

_SPELLING = {
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "COMMA": ",",
    "COLON": ":",
    "SEMICOLON": ";",
    "EQUAL": "==",
    "ARROW": "->",
    "FAT_ARROW": "=>",
    "LESSTHAN": "<",
    "MORETHAN": ">",
    "VBAR": "|",
    "RANGE": "..",
    "DOT": ".",
    "AT": "@",
    "IN": "in",
    "IMPORT": "import",
    "FN": "fn",
    "ELSE": "else",
}
_OTHER_LANGUAGES = {
    "def": "a function is written `fn name(x: f32[N]) -> f32[N] { … }`",
    "func": "a function is written `fn name(x: f32[N]) -> f32[N] { … }`",
    "function": "a function is written `fn name(x: f32[N]) -> f32[N] { … }`",
    "class": "write `struct` for data, `model` for what has parameters to train",
    "enum": "`match` works on compile-time values and integers",
    "import": "write `from nn import Dense`",
    "use": "write `from nn import Dense`",
    "let": "a name for the whole file is made by `const`",
    "var": "write `let mut`",
    "pub": "what leaves the compiler is marked `export`",
    "impl": "methods stand inside the struct or model",
}
_STATEMENTS = {
    "var": "write `let mut`",
    "elif": "write `else if`",
    "loop": "write `for _ in 0..n while c { }`, or `while c { }`",
    "del": "values end by themselves",
    "const": "inside a function, write `let`",
}


def unexpected(
    source: Source, token: Token, following: list[Token], previous: Token | None, expected: frozenset[str]
) -> Diagnostic:
    """The diagnostic for `token`, which is none of `expected`."""
    span = Span(source, token.start, token.end)
    special = _special(token, following, previous, expected, span)
    if special is not None:
        return special
    wanted = _in_words(expected)
    after = f" after `{previous.text}`" if previous is not None and _worth_naming(previous, wanted) else ""
    message = f"expected {wanted}{after}, found {_found(token)}"
    return Diagnostic(codes.UNEXPECTED, message, span, help=_help(token, previous, expected))


def _special(
    token: Token, following: list[Token], previous: Token | None, expected: frozenset[str], span: Span
) -> Diagnostic | None:
    """Mistakes that have a name of their own."""
    kind, text = token.type, token.text
    if text in HARD_KEYWORDS and "NAME" in expected and "LPAR" not in expected:
        message = f"`{text}` is a keyword and cannot be a name"
        return Diagnostic(codes.KEYWORD_AS_NAME, message, span, help=f"call it `{text}_`")
    if kind == "ASSIGN" and _continues(expected):
        help_ = "compare with `==`; a named argument is written `name: value`"
        return Diagnostic(
            codes.ASSIGNMENT_AS_VALUE, "`=` cannot stand inside an expression", span, help=help_
        )
    if _top_level(expected):
        hint = _OTHER_LANGUAGES.get(text)
        if previous is not None and previous.type == "NAME" and SEP in expected:
            return None
        message = f"expected an item, found {_found(token)}"
        items = "a file holds `fn`, `struct`, `model`, `const`, `type`, `test` and `from … import …`"
        return Diagnostic(codes.NO_SUCH_ITEM, message, span, (), (items,), hint)
    if SEP in expected and kind not in (SEP, END) and _begins_value(token) and previous is not None:
        known = _STATEMENTS.get(previous.text) or _OTHER_LANGUAGES.get(previous.text)
        if known is not None and previous.type == "NAME":
            place = Span(span.source, previous.start, previous.end)
            return Diagnostic(codes.NO_SUCH_STATEMENT, f"Charl has no `{previous.text}`", place, help=known)
        message = f"expected the end of the statement, found {_found(token)}"
        advice = "put it on a line of its own, or `;` between the two"
        return Diagnostic(codes.SAME_LINE, message, span, help=advice)
    return None


def _help(token: Token, previous: Token | None, expected: frozenset[str]) -> str | None:
    if token.type == "LBRACE" and "LPAR" in expected and SEP in expected:
        return "a struct is made by field: `Cache(k: …, v: …)`"
    if token.type == "SEMICOLON":
        return "`;` separates statements inside `{ }`, and the element from the count in `[x; n]`"
    if token.type == "COLON" and "RPAR" in expected:
        return "only a plain name can stand before the `:` of a named argument"
    if token.type == "MUT":
        return "`mut` stands before a parameter, a pattern or an argument"
    if token.type == "IF" and "ELSE" in expected:
        return "write `else if`"
    if token.text == "elif":
        return "write `else if`"
    if previous is not None and previous.type == "ELSE" and token.type != "LBRACE":
        return "a branch stands between braces"
    return None


def _in_words(expected: frozenset[str]) -> str:
    """A few words for a set of terminals, the most telling first."""
    if _top_level(expected):
        return "an item"
    if _begins_expression(expected):
        return "an expression"
    if "NAME" in expected and "LPAR" in expected:
        return "a pattern" if "MUT" in expected and "FN" not in expected else "a type"
    words = []
    if "NAME" in expected:
        words.append("a name")
    if "STRING" in expected and "INT" not in expected:
        words.append("a string")
    if SEP in expected:
        words.append("the end of the line")
    closers = [t for t in ("RPAR", "RSQB", "RBRACE") if t in expected]
    for terminal, spelling in _SPELLING.items():
        if terminal not in expected or (terminal in ("EQUAL", "LESSTHAN", "MORETHAN", "AT", "DOT", "VBAR")):
            continue
        if terminal in ("LPAR", "LSQB") and _continues(expected):
            continue
        if terminal == "LBRACE" and closers:
            continue
        words.append(f"`{spelling}`")
    if "ASSIGN" in expected and not _continues(expected):
        words.append("`=`")
    if not words:
        words = [f"`{_SPELLING.get(t, t.lower())}`" for t in sorted(expected) if t != END] or [
            "the end of the file"
        ]
    if len(words) > 4:
        words = words[:4]
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " or " + words[-1]


def _found(token: Token) -> str:
    if token.type == END:
        return "the end of the file"
    if token.type == SEP:
        return "`;`" if token.end > token.start else "the end of the line"
    if token.text in HARD_KEYWORDS or not (token.text[:1].isalnum() or token.text[:1] == "_"):
        return f"`{token.text}`"
    if token.text in SOFT_KEYWORDS or token.type == "NAME":
        return f"the name `{token.text}`"
    return f"the number `{token.text}`"


def _worth_naming(previous: Token, wanted: str) -> bool:
    return wanted in ("an expression", "a type", "a pattern", "a name") and previous.type != SEP


def _top_level(expected: frozenset[str]) -> bool:
    return "STRUCT" in expected


def _begins_expression(expected: frozenset[str]) -> bool:
    return "INT" in expected and "NAME" in expected


def _continues(expected: frozenset[str]) -> bool:
    """Whether an expression has just ended."""
    return "PLUS" in expected and "OR" in expected


def _begins_value(token: Token) -> bool:
    return token.type in (
        "NAME",
        "INT",
        "FLOAT",
        "STRING",
        "LET",
        "RETURN",
        "YIELD",
        "FOR",
        "WHILE",
        "MATCH",
        "TRUE",
    )
