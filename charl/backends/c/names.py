"""Names of the user's program as the C API spells them.

Enters: names as the user wrote them. Leaves: identifiers that nothing reserves, distinct within their scope, as close to what was
written as C allows. Never looks at what a name stands for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from charl.backends.c import words
from charl.backends.names import identifier


def snake(text: str) -> str:
    """CamelCase in lower case with underscores: `CharModel` is `char_model`, `GPT` is `gpt`."""
    text = re.sub(r"[<(\[].*$", "", text)  # the arguments of a generic type do not enter its name
    text = re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", text)
    text = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", text)
    return identifier(text).lower()


class Namer:
    """Hands out distinct identifiers of one scope."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._next: dict[str, int] = {}  # the number to try for a name that is taken

    def __call__(self, wanted: str) -> str:
        """`wanted` as an identifier: as it is where that is free, else with `_`, else numbered."""
        base = identifier(wanted)
        name = base = words.permitted(base, "name")
        n = self._next.get(base, 2)
        while name in self._taken or words.reserved(name):
            name, n = f"{base.rstrip('_')}_{n}", n + 1  # `this_2`: two underscores belong to C++
        self._next[base] = n
        self._taken.add(name)
        return name
