"""Where intermediate values live in the workspace.

Enters: buffers with the first and last step that they are needed in. Leaves: a byte offset for each and the total. Two buffers
whose lives overlap never share a byte. Never reorders steps.

Policy. Sizes that are not known are multiples of a few units (one byte, N * T bytes). Buffers of one unit are packed like
constants, whatever the unit will be. Of two units one may lie at the lower end of a part of the workspace and the other at the
upper end (see `ends`): gradients of weights take the room of activations, layer by layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from charl import dims
from charl.dims import Dim, Size
from charl.plan.ends import facing
from charl.plan.packing import Kind, peaks

ALIGNMENT = 64  # bytes: a cache line, and the widest vector

# The most of the workspace that rounding one unit up to another may cost.
_ROUNDING = 0.005


@dataclass
class Life:
    """A buffer of `bytes` (already aligned) in use from step `first` to `last`, both inclusive."""

    key: object
    bytes: Size
    first: int
    last: int
    offset: Size = 0

    def overlaps(self, other: Life) -> bool:
        """Whether both are needed at some step."""
        return self.first <= other.last and other.first <= self.last


def aligned(size: Size) -> Size:
    """Bytes rounded up to the alignment."""
    return dims.ceildiv(size, ALIGNMENT) * ALIGNMENT


def assign(lives: Sequence[Life]) -> Size:
    """Set every offset; returns the size of the arena."""
    kinds = _kinds(lives)
    ends = facing(list(kinds))
    base: Size = 0
    for kind, members in kinds.items():
        if ends is None or kind not in (ends.lower, ends.upper):
            for x, low in zip(members, kind.lowest.lows, strict=True):
                x.offset = base + low * kind.unit
            base = base + kind.lowest.height * kind.unit
    if ends is None:
        return base
    total = base + _largest([_sum(counts, (ends.lower, ends.upper)) for counts in ends.sums])
    for x, low in zip(kinds[ends.lower], ends.lows, strict=True):
        x.offset = base + low * ends.lower.unit
    for x, high in zip(kinds[ends.upper], ends.highs, strict=True):
        x.offset = total - high * ends.upper.unit
    return total


def live_bytes(lives: Sequence[Life]) -> Size:
    """The largest sum of live buffers over the steps: no arena can be smaller."""
    kinds = list(_by_unit(lives, {}))
    sums = [_sum(counts, kinds) for counts in peaks(kinds)]
    found: list[Size] = (
        []
    )  # sums of which none is provably above another; the likely ones first rule out most others
    for total in sorted(sums, key=lambda s: dims.sampled(s, 256), reverse=True):
        if not any(dims.nonnegative(other - total) for other in found):
            found = [other for other in found if not dims.nonnegative(total - other)] + [total]
    return _largest(found)


def _largest(sizes: Sequence[Size]) -> Size:
    """The largest of sizes of which none is provably above another; 0 for none."""
    # No proof is tried on what already holds a maximum: it would look into every level again.
    best: Size = sizes[0] if sizes else 0
    for size in sizes[1:]:
        best = dims.atom(dims.Func("max", (best, size)))
    return best


def _sum(counts: Sequence[int], kinds: Sequence[Kind]) -> Size:
    out: Size = 0
    for n, kind in zip(counts, kinds, strict=True):
        out = out + n * kind.unit
    return out


# ---------------------------------------------------------------- what is measured in one unit


def _kinds(lives: Sequence[Life]) -> dict[Kind, list[Life]]:
    """Buffers by unit, in a fixed order. Units are rounded up to others where what they then share makes up for it."""
    exact = _by_unit(lives, {})
    totals = [sum(sizes) for sizes in zip(*map(_most, exact), strict=True)]
    by_unit = {k.unit: k for k in exact}
    rounded: dict[Size, Size] = {}
    for kind in exact:
        size = _rounded(kind.unit)
        times, unit = dims.content(size)
        if unit == kind.unit or unit not in by_unit:
            continue
        other = by_unit[unit]
        both = other.joined(kind, times)
        costs = [c - a - b for a, b, c in zip(_most(kind), _most(other), _most(both), strict=True)]
        if all(cost <= _ROUNDING * total for cost, total in zip(costs, totals, strict=True)):
            rounded[kind.unit], by_unit[unit] = size, both
    return _by_unit(lives, rounded) if rounded else exact


def _most(kind: Kind) -> list[int]:
    """What lives at once of a kind, in bytes at the samples."""
    ((count,),) = peaks([kind])
    return [count * unit for unit in kind.samples]


def _by_unit(lives: Sequence[Life], rounded: Mapping[Size, Size]) -> dict[Kind, list[Life]]:
    members: dict[Size, list[Life]] = {}
    counts: dict[Size, list[int]] = {}
    for x in lives:
        times, unit = dims.content(x.bytes)
        count, unit = dims.content(times * rounded.get(unit, unit))
        members.setdefault(unit, []).append(x)
        counts.setdefault(unit, []).append(count)
    return {
        Kind(unit, tuple(counts[unit]), tuple((x.first, x.last) for x in found)): found
        for unit, found in members.items()
    }


def _rounded(size: Size) -> Size:
    """Not below `size`: a product that is divided by a number and rounded up, rounded up in its own constant instead."""
    out: Size = size
    for m, c in size.terms if isinstance(size, Dim) else ():
        f, power = m[0] if m else (None, 0)
        if c > 0 and len(m) == power == 1 and isinstance(f, dims.Func) and f.name == "ceildiv":
            count, unit = dims.content(f.args[0])
            by = f.args[1]
            if isinstance(by, int) and isinstance(unit, Dim) and len(unit.terms) == 1 and dims.plain(unit):
                out = out + c * (dims.ceildiv(count, by) * unit - dims.atom(f))
    return out
