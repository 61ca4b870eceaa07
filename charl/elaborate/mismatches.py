"""Types that do not fit: what is raised, and the words for it.

Enters: a type expression, a matcher with what is bound so far, sizes. Leaves: an exception, or text. Matches nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from charl import dtypes
from charl.dims import Dim
from charl.dtypes import DType
from charl.elaborate import values as v
from charl.syntax import ast

if TYPE_CHECKING:
    from charl.elaborate.types import Matcher


class Mismatch(Exception):
    """A type does not fit a type expression: which expression, and why where that is not plain."""

    def __init__(self, at: Any, reason: str = "") -> None:
        super().__init__(reason)
        self.at = at
        self.reason = reason


def differs(d: Any, want: Any, actual: Any) -> str:
    """Why two sizes do not fit."""
    text = d.span.text
    if text == str(want):
        return f"{actual} differs from {want}"
    owner, dot, parameter = str(want).rpartition(".")
    if dot and isinstance(want, Dim) and owner.isidentifier() and isinstance(actual, int):
        fixed = f"`{owner}({parameter}: {actual})`"
        return (
            f"`{text}` is {want}, not {actual}: the signature's `{owner}` leaves it open, {fixed} would not"
        )
    return f"`{text}` is {want}, not {actual}"


def expected(matcher: Matcher, t: Any) -> str:
    """A declared type as written, with what its names are worth where they differ: `f32[h, 10] with h = 128`."""
    known: list[str] = []
    for node in ast.walk(t):
        if isinstance(node, ast.Pack):
            value = matcher.lookup(node.name.name)
            if isinstance(value, v.Run):
                known.append(f"*{node.name} = ({', '.join(map(str, value.items))})")
        elif isinstance(node, ast.Name) and node.name not in dtypes.ALL:
            value = matcher.lookup(node.name)
            shown = isinstance(value, (DType, int, Dim)) or v.is_type(value)
            if shown and str(value) != node.name:
                known.append(f"{node.name} = {value}")
    text = " ".join(t.span.text.split())
    return f"{text} with {', '.join(dict.fromkeys(known))}" if known else text
