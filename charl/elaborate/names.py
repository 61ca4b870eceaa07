"""Suggestions for a name that does not exist. Enters: it and the known ones. Leaves: a help line, or None."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def suggest(name: str, known: Iterable[str]) -> str | None:
    """`did you mean …?` for the nearest known name."""
    near = closest(name, known)
    return f"did you mean `{near}`?" if near is not None else None


def closest(name: str, known: Iterable[str]) -> str | None:
    """The known name that is most like another; None where none is much like it."""
    names = list(dict.fromkeys(known))
    near = get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:  # other projects spell it with other capitals: `SGD`
        spelled = {n.lower(): n for n in reversed(names)}
        near = [spelled[n] for n in get_close_matches(name.lower(), list(spelled), n=1, cutoff=0.8)]
    return near[0] if near else None


def suggest_member(name: str, known: Iterable[str]) -> str | None:
    """The nearest member, or all of them."""
    names = list(dict.fromkeys(known))
    every = f"its members are {', '.join(f'`{n}`' for n in names)}" if names else None
    return suggest(name, names) or every


def suggest_parameter(name: str, known: Iterable[str]) -> str:
    """The nearest parameter, and all of them."""
    names = [f"`{n}`" for n in known if n]
    every = f"its parameters are {', '.join(names)}" if names else "it has none"
    near = suggest(name, known)
    return f"{near} {every}" if near else every
