"""Buffers whose sizes are multiples of one unit, packed by first fit.

Enters: sizes as numbers of units, and the first and last step of each buffer. Leaves: where each begins, in units, and how high
all of them reach. Two buffers that are needed at one step share nothing.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from heapq import heappop, heappush

from charl import dims
from charl.dims import Size

Key = tuple[int, ...]

# Where ways to lay out sizes that are not known are compared: every symbol is one of these.
_SAMPLES = tuple(2**k for k in range(13))


def samples(size: Size) -> list[int]:
    """What a size is at the samples."""
    return [dims.sampled(size, s) for s in _SAMPLES]


@dataclass(frozen=True)
class Packing:
    """Where each buffer begins, and how high all of them reach."""

    lows: Key
    height: int


@dataclass(eq=False)
class Kind:
    """Buffers of `counts` units each; `lives` are the first and last step, inclusive, of each."""

    unit: Size
    counts: tuple[int, ...]
    lives: tuple[tuple[int, int], ...]

    @cached_property
    def samples(self) -> list[int]:
        """The unit at the samples."""
        return samples(self.unit)

    def joined(self, other: Kind, times: int) -> Kind:
        """With the buffers of another kind, whose unit is `times` this one."""
        return Kind(self.unit, self.counts + tuple(n * times for n in other.counts), self.lives + other.lives)

    @cached_property
    def lowest(self) -> Packing:
        """The lowest of several first fits, or the first that is as low as the most that lives at once."""
        least = max((live for (live,) in peaks([self])), default=0)
        best = self._first_fit(_ORDERS[0])
        for order in _ORDERS[1:]:
            if best.height == least:
                break
            found = self._first_fit(order)
            best = found if found.height < best.height else best
        return best

    @cached_property
    def packings(self) -> list[Packing]:
        """All of them."""
        return list(dict.fromkeys(map(self._first_fit, _ORDERS)))

    def highs(self, packing: Packing) -> Key:
        """Where each buffer ends."""
        return tuple(low + count for low, count in zip(packing.lows, self.counts, strict=True))

    def reached(self, packing: Packing, steps: int) -> list[int]:
        """How high the buffers that are needed reach, at each step."""
        starting = sorted(zip(self.lives, self.highs(packing), strict=True), reverse=True)
        out: list[int] = []
        needed: list[tuple[int, int]] = []  # the highest first: end (negative) and last step
        for step in range(steps):
            while starting and starting[-1][0][0] <= step:
                (_, last), high = starting.pop()
                heappush(needed, (-high, last))
            while needed and needed[0][1] < step:
                heappop(needed)
            out.append(-needed[0][0] if needed else 0)
        return out

    def _first_fit(self, order: Callable[[int, int, int, int], Key]) -> Packing:
        """Each buffer, in an order, at the lowest place that is free while it is needed."""
        steps = 1 + max(last for _, last in self.lives)
        keys = [order(count, *life, steps) for count, life in zip(self.counts, self.lives, strict=True)]
        lows = [0] * len(keys)
        placed: list[tuple[int, int, int, int]] = []  # low, high, first, last: from the lowest on
        for k in sorted(range(len(keys)), key=keys.__getitem__):
            count, (first, last) = self.counts[k], self.lives[k]
            at = 0
            for low, high, begin, end in placed:
                if begin <= last and first <= end:
                    if at + count <= low:
                        break
                    at = max(at, high)
            lows[k] = at
            insort(placed, (at, at + count, first, last))
        return Packing(tuple(lows), max((high for _, high, _, _ in placed), default=0))


# Of size, first and last step, and the number of steps: what comes first. Last steps in order let what is left reach less and
# less high. In sixteenths it does so less, but all is lower; or what lives shortly comes behind the others.
_ORDERS: tuple[Callable[[int, int, int, int], Key], ...] = (
    lambda size, first, last, steps: (-size, first),
    lambda size, first, last, steps: (first, -size),
    lambda size, first, last, steps: (-(last - first + 1) * size, first),
    lambda size, first, last, steps: (-last, -size),
    lambda size, first, last, steps: (-(16 * last // steps), -size, first),
    lambda size, first, last, steps: (-(32 * last // steps), -size, first),
    lambda size, first, last, steps: (-int(16 * (last - first) >= steps), -last, -size),
)


def peaks(kinds: Sequence[Kind]) -> list[Key]:
    """How much of each kind lives where it stops growing; only sums that no other exceeds in every kind."""
    starts: dict[int, list[tuple[int, int]]] = {}
    ends: dict[int, list[tuple[int, int]]] = {}
    for k, kind in enumerate(kinds):
        for count, (first, last) in zip(kind.counts, kind.lives, strict=True):
            starts.setdefault(first, []).append((k, count))
            ends.setdefault(last, []).append((k, count))
    found: dict[Key, None] = {}
    now = [0] * len(kinds)
    grown = False
    for step in sorted({*starts, *ends}):
        for k, count in starts.get(step, ()):
            now[k], grown = now[k] + count, True
        gone = ends.get(step, ())
        if gone and grown:
            found[tuple(now)], grown = None, False
        for k, count in gone:
            now[k] -= count
    return undominated(list(found))


def undominated(sums: Sequence[Key]) -> list[Key]:
    """The sums that no other exceeds in every place."""
    out: list[Key] = []
    for new in sorted(dict.fromkeys(sums), key=lambda s: (sum(s), s), reverse=True):
        if not any(all(a >= b for a, b in zip(old, new, strict=True)) for old in out):
            out.append(new)
    return out
