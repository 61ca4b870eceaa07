"""The cases of the benchmark at sizes for a test: each export once, large models with few layers.

Enters: nothing. Leaves: cases. Imports nothing of Charl, so that the script that makes the references can use it.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from benchmarks.case import Case, normal, rng
from benchmarks.models import all_cases, gpt

SHAPE = {"vocab": 97, "context": 24, "d": 32, "heads": 4, "depth": 2}
TEXT = {"B": 2, "T": 12}


LARGE = ("resnet.ch", "mobilenet.ch")  # fixed sizes that take a minute to compile: checked, not run


def cases() -> list[Case]:
    """One case for each export of a program that can be made small."""
    out: dict[str, Case] = {}
    for case in all_cases():
        if case.program in LARGE:
            continue
        out.setdefault(f"{case.stem}.{case.export}", _small(case))
    return list(out.values())


def _small(case: Case) -> Case:
    sets = {f"net.{k}": str(v) for k, v in SHAPE.items()}
    if case.key == "gpt.train":
        arguments = partial(gpt.train_arguments, SHAPE, TEXT["B"], TEXT["T"])
        return replace(case, arguments=arguments, dims=TEXT, sets=sets, options=SHAPE)
    if case.key == "gpt.prompt":
        arguments = partial(gpt.prompt_arguments, SHAPE, TEXT["T"])
        return replace(case, arguments=arguments, dims={**TEXT, "B": 1}, sets=sets, options=SHAPE)
    if case.key == "gpt.token":
        return replace(
            case,
            arguments=partial(gpt.token_arguments, SHAPE, 11, 16),
            dims={"L": 16},
            sets=sets,
            options=SHAPE,
        )
    if case.key == "kernels.adamw":
        return replace(case, arguments=_few, sets={"net.n": "1000"})
    return case


def _few() -> dict[str, Any]:
    r = rng()
    return {"net": {"w": normal(r, 1000)}, "g": {"w": normal(r, 1000)}}
