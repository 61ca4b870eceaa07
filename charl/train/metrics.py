"""Metrics of the validation data: exports that take the trained state and data and return numbers.

Enters a loaded program and validation data. Leaves numbers by name. An export gives metrics if it changes nothing, all its
records are among those of the training step, and its result is a float, or a tuple or struct of floats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from charl.errors import fail
from charl.graph.ir import TensorType
from charl.program import Export, Program, Record, Tree
from charl.train.codes import E_METRICS
from charl.train.dataset import Dataset, fit
from charl.train.program import Step, is_data, is_number
from charl.train.state import Loaded

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Metric:
    """An export, which state each of its records is, the names of its numbers, and its data."""

    export: Export
    states: Mapping[str, str]
    names: tuple[str, ...]
    data: Dataset


def metrics_of(
    program: Program, step: Step, names: Sequence[str], arrays: Mapping[str, Array]
) -> list[Metric]:
    """The exports called `names`, or all that give metrics of these arrays. Raises CharlError (E0749, E0743)."""
    out: list[Metric] = []
    known = [e for e in program.exports if e.role == "export"]
    for name in names:
        if name not in [e.name for e in known]:
            raise fail(
                E_METRICS,
                f"{program.path} exports no `{name}`",
                help=f"it exports {', '.join(e.name for e in known)}",
            )
    notes: list[str] = []
    for e in known:
        if e is step.export or (names and e.name not in names):
            continue
        why = _obstacle(e, step, arrays if not names else None)
        if why:
            notes.append(f"`{e.name}`: {why}")
            continue
        data = fit([a for a in e.arguments if is_data(a)], arrays, f"`{e.name}`")
        out.append(Metric(e, _states(e, step), tuple(n for n, _ in _numbers(e.result, e.name)), data))
    if not out or (names and notes):
        message = "no export gives metrics of the validation data"
        help_ = (
            "export a function of the trained state and the data that returns a float, or leave `--valid` out"
        )
        raise fail(E_METRICS, message, notes=tuple(notes), help=help_)
    return out


def _obstacle(e: Export, step: Step, arrays: Mapping[str, Array] | None) -> str:
    """Why an export gives no metrics; "" where it does."""
    if any(a.mut for a in e.arguments):
        return "it changes its arguments"
    if not _numbers(e.result, e.name):
        return "its result is no number"
    states = _states(e, step)
    odd = next((a for a in e.arguments if isinstance(a.type, Record) and a.name not in states), None)
    if odd is not None:
        return f"`{odd.name}` is not among what the training step takes"
    number = next((a for a in e.arguments if is_number(a)), None)
    if number is not None:
        return f"nothing gives `{number.name}` a value"
    data = [a for a in e.arguments if is_data(a)]
    if not data:
        return "it takes no data"
    missing = [a.name for a in data if arrays is not None and a.name not in arrays]
    return f"the data have no `{missing[0]}`" if missing else ""


def _states(e: Export, step: Step) -> dict[str, str]:
    """For each record parameter that of the training step with its type: the one of its name where there are several, else
    what is trained."""
    out: dict[str, str] = {}
    for a in e.arguments:
        if isinstance(a.type, Record):
            found = [s.name for s in (*step.states, *step.kept) if s.type == a.type]
            if found:
                out[a.name] = a.name if a.name in found else found[0]
    return out


def _numbers(result: Tree | None, name: str) -> list[tuple[str, TensorType]]:
    """The floats of a result under their names; nothing where there is anything else."""
    if isinstance(result, TensorType):
        return [(name, result)] if not result.shape and result.dtype.kind == "float" else []
    if not isinstance(result, Record):
        return []
    out: list[tuple[str, TensorType]] = []
    for f in result.fields:
        inner = _numbers(f.type, f.name if result.kind == "struct" else f"{name}.{f.name}")
        if not inner:
            return []
        out += inner
    return out


def evaluate(loaded: Loaded, metric: Metric, state: Mapping[str, Any], size: int | None) -> dict[str, float]:
    """The numbers of one export over all its data: in one call, or the means over batches of `size`, weighted by theirs."""
    data, spec = metric.data, loaded.spec(metric.export.name)
    given = {name: state[s] for name, s in metric.states.items()}
    step = data.batch if isinstance(data.batch, int) else size or data.size
    sums = np.zeros(len(metric.names))
    count = 0
    for start in range(0, data.size, step):
        stop = min(start + step, data.size)
        if isinstance(data.batch, int) and stop - start < step:
            break  # a fixed batch is whole
        result = loaded.call(spec, {**given, **data.take(slice(start, stop))})
        sums += (stop - start) * np.array(_flat(result), np.float64)
        count += stop - start
    return dict(zip(metric.names, (sums / max(count, 1)).tolist()))


def _flat(result: Any) -> list[float]:
    if isinstance(result, tuple):
        return [x for part in result for x in _flat(part)]
    if isinstance(result, (int, float)):
        return [float(result)]
    return [float(x) for x in result.leaves().values()]
