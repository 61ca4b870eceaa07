"""What planning and lowering leave: kernels, the order they run in, and where every buffer lives."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeAlias

import numpy as np

from charl.dims import Size
from charl.dtypes import DType
from charl.loops.ir import Kernel
from charl.plan.arena import Life, live_bytes
from charl.program import Export, Program


@dataclass(frozen=True, eq=False)
class Place:
    """Where a buffer of an export lives.

    "parameter": leaf number `position` of all arguments (graph parameter order), written too when its argument is `mut`;
    "result": leaf number `position` of the result; "arena": at byte `offset` of the workspace; "constant": the table `data`;
    "scratch": in the workspace too, of one kernel while it runs; "local": a variable of the one kernel that knows it.
    `size` is in elements.
    """

    kind: Literal["parameter", "result", "arena", "constant", "scratch", "local"]
    name: str
    dtype: DType
    size: Size
    position: int = -1
    offset: Size = 0
    data: np.ndarray[Any, Any] | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Call:
    """Run `kernel` with `places` for its buffers, in order, and sizes for its `dims`, in order."""

    kernel: Kernel
    places: tuple[Place, ...]
    dims: tuple[Size, ...]


@dataclass(frozen=True)
class Threads:
    """How a loop runs on threads, `most` at most, where `pays` is not negative. Those places of the workspace that are each
    thread's `own` lie so many bytes behind `start`, those of the next thread `stride` bytes further.
    """

    most: int
    pays: Size
    own: tuple[tuple[Place, Size], ...]
    start: Size
    stride: Size


@dataclass(frozen=True)
class Repeat:
    """Run `body` for each value of the size `index` from 0 to below `extent` (None: without end).

    With `condition`, one truth value that is looked at before each turn: the loop ends where it does not hold. `apart`: no turn
    reads what another one writes.
    """

    index: str
    extent: Size | None
    condition: Place | None
    body: tuple[Step, ...]
    apart: bool = False
    threads: Threads | None = None


@dataclass(frozen=True)
class Choose:
    """Run `then` where the truth value at `condition` holds, else `otherwise`."""

    condition: Place
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...]


Step: TypeAlias = "Call | Repeat | Choose"


def inside(step: Step) -> tuple[tuple[Step, ...], ...]:
    """The lists of steps in a step."""
    if isinstance(step, Repeat):
        return (step.body,)
    return (step.then, step.otherwise) if isinstance(step, Choose) else ()


def loops(steps: Iterable[Step]) -> Iterator[Repeat]:
    """The loops of steps, and those inside."""
    for step in steps:
        if isinstance(step, Repeat):
            yield step
        for body in inside(step):
            yield from loops(body)


@dataclass
class Plan:
    """One export: its calls in order. `arena_bytes` depends on the export's dimension variables only."""

    export: Export
    steps: tuple[Step, ...]
    arena_bytes: Size
    lives: Sequence[Life] = ()  # of the buffers in the arena
    flops: Size = 0

    @cached_property
    def live_bytes(self) -> Size:
        """The largest sum of live buffers over the order: a lower bound of the arena."""
        return live_bytes(self.lives)

    @property
    def calls(self) -> tuple[Call, ...]:
        """Every call, those of loops once."""
        return tuple(every(self.steps))


def every(steps: Iterable[Step]) -> Iterator[Call]:
    """The calls of steps and of the loops and branches among them, in order."""
    for step in steps:
        if isinstance(step, Call):
            yield step
        for body in inside(step):
            yield from every(body)


@dataclass
class Lowered:
    """A program ready to print for one kind of target: distinct kernels (shared between exports) and plans."""

    program: Program
    kernels: tuple[Kernel, ...]
    plans: tuple[Plan, ...]
