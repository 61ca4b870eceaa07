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
    "IN": "in",
    "IMPORT": "import",
    "FN": "fn",
    "ELSE": "else",
    "ARROW": "->",
    "FAT_ARROW": "=>",
    "COLON": ":",
    "ASSIGN": "=",
    "SEMICOLON": ";",
    "COMMA": ",",
    "RPAR": ")",
    "RSQB": "]",
    "LBRACE": "{",
    "RBRACE": "}",
    "LPAR": "(",
    "LSQB": "[",
    "LESSTHAN": "<",
    "MORETHAN": ">",
    "VBAR": "|",
    "RANGE": "..",
    "DOT": ".",
}
MEMBER = frozenset({"COLON"})  # what follows the name of a member, and nothing else
_NEEDED = frozenset({"an expression", "a type", "a pattern", "a name", "a string"})
_STATEMENT_HEADS = frozenset(
    {
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
        "IF",
        "ASSERT",
        "TRUE",
    }
)
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
    "lambda": "a closure is written `|x| x * 2.0`",
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


def unexpected(source: Source, token: Token, previous: Token | None, expected: frozenset[str]) -> Diagnostic:
    """The diagnostic for `token`, which is none of `expected`."""
    span = Span(source, token.start, token.end)
    ends = token.first or token.type in (SEP, END)
    if ends and previous is not None and previous.type != SEP and not _top_level(expected):
        return _ends_early(Span(source, previous.end, previous.end), token, previous, expected)
    special = _special(token, previous, expected, span)
    if special is not None:
        return special
    wanted = _in_words(expected)
    message = f"expected {wanted}{_after(previous, wanted)}, found {_found(token)}"
    return Diagnostic(codes.UNEXPECTED, message, span, help=_help(token, previous, expected))


def _ends_early(place: Span, token: Token, previous: Token, expected: frozenset[str]) -> Diagnostic:
    """The line, or the file, ends where something is missing: the caret stands behind the last word."""
    wanted = _in_words(expected)
    after = _after(previous, wanted)
    found = "the end of the file" if token.type == END else "the end of the line"
    message = f"expected {wanted}{after}" + ("" if after else f", found {found}")
    return Diagnostic(codes.UNEXPECTED, message, place, help=_help(token, previous, expected))


def _after(previous: Token | None, wanted: str) -> str:
    if previous is None or previous.type == SEP or wanted not in _NEEDED:
        return ""
    return f" after `{previous.text}`"


def _special(token: Token, previous: Token | None, expected: frozenset[str], span: Span) -> Diagnostic | None:
    """Mistakes that have a name of their own."""
    kind, text = token.type, token.text
    if text in HARD_KEYWORDS and "NAME" in expected and "INT" not in expected:
        message = f"`{text}` is a keyword and cannot be a name"
        advice = f"call it `{text}_`"
        if text == "mut" and previous is not None and previous.type == "COLON":
            advice = "it stands before the name: `mut x: T`"
        return Diagnostic(codes.KEYWORD_AS_NAME, message, span, help=advice)
    if kind == "ASSIGN" and _continues(expected):
        help_ = "compare with `==`; a named argument is written `name: value`"
        return Diagnostic(
            codes.ASSIGNMENT_AS_VALUE, "`=` cannot stand inside an expression", span, help=help_
        )
    if _top_level(expected):
        message = f"expected an item, found {_found(token)}"
        items = "a file holds `fn`, `struct`, `model`, `const`, `type`, `test` and `from … import …`"
        return Diagnostic(codes.NO_SUCH_ITEM, message, span, (), (items,), _OTHER_LANGUAGES.get(text))
    if SEP in expected and previous is not None and _begins_statement(token):
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
    if expected == MEMBER:
        return "a member is written `name: type`; what a model pipes through stands inside `layers { … }`"
    if token.type == "SEMICOLON":
        return "`;` separates statements inside `{ }`, and the element from the count in `[x; n]`"
    if token.type == "COLON" and "RPAR" in expected:
        return "only a plain name can stand before the `:` of a named argument"
    if token.type == "MUT":
        return "`mut` stands before a parameter, a pattern or an argument"
    if "ASSIGN" in expected and "COLON" in expected and "NAME" not in expected:
        if token.type == "COMMA":
            return "a tuple is taken apart in parentheses: `let (a, b) = …`"
        if token.type in ("LSQB", "DOT"):
            return "`let` binds a name; an element or a member of a `let mut` is assigned without it"
    if previous is not None and previous.type == "ELSE" and token.type != "LBRACE":
        return "a branch stands between braces"
    return None


def _in_words(expected: frozenset[str]) -> str:
    """A few words for a set of terminals, the most telling first."""
    if _top_level(expected):
        return "an item"
    if "INT" in expected and "NAME" in expected:
        return "an expression"
    if {"NAME", "LPAR", "LSQB"} <= expected:
        return "a type" if "FN" in expected else "a pattern"
    words = []
    if "NAME" in expected:
        words.append("a name")
    if "STRING" in expected:
        words.append("a string")
    if SEP in expected and not _continues(expected):
        words.append("the end of the line")
    hidden = frozenset({"LPAR", "LSQB", "DOT"}) if "DOT" in expected else frozenset()
    if _continues(expected):
        hidden |= {"LESSTHAN", "MORETHAN", "VBAR", "ASSIGN"}
        if expected & {"RPAR", "RSQB", "RBRACE", "LBRACE"}:
            hidden |= {"COLON"}
    words += [f"`{spelling}`" for t, spelling in _SPELLING.items() if t in expected and t not in hidden]
    if not words:
        words = ["the end of the line" if SEP in expected else "the end of the file"]
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


def _top_level(expected: frozenset[str]) -> bool:
    return "STRUCT" in expected


def _continues(expected: frozenset[str]) -> bool:
    """Whether an expression has just ended."""
    return "PLUS" in expected and "OR" in expected


def _begins_statement(token: Token) -> bool:
    return token.type in _STATEMENT_HEADS
