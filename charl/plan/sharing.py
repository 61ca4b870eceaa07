"""Which kernels leave their parallel loops to one thread, because their arrays would wander between the caches of the cores.

Enters: the plans of a program. Leaves: the same, with the loops of some kernels serial, or with the few turns of an outer loop on
threads where arrays are divided so. Decides for sizes that are known; other kernels decide when they run, by their work alone.

The time of an export is what its kernels compute, half of it where two threads share them, and for each array what it costs to
hand on: bytes that one thread has written come to another from its cache. An array that all kernels divide alike, in runs of
the same length, never moves, and neither does one that nobody writes; weights that several threads update and one of them
multiplies move in every step, which may take longer than the update. Two threads are assumed: more gain more, and so never
make a kernel slower that pays with two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

from charl.backends.capabilities import Capabilities
from charl.dims import Dim
from charl.loops.ir import Buffer, For, Kernel, Stmt
from charl.loops.threads import outermost, serial, trips, work
from charl.loops.touches import Touch, touches
from charl.loops.walk import body
from charl.plan.ir import Call, Choose, Place, Plan, Repeat, Step, every

Size = int | Dim

_TURNS = 16  # of a loop whose turns nobody knows
FAR = 4  # times the second cache: an array of more bytes lies behind the caches, wherever it was written
_ROUNDS = 8
_ALIKE = 8  # parts are alike that differ by less than one in so many elements


@dataclass(frozen=True)
class _Access:
    """Accesses to an array by a call: the `id` of the kernel, how many times it is called, the number of its buffer."""

    kernel: int
    times: int
    buffer: int


def settled(plans: Sequence[Plan], caps: Capabilities) -> tuple[Plan, ...]:
    """The plans with kernels made serial that threads would not make faster, and others divided as their arrays are."""
    if caps.grid:
        return tuple(plans)
    names = {c.kernel.name for plan in plans for c in plan.calls}
    found = [_Sharing(plan, caps).chosen() for plan in plans]
    doubtful = set().union(*found)
    versions: dict[int, dict[str, Kernel]] = {}  # of a kernel, by how it runs
    for plan, ways in zip(plans, found, strict=True):
        for call in plan.calls:
            if id(call.kernel) in doubtful:
                way = ways.get(id(call.kernel), _AS_IT_IS)
                versions.setdefault(id(call.kernel), {})[way.name] = way.of(call.kernel)
    for version in versions.values():
        first = _AS_IT_IS.name if _AS_IT_IS.name in version else next(iter(version))
        for name, kernel in version.items():
            if name != first:
                version[name] = _renamed(kernel, name, names)

    def step(s: Step, ways: Mapping[int, _Way]) -> Step:
        if isinstance(s, Call):
            way = ways.get(id(s.kernel), _AS_IT_IS)
            return replace(s, kernel=versions.get(id(s.kernel), {}).get(way.name, s.kernel))
        if isinstance(s, Repeat):
            return replace(s, body=tuple(step(x, ways) for x in s.body))
        then, otherwise = (tuple(step(x, ways) for x in side) for side in (s.then, s.otherwise))
        return replace(s, then=then, otherwise=otherwise)

    return tuple(
        replace(plan, steps=tuple(step(s, ways) for s in plan.steps)) if ways else plan
        for plan, ways in zip(plans, found, strict=True)
    )


@dataclass(frozen=True)
class _Way:
    """A way to run a kernel on threads or on one: a name, and what it makes of a loop."""

    name: str
    loop: Callable[[Stmt], Stmt]

    def of(self, kernel: Kernel) -> Kernel:
        """The kernel, run so."""
        nests = tuple(tuple(self.loop(s) for s in nest) for nest in kernel.nests)
        same = all(
            a is b for x, y in zip(nests, kernel.nests, strict=True) for a, b in zip(x, y, strict=True)
        )
        return kernel if same else replace(kernel, nests=nests)


_AS_IT_IS = _Way("", lambda s: s)
_ALONE = _Way("alone", serial)
_APART = _Way("apart", outermost)  # the few turns of outer loops are given to threads


def _renamed(kernel: Kernel, way: str, names: set[str]) -> Kernel:
    """The kernel under a name of its own: others stand beside it."""
    name = kernel.name
    while name in names:
        name += f"_{way}"
    names.add(name)
    return replace(kernel, name=name)


class _Run:
    """A kernel run in some way: operations that threads save in a call, if that is known, and what it touches."""

    def __init__(self, kernel: Kernel, caps: Capabilities) -> None:
        self.kernel = kernel
        self.loops = [x for nest in kernel.nests for x in _parallel(nest)]
        self.saved = self._saved(caps)

    def _saved(self, caps: Capabilities) -> float | None:
        saved = 0.0
        for loop, times in self.loops:
            done, turns = work(loop, caps), trips(loop)
            if loop.pays != 0 or not isinstance(done, int) or not isinstance(times, int):
                return None
            share = turns // 2 / turns if isinstance(turns, int) and turns else 0.5
            saved += times * (done * share - caps.thread_work / 2)
        return saved

    @cached_property
    def touches(self) -> Mapping[int, Sequence[Touch]]:
        """Accesses by the number of the buffer."""
        out: dict[int, list[Touch]] = {}
        for touch in touches(self.kernel):
            out.setdefault(touch.buffer, []).append(touch)
        return out


class _Sharing:
    """The kernels of an export, their work, and who touches which array after whom."""

    def __init__(self, plan: Plan, caps: Capabilities) -> None:
        self.caps = caps
        self.runs = {id(c.kernel): {_AS_IT_IS: _Run(c.kernel, caps)} for c in plan.calls}
        self.doubtful = [k for k, runs in self.runs.items() if self._in_doubt(runs[_AS_IT_IS])]
        for k in self.doubtful:
            kernel = self.runs[k][_AS_IT_IS].kernel
            for way in (_ALONE, _APART):
                if (other := way.of(kernel)) is not kernel:
                    run = self.runs[k][way] = _Run(other, caps)
                    if way is _APART:  # for no more than a few threads: only for the sake of the arrays
                        run.saved = min(run.saved or 0.0, self.runs[k][_AS_IT_IS].saved or 0.0)
        self.calls = dict.fromkeys(self.runs, 0)
        self.arrays: dict[Place, list[_Access]] = {}
        if self.doubtful:
            self._note(plan)

    def chosen(self) -> dict[int, _Way]:
        """How kernels run that do not run as they are: the best of three descents, each from all of them in one way."""
        found = []
        for way in (_AS_IT_IS, _ALONE, _APART):
            start = {k: way if way in self.runs[k] else _AS_IT_IS for k in self.doubtful}
            found.append(self._descent(start))
        best = min(found, key=self._cost)
        return {k: way for k, way in best.items() if way is not _AS_IT_IS}

    def _in_doubt(self, run: _Run) -> bool:
        """Whether a kernel has loops on threads whose gain is known, and not beyond what its arrays may cost."""
        near = sum(self._near(b) for b in run.kernel.buffers)
        return bool(run.loops) and run.saved is not None and run.saved < 2 * self._moving(near)

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
        doubtful = set(self.doubtful)
        met = {p for c in plan.calls if id(c.kernel) in doubtful for p in c.places}
        wanted = {p for p in written & met if self._near(p)}
        for call, times in _unrolled(plan.steps, 1):
            kernel = id(call.kernel)
            self.calls[kernel] += times
            if wanted.isdisjoint(call.places):
                continue
            for buffer in self.runs[kernel][_AS_IT_IS].touches:
                place = call.places[buffer]
                if place in wanted:
                    self.arrays.setdefault(place, []).append(_Access(kernel, times, buffer))

    def _near(self, array: Place | Buffer) -> int:
        """Bytes of an array that caches hold; none of one that they do not."""
        size = array.size * array.dtype.bytes
        return size if isinstance(size, int) and size <= FAR * self.caps.cache[1] else 0

    # ------------------------------------------------------------ what it costs

    def _descent(self, ways: dict[int, _Way]) -> dict[int, _Way]:
        """Change one kernel at a time as long as that gains."""
        mine = {n: [a for a in self.arrays.values() if any(x.kernel == n for x in a)] for n in self.doubtful}
        for _ in range(_ROUNDS):
            changed = False
            for n in self.doubtful:
                for way in self.runs[n]:
                    other = {**ways, n: way}
                    if self._cost(other, [n], mine[n]) < self._cost(ways, [n], mine[n]):
                        ways, changed = other, True
            if not changed:
                break
        return ways

    def _cost(
        self,
        ways: Mapping[int, _Way],
        kernels: Iterable[int] | None = None,
        arrays: Iterable[list[_Access]] | None = None,
    ) -> float:
        """Operations lost with kernels run so: what moves, less what threads save."""
        kernels = self.doubtful if kernels is None else kernels
        saved = sum((self.runs[n][ways[n]].saved or 0.0) * self.calls[n] for n in kernels)
        moved = sum(self._moved(a, ways) for a in (self.arrays.values() if arrays is None else arrays))
        return self._moving(moved) - saved

    def _moved(self, accesses: Sequence[_Access], ways: Mapping[int, _Way]) -> int:
        """Bytes of one array that somebody waits for, when all is done again and again."""
        moved, holder = 0, _Holder("all")
        for counts, access in product((0, 1), accesses):
            run = self.runs[access.kernel][ways.get(access.kernel, _AS_IT_IS)]
            for touch in run.touches.get(access.buffer, ()):
                size, holder = _handed(holder, bool(run.loops), touch)
                moved += counts * size * access.times
        return moved


@dataclass(frozen=True)
class _Holder:
    """Who has an array: "one" thread, each its "share", which comes again after `period` elements, or "all" a copy."""

    who: str
    period: int = 0

    def divided_as(self, touch: Touch) -> bool:
        """Whether each thread has what it touches."""
        if self.who != "share":
            return False
        large, small = max(self.period, touch.period), min(self.period, touch.period)
        return large == small == 0 or (small > 0 and _ALIKE * (large - small) <= large)


def _handed(holder: _Holder, threads: bool, touch: Touch) -> tuple[int, _Holder]:
    """(bytes that somebody waits for, who has the array then)."""
    half = touch.bytes // 2
    if touch.written:
        if threads:
            return (0 if holder.divided_as(touch) else half), _Holder("share", touch.period)
        return {"one": 0, "share": half, "all": touch.bytes}[holder.who], _Holder("one")
    if not threads:
        return (half, _Holder("all")) if holder.who == "share" else (0, holder)
    if touch.divided and holder.divided_as(touch):
        return 0, holder
    return {"one": half if touch.divided else touch.bytes, "share": half, "all": 0}[holder.who], _Holder(
        "all"
    )


def _parallel(stmts: Iterable[Stmt], times: Size = 1) -> Iterator[tuple[For, Size]]:
    """Parallel loops, and how often each is begun."""
    for s in stmts:
        if isinstance(s, For) and s.kind in ("parallel", "each"):
            yield s, times
        else:
            yield from _parallel(body(s), times * trips(s) if isinstance(s, For) else times)


def _operations(steps: Iterable[Step]) -> int:
    """Operations of the kernels of these steps that are known, a loop's once."""
    flops = (c.kernel.flops for c in every(steps))
    return sum(n for n in flops if isinstance(n, int))


def _unrolled(steps: Iterable[Step], times: int) -> Iterator[tuple[Call, int]]:
    """The calls in order, those of a loop twice: once as they come, once for all other turns. Of the sides of a choice only the
    one that does more: that is where time goes.
    """
    for s in steps:
        if isinstance(s, Call):
            yield s, times
        elif isinstance(s, Choose):
            yield from _unrolled(max(s.then, s.otherwise, key=_operations), times)
        else:
            turns = s.extent if isinstance(s.extent, int) else _TURNS
            yield from _unrolled(s.body, times)
            yield from _unrolled(s.body, times * max(turns - 1, 0))
