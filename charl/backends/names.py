"""Identifiers of emitted code: what users called things, made legal and unique.

Enters: hints such as `0.w`, `i.12` or `größe`, and the words a language reserves. Leaves: identifiers. One `Names` per
scope of emission (a kernel, a file), so that what was compiled before changes no name.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_ILLEGAL = re.compile(r"[^0-9A-Za-z_]")
_COUNTER = re.compile(r"\.\d+$")


def identifier(hint: str, default: str = "value") -> str:
    """`hint` as an ASCII identifier: other characters become `_` (letters outside ASCII their code point)."""
    text = _ILLEGAL.sub(lambda m: f"u{ord(m[0]):x}" if m[0].isalpha() else "_", hint)
    text = re.sub("_+", "_", text).strip("_")
    if not text:
        return default
    return f"{default}_{text}" if text[0].isdigit() else text


def stem(hint: str) -> str:
    """`hint` without the number that made it unique inside the compiler (`i.12` is `i`)."""
    return _COUNTER.sub("", hint)


class Names:
    """Hands out identifiers, each once."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        self._reserved = frozenset(reserved)
        self._taken: set[str] = set()

    def allocate(self, hint: str, default: str = "value") -> str:
        """A new identifier that reads like `hint`: `w`, then `w_2`, `w_3`; a reserved word gets a `_` behind it."""
        base = identifier(hint, default)
        if base in self._reserved:
            base += "_"
        name = base
        number = 2
        while name in self._taken or name in self._reserved:
            name = f"{base}_{number}"
            number += 1
        self._taken.add(name)
        return name

    def first(self, hints: Iterable[str]) -> str:
        """The first of `hints` that is still free; else a numbered one."""
        known = list(hints)
        free = (h for h in known if h not in self._taken and h not in self._reserved)
        return self.allocate(next(free, known[0]))

    def inner(self) -> Names:
        """Names for a scope inside this one: avoids those taken so far, keeps its own to itself."""
        scope = Names(self._reserved)
        scope._taken = set(self._taken)
        return scope
