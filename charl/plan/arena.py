"""Where intermediate values live in the workspace.

Enters: buffers with the first and last step that they are needed in. Leaves: a byte offset for each and the total. Two buffers
whose lives overlap never share a byte. Never reorders steps.
"""

from __future__ import annotations

from dataclasses import dataclass

from charl import dims
from charl.dims import Dim, nonnegative

Size = int | Dim
ALIGNMENT = 64  # bytes: a cache line, and the widest vector


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


def assign(lives: list[Life]) -> Size:
    """Set every offset; returns the size of the arena.

    Constant sizes: best of several first-fit orders. Symbolic ones share slots where one is provably as large.
    """
    if all(isinstance(x.bytes, int) for x in lives):
        return _assign_constant(lives)
    return _assign_symbolic(lives)


def live_bytes(lives: list[Life]) -> Size:
    """The largest sum of live buffers over the steps: no arena can be smaller."""
    totals = _peaks(lives)
    largest: list[Size] = []  # sums of which none is provably above another
    for total in sorted(
        totals, key=_typical, reverse=True
    ):  # the likely ones first: they rule out most others
        if not any(dims.nonnegative(other - total) for other in largest):
            largest = [other for other in largest if not dims.nonnegative(total - other)] + [total]
    # No proof is tried on what already holds a maximum: it would look into every level again.
    best: Size = largest[0] if largest else 0
    for total in largest[1:]:
        best = dims.atom(dims.Func("max", (best, total)))
    return best


def _peaks(lives: list[Life]) -> dict[Size, None]:
    """The sums of live buffers where they stop growing: every other is a part of one of these."""
    starts: dict[int, list[Life]] = {}
    ends: dict[int, list[Life]] = {}
    for x in lives:
        starts.setdefault(x.first, []).append(x)
        ends.setdefault(x.last, []).append(x)
    totals: dict[Size, None] = {}
    now: Size = 0
    grown = False
    for step in sorted({*starts, *ends}):
        for x in starts.get(step, ()):
            now, grown = now + x.bytes, True
        gone = ends.get(step, ())
        if gone and grown:
            totals[now], grown = None, False
        for x in gone:
            now = now - x.bytes
    return totals


def _typical(x: Size) -> int:
    """The value of a size at sizes of some hundred."""
    return dims.evaluate(x, dict.fromkeys(dims.symbols(x), 256)) if isinstance(x, dims.Dim) else x


def _assign_constant(lives: list[Life]) -> int:
    orders = (
        lambda x: (-_constant(x), x.first),
        lambda x: (x.first, -_constant(x)),
        lambda x: (-(x.last - x.first + 1) * _constant(x), x.first),
        lambda x: (-x.last, -_constant(x)),
    )
    best: tuple[int, list[int]] | None = None
    for key in orders:
        offsets = _first_fit(sorted(lives, key=key))
        total = max((offsets[id(x)] + _constant(x) for x in lives), default=0)
        if best is None or total < best[0]:
            best = (total, [offsets[id(x)] for x in lives])
    assert best is not None
    for x, offset in zip(lives, best[1]):
        x.offset = offset
    return best[0]


def _constant(x: Life) -> int:
    assert isinstance(x.bytes, int)
    return x.bytes


def _first_fit(ordered: list[Life]) -> dict[int, int]:
    placed: list[tuple[int, int, Life]] = []
    offsets: dict[int, int] = {}
    for x in ordered:
        size = _constant(x)
        at = 0
        for start, end, other in sorted(placed, key=lambda t: t[0]):
            if not x.overlaps(other):
                continue
            if at + size <= start:
                break
            at = max(at, end)
        offsets[id(x)] = at
        placed.append((at, at + size, x))
    return offsets


# ---------------------------------------------------------------- sizes that are not known


@dataclass
class _Held:
    """A buffer in a slot, from byte `low` to `high`; `least` and `most` are the same at usual sizes."""

    low: Size
    high: Size
    least: int
    most: int
    first: int
    last: int


class _Slot:
    """Bytes of the arena for buffers that are provably not larger than the first in it: there they are packed like constants."""

    def __init__(self, size: Size, usual: int) -> None:
        self.bytes, self.usual = size, usual
        self.held: list[_Held] = []

    def fit(self, x: Life, usual: int) -> _Held | None:
        """Where `x`, of `usual` bytes, fits beside all that is needed while it is; None where there is no such place."""
        busy = [h for h in self.held if h.first <= x.last and x.first <= h.last]
        starts: list[tuple[int, Size]] = [(0, 0), *((h.most, h.high) for h in busy)]
        for least, at in sorted(starts, key=lambda s: s[0]):
            most = least + usual
            if most > self.usual:
                return None
            if any(least < h.most and h.least < most for h in busy):
                continue  # not at usual sizes: no proof is tried
            end = at + x.bytes
            if nonnegative(self.bytes - end) and all(
                nonnegative(h.low - end) if h.least >= most else nonnegative(at - h.high) for h in busy
            ):
                return _Held(at, end, least, most, x.first, x.last)
        return None


def _assign_symbolic(lives: list[Life]) -> Size:
    """Slots one behind the other, the largest buffers first."""
    slots: list[_Slot] = []
    found: list[tuple[Life, int, Size]] = []
    usual = {id(x): _typical(x.bytes) for x in lives}
    holds: dict[tuple[Size, Size], bool] = {}  # of a slot's bytes and a buffer's

    def may_hold(slot: _Slot, x: Life) -> bool:
        key = slot.bytes, x.bytes
        if key not in holds:
            holds[key] = nonnegative(slot.bytes - x.bytes)
        return holds[key]

    for x in sorted(lives, key=lambda x: (-usual[id(x)], x.first)):
        size = usual[id(x)]
        fitting = ((k, slot.fit(x, size)) for k, slot in enumerate(slots) if may_hold(slot, x))
        k, held = next(((k, h) for k, h in fitting if h is not None), (len(slots), None))
        if held is None:
            held = _Held(0, x.bytes, 0, size, x.first, x.last)
            slots.append(_Slot(x.bytes, size))
        slots[k].held.append(held)
        found.append((x, k, held.low))
    starts: list[Size] = [0]
    for slot in slots:
        starts.append(starts[-1] + slot.bytes)
    for x, k, low in found:
        x.offset = starts[k] + low
    return starts[-1]
