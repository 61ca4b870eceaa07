"""Which kernels leave their parallel loops to one thread, because their arrays would wander between the caches of the cores.

Enters: the plans of a program. Leaves: the same, with the loops of some kernels serial. Decides for sizes that are known; other
kernels decide when they run, by their work alone.

The time of an export is what its kernels compute, half of it where two threads share them, and for each array what it costs to
hand on: bytes that one thread has written come to another from its cache. An array that all kernels divide alike
never moves, and neither does one that nobody writes; weights that several threads update and one of them multiplies move in
every step, which may take longer than the update. Two threads are assumed: more gain more, and so never
make a kernel slower that pays with two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.loops.ir import Buffer, For, Kernel, Stmt
from charl.loops.threads import serial, trips, work
from charl.loops.touches import Touch, touches
from charl.loops.walk import body
from charl.plan.ir import Call, Choose, Place, Plan, Repeat, Step

Size = int | Dim

_TURNS = 16  # of a loop whose turns nobody knows
_FAR = 4  # times the second cache: an array of more bytes lies behind the caches, wherever it was written
_ROUNDS = 8


@dataclass(frozen=True)
class _Access:
    """One access to an array by a call: the `id` of the kernel, how many times, what it touches."""

    kernel: int
    times: int
    touch: Touch


def settled(plans: Sequence[Plan], caps: Capabilities) -> tuple[Plan, ...]:
    """The plans with kernels made serial that threads would not make faster."""
    if caps.grid:
        return tuple(plans)
    names = {c.kernel.name for plan in plans for c in plan.calls}
    versions: dict[int, dict[bool, Kernel]] = {}  # of a kernel that some calls run alone: as it was, and so
    found = [_Sharing(plan, caps).alone() for plan in plans]
    some = set().union(*found)
    for plan, alone in zip(plans, found, strict=True):
        for call in plan.calls:
            if id(call.kernel) in some:
                versions.setdefault(id(call.kernel), {})[id(call.kernel) in alone] = call.kernel
    for version in versions.values():
        if True in version:
            version[True] = _serial(version[True], names if False in version else set())

    def step(s: Step, alone: set[int]) -> Step:
        if isinstance(s, Call):
            return replace(s, kernel=versions.get(id(s.kernel), {}).get(id(s.kernel) in alone, s.kernel))
        if isinstance(s, Repeat):
            return replace(s, body=tuple(step(x, alone) for x in s.body))
        then, otherwise = (tuple(step(x, alone) for x in side) for side in (s.then, s.otherwise))
        return replace(s, then=then, otherwise=otherwise)

    return tuple(
        replace(plan, steps=tuple(step(s, alone) for s in plan.steps)) if alone else plan
        for plan, alone in zip(plans, found, strict=True)
    )


def _serial(kernel: Kernel, names: set[str]) -> Kernel:
    """The kernel on one thread, under a name of its own where others stand beside it."""
    name = kernel.name
    while name in names:
        name += "_alone"
    names.add(name)
    nests = tuple(tuple(serial(s) for s in nest) for nest in kernel.nests)
    return replace(kernel, name=name, nests=nests)


class _Sharing:
    """The kernels of an export, their work, and who touches which array after whom."""

    def __init__(self, plan: Plan, caps: Capabilities) -> None:
        self.caps = caps
        self.kernels = {id(c.kernel): c.kernel for c in plan.calls}
        self.parallel = {
            k: [x for nest in kernel.nests for x in _parallel(nest)] for k, kernel in self.kernels.items()
        }
        gains = {k: self._gain(k) for k in self.kernels}
        self.doubtful = {k: gain for k, gain in gains.items() if gain is not None}
        self.calls = dict.fromkeys(self.kernels, 0)
        self.arrays: dict[Place, list[_Access]] = {}
        if self.doubtful:
            self._note(plan)

    def alone(self) -> set[int]:
        """Kernels that one thread had better run alone: the better of two descents, from all on threads and from none."""
        if not self.doubtful:
            return set()
        found = [self._descent(set()), self._descent(set(self.doubtful))]
        return min(found, key=self._cost)

    def _gain(self, kernel: int) -> float | None:
        """Operations that threads save in a call of a kernel; None where that is not known, nothing, or beyond doubt."""
        saved = 0.0
        for loop, turns in self.parallel[kernel]:
            done = work(loop, self.caps)
            if loop.pays != 0 or not isinstance(done, int) or not isinstance(turns, int):
                return None
            saved += turns * (done - self.caps.thread_work) / 2
        near = sum(self._near(b) for b in self.kernels[kernel].buffers)
        return saved if self.parallel[kernel] and saved < 2 * self._moving(near) else None

    def _moving(self, size: int) -> float:
        """Operations that could be done while so many bytes come from the cache of another core."""
        return size * self.caps.ports / self.caps.exchange

    # ------------------------------------------------------------ who touches what

    def _note(self, plan: Plan) -> None:
        written = {
            p
            for c in plan.calls
            for p, b in zip(c.places, c.kernel.buffers, strict=True)
            if b.role != "input"
        }
        doubtful = {p for c in plan.calls if id(c.kernel) in self.doubtful for p in c.places}
        wanted = {p for p in written & doubtful if self._near(p)}
        met: dict[int, tuple[Touch, ...]] = {}
        for call, times in _unrolled(plan.steps, 1):
            kernel = id(call.kernel)
            self.calls[kernel] += times
            if wanted.isdisjoint(call.places):
                continue
            if kernel not in met:
                met[kernel] = touches(call.kernel)
            for touch in met[kernel]:
                place = call.places[touch.buffer]
                if place in wanted:
                    self.arrays.setdefault(place, []).append(_Access(kernel, times, touch))

    def _near(self, array: Place | Buffer) -> int:
        """Bytes of an array that caches hold; none of one that they do not."""
        size = array.size * array.dtype.bytes
        return size if isinstance(size, int) and size <= _FAR * self.caps.cache[1] else 0

    # ------------------------------------------------------------ what it costs

    def _descent(self, alone: set[int]) -> set[int]:
        """Change one kernel at a time as long as that gains."""
        mine = {n: [a for a in self.arrays.values() if any(x.kernel == n for x in a)] for n in self.doubtful}
        for _ in range(_ROUNDS):
            changed = False
            for n in self.doubtful:
                other = alone ^ {n}
                if self._cost(other, [n], mine[n]) < self._cost(alone, [n], mine[n]):
                    alone, changed = other, True
            if not changed:
                break
        return alone

    def _cost(
        self,
        alone: set[int],
        kernels: Iterable[int] | None = None,
        arrays: Iterable[list[_Access]] | None = None,
    ) -> float:
        """Operations lost with these kernels on one thread: what threads would have saved, and what moves."""
        kernels = self.doubtful if kernels is None else kernels
        lost = sum(self.doubtful[n] * self.calls[n] for n in kernels if n in alone)
        moved = sum(self._moved(a, alone) for a in (self.arrays.values() if arrays is None else arrays))
        return lost + self._moving(moved)

    def _moved(self, accesses: Sequence[_Access], alone: set[int]) -> int:
        """Bytes of one array that somebody waits for, when all is done again and again."""
        moved, holder = 0, "all"
        for counts, access in product((0, 1), accesses):
            divided = bool(self.parallel[access.kernel]) and access.kernel not in alone
            size, after = _handed(holder, divided, access.touch)
            moved += counts * size * access.times
            holder = after
        return moved


def _handed(holder: str, threads: bool, touch: Touch) -> tuple[int, str]:
    """(bytes that somebody waits for, who has the array then): "one" thread, each its "share", or "all" a copy."""
    half = touch.bytes // 2
    if touch.written:
        if threads:
            return (0 if holder == "share" else half), "share"
        return (0 if holder == "one" else half if holder == "share" else touch.bytes), "one"
    if not threads:
        return (half, "all") if holder == "share" else (0, holder)
    if holder == "share" and touch.divided:
        return 0, "share"
    return {"one": half if touch.divided else touch.bytes, "share": half, "all": 0}[holder], "all"


def _parallel(stmts: Iterable[Stmt], times: Size = 1) -> Iterator[tuple[For, Size]]:
    """Parallel loops, and how often each is begun."""
    for s in stmts:
        if isinstance(s, For) and s.kind in ("parallel", "each"):
            yield s, times
        else:
            yield from _parallel(body(s), times * trips(s) if isinstance(s, For) else times)


def _unrolled(steps: Iterable[Step], times: int) -> Iterator[tuple[Call, int]]:
    """The calls in order, those of a loop twice: once as they come, once for all other turns."""
    for s in steps:
        if isinstance(s, Call):
            yield s, times
        elif isinstance(s, Choose):
            yield from _unrolled(s.then, times)
            yield from _unrolled(s.otherwise, times)
        else:
            turns = s.extent if isinstance(s.extent, int) else _TURNS
            yield from _unrolled(s.body, times)
            yield from _unrolled(s.body, times * max(turns - 1, 0))
