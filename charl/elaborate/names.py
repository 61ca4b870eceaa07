"""Suggestions for a name that does not exist. Enters: it and the known ones. Leaves: a help line, or None."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` for the nearest known name."""
    near = get_close_matches(name, list(dict.fromkeys(known)), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else None


def suggest_parameter(name: str, known: Iterable[str]) -> str:
    """The nearest parameter, and all of them."""
    names = [f"`{n}`" for n in known if n]
    every = f"its parameters are {', '.join(names)}" if names else "it has none"
    near = suggest(name, known)
    return f"{near} {every}" if near else every
