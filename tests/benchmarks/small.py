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


def cases() -> list[Case]:
    """One case for each export of every program."""
    out: dict[str, Case] = {}
    for case in all_cases():
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
    if case.model == "resnet":
        return replace(case, arguments=partial(_first_images, case), dims={"N": 4})
    if case.key == "kernels.adamw":
        return replace(case, arguments=_few, sets={"net.n": "1000"})
    return case


def _first_images(case: Case) -> dict[str, Any]:
    return {k: v[:4] if k in "xy" else v for k, v in case.arguments().items()}


def _few() -> dict[str, Any]:
    r = rng()
    return {"net": {"w": normal(r, 1000)}, "g": {"w": normal(r, 1000)}}
