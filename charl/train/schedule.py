"""Learning rates: what `--lr` and `--schedule` say, as a function of the step.

Enters text, leaves a `Schedule`. Rates are functions of the step and of the length of an epoch and of the run alone.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from charl.errors import fail
from charl.train.codes import E_SCHEDULE

# The schedules, with their options and what these are by default. Every one takes `warmup` (steps of a linear rise) as well.
OPTIONS: dict[str, dict[str, float]] = {
    "constant": {},
    "warm-up": {"steps": 100.0},
    "step": {"every": 10.0, "factor": 0.1},
    "exponential": {"factor": 0.95},
    "cosine": {"final": 0.0},
    "one-cycle": {"rise": 0.3, "start": 25.0, "end": 1e4},
}


@dataclass(frozen=True)
class Schedule:
    """A rate for every step. `text` is what the user wrote."""

    text: str
    kind: str
    options: dict[str, float]
    peak: float
    per_epoch: int  # steps
    total: int  # steps

    @property
    def needs_total(self) -> bool:
        """Whether a longer run has other rates from the beginning."""
        return self.kind in ("cosine", "one-cycle")

    def rate(self, step: int) -> float:
        """The rate of a step, counted from 0."""
        warmup = self.options.get("warmup", 0.0)
        if step < warmup:
            return self.peak * (step + 1) / warmup
        return self.peak * self._factor(step - int(warmup), max(self.total - int(warmup), 1))

    def _factor(self, step: int, total: int) -> float:
        o = self.options
        if self.kind == "warm-up":
            return min(1.0, (step + 1) / o["steps"]) if o["steps"] > 0 else 1.0
        if self.kind == "step":
            return float(o["factor"] ** (step // self.per_epoch // max(int(o["every"]), 1)))
        if self.kind == "exponential":
            return float(o["factor"] ** (step // self.per_epoch))
        if self.kind == "cosine":
            return o["final"] + (1.0 - o["final"]) * _fall(step / total)
        if self.kind == "one-cycle":
            rise = max(o["rise"] * total - 1.0, 1.0)
            low = 1.0 / o["start"]
            if step <= rise:
                return low + (1.0 - low) * (1.0 - _fall(step / rise))
            end = low / o["end"]
            return end + (1.0 - end) * _fall((step - rise) / max(total - 1.0 - rise, 1.0))
        return 1.0


def _fall(share: float) -> float:
    """From 1 to 0 along half a cosine (Loshchilov and Hutter, 2017)."""
    return (1.0 + math.cos(math.pi * min(max(share, 0.0), 1.0))) / 2.0


def schedule(text: str, peak: float, per_epoch: int, total: int) -> Schedule:
    """`NAME` or `NAME:option=value,…`. Raises CharlError (E0748)."""
    if not (math.isfinite(peak) and peak >= 0):
        raise fail(E_SCHEDULE, f"the learning rate is {peak}", help="give a positive number")
    kind, _, rest = text.partition(":")
    if kind not in OPTIONS:
        raise fail(E_SCHEDULE, f"there is no schedule `{kind}`", help=f"there are {', '.join(OPTIONS)}")
    known = {**OPTIONS[kind], "warmup": 0.0}
    options = dict(known)
    for part in filter(None, rest.split(",")):
        name, _, value = part.partition("=")
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if name not in known or not math.isfinite(number) or number < 0:
            help_ = f"`{kind}` takes {', '.join(f'{n}={v:g}' for n, v in known.items())}"
            raise fail(E_SCHEDULE, f"`{part}` is no option of the schedule `{kind}`", help=help_)
        options[name] = number
    if kind == "one-cycle" and not (0 < options["rise"] < 1 and options["start"] > 0 and options["end"] > 0):
        raise fail(E_SCHEDULE, "one-cycle needs 0 < rise < 1, start > 0 and end > 0")
    return Schedule(text, kind, options, peak, max(per_epoch, 1), max(total, 1))
