"""Two kinds of buffers that grow towards each other from both ends of a part of the workspace.

Enters: kinds of buffers (see `packing`), whose units are not known. Leaves: the two for which that saves most, where their
buffers lie, and the sums of which the part is as large as the largest. Never lays out the others.

One kind frees what the other takes where a program goes its way back: activations, and gradients of weights. Which is larger is
known at run time only, so neither can be packed into the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise, product
from operator import mul

from charl.plan.packing import Key, Kind, peaks, undominated

# Offsets from the upper end are longer to compute: only for a saving of this share at some sample.
_WORTH = 0.05
# What is never this share of the workspace is not looked at.
_MINOR = 0.02
# Sums that the workspace may be the largest of.
_SUMS = 4


@dataclass(frozen=True)
class Ends:
    """`lows`: where the buffers of `lower` begin, above the lower end. `highs`: where those of `upper` do, below the upper end.

    `sums`: how many of both units must have room between the ends.
    """

    lower: Kind
    upper: Kind
    lows: Key
    highs: Key
    sums: tuple[Key, ...]


def facing(kinds: Sequence[Kind]) -> Ends | None:
    """The best pair of kinds to face each other; None where it saves little."""
    if len(kinds) < 2:
        return None
    least = _most(kinds, peaks(kinds))
    alone = {k: _most([k], [(k.lowest.height,)]) for k in kinds}
    totals = [sum(sizes) for sizes in zip(*alone.values(), strict=True)]
    major = [k for k in kinds if any(a > _MINOR * t for a, t in zip(alone[k], totals, strict=True))]
    best: tuple[float, Ends] | None = None
    for pair in combinations(major, 2):
        others = [t - a - b for t, a, b in zip(totals, alone[pair[0]], alone[pair[1]], strict=True)]

        def sizes(sums: Sequence[Key], pair: Sequence[Kind] = pair, others: list[int] = others) -> list[int]:
            """The workspace at the samples, with sums of the pair between the ends."""
            return [o + p for o, p in zip(others, _most(pair, sums), strict=True)]

        if not _pays(sizes(peaks(pair)), totals):
            continue  # not even where all that lives fits exactly
        for ends in _pairs(*pair):
            found = sizes(ends.sums)
            lost = sum((size / n - 1) ** 2 for size, n in zip(found, least, strict=True) if n)
            if _pays(found, totals) and (best is None or lost < best[0]):
                best = lost, ends
    return best and best[1]


def _most(kinds: Sequence[Kind], sums: Sequence[Key]) -> list[int]:
    """The largest of sums of kinds, in bytes at the samples."""
    units = zip(*(k.samples for k in kinds), strict=True)
    return [max(sum(map(mul, counts, unit)) for counts in sums) for unit in units]


def _pays(sizes: Sequence[int], totals: Sequence[int]) -> bool:
    return any(size <= (1 - _WORTH) * total for size, total in zip(sizes, totals, strict=True) if total)


def _pairs(lower: Kind, upper: Kind) -> Iterator[Ends]:
    """Every way to pack both."""
    steps = 1 + max(last for k in (lower, upper) for _, last in k.lives)
    found = [[(p, k.reached(p, steps)) for p in k.packings] for k in (lower, upper)]
    for (below, a), (above, b) in product(*found):
        sums = _fewer(_hull(list(set(zip(a, b, strict=True)))))
        yield Ends(lower, upper, below.lows, upper.highs(above), tuple(sums))


def _hull(points: Sequence[Key]) -> list[tuple[int, int]]:
    """The points of which one is the largest for some pair of units: the upper right hull, from left to right."""
    out: list[tuple[int, int]] = []
    for x, y in sorted(undominated(points)):
        while len(out) > 1 and _below(out[-1], out[-2], (x, y)):
            out.pop()
        out.append((x, y))
    return out


def _below(p: Key, a: Key, b: Key) -> bool:
    """Whether `p` is not above the line from `a` on its left to `b` on its right."""
    return (p[1] - a[1]) * (b[0] - a[0]) <= (b[1] - a[1]) * (p[0] - a[0])


def _fewer(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """At most `_SUMS` points that reach as high as all of them: neighbours are replaced by what holds both."""
    while len(points) > _SUMS:
        costs = [(b[0] - a[0]) * (a[1] - b[1]) for a, b in pairwise(points)]  # of the corner that is added
        k = costs.index(min(costs))
        points[k : k + 2] = [(points[k + 1][0], points[k][1])]
    return points
