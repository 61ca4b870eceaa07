"""Where the values of one function lie in its workspace, as pointers.

Enters: the offsets of a plan's places, in bytes. Leaves: declarations, and for each offset the pointer to its byte.
Offsets that are numbers or short are written where they are used. The others are a step from the one before them, and a step
that recurs has a name: twelve equal layers lie in parts of the same few sizes. Never decides where anything lies.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import pairwise

from charl import dims
from charl.backends.c.names import Namer
from charl.dims import Dim
from charl.graph.ir import Size

_SHORT = 2  # terms of an offset that is written where it is used
_USUAL = 256  # what dimension variables count for where parts are put in order


class Workspace:
    """`spell` gives the C text of a size; `names` are those of the function's variables."""

    def __init__(self, offsets: Iterable[Size], spell: Callable[[Size], str], names: Namer) -> None:
        self._spell = spell
        self._parts: dict[Size, str] = {}  # offset → the pointer to it
        self.declarations: list[str] = []
        offsets = sorted(set(offsets), key=lambda o: (dims.sampled(o, _USUAL), str(o)))
        steps = {b: b - a for a, b in pairwise(offsets)}
        long = [o for o in offsets if _terms(o) > _SHORT]
        sizes = self._sizes([steps[o] for o in long if o in steps], names)
        before: Size = 0
        for offset in offsets:
            if offset in long:
                name = names("part")
                step = steps[offset]
                self.declarations.append(
                    f"unsigned char *const {name} = {self.at(before)} + {sizes.get(step) or spell(step)};"
                )
                self._parts[offset] = name
            before = offset

    def at(self, offset: Size) -> str:
        """The pointer to a byte of the workspace, as an operand of a sum."""
        if offset == 0:
            return "arena"
        return self._parts.get(offset) or f"arena + {self._spell(offset)}"

    def _sizes(self, steps: list[Size], names: Namer) -> dict[Size, str]:
        """Steps that recur, and their names."""
        out: dict[Size, str] = {}
        for step, count in Counter(steps).items():
            if count > 1 and isinstance(step, Dim):
                out[step] = names("bytes")
                self.declarations.append(f"const ptrdiff_t {out[step]} = {self._spell(step)};")
        return out


def _terms(offset: Size) -> int:
    return len(offset.terms) if isinstance(offset, Dim) else 0
