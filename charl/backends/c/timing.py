"""Clocks around the kernel calls of a package, for `charl profile`.

Enters: a lowered program. Leaves: a number for every call, the lines around it, and what the template frames: three arrays that a
profiler reads, `<prefix>_profile_seconds`, `…_calls` and `…_underflows`. A package has them only where it was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

from charl.plan.ir import Call, Lowered


@dataclass(frozen=True)
class Timers:
    """One timer for each call of each plan, in the order of the plans."""

    prefix: str
    calls: tuple[Call, ...]

    def around(self, call: Call, lines: tuple[str, ...]) -> tuple[str, ...]:
        """The lines of a call between two readings of the clock."""
        number = next(i for i, c in enumerate(self.calls) if c is call)
        return (f"{self.prefix}_profile_begin();", *lines, f"{self.prefix}_profile_end({number});")

    @property
    def count(self) -> int:
        """How many timers there are; C has no empty arrays."""
        return max(len(self.calls), 1)


def timers(lowered: Lowered, prefix: str) -> Timers:
    """The timers of a program."""
    return Timers(prefix, tuple(call for plan in lowered.plans for call in plan.calls))
