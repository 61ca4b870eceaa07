"""Tokens: the words of a file. Made by lexer.py, arranged by layout.py, eaten by parser.py."""

from __future__ import annotations

END = "$END"
SEP = "SEP"
ERROR = "ERROR"

OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CLOSERS = {closer: opener for opener, closer in OPENERS.items()}
SPELLING = {"LPAR": "(", "LSQB": "[", "LBRACE": "{", "RPAR": ")", "RSQB": "]", "RBRACE": "}"}

HARD_KEYWORDS = frozenset(
    {
        "and",
        "as",
        "assert",
        "const",
        "else",
        "false",
        "fn",
        "for",
        "if",
        "import",
        "in",
        "let",
        "match",
        "mut",
    }
    | {"None", "not", "or", "return", "struct", "true", "while", "yield"}
)
SOFT_KEYWORDS = frozenset({"model", "state", "param", "layers", "type", "from", "export", "test", "where"})


class Token:
    """One word: its terminal of the grammar, its text, and where it stands (characters start..end)."""

    __slots__ = ("column_one", "depth", "end", "first", "inserted", "start", "text", "type")

    def __init__(
        self, type_: str, text: str, start: int, end: int, first: bool, column_one: bool = False
    ) -> None:
        self.type = type_
        self.text = text
        self.start = start
        self.end = end
        self.first = first  # the first word of its line
        self.column_one = column_one  # and without a space before it
        self.depth = 0  # open brackets around it; of a bracket: around the pair
        self.inserted = False  # not in the file: closes what was left open

    def __repr__(self) -> str:
        return f"{self.type}({self.text})"
